"""One model, many sparse sub-networks: weights are masked in place while a sub-network is active.

Nothing is added to the model: no hook on a module, no buffer, no renamed key. Weights are found as parameters, so a
module that reads a weight without being called (nn.MultiheadAttention's out_proj, say) is masked as any other.
"""

from __future__ import annotations

import random
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Sequence

import torch
from torch import Tensor, nn

from .blocks import Blocks
from .spec import Spec


@dataclass(frozen=True)
class Range:
    """The sparsities that a group of weights may take: `low` (the largest sub-network) to `high` (the smallest)."""

    low: float = 0.0
    high: float = 0.9
    structure: str = "8x1"

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high < 1.0:
            raise ValueError(f"Range({self.low}, {self.high}): want 0 <= low <= high < 1")
        Blocks.parse(self.structure)


@dataclass(frozen=True)
class Target:
    """A weight that masks apply to."""

    weight: nn.Parameter
    blocks: Blocks
    low: float
    high: float


class Supernet:
    """Sparse sub-networks of `model` that share its weights.

    Args:
        model: left as it is; its parameters are masked in place inside `active` and restored after.
        targets: {regular expression that matches a whole parameter name: Range}; the first match counts.
        seed: of the sampler. What is sampled is a pure function of (seed, step).
        private: regular expressions of small parameters (norms, biases) of which sub-networks keep values of their
            own, one set for each bin of sparsity: slimmable networks need them (Yu et al. 2019, section 3.2).
        bins: upper edges of those bins, rising; a sub-network of mean sparsity s > 0 uses the first edge >= s. The
            dense model's values are the model's own.
        gradient: "masked": only kept weights get a gradient; "dense": all do (straight-through).

    Raises:
        ValueError: a pattern that matches nothing, a weight that is not a whole number of blocks, bins out of order.
    """

    def __init__(
        self,
        model: nn.Module,
        targets: Mapping[str, Range],
        seed: int = 42,
        private: Sequence[str] = (),
        bins: Sequence[float] = (),
        gradient: str = "masked",
    ) -> None:
        if gradient not in ("masked", "dense"):
            raise ValueError(f"gradient {gradient!r}: want 'masked' or 'dense'")
        if list(bins) != sorted(set(bins)) or bool(bins) != bool(private):
            raise ValueError(f"bins {list(bins)}: want rising edges where there are private parameters, else none")
        self.model = model
        self.seed = seed
        self.gradient = gradient
        self.bins = tuple(bins)
        self.targets = find_targets(model, targets)
        self._ranks: Dict[str, Tensor] = {}
        self._dense = {name: torch.empty_like(target.weight) for name, target in self.targets.items()}
        names = _matching(model, private)
        clash = sorted(set(names) & set(self.targets))
        if clash:
            raise ValueError(f"{clash[0]}: both masked and private; take it out of one of the two")
        plain = dict(model.named_parameters())
        self._private: List[Dict[str, nn.Parameter]] = [
            {name: nn.Parameter(plain[name].detach().clone()) for name in names} for _ in self.bins
        ]
        self._forked = not self.bins  # private values follow the model's until the first sparse sub-network
        self._active: Spec | None = None
        self.refresh()

    # ---- what can be asked -------------------------------------------------------------------------------------

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
            spec[name] = round(min(max(sparsity, bottom), top), 4)
        return spec

    def sandwich(self, step: int, n_random: int = 1) -> List[Spec]:
        """The largest, the smallest and `n_random` random sub-networks (Yu & Huang 2019, section 3.1)."""
        return [self.largest(), self.smallest()] + [self.random(step, index) for index in range(n_random)]

    def mean_sparsity(self, spec: Spec) -> float:
        """Mean over the weights of the targets, each counted with its size."""
        size = {name: target.weight.numel() for name, target in self.targets.items()}
        return sum(size[name] * spec.get(name, 0.0) for name in size) / sum(size.values())

    def bin_of(self, spec: Spec) -> int | None:
        """Index of the private values that `spec` uses; None: the model's own.

        Raises:
            ValueError: sparser than the last bin.
        """
        mean = self.mean_sparsity(spec)
        if not self.bins or mean <= 0.0:
            return None
        for index, edge in enumerate(self.bins):
            if mean <= edge + 1e-6:
                return index
        raise ValueError(f"mean sparsity {mean:.3f} is above the last bin of private values, {self.bins[-1]}")

    # ---- what changes the weights ------------------------------------------------------------------------------

    @contextmanager
    def active(self, spec: Spec) -> Iterator[None]:
        """Inside, the model is the sub-network `spec`: run forward AND backward here. Restores bit-exactly.

        A backward after leaving raises torch's "modified by an inplace operation", never a wrong gradient.

        Raises:
            RuntimeError: another sub-network is active.
            ValueError: the spec names an unknown weight or a sparsity out of [0, 1).
        """
        if self._active is not None:
            raise RuntimeError("a sub-network is active already: leave it before another is entered")
        self._check(spec)
        private = self.bin_of(spec)
        if private is not None and not self._forked:
            self.fork_private()
        sparse = {name: sparsity for name, sparsity in spec.items() if sparsity > 0.0}
        handles, swapped, saved = [], [], []
        self._active = spec
        try:
            with torch.no_grad():
                for name, sparsity in sparse.items():
                    target = self.targets[name]
                    mask = target.blocks.mask(self._ranks[name], sparsity)
                    self._dense[name].copy_(target.weight)
                    saved.append(name)
                    target.blocks.split(target.weight).mul_(mask)
                    if self.gradient == "masked" and target.weight.requires_grad:
                        handles.append(target.weight.register_hook(_Masking(target.blocks, mask)))
            if private is not None:
                for name, value in self._private[private].items():
                    owner, leaf = _owner(self.model, name)
                    swapped.append((owner, leaf, owner._parameters[leaf]))
                    owner._parameters[leaf] = value
            torch.clear_autocast_cache()  # autocast keeps half-precision copies of the weights: of another mask
            yield
        finally:
            torch.clear_autocast_cache()
            for owner, leaf, value in swapped:
                owner._parameters[leaf] = value
            for handle in handles:
                handle.remove()
            with torch.no_grad():
                for name in saved:
                    self.targets[name].weight.copy_(self._dense[name])
            self._active = None

    def prune_(self, spec: Spec) -> None:
        """Makes the model the sub-network `spec` for good: masked weights, private values in the plain keys."""
        self._check(spec)
        private = self.bin_of(spec)
        with torch.no_grad():
            for name, sparsity in spec.items():
                target = self.targets[name]
                target.blocks.split(target.weight).mul_(target.blocks.mask(self._ranks[name], sparsity))
            if private is not None and self._forked:
                plain = dict(self.model.named_parameters())
                for name, value in self._private[private].items():
                    plain[name].copy_(value)

    def refresh(self) -> None:
        """Ranks the blocks anew by the weights' present magnitudes."""
        if self._active is not None:
            raise RuntimeError("a sub-network is active: ranks are made of dense weights, leave it first")
        self._ranks = {name: target.blocks.rank(target.weight) for name, target in self.targets.items()}

    def fork_private(self) -> None:
        """From now on private values live a life of their own; they begin as copies of the model's."""
        plain = dict(self.model.named_parameters())
        with torch.no_grad():
            for values in self._private:
                for name, value in values.items():
                    value.copy_(plain[name])
        self._forked = True

    # ---- what training and checkpoints need --------------------------------------------------------------------

    def private_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """("<bin edge>:<name>", value) of every private parameter: give them to the optimizer beside the model's."""
        for edge, values in zip(self.bins, self._private):
            for name, value in values.items():
                yield f"{edge}:{name}", value

    def state_dict(self) -> Dict[str, Any]:
        """Ranks and private values; the weights are in the model's own state_dict, whose keys never change."""
        return {
            "ranks": dict(self._ranks),
            "private": {name: value.detach() for name, value in self.private_parameters()},
            "forked": self._forked,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave.

        Raises:
            ValueError: it was made with other targets, private parameters or bins.
        """
        mine = dict(self.private_parameters())
        if set(state["ranks"]) != set(self.targets) or set(state["private"]) != set(mine):
            raise ValueError("this supernet's state was made with other targets, private parameters or bins")
        self._ranks = {name: state["ranks"][name].to(target.weight.device) for name, target in self.targets.items()}
        with torch.no_grad():
            for name, value in mine.items():
                value.copy_(state["private"][name])
        self._forked = state["forked"]

    def _check(self, spec: Spec) -> None:
        for name, sparsity in spec.items():
            if name not in self.targets:
                raise ValueError(f"{name}: not a weight that this supernet prunes")
            if not 0.0 <= sparsity < 1.0:
                raise ValueError(f"{name}: sparsity {sparsity}, want 0 <= sparsity < 1")


class _Masking:
    """A gradient hook that keeps what the mask keeps. A class, since it must pickle with the parameter."""

    def __init__(self, blocks: Blocks, mask: Tensor) -> None:
        self.blocks, self.mask = blocks, mask

    def __call__(self, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()
        return (self.blocks.split(gradient) * self.mask).view_as(gradient)


def find_targets(model: nn.Module, ranges: Mapping[str, Range]) -> Dict[str, Target]:
    """{parameter name: Target} of the parameters that a pattern of `ranges` matches, in the model's order.

    Raises:
        ValueError: a pattern that matches nothing, a weight that is not a whole number of blocks.
    """
    for pattern in ranges:
        _matching(model, [pattern])
    found = {}
    for name, weight in model.named_parameters():
        for pattern, allowed in ranges.items():
            if re.fullmatch(pattern, name):
                blocks = Blocks.parse(allowed.structure)
                if not blocks.divides(weight.shape):
                    raise ValueError(f"{name}: shape {tuple(weight.shape)} is not a whole number of {blocks} blocks")
                found[name] = Target(weight, blocks, allowed.low, allowed.high)
                break
    return found


def _matching(model: nn.Module, patterns: Sequence[str]) -> List[str]:
    names = [name for name, _ in model.named_parameters()]
    for pattern in patterns:
        if not any(re.fullmatch(pattern, name) for name in names):
            raise ValueError(f"pattern {pattern!r} matches no parameter; the first are {', '.join(names[:4])}")
    return [name for name in names if any(re.fullmatch(pattern, name) for pattern in patterns)]


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf
