"""What stands before the Emformer: projection, stacking, and causal convolutions over the last few frames."""

from __future__ import annotations

from typing import List, Optional, Tuple

import torch
from torch import Tensor, nn

from ..config import Model as ModelConfig

FEATURE_DIM = 80  # log-mel energies of a frame
FEATURE_MEAN, FEATURE_STD = -6.0, 4.0  # log-mel energies of speech in [-1, 1] lie about there
KERNEL = 3  # stacked frames that a convolution sees: its own and those before
CONVOLUTIONS = 2


class Frontend(nn.Module):
    """(B, T, 80) at 100 Hz -> (B, T // stack, D). An output frame sees its own feature frames and what is before."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.stack = config.stack
        self.mean, self.std, self.context = FEATURE_MEAN, FEATURE_STD, KERNEL - 1
        self.projection = nn.Linear(FEATURE_DIM, config.projection_dim)
        self.stacked = nn.Linear(config.projection_dim * config.stack, config.encoder_dim)
        # Linear layers over neighbouring frames: the frames come as (B, T, D), and 8x1 blocks of a matrix are what
        # sparse kernels run.
        self.convs = nn.ModuleList(
            nn.Linear(config.encoder_dim * KERNEL, config.encoder_dim) for _ in range(CONVOLUTIONS)
        )
        self.norm = nn.LayerNorm(config.encoder_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, lengths: Tensor, cache: Optional[List[Tensor]] = None, keep: Optional[int] = None
    ) -> Tuple[Tensor, Tensor, List[Tensor]]:
        """
        Args:
            x: (B, T, 80); lengths: (B,) int64 feature frames.
            cache: of the chunk before; None at the start of a stream.
            keep: output frames that will not come again with the next chunk; None: all.

        Returns:
            (B, T // stack, D); lengths in its frames; the cache for the next chunk, for each convolution the last
            two inputs, (B, 2, D).
        """
        x = self.projection((x - self.mean) / self.std)
        frames = x.size(1) // self.stack
        x = x[:, : frames * self.stack].reshape(x.size(0), frames, -1)  # (B, T // stack, stack * projection_dim)
        x = torch.nn.functional.silu(self.stacked(x))  # (B, T // stack, D)
        if keep is None:
            keep = frames
        states: List[Tensor] = []
        for index, conv in enumerate(self.convs):
            before = torch.zeros_like(x[:, :1]).expand(-1, self.context, -1) if cache is None else cache[index]
            whole = torch.cat([before, x], dim=1)
            states.append(whole[:, keep : keep + self.context])
            window = torch.cat([whole[:, i : i + frames] for i in range(self.context + 1)], dim=2)
            x = x + torch.nn.functional.silu(conv(window))
        x = self.dropout(self.norm(x))
        lengths = torch.div(lengths, self.stack, rounding_mode="floor")
        return x, lengths, states
