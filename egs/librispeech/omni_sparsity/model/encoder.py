"""The encoder: front end -> torchaudio's Emformer (Shi et al. 2021), for whole utterances and for streams."""

from __future__ import annotations

import math
from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from ..config import Model as ModelConfig
from .emformer import Emformer
from .frontend import Frontend

# Of a stream: the front end's cache and the number of frames so far, then the Emformer's state of each layer.
States = List[List[Tensor]]


class CircularPosition(nn.Module):
    """Adds a projection of sines and cosines of the frame's position on a circle.

    Emformer itself is blind to order: it cannot tell a neighbour from any other frame that a frame may attend to. The
    circle is as long as what a frame sees (left context, segment, right context), so that a position relative to
    another is unique there and a stream may go on for ever. The scalar products of such features depend on the
    difference of two positions alone.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.period = config.left_context_length + config.segment_length + config.right_context_length
        angle = 2 * math.pi * torch.arange(self.period)[:, None] / self.period * torch.arange(1, self.period // 2 + 1)
        self.register_buffer("features", torch.cat([angle.sin(), angle.cos()], dim=1), persistent=False)
        self.projection = nn.Linear(self.features.size(1), config.encoder_dim, bias=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """(B, T, D) whose first frame is number `start` of its stream -> the same shape."""
        position = torch.arange(start, start + x.size(1), device=x.device) % self.period
        return x + self.projection(self.features[position])


class StreamingEncoder(nn.Module):
    """`forward` sees whole utterances under the attention mask of streaming: its output equals `infer`'s, chunk by
    chunk. A frame sees its own segment, `left_context_length` frames before and `right_context_length` after it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.segment_length = config.segment_length
        self.right_context_length = config.right_context_length
        self.frontend = Frontend(config)
        self.position = CircularPosition(config)
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
            weight_init_scale_strategy="depthwise",
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tuple[Tensor, Tensor]:
        """
        Args:
            x: (B, T, 80) log-mel frames at 100 Hz; any finite numbers may stand behind an utterance's end.
            lengths: (B,) int64, feature frames of each.

        Returns:
            (B, T // stack, D) and (B,) int64 lengths in its frames. Up to stack - 1 last feature frames are dropped.
        """
        x, lengths, _ = self.frontend(x, lengths)
        x = self._silence_behind(self.position(x), lengths)
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
        start = 0 if states is None else int(states[0][-1])
        x, lengths, cache = self.frontend(x, lengths, None if states is None else states[0][:-1], self.segment_length)
        x = self._silence_behind(self.position(x, start), lengths)
        whole = torch.full_like(lengths, self.segment_length + self.right_context_length)
        y, _, layers = self.emformer.infer(x, whole, None if states is None else states[1:])
        cache.append(torch.tensor(start + self.segment_length))
        return y, lengths.clamp(max=self.segment_length), [cache] + layers

    @staticmethod
    def _silence_behind(x: Tensor, lengths: Tensor) -> Tensor:
        """Zeros behind the end: a right context that reaches there must not depend on the batch's padding."""
        inside = torch.arange(x.size(1), device=x.device)[None, :] < lengths[:, None]
        return x * inside[:, :, None]
