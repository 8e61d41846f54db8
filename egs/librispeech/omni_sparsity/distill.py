"""In-place distillation: a sub-network also learns what the largest network says of the same batch.

On the pruned lattice, whose ranges the teacher chose, so both speak of the same nodes and no B x T x U x V tensor is
made; and, if asked for, on the CTC head. The teacher is detached (Yu et al. 2019, universally slimmable networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from .config import Loss as LossConfig


@dataclass
class Lattice:
    """What a network said of a batch, detached: ranges (B, T, R), logits (B, T, R, V), CTC logits (B, T, V)."""

    ranges: Tensor
    logits: Tensor
    ctc: Tensor


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
    teacher: Lattice, logits: Tensor, ctc: Optional[Tensor], symbols: Tensor, frames: Tensor, config: LossConfig
) -> Tensor:
    """Sums over the frames of each utterance, of the mean over the nodes of a frame.

    Args:
        logits: (B, T, R, V) on `teacher.ranges`; ctc: (B, T, V), None: without.
        symbols, frames: (B,) lengths.

    Returns:
        (B,) nats.
    """
    inside = torch.arange(logits.shape[1], device=logits.device) < frames[:, None]  # (B, T)
    rows = teacher.ranges <= symbols[:, None, None]  # rows above an utterance's last symbol are no nodes of it
    nodes = (rows & inside[..., None]).float()
    between = divergence(teacher.logits, logits, config) * nodes / rows.sum(dim=2, keepdim=True).clamp(min=1)
    total = between.sum(dim=(1, 2))
    if ctc is not None:
        total = total + (divergence(teacher.ctc, ctc, config) * inside).sum(dim=1)
    return total
