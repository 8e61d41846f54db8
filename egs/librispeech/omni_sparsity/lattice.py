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
        regular = px.shape[2] == py.shape[2] + 1
        batch, rows, frames = py.shape
        steps = rows - 1 + frames if regular else frames
        # Sums of hundreds of nats, of which exp is taken: single precision would cost four digits of an occupation.
        x, y = (_by_step(values.double(), steps, regular) for values in (px, py))  # (steps, B, S), (steps, B, S + 1)
        nodes = _sums(x, y)  # (steps + 1, B, S + 1)
        which = torch.arange(batch, device=px.device)
        s_end, t_end = boundary[:, 2], boundary[:, 3]
        end = (s_end + t_end if regular else t_end, which, s_end)
        scores = nodes[end]
        # How often paths that reach a node came along each edge into it; where none reaches it, never.
        reached = nodes[1:].masked_fill(nodes[1:] == -INF, INF)
        x += nodes[:-1, :, :-1]
        y += nodes[:-1]
        taken = _occupations(x.sub_(reached[..., 1:]).exp_(), y.sub_(reached).exp_(), end, scores > -INF)
        taken_x, taken_y = (
            _by_node(one, like, regular).to(px.dtype) for one, like in zip(taken, (px, py))
        )
        ctx.save_for_backward(taken_x, taken_y)
        ctx.mark_non_differentiable(taken_x, taken_y)
        return scores.to(px.dtype), taken_x, taken_y

    @staticmethod
    def backward(ctx, grad: Tensor, *_) -> Tuple[Tensor, Tensor, None]:
        taken_x, taken_y = ctx.saved_tensors
        grad = grad[:, None, None]
        return taken_x * grad, taken_y * grad, None


def _sums(x: Tensor, y: Tensor) -> Tensor:
    """Log-sum over the paths from the start to each node: (steps + 1, B, S + 1)."""
    steps, batch, rows = y.shape
    nodes = y.new_full((steps + 1, batch, rows), -INF)
    nodes[0, :, 0] = 0.0
    beside = x.new_empty(x.shape[1:])
    for before, now, edges_x, edges_y in zip(nodes[:-1].unbind(), nodes[1:].unbind(), x.unbind(), y.unbind()):
        torch.add(before, edges_y, out=now)
        torch.add(before[:, :-1], edges_x, out=beside)
        above = now[:, 1:]
        torch.logaddexp(above, beside, out=above)
    return nodes


def _occupations(x: Tensor, y: Tensor, end: Tuple[Tensor, Tensor, Tensor], has_path: Tensor) -> Tuple[Tensor, Tensor]:
    """From each node's shares of its incoming edges to the shares of whole paths, backwards from the end; in place."""
    visits = y.new_zeros((len(y) + 1, *y.shape[1:]))
    visits[end] = has_path.to(y.dtype)
    for before, now, edges_x, edges_y in reversed(
        list(zip(visits[:-1].unbind(), visits[1:].unbind(), x.unbind(), y.unbind()))
    ):
        edges_x *= now[:, 1:]
        edges_y *= now
        before += edges_y
        before[:, :-1] += edges_x
    return x, y


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
