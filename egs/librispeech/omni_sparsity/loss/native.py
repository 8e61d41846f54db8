"""The smoothed and the pruned transducer loss (Kuang et al. 2022, arXiv:2206.13236) in plain PyTorch.

For where k2 cannot be installed; the functions that the training calls, under k2's names and with its arguments, so
that either module serves. tests/egs/test_native_loss.py holds it to k2's numbers and gradients.
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from .lattice import INF, path_scores


def rnnt_loss_smoothed(
    lm: Tensor,
    am: Tensor,
    symbols: Tensor,
    termination_symbol: int,
    lm_only_scale: float = 0.1,
    am_only_scale: float = 0.1,
    boundary: Tensor | None = None,
    rnnt_type: str = "regular",
    delay_penalty: float = 0.0,
    reduction: str = "mean",
    return_grad: bool = False,
):
    """Loss of a joiner that adds am and lm and normalises, smoothed by what each says alone (section 3.1, eq. 7 on).

    Args:
        lm: (B, S + 1, V), am: (B, T, V): unnormalised log-probabilities.
        symbols: (B, S) int64.
        boundary: (B, 4) int64, [0, 0, S of the utterance, T of the utterance]; None: all whole.
        rnnt_type: "regular", or "modified": at most one symbol a frame.
        delay_penalty: nats for each frame by which a symbol comes later than the middle of the utterance.
        reduction: "none", "mean" or "sum" over utterances.

    Returns:
        The loss; with return_grad also (px occupation (B, S, T + 1 or T), py occupation (B, S + 1, T)), for
        `get_rnnt_prune_ranges`.
    """
    _check(rnnt_type, reduction)
    both = 1.0 - lm_only_scale - am_only_scale
    am_top, lm_top = am.amax(dim=2, keepdim=True), lm.amax(dim=2, keepdim=True)
    am_p, lm_p = (am - am_top).exp(), (lm - lm_top).exp()
    tiny = torch.finfo(am.dtype).tiny
    norm = (lm_p @ am_p.transpose(1, 2) + tiny).log() + lm_top + am_top.transpose(1, 2)  # (B, S + 1, T)
    lm_sum = lm_p.sum(dim=2, keepdim=True)
    blank = termination_symbol
    am_symbols = am.gather(2, symbols[:, None].expand(-1, am.shape[1], -1)).transpose(1, 2)  # (B, S, T)
    lm_symbols = lm[:, :-1].gather(2, symbols[..., None])  # (B, S, 1)
    am_blank, lm_blank = am[:, None, :, blank], lm[..., blank, None]  # (B, 1, T), (B, S + 1, 1)
    px = both * (am_symbols + lm_symbols - norm[:, :-1])
    py = both * (am_blank + lm_blank - norm)
    if lm_only_scale:
        lm_norm = lm_sum.log() + lm_top  # (B, S + 1, 1)
        px = px + lm_only_scale * (lm_symbols - lm_norm[:, :-1])
        py = py + lm_only_scale * (lm_blank - lm_norm)
    if am_only_scale:
        unigram = (lm_p / lm_sum).mean(dim=(0, 1)) + tiny  # (V,): what am alone is given as a language model
        am_norm = (am_p @ unigram)[:, None].log() + am_top.transpose(1, 2)  # (B, 1, T)
        unigram = unigram.log()
        px = px + am_only_scale * (am_symbols + unigram[symbols][..., None] - am_norm)
        py = py + am_only_scale * (am_blank + unigram[blank] - am_norm)
    return _loss(px, py, boundary, rnnt_type, delay_penalty, reduction, return_grad)


def rnnt_loss_pruned(
    logits: Tensor,
    symbols: Tensor,
    ranges: Tensor,
    termination_symbol: int,
    boundary: Tensor | None = None,
    rnnt_type: str = "regular",
    delay_penalty: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Loss of the full joiner where only the rows in `ranges` were computed.

    Args:
        logits: (B, T, R, V), unnormalised; ranges: (B, T, R) int64, the rows of the lattice that they belong to.
        others: as `rnnt_loss_smoothed`.
    """
    _check(rnnt_type, reduction)
    following = pad(symbols, (0, 1), value=termination_symbol)  # (B, S + 1): no symbol leaves the last row
    follows = following[:, None].expand(-1, ranges.shape[1], -1).gather(2, ranges)  # (B, T, R)
    whole = logits.new_full((*ranges.shape[:2], following.shape[1]), -INF)  # (B, T, S + 1)
    px, py = (whole.scatter(2, ranges, part) for part in _LogProbs.apply(logits, follows, termination_symbol))
    px, py = px[..., :-1].transpose(1, 2), py.transpose(1, 2)
    return _loss(px, py, boundary, rnnt_type, delay_penalty, reduction, return_grad=False)


