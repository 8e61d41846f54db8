"""Resampling, trimming and levels, against sounds whose answer is known."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from local.mini import sound


def _tone(rate: int, hertz: float, seconds: float = 1.0) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    return 0.3 * np.sin(2 * np.pi * hertz * time) * np.hanning(len(time))


def test_resampling_keeps_a_tone():
    out = sound.to_16k(_tone(22050, 440), 22050)
    expected = _tone(16000, 440)
    assert np.abs(out[: len(expected)] - expected).max() < 1e-3
    assert np.abs(out[len(expected) :]).max() < 1e-3


def test_resampling_drops_what_is_above_8_khz():
    assert np.abs(sound.to_16k(_tone(22050, 9500), 22050)).max() < 1e-3


def test_trim_leaves_the_silence_it_was_told():
    speech = np.random.default_rng(1).uniform(-0.5, 0.5, 16000)
    out = sound.trim(np.concatenate([np.zeros(8000), speech, np.zeros(4000)]), before=0.1, after=0.2)
    assert len(out) == pytest.approx(16000 * 1.3, abs=160)
    assert not out[:1600].any() and not out[-3200:].any() and out[1700] != 0


@pytest.mark.parametrize("level", [-30.0, -20.0])
def test_level(level):
    out = sound.to_level(_tone(16000, 300), level)
    assert 20 * np.log10(sound.rms(out)) == pytest.approx(level, abs=0.01)


def test_level_never_clips():
    click = np.zeros(16000)
    click[100] = 0.1
    assert np.abs(sound.to_level(click, -10)).max() == pytest.approx(0.9)


def test_flac_holds_the_samples():
    samples, rate = soundfile.read(io.BytesIO(sound.to_flac(_tone(16000, 500))))
    assert rate == 16000 and np.abs(samples - _tone(16000, 500)).max() <= 1 / 32767
