"""Noise and rooms, made from random numbers: what separates the `other` sets from the `clean` ones, and
the noise recordings that training mixes in. All sounds are float64 (num_samples,) at 16 kHz."""

from __future__ import annotations

import numpy as np

from local.mini.sound import RATE, rms


def _power_of_two(length: int) -> int:
    """The next power of two: Fourier transforms of lengths with large prime factors take far longer."""
    return 1 << (length - 1).bit_length()


def colored(rng: np.random.Generator, length: int, slope: float) -> np.ndarray:
    """Noise whose power falls as 1 / f^slope: 0 white, 1 pink, 2 brown. RMS 1."""
    size = _power_of_two(length)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    # Flat below 30 Hz, or drift would drown the rest.
    frequency = np.fft.rfftfreq(size, 1 / RATE).clip(min=30)
    noise = np.fft.irfft(spectrum * frequency ** (-slope / 2), size)[:length]
    return noise / rms(noise)


def hum(rng: np.random.Generator, length: int, mains: float) -> np.ndarray:
    """Mains hum: `mains` Hz with overtones of random strength, and a little hiss. RMS 1."""
    time = np.arange(length) / RATE
    noise = 0.05 * rng.standard_normal(length)
    for overtone in range(1, 13):
        strength = rng.uniform(0.3, 1) / overtone**0.7
        noise += strength * np.sin(2 * np.pi * (overtone * mains * time + rng.random()))
    return noise / rms(noise)


def engine(rng: np.random.Generator, length: int) -> np.ndarray:
    """A motor that idles: dark noise, beaten by its revolutions. RMS 1."""
    time = np.arange(length) / RATE
    beat = 1 + 0.8 * np.sin(2 * np.pi * (rng.uniform(9, 25) * time + rng.random()))
    noise = colored(rng, length, 1.5) * beat
    return noise / rms(noise)


def wind(rng: np.random.Generator, length: int) -> np.ndarray:
    """Gusts: dark noise that swells and falls about twice a second. RMS 1."""
    points = rng.uniform(0.1, 1.5, size=length // (RATE // 2) + 2)
    swell = np.interp(np.arange(length) / (RATE / 2), np.arange(len(points)), points)
    noise = colored(rng, length, 1.2) * swell
    return noise / rms(noise)


def clatter(rng: np.random.Generator, length: int) -> np.ndarray:
    """Dishes and keys: short ringing knocks, about six a second, over faint hiss. RMS 1."""
    noise = 0.02 * colored(rng, length, 1.0)
    for start in rng.integers(0, length, size=max(2, 6 * length // RATE)):
        ring = min(int(rng.uniform(0.01, 0.08) * RATE), length - start)
        decay = np.exp(-np.arange(ring) / (0.2 * ring + 1))
        tone = np.sin(2 * np.pi * rng.uniform(600, 5000) / RATE * np.arange(ring))
        noise[start : start + ring] += rng.uniform(0.2, 1) * decay * (tone + 0.5 * rng.standard_normal(ring))
    return noise / rms(noise)


def babble(rng: np.random.Generator, length: int, voices: list[np.ndarray]) -> np.ndarray:
    """Several people at once: each sound of `voices` starts anywhere and goes round and round. RMS 1."""
    noise = np.zeros(length)
    for voice in voices:
        around = np.tile(voice / rms(voice), -(-length // len(voice)) + 1)
        start = int(rng.integers(len(voice)))
        noise += rng.uniform(0.5, 1) * around[start : start + length]
    return noise / rms(noise)


def room(rng: np.random.Generator) -> np.ndarray:
    """The impulse response of a small room: direct sound, then echoes that fade by 60 dB in 0.15 to 0.4 s.

    Returns:
        (num_samples,), starting with 1 for the direct sound; the echoes have 3 to 10 dB less energy than it.
    """
    fade = rng.uniform(0.15, 0.4)
    length = int(fade * RATE)
    tail = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    tail[: int(rng.uniform(0.002, 0.01) * RATE)] = 0  # the nearest wall answers after 2 to 10 ms
    tail *= 10 ** (-rng.uniform(3, 10) / 20) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail


def in_room(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """`samples` as heard in a room; as long as before, so what rings on after the end is cut."""
    size = _power_of_two(len(samples) + len(response) - 1)
    return np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)[: len(samples)]


def with_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Adds `noise` (RMS 1) so that the whole recording has `snr_db` dB more speech than noise."""
    return samples + noise * rms(samples) * 10 ** (-snr_db / 20)
