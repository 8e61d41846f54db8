"""All sizes train from the dense phase on."""

from __future__ import annotations

from typing import Dict

from ..settings import setting
from .base import Shrinking, Subnets, check_sizes, strategy
from .smallest_first import SIZES


@strategy("largest_first")
class LargestFirst(Shrinking):
    """Dense until `dense_until`. Then each step trains one sub-network, drawn from `sizes`; the smallest of them grows
    sparser until `grow_until`, and sizes sparser than it train at its sparsity."""

    sizes: Dict[float, float] = setting(SIZES, "{sparsity: how often it trains}")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.sizes)

    def subnets(self, net, step, progress) -> Subnets:
        if progress < self.dense_until:
            return [("max", net.largest())]
        return [net.pick(step, self.sizes, high=self.sparsity(net, progress))]
