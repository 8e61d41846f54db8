"""The recipe's settings: one object, read from a YAML file, then changed by `--set section.name=value`.

Usage:
    python -m egs.librispeech.omni_sparsity.config --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --set train.num_epochs=2        # prints the whole configuration
    python -m egs.librispeech.omni_sparsity.config --help-settings      # every setting with its unit and range
"""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import omni
from omni.errors import UserError, cli
from omni.settings import Given, build, names, parse_override, range_of, read_yaml, setting, share
from omni.strategies import SHIPPED, chosen


@dataclass
class Model:
    """Frames are the encoder's, of `stack` feature frames of 10 ms, where nothing else is said."""

    stack: int = setting(4, "feature frames in one encoder frame", unit="feature frames", low=1)
    projection_dim: int = setting(128, "of each feature frame, before stacking", low=1)
    encoder_dim: int = setting(512, "width of the Emformer", low=1)
    num_heads: int = setting(8, "attention heads; they divide encoder_dim", low=1)
    ffn_dim: int = setting(2048, "width of the Emformer's feed-forward parts", low=1)
    num_layers: int = setting(20, "layers of the Emformer", low=1)
    activation: str = setting("gelu", "of the feed-forward parts", choices=("relu", "gelu", "silu"))
    segment_length: int = setting(4, "what is encoded at a time", unit="frames", low=1)
    left_context_length: int = setting(30, "what a segment sees before it", unit="frames", low=0)
    right_context_length: int = setting(1, "what a segment waits for", unit="frames", low=0)
    dropout: float = share(0.1, "of the Emformer")
    decoder_dim: int = setting(512, "width of the predictor", low=1)
    joiner_dim: int = setting(512, "width of the joiner", low=1)
    vocab_size: int = setting(500, "BPE pieces, blank and <unk> among them", low=1)

    def __post_init__(self) -> None:
        if self.num_heads >= 1 and self.encoder_dim % self.num_heads:
            raise ValueError(f"encoder_dim {self.encoder_dim}: want a multiple of model.num_heads, {self.num_heads}")


@dataclass
class Loss:
    backend: str = setting("auto", "native: plain PyTorch, the same numbers; auto: k2 where it is installed", how=True,
                           choices=("auto", "k2", "native"))
    rnnt_type: str = setting("regular", "modified: one symbol a frame at most, as greedy search has it",
                             choices=("regular", "modified"))
    prune_range: int = setting(5, "symbols of a frame in the pruned lattice", low=1)
    ctc_scale: float = setting(0.2, "weight of CTC on the encoder", low=0)
    distill: float = setting(0.0, "weight of what sub-networks learn from the largest network (loss/distill.py)", low=0)
    warm_step: int = setting(2000, "simple loss 1 -> 0.5, pruned 0.1 -> 1 (icefall)", unit="steps", low=0)


@dataclass
class Data:
    max_duration: float = setting(200.0, "audio in a batch", unit="seconds", low=1)
    batches_per_step: int = setting(0, "whose gradients make one step, shared by the processes; 0: one for each", low=0)
    num_workers: int = setting(2, "processes that make batches", low=0, how=True)
    on_the_fly: bool = setting(False, "training's features from audio, on its device, instead of those of stage 1")
    parts: int = setting(1, "an epoch is one of so many parts of the training cuts, in turn", low=1)
    augment_from: int = setting(1, "first epoch with noise and SpecAugment: they slow the way off the plateau", low=0)
    noise_prob: float = share(0.5, "how often noise is mixed in, at 10 to 20 dB")
    num_masks: int = setting(2, "SpecAugment's masks along time, and along frequency", low=0)
    time_mask: int = setting(100, "longest of them along time", unit="feature frames", low=0)
    freq_mask: int = setting(27, "widest of them along frequency", unit="mel bands", low=0)
    spec_aug_prob: float = share(0.9, "how often an utterance gets them")
    max_seconds: float = setting(20.0, "longer training utterances are left out, and counted", unit="seconds", above=0)
    first_max_seconds: float = setting(20.0, "in the first epoch: short ones teach the alignment sooner",
                                       unit="seconds", above=0)


