"""Which sub-networks train at which step: the supernet's curriculum.

Dense first; then sub-networks of all sizes down to the smallest, which grows sparser; at last the ranking of the blocks
is frozen, so that masks stop moving while the weights settle. A model that is pruned for one size is the smallest
sub-network alone.
"""

from __future__ import annotations

from typing import List, Tuple

import omni

from .config import Omni as OmniConfig
from .model import Transducer
from tools.errors import UserError

KINDS = ("max", "min", "random", "pruned")


def make_supernet(model: Transducer, config: OmniConfig, seed: int) -> omni.Supernet:
    """The supernet of a configuration.

    Raises:
        UserError: the configuration's patterns, ranges or bins do not fit the model.
    """
    try:
        targets = {pattern: omni.Range(**allowed) for pattern, allowed in config.targets.items()}
        one = config.sampling in ("dense", "gradual")  # a model of one size has no values for several
        private, bins = ([], []) if one else (config.private, config.bins)
        return omni.Supernet(model, targets, seed=seed, private=private, bins=bins, gradient=config.gradient,
                             dropout=config.dropout)
    except (ValueError, TypeError) as error:
        raise UserError(f"section omni of the configuration: {error}") from None


class Strategy:
    """A pure function of (seed, step, progress): it survives a resume and agrees between processes."""

    def __init__(self, net: omni.Supernet, config: OmniConfig) -> None:
        self.net, self.config = net, config

    @property
    def splits(self) -> bool:
        """Whether the sub-networks of a step share its batch out among them, instead of seeing the whole of it each."""
        return self.config.sampling == "split"

    def distills(self, step: int) -> bool:
        return step % self.config.distill_every == 0

    def subnets(self, step: int, progress: float, place: int = 0) -> List[Tuple[str, omni.Spec]]:
        """(kind, spec) of every sub-network that trains on a batch; the largest, if it is one of them, comes first.

        Args:
            step: passes so far.
            progress: share of the training that is done, 0 to 1.
            place: of the batch among those of the step.
        """
        c = self.config
        high = self._smallest_sparsity(progress)
        if c.sampling == "gradual":
            return [("pruned", self.net.uniform(high))]
        if c.sampling == "dense" or progress < c.dense_until:
            return [("max", self.net.largest())]
        if c.first == "smallest" and progress < c.grow_until:
            return [("pruned", self.net.smallest(high))]
        options = {"high": high, "low": min(c.random_low, high), "spread": c.spread, "layerwise": c.layerwise}
        if c.sampling in ("sandwich", "split"):
            return list(zip(KINDS, self.net.sandwich(step, **options)))
        rank = place if c.sampling == "each" else 0
        if c.sizes:
            return [self.net.pick(step, c.sizes, rank=rank, high=high)]
        return [self.net.single(step, c.p_max, c.p_min, rank=rank, **options)]

    def ends(self) -> List[Tuple[str, omni.Spec]]:
        """(kind, spec) of what is to be watched on the dev sets."""
        if self.config.sampling == "gradual":
            return [("pruned", self.net.uniform(self.config.prune_to))]
        found = [("max", self.net.largest()), ("min", self.net.smallest())]
        return found[:1] if self.config.sampling == "dense" else found

    def system(self, sparsity: float) -> str:
        """What results call the network of this sparsity: "omni", or which baseline it is."""
        if self.config.sampling == "dense":
            return "oneshot" if sparsity else "dense"
        return "pruned" if self.config.sampling == "gradual" else "omni"

    def smallest(self, progress: float) -> omni.Spec:
        """The smallest sub-network that has trained by then."""
        return self.net.smallest(self._smallest_sparsity(progress))

    def grows_back(self, before: float, progress: float) -> bool:
        """Whether, between these two shares of the training, the others begin to grow back from the smallest."""
        c = self.config
        alone = c.first == "smallest" and c.sampling not in ("dense", "gradual")
        return alone and before < c.grow_until <= progress

    def refreshes(self, step: int, progress: float) -> bool:
        """Whether blocks are to be ranked anew before this step."""
        return step % self.config.refresh_every == 0 and progress < self.config.freeze_at

    def _smallest_sparsity(self, progress: float) -> float:
        c, alone = self.config, self.config.sampling == "gradual"
        top = c.prune_to if alone else max(target.high for target in self.net.targets.values())
        if progress < c.dense_until:
            return 0.0
        if progress >= c.grow_until:
            return top
        begin = 0.0 if alone else min(top, c.grow_from)
        if alone or c.growth == "cubic":
            parts = 10**6  # gradual_sparsity counts in steps
            return omni.gradual_sparsity(*(int(parts * x) for x in (progress, c.dense_until, c.grow_until)), top, begin)
        return begin + (progress - c.dense_until) / (c.grow_until - c.dense_until) * (top - begin)
