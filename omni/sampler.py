"""Specs of the sub-networks that a training or an evaluation wants; none needs to know the weights."""

from __future__ import annotations

import random
from typing import List, Mapping

from .spec import Spec
from .targets import Target


class Sampler:
    """Specs over `targets`, {parameter name: Target}. What is random is a pure function of (seed, step, index)."""

    def __init__(self, targets: Mapping[str, Target], seed: int = 42) -> None:
        self.targets = dict(targets)
        self.seed = seed

    def uniform(self, sparsity: float) -> Spec:
        """The spec with the same sparsity everywhere, clipped to the range of each weight."""
        if not 0.0 <= sparsity < 1.0:
            raise ValueError(f"sparsity {sparsity}: want 0 <= sparsity < 1")
        return {name: min(max(sparsity, t.low), t.high) for name, t in self.targets.items()}

    def largest(self) -> Spec:
        """The spec with every weight at the low end of its range ("max" in papers: the largest network)."""
        return {name: target.low for name, target in self.targets.items()}

    def smallest(self) -> Spec:
        """The spec with every weight at the high end of its range ("min" in papers)."""
        return {name: target.high for name, target in self.targets.items()}

    def random(self, step: int, index: int = 0, low: float = 0.0, high: float = 1.0, spread: float = 0.0) -> Spec:
        """A random spec, a pure function of (seed, step, index).

        Args:
            step: of training; any int.
            index: distinguishes several draws of one step.
            low, high: the mean is drawn uniformly from here, within the range of each weight.
            spread: each weight moves from the mean by at most this much, drawn on its own. 0: uniform specs.
        """
        draw = random.Random(f"{self.seed}/{step}/{index}")
        level = draw.random()
        spec = {}
        for name, target in self.targets.items():
            bottom, top = max(low, target.low), min(high, target.high)
            sparsity = bottom + level * (top - bottom) + spread * (2 * draw.random() - 1)
            sparsity = round(min(max(sparsity, bottom), top), 4)
            spec[name] = min(max(sparsity, target.low), target.high)  # rounding may pass an edge
        return spec

    def sandwich(self, step: int, n_random: int = 1) -> List[Spec]:
        """The largest, the smallest and `n_random` random sub-networks (Yu & Huang 2019, section 3.1)."""
        return [self.largest(), self.smallest()] + [self.random(step, index) for index in range(n_random)]

    def mean_sparsity(self, spec: Spec) -> float:
        """Mean over the weights of the targets, each counted with its size."""
        size = {name: target.weight.numel() for name, target in self.targets.items()}
        return sum(size[name] * spec.get(name, 0.0) for name in size) / sum(size.values())
