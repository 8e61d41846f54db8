"""Search methods: a module a method, its name the file's. To add one: one file.

A module has a class `Search(predictor, joiner, blank_penalty, ...)`, options with defaults, with

    start()                          -> state of a new stream
    advance(frames, counts, states)  frames (B, T, joiner_dim) projected, of which the first counts[b] are stream b's
    best(state)                      -> (token ids, number of the encoder frame of each) of what is the best so far
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from typing import Any, List


def names() -> List[str]:
    """Of all methods, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def make(name: str, predictor: Any, joiner: Any, blank_penalty: float, **options: Any) -> Any:
    """The search of a name.

    Raises:
        ValueError: there is no such method, it has no such option, or a blank penalty that is no number.
    """
    if name not in names():
        raise ValueError(f"method {name!r}: want one of {', '.join(names())}")
    if not isinstance(blank_penalty, (int, float)) or not math.isfinite(blank_penalty):
        raise ValueError(f"blank_penalty {blank_penalty!r}: want a number")
    made = importlib.import_module(f"{__name__}.{name}").Search
    known = list(inspect.signature(made).parameters)[3:]
    odd = [option for option in options if option not in known]
    if odd:
        raise ValueError(f"method {name} has no option {odd[0]}; it has {', '.join(known) or 'none'}")
    return made(predictor, joiner, blank_penalty, **options)