def get_rnnt_prune_ranges(px_grad: Tensor, py_grad: Tensor, boundary: Tensor, s_range: int) -> Tensor:
    """The `s_range` neighbouring rows of each frame that most paths go through (section 3.2).

    Args:
        px_grad, py_grad: occupations that `rnnt_loss_smoothed` returns.
        boundary: (B, 4) int64.

    Returns:
        (B, T, R) int64, R = min(s_range, S + 1): consecutive rows; the first begins at 0, never falls, and rises from
        frame to frame by less than R (regular) or at most 1 (modified), and the last frame reaches the last symbol.

    Raises:
        ValueError: s_range below 2 (regular) or 1 (modified): no path would be left.
    """
    rows, frames = py_grad.shape[1:]
    regular = px_grad.shape[2] == frames + 1
    s_range = min(s_range, rows)
    if s_range < min(rows, 2 if regular else 1):
        raise ValueError(f"prune range {s_range}: want at least {2 if regular else 1}")
    within = py_grad.unfold(1, s_range, 1).sum(dim=-1)  # (B, rows - s_range + 1, T): what leaves to the next frame
    entering = pad(px_grad, (0, 0, 1, 0))[:, : within.shape[1], :frames]  # ... came in by a symbol: not this window's
    first = (within - entering).argmax(dim=1)  # (B, T)
    places = torch.arange(frames, device=first.device)
    last = (boundary[:, 2:3] - s_range + 1).clamp(min=0)
    first = torch.where(places < boundary[:, 3:4] - 1, first, last)
    step = s_range - 1 if regular else 1
    first = _least_from_here(first)
    first = step * places - _least_from_here(step * places - first).clamp(min=0)
    return first[..., None] + torch.arange(s_range, device=first.device)


def do_rnnt_pruning(am: Tensor, lm: Tensor, ranges: Tensor) -> Tuple[Tensor, Tensor]:
    """am (B, T, D) and lm (B, S + 1, E) -> (B, T, R, D), (B, T, R, E): what meets in the rows of `ranges`."""
    batch, rows, width = lm.shape
    places = ranges + rows * torch.arange(batch, device=lm.device)[:, None, None]
    met = lm.reshape(-1, width).index_select(0, places.flatten())
    return am[:, :, None].expand(-1, -1, ranges.shape[2], -1), met.view(*ranges.shape, width)


class _LogProbs(torch.autograd.Function):
    """Log-probabilities of one symbol and of blank at each node. By hand: autograd would keep and add up a tensor of
    the size of `logits` for each of the three things that are read off it."""

    @staticmethod
    def forward(ctx, logits: Tensor, symbols: Tensor, blank: int) -> Tuple[Tensor, Tensor]:
        """logits (..., V), symbols (...) -> (...), (...)."""
        norm = logits.logsumexp(dim=-1)
        ctx.save_for_backward(logits, symbols, norm)
        ctx.blank = blank
        return logits.gather(-1, symbols[..., None])[..., 0] - norm, logits[..., blank] - norm

    @staticmethod
    def backward(ctx, of_symbol: Tensor, of_blank: Tensor) -> Tuple[Tensor, None, None]:
        logits, symbols, norm = ctx.saved_tensors
        grad = (logits - norm[..., None]).exp_().mul_(-(of_symbol + of_blank)[..., None])
        grad.scatter_add_(-1, symbols[..., None], of_symbol[..., None])
        grad[..., ctx.blank] += of_blank
        return grad, None, None


def _least_from_here(x: Tensor) -> Tensor:
    """(B, T) -> the least of each and all later ones."""
    return x.flip(1).cummin(dim=1).values.flip(1)


def _loss(px, py, boundary, rnnt_type, delay_penalty, reduction, return_grad):
    frames = py.shape[2]
    if boundary is None:
        boundary = torch.tensor([0, 0, px.shape[1], frames], device=px.device).expand(len(px), 4)
    if delay_penalty:
        middle = (boundary[:, 3] - 1) / 2
        px = px + delay_penalty * (middle[:, None, None] - torch.arange(frames, device=px.device)).to(px.dtype)
    if rnnt_type == "regular":  # after the last frame there is a node for each row, and no symbol leaves it
        past = torch.arange(frames + 1, device=px.device) >= boundary[:, 3, None]
        px = pad(px, (0, 1)).masked_fill(past[:, None], -INF)
    scores, *taken = path_scores(px, py, boundary)
    loss = {"none": lambda x: x, "mean": torch.mean, "sum": torch.sum}[reduction](-scores)
    return (loss, tuple(taken)) if return_grad else loss


def _check(rnnt_type: str, reduction: str) -> None:
    if rnnt_type not in ("regular", "modified"):
        raise ValueError(f"rnnt_type {rnnt_type!r}: want 'regular' or 'modified'")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction {reduction!r}: want 'none', 'mean' or 'sum'")
