"""Specs of the sub-networks that a training or an evaluation wants; none needs to know the weights."""

from __future__ import annotations

import random
from typing import Any, List, Mapping, Sequence, Tuple

from .spec import Spec
from .targets import Target


class Sampler:
    """Specs over `targets`, {parameter name: Target}.

    What is random is a pure function of (seed, step, index, rank): no state, so a resumed training draws what the
    stopped one would have drawn, processes agree without a word, and the generators of others are left alone.

    Args:
        levels: if given, random sub-networks take these sparsities alone (those of them within a weight's range).

    Raises:
        ValueError: a level out of [0, 1).
    """

    def __init__(self, targets: Mapping[str, Target], seed: int = 42, levels: Sequence[float] = ()) -> None:
        for level in levels:
            check_sparsity(level)
        self.targets = dict(targets)
        self.seed = seed
        self.levels = tuple(sorted(set(levels)))

    def uniform(self, sparsity: float) -> Spec:
        """The spec with the same sparsity everywhere; a weight whose range it is out of takes the nearest end. So 0 is
        always the largest, and what only some weights can reach is taken by those.

        Raises:
            ValueError: out of [0, 1), or sparser than every range: nothing would have that sparsity.
        """
        check_sparsity(sparsity)
        top = max((t.high for t in self.targets.values()), default=1.0)
        if sparsity > top:
            raise ValueError(f"sparsity {sparsity}: no weight can have it; the nearest is {top:g}, the sparsest end of "
                             "a range")
        return {name: min(max(sparsity, t.low), t.high) for name, t in self.targets.items()}

    def largest(self) -> Spec:
        """The spec with every weight at the low end of its range ("max" in papers: the largest network)."""
        return {name: target.low for name, target in self.targets.items()}

    def smallest(self, high: float = 1.0) -> Spec:
        """The spec with every weight at the high end of its range, or at `high` ("min" in papers)."""
        return {name: max(min(high, target.high), target.low) for name, target in self.targets.items()}

    def random(
        self,
        step: int,
        index: int = 0,
        rank: int = 0,
        low: float = 0.0,
        high: float = 1.0,
        spread: float = 0.0,
        layerwise: bool = False,
    ) -> Spec:
        """A random spec, a pure function of (seed, step, index, rank).

        Args:
            step: of training; any int.
            index: distinguishes several draws of one step.
            rank: of the process, where each is to train a sub-network of its own; 0 on all: the same one.
            low, high: sparsities are drawn uniformly from here, within the range of each weight; with levels, evenly
                from the levels in there.
            spread: each weight then moves by at most this much, drawn on its own, and stays in there.
            layerwise: each weight draws its sparsity on its own; else all take the same place in their ranges.
        """
        draw = random.Random(f"{self.seed}/{step}/{index}" + (f"/{rank}" if rank else ""))
        share = draw.random()
        spec = {}
        for name, target in self.targets.items():
            bottom, top = max(low, target.low), min(high, target.high)
            allowed = [level for level in self.levels if bottom <= level <= top]
            place = draw.random() if layerwise else share
            sparsity = allowed[int(place * len(allowed))] if allowed else bottom + place * (top - bottom)
            sparsity += spread * (2 * draw.random() - 1)
            if allowed:
                spec[name] = min(allowed, key=lambda level: abs(level - sparsity))
            else:
                sparsity = round(min(max(sparsity, bottom), top), 4)
                spec[name] = min(max(sparsity, target.low), target.high)  # rounding may pass an edge
        return spec

    def sandwich(self, step: int, n_random: int = 1, high: float = 1.0, **options: Any) -> List[Spec]:
        """The largest, the smallest and `n_random` random sub-networks (Yu & Huang 2019, section 3.1).

        Args:
            high: the smallest is no sparser, nor are the random ones.
            options: of `random`.
        """
        some = [self.random(step, index, high=high, **options) for index in range(n_random)]
        return [self.largest(), self.smallest(high), *some]

    def single(
        self, step: int, p_max: float = 0.3, p_min: float = 0.3, rank: int = 0, high: float = 1.0, **options: Any
    ) -> Tuple[str, Spec]:
        """One sub-network for this step: ("max", the largest), ("min", the smallest) or ("random", a random one).

        A pure function of (seed, step, rank). One pass a step trains the curve for the passes of one model.

        Args:
            p_max, p_min: probabilities of the largest and of the smallest; what is left is that of a random one.
            rank, high, options: as for `random` and `sandwich`.

        Raises:
            ValueError: probabilities below 0, or above 1 together.
        """
        if not (p_max >= 0.0 and p_min >= 0.0 and p_max + p_min <= 1.0 + 1e-9):
            raise ValueError(f"p_max {p_max}, p_min {p_min}: want two probabilities that are at most 1 together")
        dice = random.Random(f"{self.seed}/{step}/kind" + (f"/{rank}" if rank else "")).random()
        if dice < p_max:
            return "max", self.largest()
        if dice < p_max + p_min:
            return "min", self.smallest(high)
        return "random", self.random(step, rank=rank, high=high, **options)

    def pick(self, step: int, sizes: Mapping[float, float], rank: int = 0, high: float = 1.0) -> Tuple[str, Spec]:
        """One sub-network of a list of sizes: ("max", the dense one), ("min", the sparsest) or ("random", one between).

        A pure function of (seed, step, rank).

        Args:
            sizes: {sparsity: how often, in any unit}; of each the spec is that of `uniform`.
            rank: as for `random`.
            high: sizes that are sparser than this become this one, while the smallest still grows sparser.

        Raises:
            ValueError: no sizes, a sparsity that `uniform` refuses, shares below 0 or all 0.
        """
        shares = [sizes[size] for size in sorted(sizes)]
        if not sizes or min(shares) < 0.0 or sum(shares) <= 0.0:
            raise ValueError(f"sizes {dict(sizes)}: want {{sparsity: share}}, shares of at least 0 and not all 0")
        draw = random.Random(f"{self.seed}/{step}/size" + (f"/{rank}" if rank else ""))
        size = min(high, draw.choices(sorted(sizes), shares)[0])
        kind = "max" if size <= 0.0 else "min" if size == min(high, max(sizes)) else "random"
        return kind, self.uniform(size)

    def mean_sparsity(self, spec: Spec) -> float:
        """Mean over the weights of the targets, each counted with its size."""
        size = {name: target.weight.numel() for name, target in self.targets.items()}
        return sum(size[name] * spec.get(name, 0.0) for name in size) / sum(size.values())


def check_sparsity(sparsity: float) -> None:
    """Raises ValueError out of [0, 1)."""
    if not 0.0 <= sparsity < 1.0:
        raise ValueError(f"sparsity {sparsity}: want 0 <= sparsity < 1")
