"""The encoder: front end -> torchaudio's Emformer (Shi et al. 2021), for whole utterances and for streams."""

from __future__ import annotations

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn
from torchaudio.models import Emformer

from .config import Model as ModelConfig
from .frontend import Frontend

# Of a stream: the front end's cache, then the Emformer's state of each layer.
States = List[List[Tensor]]


class StreamingEncoder(nn.Module):
    """`forward` sees whole utterances under the attention mask of streaming: its output equals `infer`'s, chunk by
    chunk. A frame sees its own segment, `left_context_length` frames before and `right_context_length` after it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.segment_length = config.segment_length
        self.right_context_length = config.right_context_length
        self.output_dim = config.encoder_dim
        self.frontend = Frontend(config)
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
        x, lengths, _ = self.frontend(x, lengths)
        # A stream ends in a segment that silence (zeros) fills up, with its right context behind. Emformer masks the
        # end of an utterance in a batch but not of one alone: counting the filled segment as there makes whole
        # utterances, batches and streams equal.
        fill = -x.size(1) % self.segment_length + self.right_context_length
        filled = torch.div(lengths + self.segment_length - 1, self.segment_length, rounding_mode="floor")
        y, _ = self.emformer(nn.functional.pad(x, (0, 0, 0, fill)), filled * self.segment_length)
        return y[:, : x.size(1)], lengths

    @torch.jit.export
    def infer(self, x: Tensor, lengths: Tensor, states: Optional[States]) -> Tuple[Tensor, Tensor, States]:
        """One chunk of a stream.

        Args:
            x: (B, (segment_length + right_context_length) * stack, 80); the right context comes again with the next
                chunk.
            lengths: (B,) int64, feature frames of `x` that are there, right context included; fewer at the end only.
            states: of the chunk before, None at the start.

        Returns:
            (B, segment_length, D), lengths (B,), states for the next chunk.
        """
        cache = None if states is None else states[0]
        x, lengths, cache = self.frontend(x, lengths, cache, self.segment_length)
        whole = torch.full_like(lengths, self.segment_length + self.right_context_length)
        y, _, layers = self.emformer.infer(x, whole, None if states is None else states[1:])
        return y, lengths.clamp(max=self.segment_length), [cache] + layers
