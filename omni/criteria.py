"""What makes a weight worth keeping."""

from __future__ import annotations

from typing import Callable, Dict

from torch import Tensor, nn

Criterion = Callable[[str, nn.Parameter], Tensor]

CRITERIA: Dict[str, Criterion] = {
    "l1": lambda name, weight: weight.abs(),
    "l2": lambda name, weight: weight.float().square(),  # float: squares leave the range of float16 soon
}


def importance(criterion: str | Criterion, name: str, weight: nn.Parameter) -> Tensor:
    """The importance of each value of `weight`, of its shape, contiguous.

    Raises:
        ValueError: a function's result has another shape.
    """
    found = (criterion if callable(criterion) else CRITERIA[criterion])(name, weight)
    if found.shape != weight.shape:
        raise ValueError(f"{name}: criterion gave shape {tuple(found.shape)}, want {tuple(weight.shape)}")
    return found.contiguous()
