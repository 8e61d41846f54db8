"""A strategy in a flat section of settings: `strategy: NAME`, its settings beside it, and other settings among them."""

from __future__ import annotations

from typing import Iterable, List, Tuple

from ..settings import Given, build, names
from .base import Strategy, strategy_class, strategy_names

SHIPPED = "smallest_first"


def chosen(given: Iterable[Given], beside: Iterable[str], prefix: str = "") -> Tuple[Strategy, List[Given]]:
    """The strategy of a section, and what was given of the settings `beside` it.

    Where one place names another strategy than the place before it, as `--set strategy=dense` does over a file, what
    was given before for a strategy that is known, and says nothing to this one, is passed over.

    Raises:
        ValueError: an unknown strategy or setting, or a value that makes no sense; one line that names it.
    """
    given, beside = list(given), set(beside)
    named = [(number, one) for number, one in enumerate(given) if one.name == "strategy"]
    place, name, where = (named[-1][0], named[-1][1].value, named[-1][1].where) if named else (-1, SHIPPED, "")
    if not isinstance(name, str):
        raise ValueError(f"{where}: {prefix}strategy wants str, not {name!r}")
    try:
        kind = strategy_class(name)
    except ValueError as error:
        raise ValueError(f"{where}: {prefix}{error}") from None
    known = {setting for other in strategy_names() for setting in names(strategy_class(other))}
    own, rest = [], []
    for number, one in enumerate(given):
        if one.name == "strategy":
            continue
        if one.name in beside:
            rest.append(one)
        elif one.name in names(kind):
            own.append(one)
        elif not (number < place and _place(one.where) != _place(where) and one.name in known):
            there = ", ".join(["strategy", *names(kind), *sorted(beside)])
            raise ValueError(f"{one.where}: no setting {prefix}{one.name} with {prefix}strategy {name}; there are "
                             f"{there}")
    return build(kind, own, prefix), rest


def _place(where: str) -> str:
    """Overrides of one command line are one place, in whatever order they stand."""
    return "--set" if where.startswith("--set ") else where
