"""One model pruned to one size: the baseline of every size."""

from __future__ import annotations

from ..settings import setting
from .base import Shrinking, Subnets, strategy


@strategy("gradual")
class Gradual(Shrinking):
    """Gradual magnitude pruning (Zhu & Gupta 2017): dense until `dense_until`, then sparser, fast at first, until it
    has the sparsity `prune_to` at `grow_until`; trained at that size for the rest. What has been dropped stays
    dropped."""

    system = "pruned"
    of_one_size = True

    prune_to: float = setting(0.8, "sparsity of the one size", unit="share", low=0.0, below=1.0)

    def subnets(self, net, step, progress) -> Subnets:
        return [("pruned", self.smallest(net, progress))]

    def top(self, net) -> float:
        net.uniform(self.prune_to)  # refuses what no weight can have, at the first step
        return self.prune_to

    def watched(self, net) -> Subnets:
        return [("pruned", net.uniform(self.prune_to))]
