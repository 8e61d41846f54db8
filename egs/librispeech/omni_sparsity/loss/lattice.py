"""Sums over all paths of a transducer's lattice, in plain PyTorch: what k2.mutual_information_recursion computes.

A path goes from (0, 0) to (S, T): an edge px[s, t] leads from (s, t) to (s + 1, t) in the regular topology and to
(s + 1, t + 1) in the modified one (at most one symbol a frame), an edge py[s, t] from (s, t) to (s, t + 1).

Nodes that need only nodes of the step before are computed at once: a step is an anti-diagonal (s + t) in the regular
topology, a frame (t) in the modified one.
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
        boundary: (B, 4) int64, each [0, 0, S of the utterance, T of the utterance]; None: all whole.

    Returns:
        scores (B,), with gradient; occupation of px and of py, shapes as theirs, without: the gradient of scores.sum()
        with respect to them. An utterance without a path has score -inf and occupation 0.

    Raises:
        ValueError: a boundary that begins elsewhere (seen on the CPU alone: to look would stop a GPU).
    """
    if boundary is None:
        batch, symbols, frames = px.shape[0], px.shape[1], py.shape[2]
        boundary = torch.tensor([0, 0, symbols, frames], device=px.device).expand(batch, 4)
    elif boundary.device.type == "cpu" and bool(boundary[:, :2].any()):
        raise ValueError("boundary: want paths that begin at (0, 0)")
    return _PathScores.apply(px, py, boundary)


class _PathScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx, px: Tensor, py: Tensor, boundary: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        batch, rows, frames = py.shape
        regular = px.shape[2] == frames + 1
        steps = rows - 1 + frames if regular else frames
        # Of an utterance that ends before the others only edges within its own rectangle count; a free path leads from
        # there on to where the others end: along its last row, then (regular) along the last column.
        s = torch.arange(rows, device=px.device)[:, None]
        t = torch.arange(frames + 1, device=px.device)
        s_end, t_end = boundary[:, 2, None, None], boundary[:, 3, None, None]
        beyond_y = t[:-1] >= t_end  # (B, 1, T)
        y = py.double().masked_fill(beyond_y, -INF).masked_fill_((s == s_end) & beyond_y, 0.0)
        beyond_x = (s[:-1] >= s_end) | (t[: px.shape[2]] > t_end - (0 if regular else 1))
        x = px.double().masked_fill(beyond_x, -INF)
        if regular:
            x[:, :, -1].masked_fill_(s[:-1, 0] >= s_end[..., 0], 0.0)
        # Sums of hundreds of nats, of which exp is taken: single precision would cost four digits of an occupation.
        x, y = (_by_step(values, steps, regular) for values in (x, y))  # (steps, B, S), (steps, B, S + 1)
        # From the start to each node, and from each node to the end, which is the same with all edges turned round.
        last = torch.full_like(boundary[:, 2], rows - 1) if regular else boundary[:, 2]
        first = torch.cat([torch.zeros_like(last), rows - 1 - last])
        nodes = _sums(*(torch.cat([edges, edges.flip(0, 2)], dim=1) for edges in (x, y)), first)
        before, after = nodes[:, :batch], nodes[:, batch:].flip(0, 2)  # (steps + 1, B, S + 1)
        scores = before[-1].gather(1, last[:, None])[:, 0]
        reached = scores.masked_fill(scores == -INF, INF)[:, None]
        taken_x = x.add_(before[:-1, :, :-1]).add_(after[1:, :, 1:]).sub_(reached).exp_()
        taken_y = y.add_(before[:-1]).add_(after[1:]).sub_(reached).exp_()
        taken_x = _by_node(taken_x, px, regular).to(px.dtype).masked_fill_(beyond_x, 0.0)
        taken_y = _by_node(taken_y, py, regular).to(py.dtype).masked_fill_(beyond_y, 0.0)
        ctx.save_for_backward(taken_x, taken_y)
        ctx.mark_non_differentiable(taken_x, taken_y)
        return scores.to(px.dtype), taken_x, taken_y

    @staticmethod
    def backward(ctx, grad: Tensor, *_) -> Tuple[Tensor, Tensor, None]:
        taken_x, taken_y = ctx.saved_tensors
        grad = grad[:, None, None]
        return taken_x * grad, taken_y * grad, None


def _sums(x: Tensor, y: Tensor, first: Tensor) -> Tensor:
    """Log-sum over the paths from row `first` (B,) of the first step to each node: (steps + 1, B, S + 1)."""
    steps, batch, rows = y.shape
    nodes = y.new_full((steps + 1, batch, rows), -INF)
    nodes[0].scatter_(1, first[:, None], 0.0)
    nodes[1:, :, 0] = nodes[0, :, 0] + y[:, :, 0].cumsum(0)  # no symbol leads into row 0
    beside = x.new_empty(x.shape[1:])
    # Views are made at once: in a step of a few microseconds they would take as long as the sums.
    upper, lower = nodes[:, :, 1:].unbind(), nodes[:, :, :-1].unbind()
    for before, below, now, edges_x, edges_y in zip(upper, lower, upper[1:], x.unbind(), y[:, :, 1:].unbind()):
        torch.add(before, edges_y, out=now)
        torch.add(below, edges_x, out=beside)
        torch.logaddexp(now, beside, out=now)
    return nodes


def _by_step(values: Tensor, steps: int, regular: bool) -> Tensor:
    """(B, R, T) -> (steps, B, R): edges that leave in the same step side by side; -inf where a row has none."""
    batch, rows, columns = values.shape
    if not regular:
        return values.permute(2, 0, 1).contiguous()
    sheared = values.new_full((batch, rows, steps), -INF)
    # In rows that are one longer, over the same memory, row r begins r places further on.
    sheared.as_strided((batch, rows, columns), (rows * steps, steps + 1, 1)).copy_(values)
    return sheared.permute(2, 0, 1).contiguous()


def _by_node(values: Tensor, like: Tensor, regular: bool) -> Tensor:
    """The way back of `_by_step`: (steps, B, R) -> a view of the shape of `like`, (B, R, T)."""
    _, batch, rows = values.shape
    per_step = batch * rows
    return values.as_strided(like.shape, (rows, per_step + 1 if regular else 1, per_step))
