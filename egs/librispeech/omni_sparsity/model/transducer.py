"""The transducer: streaming encoder, stateless predictor, joiner, and the heads that only training uses.

Names and duck types are icefall's (`decoder` is the predictor), so that its decoding and export tools fit.
"""

from __future__ import annotations

from typing import Dict

import torch
from torch import Tensor, nn

from ..config import Model as ModelConfig
from .encoder import StreamingEncoder

# Heads of the smoothed transducer loss and of the auxiliary CTC loss: no part of what ships.
TRAINING_ONLY = ("simple_am_proj.", "simple_lm_proj.", "ctc_output.")


class Decoder(nn.Module):
    """Stateless predictor (Ghodsi et al. 2020): embedding of the last `context_size` symbols, mixed by a Conv1d."""

    def __init__(self, vocab_size: int, decoder_dim: int, context_size: int = 2, blank_id: int = 0) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.context_size = context_size
        self.blank_id = blank_id
        self.embedding = nn.Embedding(vocab_size, decoder_dim)
        self.conv = nn.Conv1d(decoder_dim, decoder_dim, context_size, groups=decoder_dim // 4, bias=False)

    def forward(self, y: Tensor, need_pad: bool = True) -> Tensor:
        """
        Args:
            y: (B, U) int64 symbols; -1 stands for what is before the start.
            need_pad: False where `y` already begins with `context_size - 1` symbols of history.

        Returns:
            (B, U, D), or (B, U - context_size + 1, D) without padding.
        """
        x = (self.embedding(y.clamp(min=0)) * (y >= 0)[:, :, None]).transpose(1, 2)  # (B, D, U)
        if need_pad:
            x = nn.functional.pad(x, (self.context_size - 1, 0))
        return torch.relu(self.conv(x).transpose(1, 2))


class Joiner(nn.Module):
    def __init__(self, encoder_dim: int, decoder_dim: int, joiner_dim: int, vocab_size: int) -> None:
        super().__init__()
        self.encoder_proj = nn.Linear(encoder_dim, joiner_dim)
        self.decoder_proj = nn.Linear(decoder_dim, joiner_dim)
        self.output_linear = nn.Linear(joiner_dim, vocab_size)

    def forward(self, encoder_out: Tensor, decoder_out: Tensor, project_input: bool = True) -> Tensor:
        """
        Args:
            encoder_out, decoder_out: (..., D) of shapes that broadcast.
            project_input: False where both were projected to `joiner_dim` before.

        Returns:
            (..., vocab_size) logits.
        """
        if project_input:
            encoder_out, decoder_out = self.encoder_proj(encoder_out), self.decoder_proj(decoder_out)
        return self.output_linear(torch.tanh(encoder_out + decoder_out))


class Transducer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = StreamingEncoder(config)
        self.decoder = Decoder(config.vocab_size, config.decoder_dim)
        self.joiner = Joiner(config.encoder_dim, config.decoder_dim, config.joiner_dim, config.vocab_size)
        self.simple_am_proj = nn.Linear(config.encoder_dim, config.vocab_size)
        self.simple_lm_proj = nn.Linear(config.decoder_dim, config.vocab_size)
        self.ctc_output = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.encoder_dim, config.vocab_size))


def shipped(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """The part of a state dict that decoding needs."""
    return {name: value for name, value in state.items() if not name.startswith(TRAINING_ONLY)}
