"""One model pruned to one size: the baseline of every size."""

from __future__ import annotations

from ..settings import setting, share
from .base import Strategy, Subnets, rising_sparsity, strategy


@strategy("gradual")
class Gradual(Strategy):
    """Gradual magnitude pruning (Zhu & Gupta 2017): dense until `dense_until`, then sparser, fast at first, until it has
    the sparsity `prune_to` at `grow_until`; trained at that size for the rest. What has been dropped stays dropped."""

    system = "pruned"
    of_one_size = True

    prune_to: float = setting(0.8, "sparsity of the one size", unit="share", low=0.0, below=1.0)
    dense_until: float = share(0.2, "share of the training after which blocks begin to go")
    grow_until: float = share(0.6, "share of the training at which the sparsity has grown to prune_to")

    def subnets(self, net, step, progress) -> Subnets:
        return [("pruned", self.smallest(net, progress))]

    def smallest(self, net, progress):
        return net.smallest(rising_sparsity(progress, self.dense_until, self.grow_until, self.prune_to))

    def watched(self, net) -> Subnets:
        return [("pruned", net.uniform(self.prune_to))]

    def settled(self) -> float:
        return self.grow_until
