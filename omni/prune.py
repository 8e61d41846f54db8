"""Pruning for good, of a model that is no supernet."""

from __future__ import annotations

import re

from torch import nn

from .criteria import Criterion
from .spec import Spec
from .supernet import Supernet
from .targets import Range


def prune_(model: nn.Module, spec: Spec, structure: str = "8x1", criterion: str | Criterion = "l1") -> None:
    """Zeros in `model` what `spec` drops, the least important first: exact selection by the present weights.

    What is left is a plain model with a plain state_dict. A spec of several structures takes a call for each.

    Args:
        spec: {parameter name: sparsity}.
        structure, criterion: as for `Range` and `Supernet`.

    Raises:
        ValueError: not a parameter, a sparsity or weight that does not fit the structure.
    """
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
