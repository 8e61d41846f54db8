"""The recipe's settings: one object, read from a YAML file, then changed by `--set section.name=value`.

Usage:
    python -m egs.librispeech.omni_sparsity.config --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --set train.num_epochs=2        # prints the whole configuration
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List

import yaml

import omni
from omni.errors import UserError, cli

from .config_check import check


@dataclass
class Model:
    """Frames are of 25 Hz where nothing else is said: four 10 ms feature frames."""

    feature_dim: int = 80
    stack: int = 4  # feature frames in one encoder frame
    projection_dim: int = 128  # of each feature frame, before stacking
    conv_layers: int = 2  # causal convolutions between stacking and Emformer
    encoder_dim: int = 512
    num_heads: int = 8
    ffn_dim: int = 2048
    num_layers: int = 20
    activation: str = "gelu"
    segment_length: int = 4
    left_context_length: int = 30
    right_context_length: int = 1
    dropout: float = 0.1
    decoder_dim: int = 512  # predictor
    context_size: int = 2
    joiner_dim: int = 512
    vocab_size: int = 500


@dataclass
class Loss:
    backend: str = "auto"  # "k2", "native" (plain PyTorch, the same numbers), or "auto": k2 where it is installed
    rnnt_type: str = "regular"  # "modified" allows one symbol a frame, as greedy search does
    prune_range: int = 5
    lm_scale: float = 0.25
    simple_loss_scale: float = 0.5
    ctc_scale: float = 0.2
    distill: float = 0.0  # weight of what sub-networks learn from the largest network, see loss/distill.py
    warm_step: int = 2000  # steps over which simple goes 1 -> simple_loss_scale, pruned 0.1 -> 1 (icefall)


@dataclass
class Data:
    max_duration: float = 200.0  # seconds of audio in a batch
    batches_per_step: int = 0  # whose gradients make one step, shared by the processes; 0: one for each process
    num_workers: int = 2
    on_the_fly: bool = False  # training's features from audio, on its device, instead of those of stage 1
    parts: int = 1  # an epoch is one of so many parts of the training cuts, in turn
    augment_from: int = 1  # the first epoch with noise and SpecAugment: they slow the way off the plateau
    noise_prob: float = 0.5
    noise_snr: List[float] = field(default_factory=lambda: [10.0, 20.0])  # dB
    time_mask: int = 100  # longest time mask, feature frames
    num_frame_masks: int = 2
    freq_mask: int = 27
    num_feature_masks: int = 2
    spec_aug_prob: float = 0.9
    min_seconds: float = 0.5  # shorter and longer training utterances are left out, and counted
    max_seconds: float = 20.0
    first_max_seconds: float = 20.0  # in the first epoch: short utterances teach the alignment sooner


@dataclass
class Train:
    num_epochs: int = 30
    optimizer: str = "muon"  # of the encoder's matrices; all else, and with "adamw" those too, takes AdamW
    # Muon takes a gradient of exactly zero, as a mask leaves it, for none: weight and momentum stay, and a sub-network's step
    # is of its own momentum alone.
    sparse_momentum: bool = True
    base_lr: float = 1e-3
    warm_up: float = 0.05  # share of the training in which the learning rate rises
    final_lr: float = 0.02  # of base_lr, reached by cosine at the end
    weight_decay: float = 0.01
    betas: List[float] = field(default_factory=lambda: [0.9, 0.98])
    clip_norm: float = 5.0
    seed: int = 42
    init_from: str = ""  # a checkpoint whose model training begins with, such as a dense one's epoch-<N>.pt
    average_period: int = 200  # passes between two updates of the running average
    save_every_n: int = 4000  # batches between two checkpoints within an epoch
    keep_last_k: int = 3  # of those
    log_interval: int = 50
    valid_utterances: int = 400
    num_threads: int = 0  # of torch; 0: as torch chooses
    precision: str = "auto"  # of the model in training: "float32", "bf16", or "auto": bf16 on a GPU that has it


@dataclass
class Omni(omni.Plan):
    """Supernet training: which sub-networks train when (omni.Plan, in omni/curriculum.py), and how they are made."""

    # Smallest first, held at the end; chosen on the corpus codes (results/codes/TRIALS.md).
    first: str = "smallest"
    dense_until: float = 0.2
    grow_from: float = 0.0
    grow_until: float = 0.6
    growth: str = "cubic"
    rank: str = "kept"
    freeze_at: float = 1.0
    grow_with: float = 0.3
    hold_from: float = 0.8
    sizes: Dict[float, float] = field(default_factory=lambda: {0.0: 0.6, 0.5: 0.05, 0.7: 0.05, 0.8: 0.05, 0.9: 0.25})

    # pattern -> {low, high, structure}: the matrices of the Emformer's layers
    targets: Dict[str, Dict[str, Any]] = field(default_factory=lambda: {
        r"encoder\.emformer\..*(emb_to_key_value|emb_to_query|out_proj|pos_ff\.[14])\.weight":
            {"low": 0.0, "high": 0.9, "structure": "8x1"}})
    private: List[str] = field(default_factory=lambda: [r"encoder\.emformer\..*(bias|norm.*\.weight|pos_ff\.0\.weight)"])
    bins: List[float] = field(default_factory=lambda: [0.5, 0.7, 0.8, 0.9])
    gradient: str = "masked"  # or "dense": straight-through
    dropout: str = "none"  # how dropout follows the sub-network: "linear", "sqrt" or "dense", see omni.dropout
    distill_every: int = 1  # steps between two that distill (loss.distill)


@dataclass
class Decode:
    avg: int = 1  # averages over the last `avg` epochs
    max_duration: float = 600.0
    blank_penalty: float = 0.0  # taken off blank's logit in the search
    device: str = "cpu"  # or "cuda"; real-time factors are of this device


# Settings of Omni that say nothing to a training of one size (omni.Plan.alone).
_OF_SEVERAL_SIZES = ("sizes", "p_max", "p_min", "random_low", "spread", "layerwise", "first", "growth", "grow_from", "grow_with",
                     "hold_from", "private", "bins")


@dataclass
class Config:
    model: Model = field(default_factory=Model)
    loss: Loss = field(default_factory=Loss)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    omni: Omni = field(default_factory=Omni)
    decode: Decode = field(default_factory=Decode)

    def to_yaml(self) -> str:
        return yaml.safe_dump(dataclasses.asdict(self), sort_keys=False)

    def shaping(self) -> Dict[str, Dict[str, Any]]:
        """{section: {name: value}} of what shapes the model that is trained, not how it is run or decoded."""
        whole = dataclasses.asdict(self)
        del whole["decode"], whole["loss"]["backend"]
        del whole["data"]["num_workers"]
        for name in ("save_every_n", "keep_last_k", "log_interval", "valid_utterances", "num_threads", "precision"):
            del whole["train"][name]
        if self.omni.alone:
            for name in _OF_SEVERAL_SIZES:
                del whole["omni"][name]
        return whole

    def training_key(self) -> str:
        """Digits that change with what `shaping` names."""
        return hashlib.sha256(yaml.safe_dump(self.shaping()).encode()).hexdigest()[:16]


def load_config(path: str | Path, overrides: List[str] = ()) -> Config:
    """Reads a configuration.

    Args:
        path: YAML with the sections and names of `Config`; what is absent keeps its default.
        overrides: "section.name=value" strings, the value as YAML.

    Raises:
        UserError: no such file, section or name, or a value of another type.
    """
    try:
        whole = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such configuration file") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    config = Config()
    if not isinstance(whole, dict):
        raise UserError(f"{path}: want sections {', '.join(_names(config))}")
    for section, values in whole.items():
        if not isinstance(values, dict):
            raise UserError(f"{path}: {section}: want names and values beneath it")
        for name, value in values.items():
            _set(config, section, name, value, str(path))
    for override in overrides:
        key, equals, text = override.partition("=")
        section, dot, name = key.partition(".")
        if not (equals and dot):
            raise UserError(f"--set {override}: want section.name=value, e.g. train.num_epochs=2")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise UserError(f"--set {override}: the value is not YAML") from None
        _set(config, section, name, value, f"--set {override}")
    check(config)
    return config


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


def _names(value: Any) -> List[str]:
    return [f.name for f in dataclasses.fields(value)]


def _number(value: Any) -> Any:
    """A float where `value` is a number, or a string such as 1e-3, which YAML takes for one; else `value`."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    return value


