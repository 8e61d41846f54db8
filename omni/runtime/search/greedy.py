"""Greedy search, at most one symbol a frame."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from ..compiled import CompiledGreedy
from ..joiner import Joiner
from ..library import library
from ..predictor import Predictor


class _State:
    def __init__(self, context: np.ndarray, history: np.ndarray) -> None:
        self.context, self.history = context, history  # (context_size,) int32; (joiner_dim,)
        self.tokens: List[int] = []
        self.frames: List[int] = []
        self.time = 0  # encoder frames so far


class Search:
    def __init__(self, predictor: Predictor, joiner: Joiner, blank_penalty: float) -> None:
        self._predictor, self._joiner, self._penalty = predictor, joiner, np.float32(blank_penalty)
        self._compiled = CompiledGreedy(predictor, joiner) if library() else None

    def start(self) -> _State:
        context = np.array(self._predictor.start(), np.int32)
        return _State(context, self._compiled.start(context) if self._compiled else self._histories(context[None])[0])

    def advance(self, frames: np.ndarray, counts: Sequence[int], states: List[_State]) -> None:
        contexts, histories = (np.stack([getattr(state, name) for state in states]) for name in ("context", "history"))
        if self._compiled:
            symbols = self._compiled.advance(frames, counts, self._penalty, contexts, histories)
        else:
            symbols = self._numpy(frames, counts, contexts, histories)
        for state, context, history, count, row in zip(states, contexts, histories, counts, symbols.tolist()):
            state.context, state.history = context, history
            for time, symbol in enumerate(row[:count], state.time):
                if symbol != self._predictor.blank:
                    state.tokens.append(symbol)
                    state.frames.append(time)
            state.time += count

    def best(self, state: _State) -> Tuple[List[int], List[int]]:
        return state.tokens, state.frames

    def _numpy(
        self, frames: np.ndarray, counts: Sequence[int], contexts: np.ndarray, histories: np.ndarray
    ) -> np.ndarray:
        """(B, T, joiner_dim) -> symbols (B, T); contexts and histories are moved on."""
        blank, there = self._predictor.blank, np.array(counts)
        symbols = np.full(frames.shape[:2], blank, np.int32)
        for t in range(max(counts)):
            logits = self._joiner.logits(frames[:, t], histories)
            logits[:, blank] -= self._penalty
            symbols[:, t] = np.where(t < there, logits.argmax(axis=1), blank)
            spoke = symbols[:, t] != blank
            if spoke.any():
                contexts[spoke] = np.concatenate([contexts[spoke, 1:], symbols[spoke, t, None]], axis=1)
                histories[spoke] = self._histories(contexts[spoke])
        return symbols

    def _histories(self, contexts: np.ndarray) -> np.ndarray:
        return self._joiner.decoder_proj.apply(self._predictor.apply(contexts))
