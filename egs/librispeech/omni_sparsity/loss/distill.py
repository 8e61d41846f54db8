"""In-place distillation: a sub-network also learns what the largest network says of the same batch.

On the pruned lattice, whose ranges the teacher chose, so both speak of the same nodes and no B x T x U x V tensor is
made; and, if asked for, on the CTC head. The teacher is detached (Yu et al. 2019, universally slimmable networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from ..config import Loss as LossConfig


@dataclass
class Lattice:
    """What a network said of a batch, detached: ranges (B, T, R), logits (B, T, R, V), CTC logits (B, T, V), and how often
    its paths go through each node, (B, T, R), 0 outside an utterance (see `occupation`)."""

    ranges: Tensor
    logits: Tensor
    ctc: Tensor
    occupation: Tensor


def occupation(px_grad: Tensor, py_grad: Tensor, ranges: Tensor) -> Tensor:
    """How often paths go through each node of the pruned lattice, by the smoothed loss: (B, T, R).

    Args:
        px_grad: (B, S, T or T + 1), py_grad: (B, S + 1, T): occupations of the edges, as rnnt_loss_smoothed returns them.
        ranges: (B, T, R), of get_rnnt_prune_ranges.
    """
    leaving = py_grad.clone()
    leaving[:, :-1] += px_grad[:, :, : py_grad.shape[2]]
    return leaving.transpose(1, 2).gather(2, ranges)


def divergence(teacher: Tensor, student: Tensor, config: LossConfig) -> Tensor:
    """Of distributions over the last dimension, given as logits: (..., V), (..., V) -> (...), gradient for the student.

    "kl": sum p log(p / q) of p = softmax(teacher / temperature) and q alike.

    "alpha": of D_a = sum q (r^a - 1) / (a (a - 1)), r = p / q, the larger one of a = -1 (too much where p is little)
    and a = 1 (the limit, which is KL: too little where p is much). AlphaNet (Wang et al. 2021, arXiv:2102.07954), in
    log space: log r is clipped, in the value and in the gradient -sum q r^a / a dlog q.

    Both times the square of the temperature, so that gradients keep their size.
    """
    log_p = (teacher / config.distill_temperature).log_softmax(dim=-1).detach()
    log_q = (student / config.distill_temperature).log_softmax(dim=-1)
    scale = config.distill_temperature**2
    if config.divergence == "kl":
        return scale * (log_p.exp() * (log_p - log_q)).sum(dim=-1)
    q = log_q.detach().exp()
    log_r = (log_p - log_q.detach()).clamp(-config.distill_clip, config.distill_clip)
    r = log_r.exp()
    over = (q * (1 / r - 1) / 2).sum(dim=-1)  # a = -1
    under = (q * r * log_r).sum(dim=-1)  # a = 1
    slope = torch.where((over > under)[..., None], -1 / r, r)  # r^a / a
    surrogate = -(q * slope * log_q).sum(dim=-1)  # of it only the gradient counts
    return scale * (torch.maximum(over, under) + surrogate - surrogate.detach())


def distillation(
    teacher: Lattice, logits: Tensor, ctc: Optional[Tensor], frames: Tensor, config: LossConfig
) -> Tensor:
    """Sums over the nodes of each utterance, each counted as often as the teacher's paths go through it.

    Nodes away from the paths are most of the lattice, and no loss ever told the teacher what to say there.

    Args:
        logits: (B, T, R, V) on `teacher.ranges`; ctc: (B, T, V), None: without.
        frames: (B,) lengths.

    Returns:
        (B,) nats.
    """
    total = (divergence(teacher.logits, logits, config) * teacher.occupation).sum(dim=(1, 2))
    if ctc is not None:
        inside = torch.arange(ctc.shape[1], device=ctc.device) < frames[:, None]  # (B, T)
        total = total + (divergence(teacher.ctc, ctc, config) * inside).sum(dim=1)
    return total
