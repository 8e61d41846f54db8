"""A stream of speech: samples go in, text comes out. Made by `Recognizer.stream`."""

from __future__ import annotations

from typing import Any, List, Mapping

import numpy as np

from .features import SAMPLING_RATE, Backlog, Fbank, as_features, as_rate, as_samples
from .settings import Settings


class Stream:
    """One thread at a time may use it. What it holds has a fixed size, but for frames that wait and the hypothesis."""

    def __init__(
        self, settings: Settings, features: Mapping[str, Any], encoder_state: Any, search: Any, pieces: Any
    ) -> None:
        self._settings, self._features, self.search, self._pieces = settings, features, search, pieces
        self._fbank: Fbank | None = None
        self._rate: int | None = None  # None: nothing came yet; 0: features come
        self._finished = False
        self._waiting = Backlog(settings.bins)
        self.encoder_state = encoder_state
        self.search_state = search.start()

    def accept(self, samples: Any, sampling_rate: int = SAMPLING_RATE) -> None:
        """Takes samples; any split of a recording into calls gives the same result.

        Args:
            samples: (N,) int16, or float32 or float64 in [-1, 1], of one channel; N may be 0.
            sampling_rate: in Hz, the same for all calls; resampled where it is not 16000.

        Raises:
            ValueError: not such samples, another rate than before, or the stream is finished.
            ImportError: kaldi-native-fbank or soxr is missing.
        """
        samples, rate = as_samples(samples), as_rate(sampling_rate)
        self._claim(rate)
        if self._fbank is None:
            self._fbank = Fbank(self._features, rate)
        self._waiting.push(self._fbank.accept(samples))

    def accept_features(self, frames: Any) -> None:
        """Takes features that were computed elsewhere, (T, bins), in the place of samples.

        Raises:
            ValueError: another shape, NaN or infinity, samples came before, or the stream is finished.
        """
        frames = as_features(frames, self._settings.bins)
        self._claim(0)
        self._waiting.push(frames)

    def finish(self) -> None:
        """Nothing more comes: the frames that wait make the last chunks, filled up with silence."""
        if not self._finished and self._fbank is not None:
            self._waiting.push(self._fbank.finish())
            self._fbank = None
        self._finished = True

    @property
    def ready(self) -> bool:
        """Whether a chunk waits to be decoded."""
        frames = len(self._waiting) // self._settings.stack
        return frames >= (1 if self._finished else self._settings.chunk_length)

    @property
    def tokens(self) -> List[int]:
        """Token ids of what was said so far; with a beam, the last ones may change yet."""
        return list(self.search.best(self.search_state)[0])

    @property
    def timestamps(self) -> List[float]:
        """Seconds from the start of the stream to the encoder frame in which each token was found."""
        seconds = self._settings.stack * self._features["frame_shift_ms"] / 1000
        return [round(frame * seconds, 3) for frame in self.search.best(self.search_state)[1]]

    @property
    def text(self) -> str:
        return self._pieces().decode(self.tokens)

    def take(self, out: np.ndarray) -> int:
        """The next chunk, for the recognizer.

        Args:
            out: (chunk_length * stack, bins) to write it to, zeros behind its end.

        Returns:
            Encoder frames that are there.
        """
        stack = self._settings.stack
        frames = self._waiting.view(len(out))
        length = len(frames) // stack
        out[: length * stack] = frames[: length * stack]
        out[length * stack :] = 0
        self._waiting.drop(self._settings.segment_length * stack)
        return length

    def _claim(self, rate: int) -> None:
        if self._finished:
            raise ValueError("the stream is finished: take a new one")
        if self._rate not in (None, rate):
            kinds = [f"samples at {kind} Hz" if kind else "features" for kind in (self._rate, rate)]
            raise ValueError(f"{kinds[1]} in a stream of {kinds[0]}: take a new one")
        self._rate = rate
