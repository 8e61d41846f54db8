"""What `--omni-config` holds: which weights are pruned, and which sub-networks train when."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Tuple

from omni import Plan, Range

SHIPPED = Path(__file__).parent / "conf"


@dataclass
class Settings(Plan):
    """A `Plan`, and:

    Attributes:
        targets: {regular expression of parameter names: {low, high, structure}}, see `omni.Range`.
        steps: batches of the whole training (the host's batch_idx_train at its end). Shares are of these; of what is
            left of them where the training goes on from a checkpoint that was trained without omni.
        gradient, dropout, seed: of `omni.Supernet`.
        validate: sparsities at which the dev sets are seen beside the dense network; one costs what the host's own
            validation costs.
        model_function: the host's function that makes the model, if it is none of those known by name.

    Raises:
        ValueError: of `check`.
    """

    targets: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    steps: int = 0
    gradient: str = "masked"
    dropout: str = "none"
    seed: int = 42
    validate: List[float] = field(default_factory=list)
    model_function: str = ""

    def ranges(self) -> Dict[str, Range]:
        return {pattern: Range(**allowed) for pattern, allowed in self.targets.items()}

    def check(self) -> None:
        super().check()
        if self.steps < 1:
            raise ValueError("steps: want how many batches the whole training has (epochs x batches of an epoch)")
        if self.sampling in ("sandwich", "split", "each"):
            raise ValueError(f"sampling {self.sampling}: the host has one forward and backward a step; take single")
        if self.hold_from < 1.0:
            raise ValueError(f"hold_from {self.hold_from}: want 1, to hold nothing; the host's optimizer moves weights "
                             "that have no gradient too")
        if not self.targets:
            raise ValueError("targets: want {pattern of parameter names: {low, high, structure}}")
        try:
            self.ranges()
        except TypeError as error:
            raise ValueError(f"targets: {error}") from None


def read_settings(name: str, changes: List[str] = ()) -> Settings:
    """
    Args:
        name: a YAML or JSON file, or the name of one that ships with omni (`zipformer`).
        changes: "name=value", value as YAML.

    Raises:
        ValueError: no such file or setting, or a value that makes no sense; the message names it.
    """
    path = Path(name) if Path(name).suffix else SHIPPED / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise ValueError(f"{name}: no such file; omni ships settings for {known}")
    whole = _parse(path.read_text(encoding="utf-8"), str(path))
    if not isinstance(whole, dict):
        raise ValueError(f"{path}: want names and values")
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ValueError(f"--set {change}: want name=value")
        whole[key] = _parse(text, f"--set {change}")
    known = {f.name: f.default if f.default is not dataclasses.MISSING else f.default_factory()
             for f in dataclasses.fields(Settings)}
    for key, value in whole.items():
        if key not in known:
            raise ValueError(f"{path}: no setting {key}; there are {', '.join(known)}")
        if isinstance(known[key], float) and type(value) is int:
            whole[key] = value = float(value)
        if type(value) is not type(known[key]):
            raise ValueError(f"{path}: {key} wants {type(known[key]).__name__}, not {value!r}")
    settings = Settings(**whole)
    try:
        settings.check()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return settings


def split_arguments(arguments: List[str]) -> Tuple[List[str], List[str]]:
    """A command line's own part, and the recipe's, which stands after the first "--"."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:cut], arguments[cut + 1 :]


def _parse(text: str, where: str) -> Any:
    """YAML, which JSON is a part of; JSON alone where PyYAML is not installed (omni needs torch and nothing else)."""
    try:
        import yaml
    except ImportError:
        try:
            return json.loads(text)
        except ValueError:
            raise ValueError(f"{where}: not JSON; for YAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: not YAML: {' '.join(str(error).split())}") from None
