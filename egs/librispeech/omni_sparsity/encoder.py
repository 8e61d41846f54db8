"""The encoder: log-mel frames -> projection, stacking to 25 Hz -> torchaudio's Emformer (Shi et al. 2021)."""

from __future__ import annotations

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn
from torchaudio.models import Emformer

from .config import Model as ModelConfig

States = List[List[Tensor]]


class StreamingEncoder(nn.Module):
    """`forward` sees whole utterances under the attention mask of streaming: its output equals `infer`'s, chunk by
    chunk. A frame sees its own segment, `left_context_length` frames before and `right_context_length` after it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stack = config.stack
        self.mean, self.std = config.feature_mean, config.feature_std
        self.segment_length = config.segment_length
        self.right_context_length = config.right_context_length
        self.output_dim = config.encoder_dim
        self.projection = nn.Linear(config.feature_dim, config.projection_dim)
        self.stacked = nn.Linear(config.projection_dim * config.stack, config.encoder_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.emformer = Emformer(
            config.encoder_dim,
            config.num_heads,
            config.ffn_dim,
            config.num_layers,
            config.segment_length,
            dropout=config.dropout,
            activation=config.activation,
            left_context_length=config.left_context_length,
            right_context_length=config.right_context_length,
            max_memory_size=config.max_memory_size,
            weight_init_scale_strategy="depthwise",
            tanh_on_mem=config.max_memory_size > 0,
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """
        Args:
            x: (B, T, 80) log-mel frames at 100 Hz; anything may stand behind an utterance's end.
            lengths: (B,) int64, feature frames of each.

        Returns:
            (B, T // 4, D) and (B,) int64 lengths at 25 Hz. Up to three last feature frames are dropped.
        """
        x, lengths = self._embed(x, lengths)
        # Emformer wants the right context of the last segment behind the input: silence, as at the end of a stream.
        x = nn.functional.pad(x, (0, 0, 0, self.right_context_length))
        return self.emformer(x, lengths)

    @torch.jit.export
    def infer(self, x: Tensor, lengths: Tensor, states: Optional[States]) -> Tuple[Tensor, Tensor, States]:
        """One chunk of a stream.

        Args:
            x: (B, (segment_length + right_context_length) * stack, 80); the right context comes again with the next
                chunk.
            lengths: (B,) int64, feature frames of `x` that are there, right context included.
            states: of the chunk before, None at the start.

        Returns:
            (B, segment_length, D), lengths (B,), states for the next chunk.
        """
        x, lengths = self._embed(x, lengths)
        return self.emformer.infer(x, lengths, states)

    def _embed(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        x = self.projection((x - self.mean) / self.std)
        frames = x.size(1) // self.stack
        x = x[:, : frames * self.stack].reshape(x.size(0), frames, -1)  # (B, T // 4, 4 * projection_dim)
        x = self.dropout(self.stacked(x))
        lengths = torch.div(lengths, self.stack, rounding_mode="floor")
        # Zeros behind the end: a right context that reaches there must not depend on the batch's padding.
        inside = torch.arange(frames, device=x.device)[None, :] < lengths[:, None]
        return x * inside[:, :, None], lengths