def _set(config: Config, section: str, name: str, value: Any, where: str) -> None:
    if section not in _names(config):
        raise UserError(f"{where}: no section {section!r}; there are {', '.join(_names(config))}")
    part = getattr(config, section)
    if name not in _names(part):
        raise UserError(f"{where}: no setting {section}.{name}; there are {', '.join(_names(part))}")
    want = typing.get_type_hints(type(part))[name]
    kind, of = typing.get_origin(want) or want, typing.get_args(want)
    value = _number(value) if kind is float else value
    if type(value) is not kind:
        raise UserError(f"{where}: {section}.{name} wants {kind.__name__}, not {value!r}")
    if kind is list:
        value = [_number(item) if of[0] is float else item for item in value]
        for item in value:
            if type(item) is not of[0]:
                raise UserError(f"{where}: {section}.{name} wants a list of {of[0].__name__}, not {item!r}")
    setattr(part, name, value)


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--print", dest="what", default="all", metavar="SECTION.NAME", help="one setting alone")
    parser.add_argument("--sparsities", help="check that the supernet of this configuration has these")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    if args.sparsities is not None:
        parse_sparsities(args.sparsities, config)
    if args.what == "all":
        print(config.to_yaml(), end="")
    else:
        section, _, name = args.what.partition(".")
        print(getattr(getattr(config, section), name))


if __name__ == "__main__":
    main()
