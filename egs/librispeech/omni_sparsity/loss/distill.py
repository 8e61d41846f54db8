"""In-place distillation: a sub-network also learns what the largest network says of the same batch.

On the pruned lattice, whose ranges the teacher chose, so both speak of the same nodes and no B x T x U x V tensor is
made; and on the CTC head, where it is trained. The teacher is detached (Yu et al. 2019, universally slimmable
networks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor


@dataclass
class Lattice:
    """What a network said of a batch, detached: ranges (B, T, R), logits (B, T, R, V), CTC logits (B, T, V), and how
    often its paths go through each node, (B, T, R), 0 outside an utterance (see `occupation`)."""

    ranges: Tensor
    logits: Tensor
    ctc: Tensor
    occupation: Tensor

    def rows(self, rows: Tensor) -> Lattice:
        """Of some utterances, given by their positions in the batch."""
        return Lattice(self.ranges[rows], self.logits[rows], self.ctc[rows], self.occupation[rows])


def occupation(px_grad: Tensor, py_grad: Tensor, ranges: Tensor) -> Tensor:
    """How often paths go through each node of the pruned lattice, by the smoothed loss: (B, T, R).

    Args:
        px_grad: (B, S, T or T + 1), py_grad: (B, S + 1, T): occupations of the edges, of rnnt_loss_smoothed.
        ranges: (B, T, R), of get_rnnt_prune_ranges.
    """
    leaving = py_grad.clone()
    leaving[:, :-1] += px_grad[:, :, : py_grad.shape[2]]
    return leaving.transpose(1, 2).gather(2, ranges)


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """KL of distributions over the last dimension, given as logits: (..., V), (..., V) -> (...).

    sum p log(p / q) of p = softmax(teacher) and q = softmax(student); the gradient is the student's alone.
    """
    log_p, log_q = teacher.log_softmax(dim=-1).detach(), student.log_softmax(dim=-1)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1)


def distillation(teacher: Lattice, logits: Tensor, ctc: Optional[Tensor], frames: Tensor) -> Tensor:
    """Sums over the nodes of each utterance, each counted as often as the teacher's paths go through it.

    Nodes away from the paths are most of the lattice, and no loss ever told the teacher what to say there.

    Args:
        logits: (B, T, R, V) on `teacher.ranges`; ctc: (B, T, V), None: without.
        frames: (B,) lengths.

    Returns:
        (B,) nats.
    """
    total = (divergence(teacher.logits, logits) * teacher.occupation).sum(dim=(1, 2))
    if ctc is not None:
        inside = torch.arange(ctc.shape[1], device=ctc.device) < frames[:, None]  # (B, T)
        total = total + (divergence(teacher.ctc, ctc) * inside).sum(dim=1)
    return total
