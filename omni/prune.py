"""Pruning for good, of a model that is no supernet."""

from __future__ import annotations

import re
from numbers import Real
from typing import Mapping

from torch import nn

from .criteria import Criterion
from .spec import Spec
from .supernet import Supernet
from .targets import Range


def prune_(model: nn.Module, spec: Spec | float, structure: str = "8x1", criterion: str | Criterion = "l1") -> None:
    """Zeros in `model` what `spec` drops, the least important first: exact selection by the present weights.

    What is left is a plain model with a plain state_dict. A spec of several structures takes a call for each.

    Args:
        spec: {parameter name: sparsity}; or one sparsity, for the weights of every Linear, Conv, LSTM, GRU and
            MultiheadAttention that is a whole number of blocks (`describe(model, Range())` lists them).
        structure, criterion: as for `Range` and `Supernet`.

    Raises:
        ValueError: not a parameter, a sparsity or weight that does not fit the structure.
        TypeError: neither a dictionary nor a number.
    """
    if isinstance(spec, Real) and not isinstance(spec, bool):
        net = Supernet(model, Range(0.0, float(spec), structure), criterion=criterion)
        net.refresh(exact=True)
        net.prune_(net.smallest())
        return
    if not isinstance(spec, Mapping):
        raise TypeError(f"{spec!r:.60}: want a spec, {{parameter name: sparsity}}, or one sparsity, such as 0.8")
    names = {name for name, _ in model.named_parameters()}
    for name in spec:
        if name not in names:
            raise ValueError(f"{name}: not a parameter of {type(model).__name__}")
    if not spec:
        return
    ranges = {re.escape(name): Range(0.0, sparsity, structure) for name, sparsity in spec.items()}
    net = Supernet(model, ranges, criterion=criterion)
    net.refresh(exact=True)
    net.prune_(spec)
