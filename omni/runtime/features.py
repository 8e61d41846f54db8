"""Log-mel features of a stream of samples (kaldi-native-fbank, soxr), and the frames that wait to be encoded."""

from __future__ import annotations

from typing import Any, Mapping

import numpy as np

SAMPLING_RATE = 16000
LOUDEST = 100.0  # samples that should lie in [-1, 1]: above, they are scaled otherwise
RATES = (1000, 768000)  # Hz, what a stream may have


class Fbank:
    """Samples in [-1, 1] as they come -> the frames that they complete; (samples + 80) // 160 in all at 16 kHz.

    Args:
        options: "features" of a file's header.
        sampling_rate: of the samples, in Hz; resampled where it is not 16 kHz.

    Raises:
        ImportError: kaldi-native-fbank or, for another rate, soxr is not installed.
    """

    def __init__(self, options: Mapping[str, Any], sampling_rate: int) -> None:
        knf = _module("kaldi_native_fbank", "kaldi-native-fbank")
        made = knf.FbankOptions()
        frame, mel = made.frame_opts, made.mel_opts
        frame.samp_freq = SAMPLING_RATE
        frame.frame_length_ms, frame.frame_shift_ms = options["frame_length_ms"], options["frame_shift_ms"]
        frame.window_type, frame.preemph_coeff = options["window"], options["preemphasis"]
        frame.dither, frame.snip_edges = options["dither"], options["snip_edges"]
        frame.remove_dc_offset = options["remove_dc_offset"]
        mel.num_bins, mel.low_freq, mel.high_freq = (
            options[key] for key in ("num_mel_bins", "low_freq", "high_freq"))
        made.use_power, made.use_energy = options["use_power"], False
        self._online, self._bins, self._taken = knf.OnlineFbank(made), options["num_mel_bins"], 0
        self._resampler = None
        if sampling_rate != SAMPLING_RATE:
            self._resampler = _module("soxr").ResampleStream(sampling_rate, SAMPLING_RATE, 1, dtype="float32")

    def accept(self, samples: np.ndarray) -> np.ndarray:
        """(N,) float32 -> (T, bins) float32."""
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        self._push(samples)
        return self._ready()

    def finish(self) -> np.ndarray:
        """-> (T, bins) float32 of the last frames, whose windows are mirrored at the end."""
        if self._resampler is not None:
            self._push(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
        self._online.input_finished()
        return self._ready()

    def _push(self, samples: np.ndarray) -> None:
        if len(samples):
            self._online.accept_waveform(SAMPLING_RATE, samples)

    def _ready(self) -> np.ndarray:
        ready = self._online.num_frames_ready
        out = np.empty((ready - self._taken, self._bins), np.float32)
        for index in range(len(out)):
            out[index] = self._online.get_frame(self._taken + index)
        self._online.pop(len(out))
        self._taken = ready
        return out


class Backlog:
    """Frames that wait, the oldest first: a buffer that grows with what waits, not with what has gone by."""

    def __init__(self, bins: int) -> None:
        self._buffer = np.empty((64, bins), np.float32)
        self._start = self._end = 0

    def __len__(self) -> int:
        return self._end - self._start

    def push(self, frames: np.ndarray) -> None:
        wanted = len(self) + len(frames)
        if self._end + len(frames) > len(self._buffer):
            small = 2 * wanted < len(self._buffer)  # what once waited has been taken
            room = self._buffer if wanted <= len(self._buffer) and not small else np.empty(
                (2 * wanted, self._buffer.shape[1]), np.float32)
            room[: len(self)] = self.view(len(self)).copy() if room is self._buffer else self.view(len(self))
            self._buffer, self._start, self._end = room, 0, len(self)
        self._buffer[self._end : self._end + len(frames)] = frames
        self._end += len(frames)

    def view(self, count: int) -> np.ndarray:
        """The `count` oldest, or as many as there are, until the next `push`."""
        return self._buffer[self._start : min(self._start + count, self._end)]

    def drop(self, count: int) -> None:
        self._start = min(self._start + count, self._end)
        if self._start == self._end:
            self._start = self._end = 0


def as_samples(samples: Any) -> np.ndarray:
    """Samples of one channel as float32 in [-1, 1].

    Args:
        samples: (N,) int16, or float32 or float64 in [-1, 1]; N may be 0.

    Raises:
        ValueError: another type, more than one channel, NaN or infinity, or far out of range.
    """
    try:
        found = np.asarray(samples)
    except ValueError:
        raise ValueError("samples: want an array of numbers, (N,)") from None
    if found.ndim != 1:
        raise ValueError(f"samples of shape {found.shape}: want one channel, (N,); take one or average them first")
    if found.dtype == np.int16:
        return found.astype(np.float32) / np.float32(32768)
    if found.dtype not in (np.float32, np.float64):
        raise ValueError(f"samples of {found.dtype}: want int16, or float32 in [-1, 1]")
    largest = np.abs(found).max(initial=0)
    if not np.isfinite(largest):
        raise ValueError("NaN or infinity among the samples")
    if largest > LOUDEST:
        raise ValueError(f"samples up to {largest:.0f}: floats want to lie in [-1, 1]; divide int16 by 32768")
    return np.ascontiguousarray(found, np.float32)


def as_rate(rate: Any) -> int:
    """
    Raises:
        ValueError: no whole number of Hz, or one that no audio has.
    """
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):  # the last: infinity
        whole = -1
    if whole != rate or isinstance(rate, bool) or not RATES[0] <= whole <= RATES[1]:
        raise ValueError(f"sampling rate {rate!r:.40}: want Hz, a whole number from {RATES[0]} to {RATES[1]}")
    return whole


def as_features(frames: Any, bins: int) -> np.ndarray:
    """
    Raises:
        ValueError: not (T, bins), or NaN or infinity.
    """
    try:
        found = np.asarray(frames, np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"features: want an array of numbers, (T, {bins})") from None
    if found.ndim != 2 or found.shape[1] != bins:
        raise ValueError(f"features of shape {found.shape}: want (T, {bins})")
    if not np.isfinite(found).all():
        raise ValueError("NaN or infinity among the features")
    return found


def _module(name: str, package: str | None = None) -> Any:
    """Imported when it is first wanted: a command starts sooner, and nobody needs what is not used."""
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise ImportError(f"the runtime needs {package or name} here: pip install {package or name}") from None
