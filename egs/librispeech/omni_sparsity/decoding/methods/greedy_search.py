"""Greedy search over a batch, at most one symbol a frame (icefall's `greedy_search_batch`)."""

from __future__ import annotations

from typing import List

import torch
from torch import Tensor

from ...model.transducer import Transducer


@torch.no_grad()
def search(
    model: Transducer, encoder_out: Tensor, lengths: Tensor, blank_penalty: float = 0.0
) -> List[List[int]]:
    """
    Args:
        encoder_out: (B, T, D); lengths: (B,) int64.
        blank_penalty: taken off the logit of blank, as icefall's option of that name: fewer deletions.

    Returns:
        Token ids of each utterance, in the batch's order.
    """
    decoder, joiner = model.decoder, model.joiner
    frames = joiner.encoder_proj(encoder_out)  # (B, T, J)
    context = torch.full((frames.size(0), decoder.context_size), -1, dtype=torch.int64, device=frames.device)
    context[:, -1] = decoder.blank_id
    history = joiner.decoder_proj(decoder(context, need_pad=False))[:, 0]  # (B, J)
    emitted = torch.full(frames.shape[:2], decoder.blank_id, dtype=torch.int64, device=frames.device)  # (B, T)
    for t in range(frames.size(1)):
        logits = joiner(frames[:, t], history, project_input=False)  # (B, V)
        logits[:, decoder.blank_id] -= blank_penalty
        symbol = logits.argmax(dim=-1)  # (B,)
        symbol = torch.where(t < lengths, symbol, torch.full_like(symbol, decoder.blank_id))
        emitted[:, t] = symbol
        spoke = symbol != decoder.blank_id
        if bool(spoke.any()):
            shifted = torch.cat([context[:, 1:], symbol[:, None]], dim=1)
            context = torch.where(spoke[:, None], shifted, context)
            history = joiner.decoder_proj(decoder(context, need_pad=False))[:, 0]
    return [[token for token in row if token != decoder.blank_id] for row in emitted.tolist()]
