"""The training loss: the smoothed and pruned RNN-T losses (Kuang et al. 2022), and CTC on the encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional

import torch
from torch import Tensor, nn

from .backend import loss_backend
from ..config import Loss as LossConfig
from .distill import Lattice, distillation, occupation
from ..model.transducer import Transducer


LM_SCALE, SIMPLE_SCALE = 0.25, 0.5  # icefall's --lm-scale and --simple-loss-scale


@dataclass
class Losses:
    """Sums over the utterances whose losses are finite; `total` carries the gradient, `value` is its number."""

    total: Tensor
    value: float
    simple: float
    pruned: float
    ctc: float
    distill: float
    frames: int  # encoder frames of those utterances
    not_finite: List[int]  # positions in the batch of the others
    lattice: Optional[Lattice] = None  # if it was to be kept


def compute_loss(
    model: Transducer, features: Tensor, lengths: Tensor, symbols: List[List[int]], config: LossConfig, step: int,
    teacher: Optional[Lattice] = None, keep: bool = False,
) -> Losses:
    """
    An utterance whose loss is not finite is left out, and the others are computed anew: its gradient is not finite
    either, and a factor of zero does not take it out of a sum. Other batches pay nothing for that.

    Args:
        features: (B, T, 80) float32; lengths: (B,) int64 feature frames.
        symbols: token ids of each utterance, not empty, at most as many as it has encoder frames.
        step: passes so far; scales warm up with it.
        teacher: of the same batch; its prune ranges are taken, and `config.distill` times the distance to it is added.
        keep: whether others are to learn from this pass: its lattice comes with the losses, of all utterances.
    """
    y = nn.utils.rnn.pad_sequence(
        [torch.tensor(s, dtype=torch.int64) for s in symbols], batch_first=True, padding_value=model.decoder.blank_id
    ).to(features.device)  # (B, U)
    y_lens = torch.tensor([len(s) for s in symbols], dtype=torch.int64, device=features.device)
    losses = _losses(model, features, lengths, y, y_lens, config, step, teacher, keep)
    lattice, left, out = losses.lattice, list(range(len(symbols))), []
    while losses.not_finite and torch.is_grad_enabled():
        out += [left[position] for position in losses.not_finite]
        left = [position for position in left if position not in out]
        if not left:  # nothing is learnt from it, and no parameter gets a gradient
            losses = Losses(features.new_zeros((), requires_grad=True), 0.0, 0.0, 0.0, 0.0, 0.0, 0, [])
            break
        rows = torch.tensor(left, device=features.device)
        losses = _losses(model, features[rows], lengths[rows], y[rows], y_lens[rows], config, step,
                         teacher and teacher.rows(rows), keep=False)
    losses.not_finite, losses.lattice = sorted(out) or losses.not_finite, lattice
    return losses


def _losses(
    model: Transducer, features: Tensor, lengths: Tensor, y: Tensor, y_lens: Tensor, config: LossConfig, step: int,
    teacher: Optional[Lattice], keep: bool,
) -> Losses:
    """As `compute_loss`, of y (B, U), padded with blank; where a loss is not finite, the gradient is not, either."""
    device, blank = features.device, model.decoder.blank_id
    rnnt, _ = loss_backend(config.backend)
    encoder_out, encoder_lens = model.encoder(features, lengths)  # (B, T, D)
    decoder_out = model.decoder(nn.functional.pad(y, (1, 0), value=blank))  # (B, U + 1, D)

    boundary = torch.zeros(y.size(0), 4, dtype=torch.int64, device=device)
    boundary[:, 2], boundary[:, 3] = y_lens, encoder_lens

    encoder_out, decoder_out = encoder_out.float(), decoder_out.float()
    # Whatever precision the caller computes in: half is too coarse for sums over a lattice.
    with torch.autocast(device.type, enabled=False):
        simple, (px_grad, py_grad) = rnnt.rnnt_loss_smoothed(
            lm=model.simple_lm_proj(decoder_out),
            am=model.simple_am_proj(encoder_out),
            symbols=y,
            termination_symbol=blank,
            lm_only_scale=LM_SCALE,
            am_only_scale=0.0,
            boundary=boundary,
            rnnt_type=config.rnnt_type,
            reduction="none",
            return_grad=True,
        )  # (B,)
        if teacher is None:
            ranges = rnnt.get_rnnt_prune_ranges(px_grad, py_grad, boundary, config.prune_range)  # (B, T, s_range)
        else:
            ranges = teacher.ranges
    am, lm = rnnt.do_rnnt_pruning(
        am=model.joiner.encoder_proj(encoder_out), lm=model.joiner.decoder_proj(decoder_out), ranges=ranges
    )  # (B, T, s_range, joiner_dim)
    logits = model.joiner(am, lm, project_input=False).float()  # (B, T, s_range, V)
    with torch.autocast(device.type, enabled=False):
        pruned = rnnt.rnnt_loss_pruned(
            logits=logits,
            symbols=y,
            ranges=ranges,
            termination_symbol=blank,
            boundary=boundary,
            rnnt_type=config.rnnt_type,
            reduction="none",
        )  # (B,)
        ctc, ctc_logits = torch.zeros_like(pruned), model.ctc_output(encoder_out)  # (B, T, V)
        if config.ctc_scale > 0:
            log_probs = ctc_logits.log_softmax(dim=-1).transpose(0, 1)  # (T, B, V)
            # An alignment without room for the blanks between equal symbols is impossible: no loss, no gradient.
            ctc = nn.functional.ctc_loss(
                log_probs, y, encoder_lens, y_lens, blank=blank, reduction="none", zero_infinity=True
            )

        distill = torch.zeros_like(pruned)
        if teacher is not None:
            own = ctc_logits if config.ctc_scale > 0 else None
            distill = distillation(teacher, logits, own, encoder_lens)

    finite = torch.isfinite(simple) & torch.isfinite(pruned) & torch.isfinite(ctc) & torch.isfinite(distill)
    simple, pruned, ctc, distill = (
        torch.where(finite, x, torch.zeros_like(x)).sum() for x in (simple, pruned, ctc, distill)
    )
    simple_scale, pruned_scale = warm_scales(step, config)
    total = simple_scale * simple + pruned_scale * pruned + config.ctc_scale * ctc + config.distill * distill
    # All numbers at once: a GPU stops for each that is asked for.
    numbers = (total, simple, pruned, ctc, distill, (encoder_lens * finite).sum(), finite.sum())
    *sums, frames, kept = torch.stack([number.detach().double() for number in numbers]).tolist()
    not_finite = [] if kept == len(y) else torch.nonzero(~finite).flatten().tolist()
    lattice = None
    if keep:
        lattice = Lattice(ranges, logits.detach(), ctc_logits.detach(), occupation(px_grad, py_grad, ranges))
    return Losses(total, *sums, int(frames), not_finite, lattice)


def warm_scales(step: int, config: LossConfig) -> tuple[float, float]:
    """Scales of (simple, pruned) at `step`: the pruned lattice is trusted as the simple joiner learns (icefall)."""
    share = min(1.0, step / config.warm_step) if config.warm_step > 0 else 1.0
    return 1.0 - share * (1.0 - SIMPLE_SCALE), 0.1 + 0.9 * share
