"""The strategy that ships: dense, shrink, grow back, hold."""

from __future__ import annotations

from typing import Dict

from ..settings import setting, share
from .base import Shrinking, Subnets, check_sizes, strategy

SIZES = {0.0: 0.6, 0.5: 0.05, 0.7: 0.05, 0.8: 0.05, 0.9: 0.25}


@strategy("smallest_first")
class SmallestFirst(Shrinking):
    """1. Dense: until `dense_until` the largest network trains alone.
    2. Shrink: until `grow_until` the smallest trains alone, and grows sparser, fast at first, to the end of its range.
    3. Grow back: what was dropped comes back with `grow_with` of the value that it was dropped with, every size begins
       with the smallest one's norms, and each step trains one sub-network, drawn from `sizes`.
    4. Hold: from `hold_from` on, what the smallest keeps is trained for the smallest alone.

    Blocks are ranked among those that the smallest has kept: masks stop moving once it is reached."""

    sizes: Dict[float, float] = setting(SIZES, "{sparsity: how often it trains}, after the growth")
    grow_with: float = share(0.3, "share of the value it was dropped with that a weight comes back with")
    hold_from: float = share(0.8, "share of the training from which the smallest's weights are its own; 1: never")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.sizes)
        if self.dense_until >= self.grow_until:
            raise ValueError(f"dense_until {self.dense_until}: want less than grow_until, {self.grow_until}, for the "
                             "smallest to train alone between the two")

    def subnets(self, net, step, progress) -> Subnets:
        if progress < self.dense_until:
            return [("max", net.largest())]
        if progress < self.grow_until:
            return [("pruned", self.smallest(net, progress))]
        return [net.pick(step, self.sizes, high=self.top(net))]

    def prepare(self, net, step, before, progress) -> None:
        super().prepare(net, step, before, progress)
        net.carry_private(self.smallest(net, before), self.smallest(net, progress))
        if before < self.grow_until <= progress:
            net.prune_(net.smallest(), left=self.grow_with)
            for edge in net.bins:  # every sub-network begins as the smallest, or near it, with its norms and biases
                net.carry_private(net.largest(), net.uniform(min(edge, self.top(net))))

    def held(self, net, spec, progress):
        if self.hold_from == 1.0 or progress < max(self.hold_from, self.grow_until) or spec == net.smallest():
            return None
        return net.smallest()
