"""The paper's family: three passes a step."""

from __future__ import annotations

from ..settings import setting, share
from .base import KINDS, Strategy, Subnets, rising_sparsity, strategy, top_of

_SPREAD = 0.1  # how far a weight's sparsity may lie from that of the random sub-network


@strategy("sandwich")
class Sandwich(Strategy):
    """Dense until `dense_until`; then every step trains the largest, the smallest and one random sub-network (Yu & Huang
    2019, section 3.1), three times the passes of one model. The smallest grows sparser until `grow_until`."""

    one_pass = False

    dense_until: float = share(0.2, "share of the training before which the largest trains alone")
    grow_until: float = share(0.6, "share of the training at which the smallest has reached its sparsity")
    random_low: float = share(0.3, "random sub-networks are at least this sparse")
    layerwise: bool = setting(False, "whether each weight of a random sub-network draws its own sparsity")

    def subnets(self, net, step, progress) -> Subnets:
        if progress < self.dense_until:
            return [("max", net.largest())]
        high = self._high(net, progress)
        three = net.sandwich(step, high=high, low=min(self.random_low, high), spread=_SPREAD, layerwise=self.layerwise)
        return list(zip(KINDS, three))

    def smallest(self, net, progress):
        return net.smallest(self._high(net, progress))

    def settled(self) -> float:
        return self.grow_until

    def _high(self, net, progress) -> float:
        return rising_sparsity(progress, self.dense_until, self.grow_until, top_of(net))
