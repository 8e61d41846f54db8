"""What `--omni-config` holds: which weights are pruned, and the strategy that says which sub-networks train when."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import omni
from omni.settings import Given, build, check, names, parse_override, read_yaml, setting
from omni.strategies import SHIPPED, chosen

CONF = Path(__file__).parent / "conf"


@dataclass
class Beside:
    """All settings but the strategy and its own."""

    targets: Dict[str, Any] = setting({}, "{pattern of parameter names: {low, high, structure}}, see omni.Range")
    steps: int = setting(0, "of the whole training: the host's batch_idx_train at its end. Shares are of these; of "
                         "what is left of them where the training goes on from a checkpoint without omni",
                         unit="batches")
    seed: int = setting(42, "of which sub-network a batch trains")
    dropout: str = setting("none", "how dropout follows the sub-network (omni.dropout)",
                           choices=("none", "linear", "sqrt", "dense"))
    validate: List[float] = setting([], "sizes at which the dev sets are seen beside the dense network; one costs what "
                                    "the host's own validation costs", unit="sparsity", low=0.0, below=1.0)
    model_function: str = setting("", "the host's function that makes the model, if it is none of those known by name")

    def __post_init__(self) -> None:
        check(self)
        if self.steps < 1:
            raise ValueError(f"steps {self.steps}: want how many batches the whole training has (epochs x batches of "
                             "an epoch), as --set steps=100000")
        top = max(allowed.high for allowed in self.ranges().values())
        for sparsity in self.validate:
            if sparsity > top:
                raise ValueError(f"validate {sparsity:g}: want at most {top:g}, the sparsest of targets")

    def ranges(self) -> Dict[str, omni.Range]:
        """
        Raises:
            ValueError: no pattern, or something else than a range for one.
        """
        if not self.targets:
            raise ValueError("targets: want {pattern of parameter names: {low, high, structure}}")
        return {pattern: _range(pattern, allowed) for pattern, allowed in self.targets.items()}


@dataclass
class Settings(Beside):
    """
    Attributes:
        strategy: the one that ships by default, as everywhere; but a host cannot hold weights, so that one of yours
            says `hold_from: 1.0`.

    Raises:
        ValueError: a value out of its range, or a strategy that a host cannot follow.
    """

    strategy: omni.Strategy = field(default_factory=omni.strategy_class(SHIPPED))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.strategy.one_pass:
            raise ValueError(f"strategy {self.strategy.name}: it trains several sub-networks a step, and the host has "
                             f"one forward and backward; take {SHIPPED}, or another of one pass a step")
        held = getattr(self.strategy, "hold_from", 1.0)
        if held < 1.0:
            raise ValueError(f"hold_from {held:g}: the host's optimizer moves weights without a gradient too, so none "
                             "can be held; write `hold_from: 1.0` in your settings, or say --set hold_from=1.0")

    # mp.spawn sends settings to other processes, which know the class of a strategy in a file once it is loaded.
    def __getstate__(self) -> Dict[str, Any]:
        return {**vars(self), "strategy": (self.strategy.name, dataclasses.asdict(self.strategy))}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        name, values = state["strategy"]
        vars(self).update(state, strategy=omni.strategy_class(name)(**values))


def read_settings(name: str, changes: Sequence[str] = ()) -> Settings:
    """
    Args:
        name: a YAML or JSON file, or the name of one that ships with omni (`zipformer`).
        changes: "name=value", value as YAML.

    Raises:
        ValueError: no such file or setting, or a value that makes no sense; one line that names it.
    """
    path = Path(name)
    if not path.is_file():
        path = CONF / f"{name}.yaml"
    if not path.is_file():
        raise ValueError(f"{name}: no such file; omni ships settings for {', '.join(shipped())}")
    try:
        import omegaconf  # noqa: F401
    except ImportError:
        raise ValueError(f"{path}: settings are read by OmegaConf, which is not here: pip install omegaconf, or "
                         "'omni-sparsity[icefall]'") from None
    given = [Given(str(key), value, str(path)) for key, value in read_yaml(path).items()]
    strategy, rest = chosen([*given, *map(parse_override, changes)], names(Beside))
    return Settings(strategy=strategy, **vars(build(Beside, rest)))


def shipped() -> List[str]:
    """Names that `read_settings` takes."""
    return sorted(path.stem for path in CONF.glob("*.yaml"))


def split_arguments(arguments: List[str]) -> Tuple[List[str], List[str]]:
    """A command line's own part, and the recipe's, which stands after the first "--"."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]


def _range(pattern: str, allowed: Any) -> omni.Range:
    if not isinstance(allowed, Mapping) or set(allowed) - set(names(omni.Range)):
        raise ValueError(f"targets: {pattern!r}: want {{{', '.join(names(omni.Range))}}}, not {allowed!r}")
    for name, value in allowed.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name == "structure" and not isinstance(value, str):
            raise ValueError(f"targets: {pattern!r}: structure {value!r}: want text, as 8x1 or \"2:4\" (with its "
                             "quotes: YAML takes 2:4 for a number)")
        if name != "structure" and not number:
            raise ValueError(f"targets: {pattern!r}: {name} {value!r}: want a number")
    try:
        return omni.Range(**allowed)
    except ValueError as error:
        raise ValueError(f"targets: {pattern!r}: {error}") from None
