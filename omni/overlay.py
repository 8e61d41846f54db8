"""Masked values in the place of a model's weights, for a while.

Masked values are written to a copy, which takes the place of the dense values and gives it back. That is half the
traffic of masking in place and restoring, and the dense values are never written to. The price: a tensor that shared
the memory of a weight before (a view that was kept) does not see the mask, and cuDNN, which wants the weights of an
LSTM in one piece, collects them anew at each call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Mapping, Tuple

import torch
from torch import Tensor, nn

from .structures import Structure
from .targets import Target


class Learning(Mapping[str, Tensor]):
    """{parameter name: bool of the weight's shape, True where it learns}, read as any dictionary.

    What is kept is a bool a block, as `active` needs it anyway; the mask of every value is made when it is read (at 8x1
    that is eight times the memory), anew each time.
    """

    def __init__(self, targets: Mapping[str, Target], masks: Mapping[str, Tensor]) -> None:
        self._targets, self._masks = targets, masks

    def __getitem__(self, name: str) -> Tensor:
        mask, target = self._masks[name], self._targets[name]
        with torch.inference_mode(False), torch.no_grad():
            return target.structure.whole(mask, target.weight.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._masks)

    def __len__(self) -> int:
        return len(self._masks)

    def __contains__(self, name: object) -> bool:
        return name in self._masks  # Mapping's own would make the mask

    def __repr__(self) -> str:
        return f"Learning({', '.join(self._masks)})"


class Overlay:
    """Changes what weights hold, or which of their values learn, inside a `with`.

    Args:
        targets: the weights, by name. Masks are given by the same names, in the form of the weight's structure.
    """

    def __init__(self, targets: Mapping[str, Target]) -> None:
        self.targets = targets
        self._copies: Dict[str, Tensor] = {}  # what weights hold while masked; made at the first use of each

    @contextmanager
    def masked(self, masks: Mapping[str, Tensor]) -> Iterator[None]:
        """Inside, weights hold what the masks keep. Restores bit-exactly.

        Raises:
            RuntimeError: on leaving, a masked weight was changed inside (an optimizer's step, load_state_dict, a move
                to another device): the change is lost.
        """
        dense: Dict[str, Tensor] = {}
        changed: List[str] = []
        try:
            with torch.inference_mode(False), torch.no_grad():  # what is kept here outlives an inference mode outside
                for name, mask in masks.items():
                    weight, copy = self.targets[name].weight, self._copy(name)
                    self.targets[name].structure.masked(weight, mask, copy)
                    dense[name] = weight.detach()
                    _put(copy, weight)
            entered = {name: _state(self.targets[name].weight) for name in dense}
            torch.clear_autocast_cache()  # autocast keeps half-precision copies of the weights: of another mask
            yield
            changed = [name for name, state in entered.items() if _state(self.targets[name].weight) != state]
        finally:
            torch.clear_autocast_cache()
            with torch.inference_mode(False), torch.no_grad():
                for name, values in dense.items():
                    _put(values, self.targets[name].weight)
        if changed:
            raise RuntimeError(f"{changed[0]}: changed while a sub-network was active, and the change is lost; step "
                               "the optimizer after leaving")

    @contextmanager
    def learning(self, masks: Mapping[str, Tensor]) -> Iterator[Learning]:
        """Inside, a backward gives these weights a gradient of exactly zero where the masks do not keep.

        Yields the masks of those whose gradient that is.
        """
        masks = {name: mask for name, mask in masks.items() if self.targets[name].weight.requires_grad}
        handles = []
        try:
            for name, mask in masks.items():
                target = self.targets[name]
                handles.append(target.weight.register_hook(_Masking(target.structure, mask)))
            yield Learning(self.targets, masks)
        finally:
            for handle in handles:
                handle.remove()

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_copies": {}}

    def _copy(self, name: str) -> Tensor:
        weight, copy = self.targets[name].weight, self._copies.get(name)
        kind = (weight.device, weight.dtype, weight.stride())
        if copy is None or (copy.device, copy.dtype, copy.stride()) != kind:
            self._copies[name] = copy = torch.empty_like(weight, requires_grad=False)
        return copy


def _put(values: Tensor, weight: nn.Parameter) -> None:
    """From now on `weight` holds the memory of `values`."""
    weight.data = values
    weight.detach()[:0].zero_()  # autograd counts a change, and refuses a backward that needs what was there before


def _state(weight: nn.Parameter) -> Tuple[int, int]:
    return weight._version, weight.data_ptr()


class _Masking:
    """A gradient hook that keeps what the mask keeps. A class, since it must pickle with the parameter."""

    def __init__(self, structure: Structure, mask: Tensor) -> None:
        self.structure, self.mask = structure, mask

    def __call__(self, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()  # it is the caller's
        self.structure.mask_(gradient, self.mask)
        return gradient
