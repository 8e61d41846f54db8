"""What is compared: systems, seeds and settings of one condition, read from conf/reproduce/<condition>.yaml."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

from omni.errors import UserError
from omni.settings import Given, build, names, read_yaml
from egs.librispeech.omni_sparsity.subnets.subnet import is_uniform, uniform_name

RECIPE = Path("egs/librispeech/omni_sparsity")
SYSTEMS = ("dense", "pruned", "omni")


@dataclass
class Condition:
    """
    Attributes:
        corpus: as for run.sh.
        hours: of training speech, before speed perturbation; for the estimate of --plan.
        config: file in conf/ that all systems share.
        options: more of run.sh, for all jobs.
        specs: spec files of more sub-networks, to be cut out of omni and of the dense model.
        systems: settings ({"section.name": value}) of each of SYSTEMS on top of it.
        ablations: {name: settings on top of omni's}.
    """

    corpus: str
    hours: float
    config: str
    sparsities: List[float]
    seeds: List[int] = field(default_factory=lambda: [1])
    options: List[str] = field(default_factory=list)
    specs: List[str] = field(default_factory=list)
    systems: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    ablations: Dict[str, Dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """One training: `system` is one of SYSTEMS, `strategy` omni's own or the name of an ablation."""

    system: str
    strategy: str
    seed: int
    sparsities: Tuple[float, ...]
    settings: Tuple[str, ...]  # section.name=value
    specs: Tuple[str, ...] = ()

    @property
    def name(self) -> str:
        size = f"-{self.sparsities[0]:g}" if self.system == "pruned" else ""
        return f"{self.strategy}{size}-seed-{self.seed}"

    @property
    def subnets(self) -> List[str]:
        """The names of those that it is asked for."""
        return [*map(uniform_name, self.sparsities), *(Path(spec).stem for spec in self.specs)]

    def wants(self, name: str) -> bool:
        """Of a sub-network in its folder: uniform ones only as asked for, all that were brought."""
        return name in self.subnets or not is_uniform(name)


def load_condition(path: Path) -> Condition:
    """
    Raises:
        UserError: no such file, or not a condition.
    """
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"{path}: no such condition; there are {there}")
    try:
        found = build(Condition, [Given(str(name), value, str(path)) for name, value in read_yaml(path).items()])
    except ValueError as error:
        raise UserError(f"{path}: not a condition ({error}); want {', '.join(names(Condition))}") from None
    if set(found.systems) != set(SYSTEMS):
        raise UserError(f"{path}: systems {', '.join(found.systems) or 'none'}: want {', '.join(SYSTEMS)}")
    return found


def jobs(condition: Condition, seeds: List[int], ablations: bool = True) -> Iterator[Job]:
    """All trainings, those of one seed together, so that a table can be made of the seeds that are done."""
    sizes, specs = tuple(condition.sparsities), tuple(condition.specs)
    for seed in seeds:
        yield Job("dense", "dense", seed, (0.0, *sizes), _settings(condition.systems["dense"], seed), specs)
        yield Job("omni", "omni", seed, (0.0, *sizes), _settings(condition.systems["omni"], seed), specs)
        for size in sizes:
            own = {**condition.systems["pruned"], "omni.prune_to": size}
            yield Job("pruned", "pruned", seed, (size,), _settings(own, seed))
    if ablations:
        for name, changes in condition.ablations.items():
            own = {**condition.systems["omni"], **changes}
            yield Job("omni", name, seeds[0], (0.0, *sizes), _settings(own, seeds[0]), specs)


def _settings(values: Dict[str, Any], seed: int) -> Tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in {**values, "train.seed": seed}.items())
