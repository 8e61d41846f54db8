"""What a mask removes at once: blocks of R output features by C inputs, or all but N of M neighbouring inputs."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from .ranking import Ranking, rank


class Structure:
    """What goes together. A weight is (output features, inputs, kernel...); its parts go in the order of a ranking.

    Attributes:
        unit: values that go at once, a step of the sparsity.
        cell: values among which they are.
    """

    unit: int
    cell: int

    @property
    def limit(self) -> float:
        """The sparsity when every cell has lost what it can lose."""
        return self.unit / self.cell

    def dropped(self, shape: torch.Size, sparsity: float) -> int:
        """How many units of a weight of `shape` go: the whole number next to what `sparsity` says."""
        cells = shape.numel() // self.cell
        return min(round(sparsity / self.limit * cells), cells)

    def divides(self, shape: torch.Size) -> bool:
        """Whether a weight of `shape` is a whole number of cells."""
        raise NotImplementedError

    def split(self, weight: Tensor) -> Tensor:
        """A view of four dimensions that a mask multiplies: writing to it writes to `weight` (contiguous)."""
        raise NotImplementedError

    def scores(self, importance: Tensor) -> Tensor:
        """For each cell the mean importance of the values that it would lose."""
        raise NotImplementedError

    def rank(self, importance: Tensor, exact: bool = False) -> Ranking:
        """The order in which units go, the least important first.

        Args:
            importance: of each value of the weight, of its shape, contiguous, none below zero.
            exact: as in `ranking.rank`.

        Raises:
            ValueError: importance is negative or not a number.
        """
        raise NotImplementedError

    def mask(self, ranking: Ranking, shape: torch.Size, sparsity: float) -> Tensor:
        """bool, broadcasts to what `split` returns: False at `dropped(shape, sparsity)` units, True elsewhere."""
        raise NotImplementedError

    def whole(self, mask: Tensor, shape: torch.Size) -> Tensor:
        """The mask of every value: bool, of the weight's `shape`; it may share the memory of `mask`."""
        raise NotImplementedError

    def masked(self, values: Tensor, mask: Tensor, out: Tensor) -> None:
        """Writes `values` to `out` (of the same shape and strides) with zeros where `mask` does not keep them."""
        if values.is_contiguous():
            torch.mul(self.split(values), mask.view(torch.uint8), out=self.split(out))
        else:
            self.mask_(out.copy_(values), mask)

    def mask_(self, values: Tensor, mask: Tensor) -> None:
        """Zeros in `values` (of the weight's shape, any memory format) what `mask` does not keep."""
        whole = values.contiguous()
        self.split(whole).mul_(mask.view(torch.uint8))  # a CPU converts bool to float several times more slowly
        if whole is not values:
            values.copy_(whole)


@dataclass(frozen=True)
class Blocks(Structure):
    """A grid of `rows` x `cols` blocks over a weight seen as a matrix (output features, everything else).

    Rows are output features: 8x1 is eight output features of one input, the block of the sparse int8 kernels on Arm.
    1x1 is unstructured. Convolution weights (O, I, K...) are seen as (O, I*K...).
    """

    rows: int = 8
    cols: int = 1

    @property
    def unit(self) -> int:
        return self.rows * self.cols

    cell = unit

    def __str__(self) -> str:
        return "unstructured" if self == Blocks(1, 1) else f"{self.rows}x{self.cols}"

    def divides(self, shape: torch.Size) -> bool:
        fits = len(shape) >= 2 and shape[0] % self.rows == 0 and shape[1:].numel() % self.cols == 0
        return fits and shape.numel() > 0

    def split(self, weight: Tensor) -> Tensor:
        """(O, ...) -> (O/rows, rows, I/cols, cols)."""
        return weight.view(weight.shape[0] // self.rows, self.rows, -1, self.cols)

    def scores(self, importance: Tensor) -> Tensor:
        """(O, ...) -> (O/rows, I/cols)."""
        return self.split(importance).mean(dim=(1, 3))

    def rank(self, importance: Tensor, exact: bool = False) -> Ranking:
        return Ranking(rank(self.scores(importance), exact))

    def mask(self, ranking: Ranking, shape: torch.Size, sparsity: float) -> Tensor:
        """(O/rows, 1, I/cols, 1)."""
        return ranking.kept(self.dropped(shape, sparsity))[:, None, :, None]

    def whole(self, mask: Tensor, shape: torch.Size) -> Tensor:
        return mask.expand(-1, self.rows, -1, self.cols).reshape(shape)


@dataclass(frozen=True)
class NofM(Structure):
    """N:M: of every `m` neighbouring inputs of one output (at one place of the kernel) `kept` are kept.

    That is one sparsity, 1 - n/m, and the limit of a range. Below it some groups of m are dense and the others n:m:
    groups lose their m - n least important values in the order of what those are worth, the cheapest group first. So
    a step of the sparsity is one group, masks nest, and at the limit every group is n:m (Mishra et al. 2021,
    arXiv:2104.08378, has that pattern, 2:4).
    """

    kept: int
    m: int

    def __post_init__(self) -> None:
        if not 0 < self.kept < self.m:
            raise ValueError(f"structure '{self.kept}:{self.m}': want N:M with 0 < N < M")

    @property
    def unit(self) -> int:
        return self.m - self.kept

    @property
    def cell(self) -> int:
        return self.m

    def __str__(self) -> str:
        return f"{self.kept}:{self.m}"

    def divides(self, shape: torch.Size) -> bool:
        return len(shape) >= 2 and shape[1] % self.m == 0 and shape.numel() > 0

    def split(self, weight: Tensor) -> Tensor:
        """(O, I, K...) -> (O, I/m, K, m): the groups in the last dimension."""
        return weight.view(weight.shape[0], weight.shape[1] // self.m, self.m, -1).transpose(2, 3)

    def scores(self, importance: Tensor) -> Tensor:
        """(O, I, K...) -> (O, I/m, K)."""
        return self.split(importance).sort(dim=-1).values[..., : self.unit].mean(dim=-1)

    def rank(self, importance: Tensor, exact: bool = False) -> Ranking:
        ordered = self.split(importance).sort(dim=-1, stable=True)
        scores = ordered.values[..., : self.unit].mean(dim=-1)  # as in `scores`, without a second sort
        codes = rank(scores, exact).int()[..., None].repeat(1, 1, 1, self.m)  # (O, I/m, K, m)
        never = int(codes.max()) + 1  # a code above those of all groups: what a group keeps
        codes.scatter_(-1, ordered.indices[..., self.unit :], never)
        return Ranking(codes if never >= 2**15 else codes.to(torch.int16))

    def mask(self, ranking: Ranking, shape: torch.Size, sparsity: float) -> Tensor:
        """(O, I/m, K, m)."""
        return ranking.kept(self.dropped(shape, sparsity) * self.unit)

    def whole(self, mask: Tensor, shape: torch.Size) -> Tensor:
        return mask.transpose(2, 3).reshape(shape)


def parse_structure(text: str) -> Structure:
    """Reads "unstructured", blocks such as "8x1", or N:M such as "2:4".

    Raises:
        ValueError: anything else.
    """
    if text == "unstructured":
        return Blocks(1, 1)
    match = re.fullmatch(r"([1-9]\d*)([x:])([1-9]\d*)", text)
    if match is None:
        raise ValueError(f"structure {text!r}: want 'unstructured', blocks such as '8x1', or N:M such as '2:4'")
    kind = Blocks if match[2] == "x" else NofM
    return kind(int(match[1]), int(match[3]))
