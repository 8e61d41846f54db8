"""Values of their own that sub-networks keep of small parameters, one set for each bin of sparsity."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import Dict, Iterator, List, Sequence, Tuple

import torch
from torch import nn

from .places import Places
from .targets import Owned, matching


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
        self._places = Places(model, list(matching(model, patterns)))
        self._values: List[dict[str, nn.Parameter]] = [
            {name: nn.Parameter(plain.parameter.detach().clone()) for name, plain in self._plain.items()} for _ in bins
        ]
        self.forked = not bins  # they follow the model's until then
        self._left: Tuple[nn.Parameter, int] | None = None  # the last that trained, and its version when it was left
        self._unmoved = 0  # steps of an optimizer in a row that left it as it was

    @property
    def names(self) -> List[str]:
        return list(self._plain)

    @property
    def _plain(self) -> Dict[str, Owned]:
        return self._places.owned

    def check(self) -> None:
        """Raises RuntimeError if the model holds other parameters now; not inside `swapped`."""
        self._places.check()

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

        Raises:
            RuntimeError: on leaving, the model was given another parameter in the place of one of them; it is lost.
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
        values, plain = self._values[index], self._plain
        lost: List[str] = []
        try:
            for name, value in values.items():
                plain[name].assign(value)
            yield
            lost = [name for name, value in values.items() if not plain[name].holds(value)]
        finally:
            for owned in plain.values():
                owned.assign(owned.parameter)
        self._left = next(((value, value._version) for value in values.values() if value.grad is not None), None)
        if lost:
            raise RuntimeError(f"{lost[0]}: another parameter was put there while a sub-network was active, and is "
                               "lost; do that after leaving")

    def watch(self) -> None:
        """To be called after each step of an optimizer: warns once if it seems not to have the private values.

        Twice in a row a value with a gradient was not written to.
        """
        if self._left is not None:
            value, version = self._left
            self._unmoved = self._unmoved + 1 if value.grad is not None and value._version == version else 0
            self._left = None
            if self._unmoved == 2:
                warnings.warn("private parameters have gradients, but no optimizer changes them: give it "
                              "net.private_parameters() beside the model's", stacklevel=4)

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
