"""Which sub-networks train at which step: the supernet's curriculum.

Dense first; then the largest, the smallest and random sub-networks, the smallest growing sparser; at last the ranking
of the blocks is frozen, so that masks stop moving while the weights settle.
"""

from __future__ import annotations

from typing import List, Tuple

import omni

from .config import Omni as OmniConfig
from .model import Transducer
from tools.errors import UserError

KINDS = ("max", "min", "random")


def make_supernet(model: Transducer, config: OmniConfig, seed: int) -> omni.Supernet:
    """The supernet of a configuration.

    Raises:
        UserError: the configuration's patterns, ranges or bins do not fit the model.
    """
    try:
        targets = {pattern: omni.Range(**allowed) for pattern, allowed in config.targets.items()}
        return omni.Supernet(
            model, targets, seed=seed, private=config.private, bins=config.bins, gradient=config.gradient
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"section omni of the configuration: {error}") from None


class Strategy:
    """A pure function of (seed, step, progress): it survives a resume and agrees between processes."""

    def __init__(self, net: omni.Supernet, config: OmniConfig) -> None:
        self.net, self.config = net, config

    def subnets(self, step: int, progress: float) -> List[Tuple[str, omni.Spec]]:
        """(kind, spec) of every forward-backward pass of this step.

        Args:
            step: passes so far.
            progress: share of the training that is done, 0 to 1.
        """
        c = self.config
        if progress < c.dense_until:
            return [("max", self.net.largest())]
        high = self._smallest_sparsity(progress)
        options = {"high": high, "low": min(c.random_low, high), "spread": c.spread}
        if c.sampling == "sandwich":
            return list(zip(KINDS, self.net.sandwich(step, **options)))
        return [self.net.single(step, c.p_max, c.p_min, **options)]

    def refreshes(self, step: int, progress: float) -> bool:
        """Whether blocks are to be ranked anew before this step."""
        return step % self.config.refresh_every == 0 and progress < self.config.freeze_at

    def _smallest_sparsity(self, progress: float) -> float:
        c = self.config
        top = max(target.high for target in self.net.targets.values())
        if progress >= c.grow_until:
            return top
        share = (progress - c.dense_until) / (c.grow_until - c.dense_until)
        return min(top, c.grow_from + share * (top - c.grow_from))
