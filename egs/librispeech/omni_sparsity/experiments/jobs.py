"""The trainings of a condition as calls of run.sh."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import Any, Dict, List

from egs.librispeech.omni_sparsity.config import load_config
from omni.errors import UserError
from egs.librispeech.omni_sparsity.experiments.condition import RECIPE, Condition, Job, jobs, load_condition
from egs.librispeech.omni_sparsity.subnets.subnet import check_name, is_uniform


def command(condition: Condition, job: Job, out: Path) -> List[str]:
    """The call of run.sh that trains, prunes and decodes one system; called again it goes on, or is done at once."""
    sparsities = " ".join(f"{sparsity:g}" for sparsity in job.sparsities)
    settings = [word for setting in job.settings for word in ("--set", setting)]
    brought = ["--specs", " ".join(job.specs)] if job.specs else []
    return ["./run.sh", "--corpus", condition.corpus, "--config", str(RECIPE / "conf" / condition.config),
            *condition.options, "--exp-dir", str(out / job.name), "--sparsities", sparsities, *brought, *settings]


def parse_seeds(text: str, default: List[int]) -> List[int]:
    try:
        seeds = [int(word) for word in text.split()] or default
    except ValueError:
        raise UserError(f'--seeds {text}: want whole numbers, e.g. "1 2 3"') from None
    return list(dict.fromkeys(seeds))


def scaled(condition: Condition, budget: float) -> Condition:
    """The same condition with so many times the epochs, of all systems; marks of their curricula are shares of them.

    Raises:
        UserError: no budget, or one of less than an epoch.
    """
    if budget == 1.0:
        return condition
    whole = load_config(RECIPE / "conf" / condition.config).train.num_epochs

    def more(settings: Dict[str, Any]) -> Dict[str, Any]:
        epochs = settings.get("train.num_epochs", whole) * budget
        if not 1 <= epochs < math.inf:
            raise UserError(f"--budget {budget:g}: want a number that leaves an epoch at least, e.g. 2")
        return {**settings, "train.num_epochs": math.floor(epochs + 1e-6)}  # down: no system has more than its share

    systems = {name: more(settings) for name, settings in condition.systems.items()}
    # Those without epochs of their own have omni's.
    ablations = {name: more(settings) if "train.num_epochs" in settings else settings
                 for name, settings in condition.ablations.items()}
    return dataclasses.replace(condition, systems=systems, ablations=ablations)


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a call of this package is about.

    Attributes:
        name: of the condition, with its budget if that is not 1.
        condition: as its file has it, with the budget's epochs.
        sparsities: the sizes that are compared; all of the condition's unless --sparsities names others.
        todo: the trainings of these sizes.
        out: the folder of their folders and of the table.
    """

    name: str
    condition: Condition
    sparsities: List[float]
    seeds: List[int]
    out: Path
    todo: List[Job]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command of this package takes."""
    parser.add_argument("--condition", "--corpus", default="mini", help="file in conf/reproduce (default mini)")
    parser.add_argument("--budget", type=float, default=1.0,
                        help="so many times the epochs, of all systems (default 1)")
    parser.add_argument("--seeds", default="", help="(default: as the condition says)")
    parser.add_argument("--sparsities", default="", help="sizes to compare, beside 0 (default: as the condition says)")
    parser.add_argument("--specs", default="", help="spec files of more sub-networks, to be cut out of omni and the "
                        "dense model (default: as the condition says)")
    parser.add_argument("--ablations", type=int, choices=(0, 1), default=1, help="0: without them")
    parser.add_argument("--reuse", type=Path, metavar="FILE", help="take trainings of the same settings from a "
                        "trainings.json, such as results/<condition>'s, instead of training them")
    parser.add_argument("--out", type=Path, help="(default exp/<condition>/reproduce, with a budget <condition>-<n>x)")


def parse_sparsities(text: str, default: List[float]) -> List[float]:
    try:
        found = [float(word) for word in text.split()] or list(default)
    except ValueError:
        found = [math.nan]
    if not all(0 <= sparsity < 1 for sparsity in found):
        raise UserError(f'--sparsities {text}: want shares of zeros, 0 to below 1, e.g. "0.5 0.9"')
    return sorted(set(found) - {0.0})  # the dense network is in every comparison


def parse_specs(text: str, default: List[str]) -> List[str]:
    """
    Raises:
        UserError: a file that is not there, or whose name is none for a sub-network that is brought.
    """
    found = text.split() or list(default)
    for spec in map(Path, found):
        check_name(spec.stem, spec)
        if is_uniform(spec.stem):
            raise UserError(f"--specs {spec}: {spec.stem} is what --sparsities makes; call the file otherwise")
        if not spec.is_file():
            raise UserError(f"--specs {spec}: no such file")
    return found


def load(name: str) -> Condition:
    """The condition of that name, as conf/reproduce has it."""
    return load_condition(RECIPE / "conf" / "reproduce" / f"{name}.yaml")


def read(args: argparse.Namespace) -> Asked:
    name = args.condition + (f"-{args.budget:g}x" if args.budget != 1.0 else "")
    return ask(name, scaled(load(args.condition), args.budget), args)


def ask(name: str, condition: Condition, args: argparse.Namespace) -> Asked:
    seeds = parse_seeds(args.seeds, condition.seeds)
    sparsities = parse_sparsities(args.sparsities, condition.sparsities)
    specs = parse_specs(args.specs, condition.specs)
    todo = list(jobs(dataclasses.replace(condition, sparsities=sparsities, specs=specs), seeds, bool(args.ablations)))
    return Asked(name, condition, sparsities, seeds, args.out or Path("exp") / name / "reproduce", todo)


def only(todo: List[Job], text: str) -> List[Job]:
    """Of `todo` the systems and ablations that are named; all where none is.

    Raises:
        UserError: one that is not there.
    """
    there = list(dict.fromkeys(job.strategy for job in todo))
    wanted = text.split() or there
    for name in wanted:
        if name not in there:
            raise UserError(f"--only {name}: want one or more of {', '.join(there)}")
    return [job for job in todo if job.strategy in wanted]