@dataclass
class Train:
    num_epochs: int = setting(30, "of training", unit="epochs", low=1)
    optimizer: str = setting("muon", "of the encoder's matrices; all else takes AdamW", choices=("muon", "adamw"))
    base_lr: float = setting(1e-3, "learning rate at its highest", above=0)
    warm_up: float = share(0.05, "share of the training in which the learning rate rises")
    weight_decay: float = setting(0.01, "of all but norms and biases", low=0)
    seed: int = setting(42, "of everything random")
    init_from: str = setting("", "a checkpoint whose model training begins with, such as a dense one's epoch-<N>.pt")
    average_period: int = setting(200, "between two updates of the running average", unit="steps", low=1)
    save_every_n: int = setting(4000, "between two checkpoints within an epoch", unit="steps", low=1, how=True)
    valid_utterances: int = setting(400, "of the dev sets, for the loss after an epoch", low=1, how=True)
    precision: str = setting("auto", "of the model in training; auto: bf16 on a GPU that has it", how=True,
                             choices=("auto", "float32", "bf16"))


@dataclass
class Omni:
    """The supernet, and the strategy that trains it, whose own settings (omni/strategies) stand in this section too."""

    strategy: omni.Strategy = field(default_factory=omni.strategy_class(SHIPPED))
    targets: Dict[str, Dict[str, Any]] = setting({
        r"encoder\.emformer\..*(emb_to_key_value|emb_to_query|out_proj|pos_ff\.[14])\.weight":
            {"low": 0.0, "high": 0.9, "structure": "8x1"}},
        "{pattern: {low, high, structure}} of the weights that are pruned: the matrices of the Emformer's layers")
    private: List[str] = setting([r"encoder\.emformer\..*(bias|norm.*\.weight|pos_ff\.0\.weight)"],
                                 "patterns of what sub-networks keep values of their own of")
    bins: List[float] = setting([0.5, 0.7, 0.8, 0.9], "upper edges of the bins of those values", unit="sparsity")
    dropout: str = setting("none", "how dropout follows the sub-network (omni.dropout)",
                           choices=("none", "linear", "sqrt", "dense"))


@dataclass
class Decode:
    avg: int = setting(1, "epochs whose weights are averaged", unit="epochs", low=1)
    blank_penalty: float = setting(0.0, "taken off blank's logit in the search")
    device: str = setting("cpu", "real-time factors are of it", choices=("cpu", "cuda"))


@dataclass
class Config:
    model: Model = field(default_factory=Model)
    loss: Loss = field(default_factory=Loss)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    omni: Omni = field(default_factory=Omni)
    decode: Decode = field(default_factory=Decode)

    def sections(self) -> Dict[str, Dict[str, Any]]:
        """{section: {name: value}}, the strategy's settings among those of `omni`."""
        whole = {section: dataclasses.asdict(getattr(self, section)) for section in names(self)}
        strategy = self.omni.strategy
        whole["omni"] = {"strategy": strategy.name, **dataclasses.asdict(strategy),
                         **{name: value for name, value in whole["omni"].items() if name != "strategy"}}
        return whole

    def shaping(self) -> Dict[str, Dict[str, Any]]:
        """`sections`, of what shapes the model that is trained, not how it is run or decoded."""
        whole = self.sections()
        del whole["decode"]
        for section in ("loss", "data", "train"):
            for one in dataclasses.fields(getattr(self, section)):
                if one.metadata["how"]:
                    del whole[section][one.name]
        if self.omni.strategy.of_one_size:
            del whole["omni"]["private"], whole["omni"]["bins"]
        return whole

    def to_yaml(self) -> str:
        from omegaconf import OmegaConf

        return OmegaConf.to_yaml(OmegaConf.create(self.sections()))


FORM = "section.name=value, e.g. train.num_epochs=2"


def load_config(path: str | Path, overrides: List[str] = ()) -> Config:
    """Reads a configuration.

    Args:
        path: YAML with the sections and names of `Config`; what is absent keeps its default, or, where the file says
            `from: OTHER.yaml`, what OTHER.yaml beside it says.
        overrides: "section.name=value" strings, the value as YAML.

    Raises:
        UserError: no such file, section or name, or a value of another type or out of its range.
    """
    try:
        return _config([*_of_file(path), *map(_of_override, overrides)])
    except ValueError as error:
        raise UserError(str(error)) from None


