"""The order in which the blocks of one weight go, and the mask of any number of them."""

from __future__ import annotations

from typing import List, Sequence

import torch
from torch import Tensor

LEVELS = 2048  # buckets of about equally many blocks, between which the order is true
_BINS = 15  # bits of the histogram that buckets are made of
_OCTAVES = 64  # scores this many powers of two below the largest share the lowest bin


def rank(scores: Tensor, exact: bool = False) -> Tensor:
    """Codes that rise with the scores: what has the lowest code goes first, at equal codes what stands first.

    Without `exact` this is one pass over the scores and no sort: a histogram over the bits of the floats (which are in
    the order of the floats, so that bins are finer near zero and an outlier costs nothing), then buckets of about
    equally many blocks. Blocks of one bucket are told apart by position alone.

    Args:
        scores: any shape, none below zero.
        exact: sort instead: codes are 0 .. number of scores - 1, a permutation; ties go by position.

    Returns:
        int16 (int32 where that is too small) of the shape of `scores`.

    Raises:
        ValueError: a score is negative or not a number.
    """
    flat = scores.flatten().to(torch.promote_types(scores.dtype, torch.float32))
    ends = torch.stack(torch.aminmax(flat))  # not a number if any score is none
    if not bool(ends[0] >= 0):
        raise ValueError("scores are negative or not numbers")
    count = flat.numel()
    if exact:
        order = torch.argsort(flat, stable=True)
        codes = torch.empty_like(order, dtype=torch.int16 if count < 2**15 else torch.int32)
        codes.scatter_(0, order, torch.arange(count, dtype=codes.dtype, device=codes.device))
        return codes.view(scores.shape)
    bits = flat.float().abs().view(torch.int32)  # abs: the bits of -0.0 are those of no small number
    low, high = ends.float().abs().view(torch.int32).tolist()
    low = max(low, high - (_OCTAVES << 23))  # a float32 has 23 bits below its exponent
    bins = (bits - low).clamp_(min=0) >> max(0, (high - low).bit_length() - _BINS)
    sizes = torch.bincount(bins, minlength=1 << _BINS)
    starts = sizes.cumsum(0) - sizes  # how many blocks lie in lower bins
    levels = min(count, LEVELS)
    return (starts * levels // count).to(torch.int16).index_select(0, bins).view(scores.shape)


class Ranking:
    """Codes of `rank`, and where each code begins in the order: one ranking gives the mask of every sparsity.

    Masks are prefixes of one order, so they nest (what 0.8 keeps, 0.5 keeps), and remove as many as is asked for,
    also where codes are equal.
    """

    def __init__(self, codes: Tensor) -> None:
        self.codes = codes
        sizes = torch.bincount(codes.flatten()).cpu()  # on the CPU: a mask then costs no wait for the device
        self._starts = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]).to(torch.int32)

    def after(self, before: Ranking, count: int) -> Ranking:
        """The ranking that begins with the first `count` of `before`, in its order, and goes on in this one's."""
        gone = ~before.kept(count).flatten()
        first = torch.argsort(before.codes.flatten(), stable=True)[:count]
        rest = torch.argsort(self.codes.flatten(), stable=True)
        order = torch.cat([first, rest[~gone[rest]]])
        codes = torch.empty_like(order, dtype=torch.int16 if order.numel() < 2**15 else torch.int32)
        codes[order] = torch.arange(order.numel(), dtype=codes.dtype, device=codes.device)
        return Ranking(codes.view(self.codes.shape))

    def kept(self, count: int) -> Tensor:
        """bool of the shape of `codes`: False at the first `count` of the order."""
        code = int(torch.searchsorted(self._starts, count, right=True)) - 1  # the last that begins by then
        rest = count - int(self._starts[code])
        # Comparisons stay in the type of the codes until the end: one that gives bool is not vectorised on a CPU.
        codes, lowest = self.codes, code
        if rest:  # what has this code and stands among its first `rest` goes too: there the lowest kept is one higher
            tied = torch.eq(codes, code, out=torch.empty_like(codes))
            first = tied.flatten().cumsum(0, dtype=torch.int32).le_(rest)
            lowest = first.to(codes.dtype).add_(code).view_as(codes)
        return torch.ge(codes, lowest, out=torch.empty_like(codes)).bool()


def share_out(pools: Sequence[Tensor], units: Sequence[int], budget: int) -> List[int]:
    """How many blocks each weight loses when the blocks of all weights are ranked together.

    Args:
        pools: for each weight the scores of the blocks that it may lose, in the order in which they go.
        units: for each weight the values in a block.
        budget: values to lose in all; met from below to one block.

    Returns:
        One count for each weight. A larger budget lowers none of them.
    """
    owners = torch.cat([torch.full((pool.numel(),), index) for index, pool in enumerate(pools)])
    order = owners[torch.argsort(torch.cat([pool.float().cpu() for pool in pools]), stable=True)]
    lost = torch.tensor(units)[order].cumsum(0)
    return torch.bincount(order[: int((lost <= budget).sum())], minlength=len(pools)).tolist()
