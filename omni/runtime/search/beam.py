"""Beam search, at most one symbol a frame; hypotheses of the same symbols are one (icefall's modified beam search)."""

from __future__ import annotations

from typing import Dict, List, Sequence, Tuple

import numpy as np

from ..joiner import Joiner
from ..predictor import Predictor

Beam = Dict[tuple, Tuple[float, tuple]]  # symbols not yet settled -> (log-probability, frame of each)


class _State:
    """`tokens` and `frames` are what all hypotheses begin with; `beam` has what follows, so that no step takes longer
    because much was said before."""

    def __init__(self, context: tuple) -> None:
        self.context = context  # of the settled symbols
        self.tokens: List[int] = []
        self.frames: List[int] = []
        self.beam: Beam = {(): (0.0, ())}
        self.time = 0  # encoder frames so far


class Search:
    def __init__(self, predictor: Predictor, joiner: Joiner, blank_penalty: float, beam: int = 4) -> None:
        """
        Args:
            beam: hypotheses that are kept of each stream.

        Raises:
            ValueError: a beam below 1.
        """
        if type(beam) is not int or beam < 1:
            raise ValueError(f"beam {beam!r}: want a whole number from 1 on")
        self._predictor, self._joiner, self._penalty, self._size = predictor, joiner, np.float32(blank_penalty), beam

    def start(self) -> _State:
        return _State(self._predictor.start())

    def advance(self, frames: np.ndarray, counts: Sequence[int], states: List[_State]) -> None:
        for t in range(max(counts)):
            running = [index for index, count in enumerate(counts) if t < count]
            owners = [index for index in running for _ in states[index].beam]
            contexts = [self._context(states[index], symbols) for index in running for symbols in states[index].beam]
            histories = self._joiner.decoder_proj.apply(self._predictor.apply(np.array(contexts)))
            scores = self._log_probs(self._joiner.logits(frames[owners, t], histories))
            first = 0
            for index in running:
                state = states[index]
                width = len(state.beam)
                state.beam = self._extend(state.beam, scores[first : first + width], state.time + t)
                first += width
        for state, count in zip(states, counts):
            state.time += count
            self._settle(state)

    def best(self, state: _State) -> Tuple[List[int], List[int]]:
        """Of the highest log-probability for its length, which counts the context before the start as icefall does."""
        before = self._predictor.context_size + len(state.tokens)
        symbols, (_, frames) = max(state.beam.items(), key=lambda item: item[1][0] / (before + len(item[0])))
        return state.tokens + list(symbols), state.frames + list(frames)

    def _context(self, state: _State, symbols: tuple) -> tuple:
        return (*state.context, *symbols[-self._predictor.context_size :])[-self._predictor.context_size :]

    def _log_probs(self, logits: np.ndarray) -> np.ndarray:
        """In float64, in which two logits that differ still do, and whose rounding does not add up over a stream."""
        logits[:, self._predictor.blank] -= self._penalty
        scores = logits.astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return scores

    def _extend(self, beam: Beam, scores: np.ndarray, time: int) -> Beam:
        """`scores` (hypotheses, V) of what each may say in this frame -> the best that are said."""
        before = list(beam.items())
        scores += np.array([log_prob for _, (log_prob, _) in before])[:, None]
        flat = scores.reshape(-1)
        top = np.argpartition(-flat, self._size - 1)[: self._size] if self._size < flat.size else np.arange(flat.size)
        top = top[np.lexsort((top, -flat[top]))]  # the best first, ties as they come
        extended: Beam = {}
        for place in top.tolist():
            (symbols, (_, frames)), symbol = before[place // scores.shape[1]], place % scores.shape[1]
            if symbol != self._predictor.blank:
                symbols, frames = (*symbols, symbol), (*frames, time)
            log_prob = float(flat[place])
            if symbols in extended:
                other, frames = extended[symbols]
                log_prob = float(np.logaddexp(other, log_prob))
            extended[symbols] = (log_prob, frames)
        return extended

    def _settle(self, state: _State) -> None:
        """Moves what all hypotheses begin with from the beam to the settled tokens."""
        shared = 0
        for column in zip(*state.beam):
            if len(set(column)) > 1:
                break
            shared += 1
        if shared:
            symbols, (_, frames) = next(iter(state.beam.items()))
            state.context = self._context(state, symbols[:shared])
            state.tokens += symbols[:shared]
            state.frames += frames[:shared]
            state.beam = {rest[shared:]: (log_prob, times[shared:]) for rest, (log_prob, times) in state.beam.items()}
