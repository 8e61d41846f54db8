"""Sums over all paths of a transducer's lattice, in plain PyTorch: what k2.mutual_information_recursion computes.

A path goes from (0, 0) to (S, T): an edge px[s, t] leads from (s, t) to (s + 1, t) in the regular topology and to
(s + 1, t + 1) in the modified one (at most one symbol a frame), an edge py[s, t] from (s, t) to (s, t + 1).
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor

INF = float("inf")


def path_scores(px: Tensor, py: Tensor, boundary: Tensor | None = None) -> Tuple[Tensor, Tensor, Tensor]:
    """Log-sum over the paths of each utterance, and how often they take each edge.

    Args:
        px: (B, S, T + 1) in the regular topology, (B, S, T) in the modified one: log-probabilities of symbols.
        py: (B, S + 1, T): log-probabilities of going to the next frame (blank).
        boundary: (B, 4) int64, each [s_begin, t_begin, s_end, t_end]; None: [0, 0, S, T].

    Returns:
        scores (B,), with gradient; occupation of px and of py, shapes as theirs, without: the gradient of scores.sum()
        with respect to them. An utterance without a path has score -inf and occupation 0.
    """
    if boundary is None:
        batch, symbols, frames = px.shape[0], px.shape[1], py.shape[2]
        boundary = torch.tensor([0, 0, symbols, frames], device=px.device).expand(batch, 4)
    return _PathScores.apply(px, py, boundary)


class _PathScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, px: Tensor, py: Tensor, boundary: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        # Sums of hundreds of nats, of which exp is taken: single precision would cost four digits of an occupation.
        kind, px, py = px.dtype, px.double(), py.double()
        regular = px.shape[2] == py.shape[2] + 1
        s_begin, t_begin, s_end, t_end = boundary.unbind(1)
        # Sums from the end are sums from the start of the lattice turned round; both walk in one loop, as 2 B lattices.
        after = 0 if regular else 1  # frames that a symbol takes
        p = _forward(
            torch.cat([_window(px, s_begin, t_begin, s_end - 1, t_end - after),
                       _window(px, s_end - 1, t_end - after, s_begin, t_begin)]),
            torch.cat([_window(py, s_begin, t_begin, s_end, t_end - 1),
                       _window(py, s_end, t_end - 1, s_begin, t_begin)]),
            regular,
        )  # (2 B, S + 1, T + 1)
        here, there = p.chunk(2)
        here = _window(here, -s_begin, -t_begin, s_end - s_begin, t_end - t_begin)  # back to places in px and py
        there = _window(there, s_end, t_end, torch.zeros_like(s_end), torch.zeros_like(t_end))
        rows = torch.arange(len(px), device=px.device)
        scores = here[rows, s_end, t_end]
        norm = scores.masked_fill(scores == -INF, 0.0)[:, None, None]
        columns = px.shape[2]
        taken_x = (here[:, :-1, :columns] + px + there[:, 1:, after : after + columns] - norm).exp().to(kind)
        taken_y = (here[:, :, :-1] + py + there[:, :, 1:] - norm).exp().to(kind)
        ctx.save_for_backward(taken_x, taken_y)
        ctx.mark_non_differentiable(taken_x, taken_y)
        return scores.to(kind), taken_x, taken_y

    @staticmethod
    def backward(ctx, grad: Tensor, *_) -> Tuple[Tensor, Tensor, None]:
        taken_x, taken_y = ctx.saved_tensors
        grad = grad[:, None, None]
        return taken_x * grad, taken_y * grad, None


def _window(x: Tensor, s_from: Tensor, t_from: Tensor, s_to: Tensor, t_to: Tensor) -> Tensor:
    """Cell (i, j) of the result is x[s_from +- i, t_from +- j], towards s_to and t_to; -inf beyond those or x.

    Args:
        x: (B, S', T'); the others (B,) int64: the first and the last row and column of each.
    """
    rows, row_ok = _places(x.shape[1], s_from, s_to)
    columns, column_ok = _places(x.shape[2], t_from, t_to)
    batch = torch.arange(len(x), device=x.device)[:, None, None]
    taken = x[batch, rows[:, :, None], columns[:, None, :]]
    return taken.masked_fill_(~(row_ok[:, :, None] & column_ok[:, None, :]), -INF)


def _places(size: int, first: Tensor, last: Tensor) -> Tuple[Tensor, Tensor]:
    steps = torch.arange(size, device=first.device)
    backwards = (last < first)[:, None]
    places = torch.where(backwards, first[:, None] - steps, first[:, None] + steps)  # (B, size)
    low, high = torch.minimum(first, last)[:, None], torch.maximum(first, last)[:, None]
    ok = (places >= low) & (places <= high) & (places >= 0) & (places < size)
    return places.clamp_(0, size - 1), ok


def _forward(px: Tensor, py: Tensor, regular: bool) -> Tensor:
    """p[s, t], the log-sum over paths from (0, 0) to (s, t): (B, S + 1, T + 1).

    Cells that need only cells of the step before are done at once: anti-diagonals (s + t) in the regular topology,
    frames (t) in the modified one.
    """
    batch, rows, frames = py.shape
    frames += 1  # nodes of a row
    steps = rows + frames - 2 if regular else frames - 1
    x, y = (_by_step(values, steps, regular) for values in (px, py))  # (steps, B, S), (steps, B, S + 1)
    nodes = px.new_full((steps + 1, batch, rows), -INF)
    nodes[0, :, 0] = 0.0
    beside = px.new_empty((batch, rows - 1))
    for step in range(steps):
        before, now = nodes[step], nodes[step + 1]
        torch.add(before, y[step], out=now)
        torch.add(before[:, :-1], x[step], out=beside)
        torch.logaddexp(now[:, 1:], beside, out=now[:, 1:])
    per_step, per_row = batch * rows, 1 + (batch * rows if regular else 0)
    return nodes.as_strided((batch, rows, frames), (rows, per_row, per_step))


def _by_step(values: Tensor, steps: int, regular: bool) -> Tensor:
    """(B, R, T) -> (steps, B, R): edges that leave in the same step side by side; -inf where a row has none."""
    batch, rows, columns = values.shape
    if not regular:
        return values.permute(2, 0, 1).contiguous()
    sheared = values.new_full((batch, rows, steps), -INF)
    # In rows that are one longer, over the same memory, row r begins r places further on.
    sheared.as_strided((batch, rows, columns), (rows * steps, steps + 1, 1)).copy_(values)
    return sheared.permute(2, 0, 1).contiguous()
