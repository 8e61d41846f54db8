"""Student's t against published values, and how often intervals over a few seeds hold the true mean."""

import math

import numpy as np
import pytest

from egs.librispeech.omni_sparsity.experiments import statistics


@pytest.mark.parametrize("freedom, expected", [  # two-sided 95%, any table of Student's t
    (1, 12.7062), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (6, 2.44691), (9, 2.26216), (17, 2.10982),
    (30, 2.04227), (120, 1.97993)])
def test_quantiles_of_the_table(freedom, expected):
    assert statistics.t_quantile(0.975, freedom) == pytest.approx(expected, abs=6e-5)


def test_quantiles_that_are_known_exactly():
    """One degree of freedom is Cauchy's distribution, two have a closed form, many are nearly normal."""
    for probability in (0.5, 0.6, 0.9, 0.975, 0.9995):
        assert statistics.t_quantile(probability, 1) == pytest.approx(math.tan(math.pi * (probability - 0.5)), abs=1e-9)
        a = 2 * probability - 1
        assert statistics.t_quantile(probability, 2) == pytest.approx(a * math.sqrt(2 / (1 - a * a)), abs=1e-9)
    assert statistics.t_quantile(0.975, 100_000) == pytest.approx(1.95996, abs=1e-4)


@pytest.mark.parametrize("probability, freedom", [(0.4, 3), (1.0, 3), (float("nan"), 3), (0.9, 0)])
def test_what_has_no_quantile(probability, freedom):
    with pytest.raises(ValueError, match="want 0.5 to below 1, and 1 or more"):
        statistics.t_quantile(probability, freedom)


def test_an_interval_by_hand():
    """Mean 4, standard error 2 / sqrt(3), two degrees of freedom."""
    half = 4.302653 * 2 / math.sqrt(3)
    assert statistics.t_interval([2.0, 4.0, 6.0]) == pytest.approx((4 - half, 4 + half), abs=1e-5)
    assert statistics.t_interval([5.0, 5.0]) == (5.0, 5.0)
    with pytest.raises(ValueError, match="one value has no interval"):
        statistics.t_interval([3.0])


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_how_often_the_true_mean_is_held(seeds):
    """95% by Student; by a percentile bootstrap over so few seeds far less (its interval is at most their range)."""
    draws = np.random.default_rng(seeds).standard_normal((4000, seeds))
    intervals = [statistics.t_interval(draw) for draw in draws]
    held = np.mean([low < 0 < high for low, high in intervals])
    assert held == pytest.approx(0.95, abs=0.012)
    within_range = np.mean((draws.min(axis=1) < 0) & (draws.max(axis=1) > 0))
    assert within_range == pytest.approx(1 - 2.0 ** (1 - seeds), abs=0.025)


def test_the_word_for_a_difference():
    assert statistics.claim((-3.0, -0.1)) == "better" and statistics.claim((0.1, 9.0)) == "worse"
    assert statistics.claim((-1.0, 2.0)) == statistics.claim((0.0, 2.0)) == statistics.claim((-2.0, 0.0)) == "undecided"
    assert statistics.claim((-3.0, -1.0), (-4.0, -2.0)) == "better"
    assert statistics.claim((-3.0, -1.0), (-4.0, 2.0)) == statistics.claim((-3.0, -1.0), (1.0, 2.0)) == "undecided"
