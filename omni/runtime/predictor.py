"""The stateless predictor (Ghodsi et al. 2020): the last symbols' embeddings, mixed by a grouped convolution."""

from __future__ import annotations

import numpy as np

from .layers import Weights
from .settings import Settings

CONTEXT = 2  # symbols that it sees
GROUP = 4  # channels of a group of its convolution


class Predictor:
    """
    Attributes:
        context_size: symbols that it sees.
        blank: id of blank, which also stands for the start.
    """

    context_size, blank = CONTEXT, 0

    def __init__(self, settings: Settings, weights: Weights) -> None:
        dim = settings.decoder_dim
        embedding = weights.weight("decoder.embedding.weight", (settings.vocab_size, dim))
        if embedding.blocks is None:
            self._embedding = embedding.values  # as it lies in the file
            self._scale = None if embedding.scale is None else embedding.scale.astype(np.float32)
        else:
            self._embedding, self._scale = embedding.dense(), None
        self._kernel = weights.weight("decoder.conv.weight", (dim, GROUP, CONTEXT)).dense()
        conv = self._kernel.reshape(dim // GROUP, GROUP, GROUP, CONTEXT).transpose(0, 3, 2, 1)
        self._conv = np.ascontiguousarray(conv).reshape(dim // GROUP, CONTEXT * GROUP, GROUP)

    def arrays(self) -> tuple:
        """-> embedding (V, D), int8 with its scales (V,) or float32 with None; the convolution's weight (D, GROUP,
        CONTEXT), of the input channels of a group and of the symbols, the oldest first."""
        embedding = self._embedding
        if embedding.dtype == np.float16:
            embedding = embedding.astype(np.float32)
        return np.ascontiguousarray(embedding), self._scale, np.ascontiguousarray(self._kernel)

    def start(self) -> tuple:
        """The context before the first symbol."""
        return (-1,) * (self.context_size - 1) + (self.blank,)

    def apply(self, contexts: np.ndarray) -> np.ndarray:
        """
        Args:
            contexts: (M, context_size) int; -1 stands for what is before the start.

        Returns:
            (M, decoder_dim).
        """
        count = len(contexts)
        x = self._embedding[contexts].astype(np.float32)  # (M, context_size, D)
        if self._scale is not None:
            x *= self._scale[contexts][:, :, None]
        x *= (contexts >= 0)[:, :, None]
        x = x.reshape(count, CONTEXT, -1, GROUP).transpose(2, 0, 1, 3).reshape(-1, count, CONTEXT * GROUP)
        y = np.matmul(x, self._conv)  # (groups, M, GROUP)
        return np.maximum(y.transpose(1, 0, 2).reshape(count, -1), np.float32(0))
