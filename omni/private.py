"""Values of their own that sub-networks keep of small parameters, one set for each bin of sparsity."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Iterator, List, Sequence

import torch
from torch import nn

from .targets import matching, parameters_of


class Private:
    """Slimmable networks need norms (and biases) of their own at each size (Yu et al. 2019, section 3.2).

    Args:
        model: never changed but inside `swapped`, and by `bake`.
        patterns: regular expressions that match whole names of parameters.
        bins: upper edges of the bins of mean sparsity, rising; the dense model's values are the model's own.

    Raises:
        ValueError: bins out of order, bins without patterns or patterns without bins, a pattern that matches nothing.
    """

    def __init__(self, model: nn.Module, patterns: Sequence[str], bins: Sequence[float]) -> None:
        if list(bins) != sorted(set(bins)) or bool(bins) != bool(patterns):
            raise ValueError(f"bins {list(bins)}: want rising edges where there are private parameters, else none")
        self.bins = tuple(bins)
        owned = parameters_of(model)
        self._plain = {name: owned[name] for name in matching(model, patterns)}
        self._values: List[dict[str, nn.Parameter]] = [
            {name: nn.Parameter(plain.parameter.detach().clone()) for name, plain in self._plain.items()} for _ in bins
        ]
        self.forked = not bins  # they follow the model's until then

    @property
    def names(self) -> List[str]:
        return list(self._plain)

    def bin_of(self, sparsity: float) -> int | None:
        """Index of the bin of a mean sparsity: the first whose edge it does not pass. None: the model's own values.

        Raises:
            ValueError: sparser than the last bin.
        """
        if not self.bins or sparsity <= 0.0:
            return None
        for index, edge in enumerate(self.bins):
            if sparsity <= edge + 1e-6:
                return index
        raise ValueError(f"mean sparsity {sparsity:.3f} is above the last bin of private values, {self.bins[-1]}")

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """("<bin edge>:<name>", value)."""
        for edge, values in zip(self.bins, self._values):
            for name, value in values.items():
                yield f"{edge}:{name}", value

    @contextmanager
    def swapped(self, index: int | None) -> Iterator[None]:
        """Inside, the model holds the values of bin `index` in place of its own.

        The first time that gradients are recorded (the first training of a sub-network) all bins begin as copies of the
        model's values of that moment. Until then sub-networks use the model's: an evaluation must change nothing.
        """
        if index is not None and not self.forked and torch.is_grad_enabled():
            with torch.no_grad():
                for values in self._values:
                    for name, value in values.items():
                        value.copy_(self._plain[name].parameter)
            self.forked = True
        if index is None or not self.forked:
            yield
            return
        try:
            for name, value in self._values[index].items():
                self._plain[name].assign(value)
            yield
        finally:
            for owned in self._plain.values():
                owned.assign(owned.parameter)

    def copy_(self, source: int | None, target: int) -> None:
        """Bin `target` takes the values of bin `source` (None: the model's own)."""
        with torch.no_grad():
            for name, value in self._values[target].items():
                value.copy_(self._plain[name].parameter if source is None else self._values[source][name])

    def bake(self, index: int | None) -> None:
        """Writes the values of bin `index` into the model's own parameters."""
        if index is not None and self.forked:
            with torch.no_grad():
                for name, value in self._values[index].items():
                    self._plain[name].parameter.copy_(value)
