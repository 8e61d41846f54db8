"""All sizes train from the dense phase on."""

from __future__ import annotations

from typing import Dict

from ..settings import setting, share
from .base import Strategy, Subnets, check_sizes, rising_sparsity, strategy, top_of
from .smallest_first import SIZES


@strategy("largest_first")
class LargestFirst(Strategy):
    """Dense until `dense_until`. Then each step trains one sub-network, drawn from `sizes`; the smallest of them grows
    sparser until `grow_until`, and sizes sparser than it train at its sparsity."""

    sizes: Dict[float, float] = setting(SIZES, "{sparsity: how often it trains}")
    dense_until: float = share(0.2, "share of the training before which the largest trains alone")
    grow_until: float = share(0.6, "share of the training at which the smallest has reached its sparsity")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.sizes)

    def subnets(self, net, step, progress) -> Subnets:
        if progress < self.dense_until:
            return [("max", net.largest())]
        return [net.pick(step, self.sizes, high=self._high(net, progress))]

    def smallest(self, net, progress):
        return net.smallest(self._high(net, progress))

    def settled(self) -> float:
        return self.grow_until

    def _high(self, net, progress) -> float:
        return rising_sparsity(progress, self.dense_until, self.grow_until, top_of(net))
