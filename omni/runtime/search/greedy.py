"""Greedy search, at most one symbol a frame."""

from __future__ import annotations

from typing import List, Sequence, Tuple

import numpy as np

from ..joiner import Joiner
from ..predictor import Predictor


class _State:
    def __init__(self, context: tuple, history: np.ndarray) -> None:
        self.context, self.history = context, history
        self.tokens: List[int] = []
        self.frames: List[int] = []
        self.time = 0  # encoder frames so far


class Search:
    def __init__(self, predictor: Predictor, joiner: Joiner, blank_penalty: float) -> None:
        self._predictor, self._joiner, self._penalty = predictor, joiner, np.float32(blank_penalty)

    def start(self) -> _State:
        context = self._predictor.start()
        return _State(context, self._histories([context])[0])

    def advance(self, frames: np.ndarray, counts: Sequence[int], states: List[_State]) -> None:
        blank, size = self._predictor.blank, self._predictor.context_size
        histories = np.stack([state.history for state in states])
        for t in range(max(counts)):
            logits = self._joiner.logits(frames[:, t], histories)
            logits[:, blank] -= self._penalty
            symbols = logits.argmax(axis=1).tolist()
            spoke = [index for index, symbol in enumerate(symbols) if symbol != blank and t < counts[index]]
            for index in spoke:
                state = states[index]
                state.tokens.append(symbols[index])
                state.frames.append(state.time + t)
                state.context = (*state.context, symbols[index])[-size:]
            if spoke:
                histories[spoke] = self._histories([states[index].context for index in spoke])
        for state, history, count in zip(states, histories, counts):
            state.history = history
            state.time += count

    def best(self, state: _State) -> Tuple[List[int], List[int]]:
        return state.tokens, state.frames

    def _histories(self, contexts: List[tuple]) -> np.ndarray:
        return self._joiner.decoder_proj.apply(self._predictor.apply(np.array(contexts)))
