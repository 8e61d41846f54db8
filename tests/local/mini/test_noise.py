"""Noises and rooms."""

from __future__ import annotations

import numpy as np
import pytest

from local.mini import noise, sound

LENGTH = 32000
KINDS = {
    "white": lambda rng: noise.colored(rng, LENGTH, 0.0),
    "brown": lambda rng: noise.colored(rng, LENGTH, 2.0),
    "hum": lambda rng: noise.hum(rng, LENGTH, 60),
    "engine": lambda rng: noise.engine(rng, LENGTH),
    "wind": lambda rng: noise.wind(rng, LENGTH),
    "clatter": lambda rng: noise.clatter(rng, LENGTH),
    "babble": lambda rng: noise.babble(rng, LENGTH, [np.sin(np.arange(9000)), np.cos(np.arange(50000) / 9)]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_the_length_and_level_asked_for_and_repeats(kind):
    one, two = (KINDS[kind](np.random.default_rng(5)) for _ in range(2))
    assert one.shape == (LENGTH,) and sound.rms(one) == pytest.approx(1)
    assert np.array_equal(one, two)
    assert not np.array_equal(one, KINDS[kind](np.random.default_rng(6)))


def test_color_is_the_slope_of_the_spectrum():
    for slope in (0.0, 1.0, 2.0):
        power = np.abs(np.fft.rfft(noise.colored(np.random.default_rng(1), LENGTH, slope))) ** 2
        low, high = power[400:800].mean(), power[6400:12800].mean()  # 4 octaves apart: 12 dB for pink
        assert 10 * np.log10(low / high) == pytest.approx(12.04 * slope, abs=1)


def test_noise_is_added_at_the_ratio_asked_for():
    rng = np.random.default_rng(2)
    speech = 0.1 * rng.standard_normal(LENGTH)
    mixed = noise.with_noise(speech, noise.colored(rng, LENGTH, 0), 10.0)
    assert 20 * np.log10(sound.rms(speech) / sound.rms(mixed - speech)) == pytest.approx(10)


def test_room_fades_by_60_db_and_starts_with_the_direct_sound():
    for seed in range(20):
        response = noise.room(np.random.default_rng(seed))
        assert response[0] == 1 and 0.15 <= len(response) / sound.RATE <= 0.4
        echoes = 10 * np.log10(np.sum(response[1:] ** 2))
        assert -10.01 <= echoes <= -2.99
        quarter = len(response) // 4
        early, late = np.sum(response[quarter : 2 * quarter] ** 2), np.sum(response[3 * quarter :] ** 2)
        assert 10 * np.log10(early / late) == pytest.approx(30, abs=3)


def test_in_room_is_a_convolution_of_the_same_length():
    rng = np.random.default_rng(3)
    samples, response = rng.standard_normal(500), rng.standard_normal(40)
    assert np.allclose(noise.in_room(samples, response), np.convolve(samples, response)[:500])
