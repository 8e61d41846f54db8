"""The corpora that can be synthesised: what is said in each, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from local.mini.commands import TEMPLATES


@dataclass(frozen=True)
class Design:
    """
    Args:
        name: of the corpus, as for run.sh --corpus.
        domains: of the commands, keys of TEMPLATES.
        train_seconds: speech in train-clean, about.
    """

    name: str
    domains: tuple[str, ...]
    train_seconds: int


# `timers` is small, to compare strategies of training with.
DESIGNS = {design.name: design for design in (
    Design("mini", tuple(TEMPLATES), 28800),
    Design("timers", ("timers", "calls"), 7200),
)}  # fmt: skip
