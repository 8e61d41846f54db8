"""The trainings of a condition as calls of run.sh."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

from tools.errors import UserError
from tools.reproduce.condition import RECIPE, Condition, Job, load_condition


def command(condition: Condition, job: Job, out: Path) -> List[str]:
    """The call of run.sh that trains, prunes and decodes one system; called again it goes on, or is done at once."""
    sparsities = " ".join(f"{sparsity:g}" for sparsity in job.sparsities)
    settings = [word for setting in job.settings for word in ("--set", setting)]
    return ["./run.sh", "--corpus", condition.corpus, "--config", str(RECIPE / "conf" / condition.config),
            *condition.options, "--exp-dir", str(out / job.name), "--sparsities", sparsities, *settings]


def parse_seeds(text: str, default: List[int]) -> List[int]:
    try:
        seeds = [int(word) for word in text.split()] or default
    except ValueError:
        raise UserError(f'--seeds {text}: want whole numbers, e.g. "1 2 3"') from None
    return list(dict.fromkeys(seeds))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every command of this package takes."""
    parser.add_argument("--condition", "--corpus", default="mini", help="file in conf/reproduce (default mini)")
    parser.add_argument("--seeds", default="", help="(default: as the condition says)")
    parser.add_argument("--out", type=Path, help="(default exp/<condition>/reproduce)")


def read(args: argparse.Namespace) -> tuple[Condition, List[int], Path]:
    condition = load_condition(RECIPE / "conf" / "reproduce" / f"{args.condition}.yaml")
    return (condition, parse_seeds(args.seeds, condition.seeds),
            args.out or Path("exp") / args.condition / "reproduce")