def _config(given: List[Tuple[str, Given]]) -> Config:
    of = {section: [one for there, one in given if there == section] for section in names(Config)}
    strategy, rest = chosen(of.pop("omni"), [name for name in names(Omni) if name != "strategy"], "omni.")
    config = Config(omni=build(Omni, rest, "omni."),
                    **{section: build(type(getattr(Config(), section)), values, f"{section}.")
                       for section, values in of.items()})
    config.omni.strategy = strategy
    if getattr(strategy, "hold_from", 1.0) < 1.0 and config.train.optimizer != "muon":
        raise ValueError(f"omni.hold_from {strategy.hold_from}: want train.optimizer muon, for a weight without a "
                         "gradient to stay; or 1, to hold nothing")
    return config


def _of_file(path: str | Path, above: Tuple[Path, ...] = ()) -> Iterator[Tuple[str, Given]]:
    whole = read_yaml(path)
    if "from" in whole:
        base, above = Path(path).parent / str(whole.pop("from")), (*above, Path(path).resolve())
        if base.resolve() in above:
            raise ValueError(f"{path}: from: {base.name}: it comes from this file itself")
        yield from _of_file(base, above)
    for section, values in whole.items():
        if section not in names(Config):
            raise ValueError(f"{path}: no section {section!r}; there are {', '.join(names(Config))}")
        if not isinstance(values, dict):
            raise ValueError(f"{path}: {section}: want names and values beneath it")
        for name, value in values.items():
            yield section, Given(str(name), value, str(path))


def _of_override(text: str) -> Tuple[str, Given]:
    key, value, where = parse_override(text, FORM)
    section, dot, name = key.partition(".")
    if not dot:
        raise ValueError(f"--set {text}: want {FORM}")
    if section not in names(Config):
        raise ValueError(f"{where}: no section {section!r}; there are {', '.join(names(Config))}")
    return section, Given(name, value, where)


def parse_sparsities(text: str, config: Config) -> List[float]:
    """ "0 0.5 0.9" -> [0.0, 0.5, 0.9], rising, each once.

    Raises:
        UserError: not numbers from 0 up to, not including, 1, or sparser than the supernet's ranges go.
    """
    top = max((allowed.get("high", 0.9) for allowed in config.omni.targets.values()), default=0.0)
    values = set()
    for word in text.replace(",", " ").split():
        try:
            value = float(word)
        except ValueError:
            value = -1.0
        if not 0.0 <= value < 1.0:
            raise UserError(f'--sparsities: {word} is no share of zeros: want numbers from 0 to below 1, e.g. "0 0.5"')
        if value > top:
            raise UserError(f"--sparsities: {word} is sparser than this supernet goes (omni.targets: high {top:g})")
        values.add(value)
    if not values:
        raise UserError('--sparsities: want at least one number, e.g. "0 0.5 0.9"')
    return sorted(values)


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """`--config` and `--set`, the same for every command of the recipe."""
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "conf" / "mini.yaml", help="YAML file")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="SECTION.NAME=VALUE",
                        help="change one setting; may be given many times")


def settings_table() -> Iterator[Tuple[str, Any, str]]:
    """(section.name, default, what it is with its unit and range) of every setting, those of each strategy among
    them."""
    kinds = [(section, type(value)) for section, value in vars(Config()).items()]
    kinds += [("omni", omni.strategy_class(name)) for name in omni.strategy_names()]
    seen = {"omni.strategy"}
    yield "omni.strategy", SHIPPED, f"one of {', '.join(omni.strategy_names())}, or path/to/file.py:Class"
    for section, kind in kinds:
        for one in dataclasses.fields(kind):
            if f"{section}.{one.name}" not in seen:
                seen.add(f"{section}.{one.name}")
                default = one.default if one.default is not dataclasses.MISSING else one.default_factory()
                said = [one.metadata["doc"], one.metadata["unit"], range_of(one)]
                yield f"{section}.{one.name}", default, "; ".join(filter(None, said))


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--print", dest="what", default="all", metavar="SECTION.NAME", help="one setting alone")
    parser.add_argument("--sparsities", help="check that the supernet of this configuration has these")
    parser.add_argument("--help-settings", action="store_true", help="every setting, with its default, unit and range")
    args = parser.parse_args()
    if args.help_settings:
        for name, default, said in settings_table():
            print(f"{name}  [{default}]  {said}")
        return
    config = load_config(args.config, args.overrides)
    if args.sparsities is not None:
        parse_sparsities(args.sparsities, config)
    if args.what == "all":
        print(config.to_yaml(), end="")
    else:
        section, _, name = args.what.partition(".")
        print(config.sections()[section][name])


if __name__ == "__main__":
    main()
