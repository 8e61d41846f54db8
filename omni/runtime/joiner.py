"""The joiner: encoder frames and histories of symbols, projected to one width, to logits (icefall's)."""

from __future__ import annotations

import numpy as np

from .layers import Weights
from .settings import Settings


class Joiner:
    """
    Attributes:
        encoder_proj, decoder_proj: matrices to joiner_dim, of encoder output and of the predictor's.
        output: matrix from there to the vocabulary.
    """

    def __init__(self, settings: Settings, weights: Weights) -> None:
        joint = settings.joiner_dim
        self.encoder_proj = weights.linear("joiner.encoder_proj", joint, settings.encoder_dim)
        self.decoder_proj = weights.linear("joiner.decoder_proj", joint, settings.decoder_dim)
        self.output = weights.linear("joiner.output_linear", settings.vocab_size, joint)

    def logits(self, frames: np.ndarray, histories: np.ndarray) -> np.ndarray:
        """(M, joiner_dim) of frames and of histories, both projected -> (M, vocab_size)."""
        joint = frames + histories
        np.tanh(joint, out=joint)
        return self.output.apply(joint)
