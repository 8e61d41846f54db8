"""The paper's family: three passes a step."""

from __future__ import annotations

from ..settings import setting
from .base import KINDS, Shrinking, Subnets, strategy

_LOW = 0.3  # random sub-networks are at least this sparse
_SPREAD = 0.1  # how far a weight's sparsity may lie from that of the random sub-network


@strategy("sandwich")
class Sandwich(Shrinking):
    """Dense until `dense_until`; then every step trains the largest, the smallest and one random sub-network (Yu &
    Huang 2019, section 3.1), three times the passes of one model. The smallest grows sparser until `grow_until`."""

    one_pass = False

    layerwise: bool = setting(False, "whether each weight of a random sub-network draws its own sparsity")

    def subnets(self, net, step, progress) -> Subnets:
        if progress < self.dense_until:
            return [("max", net.largest())]
        high = self.sparsity(net, progress)
        three = net.sandwich(step, high=high, low=min(_LOW, high), spread=_SPREAD, layerwise=self.layerwise)
        return list(zip(KINDS, three))
