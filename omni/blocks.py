"""What a mask removes: blocks of R output features by C inputs, ranked by magnitude."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Blocks:
    """A grid of `rows` x `cols` blocks over a weight seen as a matrix (output features, everything else).

    Rows are output features: 8x1 is eight output features of one input, the block of the sparse int8 kernels on Arm.
    1x1 is unstructured. Convolution weights (O, I, K...) are seen as (O, I*K...).
    """

    rows: int = 8
    cols: int = 1

    @classmethod
    def parse(cls, text: str) -> "Blocks":
        """Reads "8x1", or "unstructured".

        Raises:
            ValueError: anything else.
        """
        if text == "unstructured":
            return cls(1, 1)
        match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
        if match is None:
            raise ValueError(f"structure {text!r}: want 'unstructured' or blocks such as '8x1'")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return "unstructured" if self == Blocks(1, 1) else f"{self.rows}x{self.cols}"

    def divides(self, shape: torch.Size) -> bool:
        """Whether a weight of `shape` is a whole number of blocks."""
        return len(shape) >= 2 and shape[0] % self.rows == 0 and shape[1:].numel() % self.cols == 0

    def split(self, weight: Tensor) -> Tensor:
        """(O, ...) -> (O/rows, rows, I/cols, cols), a view: writing to it writes to `weight` (contiguous)."""
        rows = weight.shape[0]
        return weight.view(rows // self.rows, self.rows, -1, self.cols)

    def rank(self, weight: Tensor) -> Tensor:
        """Position of every block when blocks are ordered from the smallest L1 norm to the largest.

        One ranking gives the mask of every sparsity, so masks nest: what 0.8 keeps, 0.5 keeps.

        Returns:
            int32 (O/rows, I/cols), a permutation of 0 .. number of blocks - 1; ties go by position.
        """
        norms = self.split(weight.detach()).abs().sum(dim=(1, 3))  # (O/rows, I/cols)
        order = torch.argsort(norms.flatten(), stable=True)
        ranks = torch.empty_like(order, dtype=torch.int32)
        ranks[order] = torch.arange(order.numel(), dtype=torch.int32, device=order.device)
        return ranks.view_as(norms)

    @staticmethod
    def mask(ranks: Tensor, sparsity: float) -> Tensor:
        """True where a block is kept, shaped (O/rows, 1, I/cols, 1) to multiply what `split` returns.

        Exactly round(sparsity * blocks) blocks are False.
        """
        return (ranks >= round(sparsity * ranks.numel()))[:, None, :, None]
