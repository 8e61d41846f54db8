"""What is done to a piece of sound: resampling, trimming, level, FLAC. Depends on its input alone."""

from __future__ import annotations

import io

import numpy as np

RATE = 16000  # Hz, of everything in the corpus
# rate: so many samples become so many at 16 kHz (16000 / 22050 = 320 / 441; * 32 for a fast transform)
_STEPS = {22050: (441 * 32, 320 * 32)}


def to_16k(samples: np.ndarray, rate: int) -> np.ndarray:
    """Resamples by cutting the spectrum at 8 kHz: exact for a sound that is quiet at both ends.

    Args:
        samples: (num_samples,) at `rate` Hz, which is eSpeak's 22050.

    Returns:
        float64 (at least num_samples * 16000 / rate,): up to 0.64 s of silence follows.
    """
    before, after = _STEPS[rate]
    steps = -(-len(samples) // before)
    padded = np.zeros(steps * before)
    padded[: len(samples)] = samples
    spectrum = np.fft.rfft(padded)[: steps * after // 2 + 1]
    return np.fft.irfft(spectrum, steps * after) * (after / before)


def trim(samples: np.ndarray, before: float, after: float, floor_db: float = -45.0) -> np.ndarray:
    """Cuts both ends where they are `floor_db` below the loudest 10 ms, then adds silence of a set length.

    Args:
        samples: (num_samples,) at 16 kHz.
        before, after: seconds of silence at the start and the end of the result.
    """
    hop = RATE // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)  # (num_frames, hop)
    power = (frames**2).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (floor_db / 10))
    speech = samples[loud[0] * hop : (loud[-1] + 1) * hop].copy()
    fade = np.linspace(0, 1, hop)  # 10 ms: a hard edge would click
    speech[:hop] *= fade
    speech[-hop:] *= fade[::-1]
    return np.concatenate([np.zeros(int(before * RATE)), speech, np.zeros(int(after * RATE))])


def rms(samples: np.ndarray) -> float:
    """Root mean square of `samples`."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def to_level(samples: np.ndarray, level_db: float, peak: float = 0.9) -> np.ndarray:
    """Scales to an RMS of `level_db` dB below full scale, or less where a peak would pass `peak`."""
    gain = 10 ** (level_db / 20) / max(rms(samples), 1e-9)
    return samples * min(gain, peak / max(float(np.abs(samples).max()), 1e-9))


def to_flac(samples: np.ndarray) -> bytes:
    """A FLAC file of `samples`, 16 bits; the caller keeps |samples| below 1.

    Encoded in memory, for libsndfile does not report every failure to write: on a full disk it can leave a
    short file.
    """
    import soundfile

    memory = io.BytesIO()
    pcm = np.round(samples * 32767).clip(-32768, 32767).astype(np.int16)
    soundfile.write(memory, pcm, RATE, format="FLAC", subtype="PCM_16")
    return memory.getvalue()
