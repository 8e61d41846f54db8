"""Which sub-networks train at which step of a training.

Dense first; then sub-networks of all sizes, down to the smallest, which grows sparser; at last the ranking of the blocks
is frozen, so that masks stop moving while the weights settle. A model that is pruned for one size is the smallest
sub-network alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Tuple

from .schedule import gradual_sparsity
from .spec import Spec
from .supernet import Supernet

KINDS = ("max", "min", "random", "pruned")

_CHOICES = {
    "sampling": ("single", "each", "sandwich", "split", "dense", "gradual"), "first": ("largest", "smallest"),
    "growth": ("linear", "cubic"), "rank": ("all", "kept"),
}


@dataclass
class Plan:
    """Settings of a curriculum. Shares and marks are of the whole training, 0 to 1.

    Attributes:
        sampling: "single": one sub-network a step; "each": one for each batch of a step, so one for each process;
            "sandwich": the largest, the smallest and one random; "split": these three, each on a third of the batch.
            Baselines: "dense"; "gradual": one model pruned to one sparsity, `prune_to`, from `dense_until` to
            `grow_until` (Zhu & Gupta 2017).
        sizes: single, each: {sparsity: how often}; if empty, `p_max`, `p_min` say how often the largest and the smallest
            train, else a random one.
        random_low: random sub-networks are at least this sparse.
        spread: how far each weight's sparsity may lie from a random sub-network's mean; `layerwise`: each draws its own.
        dense_until: before it, only the largest.
        grow_from, grow_until: the smallest begins at the sparsity `grow_from` at `dense_until`, and reaches the end of
            its range at `grow_until`; `growth`: "linear" or "cubic" (fast at first).
        first: "largest": all sizes train together from `dense_until` on; "smallest": until `grow_until` the smallest
            trains alone, then what it dropped comes back, and all sizes train together.
        grow_with: smallest first: with what share of the value that it was dropped with a weight comes back, 0 to 1.
        hold_from: smallest first: what the smallest keeps is from then on (not before `grow_until`) trained for the
            smallest alone; steps of the others leave it as it is. 1: never.
        refresh_every: steps between two rankings of the blocks; `rank`: of "all", or of those that the smallest
            sub-network has "kept"; after `freeze_at` the ranking stays.

    Raises:
        ValueError: of `check`.
    """

    sampling: str = "single"
    sizes: Dict[float, float] = field(default_factory=dict)
    p_max: float = 0.3
    p_min: float = 0.3
    random_low: float = 0.3
    spread: float = 0.1
    layerwise: bool = False
    dense_until: float = 0.25
    grow_from: float = 0.5
    grow_until: float = 0.5
    growth: str = "linear"
    first: str = "largest"
    grow_with: float = 0.0
    hold_from: float = 1.0
    refresh_every: int = 100
    rank: str = "all"
    freeze_at: float = 0.7
    prune_to: float = 0.8

    @property
    def alone(self) -> bool:
        """Whether it trains a model of one size, a baseline, whatever the other settings say."""
        return self.sampling in ("dense", "gradual")

    def check(self) -> None:
        """Raises ValueError, naming the first setting that makes no sense."""
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r}: want one of {', '.join(allowed)}")
        for name in ("p_max", "p_min", "random_low", "spread", "dense_until", "grow_from", "grow_until", "grow_with",
                     "hold_from", "freeze_at", "prune_to"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} {getattr(self, name)}: want a share, 0 to 1")
        if self.refresh_every < 1:
            raise ValueError(f"refresh_every {self.refresh_every}: want at least 1")
        if self.p_max + self.p_min > 1.0:
            raise ValueError(f"p_max {self.p_max} and p_min {self.p_min}: want at most 1 together")
        if self.first == "smallest" and self.dense_until >= self.grow_until:
            raise ValueError(f"dense_until {self.dense_until}: want less than grow_until, {self.grow_until}, for the "
                             "smallest to train alone between the two (first)")
        if self.hold_from < 1.0 and not self.alone and (self.first, self.rank) != ("smallest", "kept"):
            raise ValueError(f"hold_from {self.hold_from}: want first smallest and rank kept, for the smallest to have "
                             "weights that stay its own; or 1, to hold nothing")
        numbers = [*self.sizes, *self.sizes.values()]
        good = all(isinstance(x, (int, float)) and 0.0 <= x < float("inf") for x in numbers)
        if not good or max(self.sizes, default=0.0) >= 1:
            raise ValueError(f"sizes {self.sizes}: want {{sparsity: share}}, sparsities from 0 to below 1")
        if self.sizes and not sum(self.sizes.values()) > 0.0:
            raise ValueError(f"sizes {self.sizes}: want a share above 0")


class Curriculum:
    """What `plan` says of the supernet `net`: pure functions of (seed, step, progress), so that a resumed training sees
    what the stopped one would have seen, and processes agree. `progress` is the share of the training that is done."""

    def __init__(self, net: Supernet, plan: Plan) -> None:
        self.net, self.plan = net, plan

    def prepare(self, step: int, before: float, progress: float) -> None:
        """Ranks blocks anew where it is time, and lets the other sizes grow back where the smallest came first.

        Args:
            before: progress at the step before.
        """
        smallest = self.smallest(progress)
        if self.refreshes(step, progress):
            self.net.refresh(exact=True, within=smallest if self.plan.rank == "kept" else None)
        if self.plan.first == "smallest":
            self.net.carry_private(self.smallest(before), smallest)
        if self.grows_back(before, progress):
            # Every sub-network begins as the smallest, or near it, with its private values.
            self.net.prune_(smallest, left=self.plan.grow_with)
            for edge in self.net.bins:
                self.net.carry_private(self.net.largest(), self.net.uniform(edge))

    def subnets(self, step: int, progress: float, place: int = 0) -> List[Tuple[str, Spec]]:
        """(kind, spec) of every sub-network that trains on a batch; the largest, if it is one of them, comes first.

        Args:
            step: steps so far.
            place: of the batch among those of the step.
        """
        p = self.plan
        high = self._smallest_sparsity(progress)
        if p.sampling == "gradual":
            return [("pruned", self.net.uniform(high))]
        if p.sampling == "dense" or progress < p.dense_until:
            return [("max", self.net.largest())]
        if p.first == "smallest" and progress < p.grow_until:
            return [("pruned", self.net.smallest(high))]
        options = {"high": high, "low": min(p.random_low, high), "spread": p.spread, "layerwise": p.layerwise}
        if p.sampling in ("sandwich", "split"):
            return list(zip(KINDS, self.net.sandwich(step, **options)))
        rank = place if p.sampling == "each" else 0
        if p.sizes:
            return [self.net.pick(step, p.sizes, rank=rank, high=high)]
        return [self.net.single(step, p.p_max, p.p_min, rank=rank, **options)]

    def held(self, spec: Spec, progress: float) -> Spec | None:
        """The sub-network whose weights a step of `spec` leaves as they are; None: of none."""
        p = self.plan
        if not self._smallest_first() or p.hold_from == 1.0 or progress < max(p.hold_from, p.grow_until):
            return None
        smallest = self.smallest(progress)
        return None if spec == smallest else smallest

    def ends(self) -> List[Tuple[str, Spec]]:
        """(kind, spec) of what is to be watched on held-out data."""
        if self.plan.sampling == "gradual":
            return [("pruned", self.net.uniform(self.plan.prune_to))]
        found = [("max", self.net.largest()), ("min", self.net.smallest())]
        return found[:1] if self.plan.sampling == "dense" else found

    def smallest(self, progress: float) -> Spec:
        """The smallest sub-network that has trained by then."""
        return self.net.smallest(self._smallest_sparsity(progress))

    def refreshes(self, step: int, progress: float) -> bool:
        """Whether blocks are to be ranked anew before this step."""
        return step % self.plan.refresh_every == 0 and progress < self.plan.freeze_at

    def grows_back(self, before: float, progress: float) -> bool:
        """Whether, between these two shares of the training, the others begin to grow back from the smallest."""
        return self._smallest_first() and before < self.plan.grow_until <= progress

    def _smallest_first(self) -> bool:
        return self.plan.first == "smallest" and not self.plan.alone

    def _smallest_sparsity(self, progress: float) -> float:
        p, alone = self.plan, self.plan.sampling == "gradual"
        top = p.prune_to if alone else max(target.high for target in self.net.targets.values())
        if progress < p.dense_until:
            return 0.0
        if progress >= p.grow_until:
            return top
        begin = 0.0 if alone else min(top, p.grow_from)
        if alone or p.growth == "cubic":
            parts = 10**6  # gradual_sparsity counts in steps
            return gradual_sparsity(*(int(parts * x) for x in (progress, p.dense_until, p.grow_until)), top, begin)
        return begin + (progress - p.dense_until) / (p.grow_until - p.dense_until) * (top - begin)
