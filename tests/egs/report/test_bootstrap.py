"""Intervals of error rates: properties that hold for any data, and one distribution known by hand."""

import numpy as np
import pytest

from egs.librispeech.omni_sparsity.report import bootstrap


def _utterances(count, seed=0):
    noise = np.random.default_rng(seed)
    words = noise.integers(2, 12, count)
    return noise.binomial(words, 0.1), words


def test_contains_the_point_and_is_near_the_normal_approximation():
    errors, words = _utterances(500)
    rate = 100 * errors.sum() / words.sum()
    low, high = bootstrap.interval(errors, words)
    assert low < rate < high
    deviation = 100 * np.sqrt(np.sum((errors - words * rate / 100) ** 2)) / words.sum()
    assert high - low == pytest.approx(2 * 1.96 * deviation, rel=0.05)


def test_agrees_with_drawing_utterances_one_by_one():
    errors, words = _utterances(80, seed=3)
    drawn = np.random.default_rng(1).integers(0, len(words), (20_000, len(words)))
    rates = 100 * errors[drawn].sum(1) / words[drawn].sum(1)
    assert bootstrap.interval(errors, words) == pytest.approx(np.percentile(rates, [2.5, 97.5]), abs=0.35)


def test_shrinks_with_the_root_of_the_utterances():
    errors, words = _utterances(200)
    low, high = bootstrap.interval(errors, words)
    low16, high16 = bootstrap.interval(np.tile(errors, 16), np.tile(words, 16))
    assert (high16 - low16) / (high - low) == pytest.approx(1 / 4, rel=0.05)


def test_a_hundred_tosses():
    """One word an utterance: the resamples are binomial(100, 1/2) with 95% between 40 and 60."""
    assert bootstrap.interval([0, 1] * 50, [1] * 100) == (40.0, 60.0)


def test_two_utterances_by_hand():
    """Four equally likely resamples: 0, 50, 50 and 100 percent."""
    assert bootstrap.interval([0, 4], [4, 4]) == (0.0, 100.0)


def test_no_error_has_no_spread():
    assert bootstrap.interval([0] * 50, range(1, 51)) == (0.0, 0.0)


def test_alike_utterances_have_no_spread():
    assert bootstrap.interval([1] * 9, [4] * 9) == (25.0, 25.0)


def test_same_numbers_each_time_and_in_any_order():
    errors, words = _utterances(100)
    once = bootstrap.interval(errors, words)
    assert bootstrap.interval(errors, words) == once
    assert bootstrap.interval(errors[::-1], words[::-1]) == once
    assert bootstrap.interval(errors, words, seed=7) != once


def test_an_utterance_without_words_counts_its_insertions():
    low, high = bootstrap.interval([2, 0, 0], [0, 5, 5])
    assert low == 0.0 and high > 20.0


@pytest.mark.parametrize("errors, words", [([], []), ([1], [0]), ([1, 2], [3])])
def test_no_rate_no_interval(errors, words):
    with pytest.raises(ValueError):
        bootstrap.interval(errors, words)


def _counts(errors, seeds=3, utterances=200):
    """(seeds, utterances, 2) errors and words."""
    draw = np.random.RandomState(0)
    words = draw.randint(3, 9, utterances)
    return np.stack([np.stack([draw.binomial(words, errors), words], axis=1) for _ in range(seeds)])


def test_a_rate_is_of_all_seeds():
    one = _counts(0.2, seeds=2)
    assert bootstrap.rate(one) == pytest.approx(100 * one[..., 0].sum() / one[..., 1].sum())


def test_pairing_takes_out_what_both_share():
    ours = _counts(0.2)
    assert bootstrap.paired_difference((ours, ours)) == (0.0, 0.0)
    double = ours * [2, 1]
    assert bootstrap.paired_difference((ours, double)) == pytest.approx((-50.0, -50.0))
    low, high = bootstrap.paired_difference((ours, _counts(0.2) + [1, 0]))
    assert low < high < 0
    assert bootstrap.paired_difference((ours, double), (double, ours)) == pytest.approx((25.0, 25.0))
    with pytest.raises(ValueError, match="same utterances"):
        bootstrap.paired_difference((ours, ours[:2]))


def test_the_relative_differences_of_each_seed():
    ours = np.array([[[1, 4], [1, 4]], [[3, 4], [0, 4]]])  # 2 and 3 errors
    theirs = np.array([[[2, 4], [2, 4]], [[0, 4], [2, 4]]])  # 4 and 2
    assert bootstrap.relative_differences((ours, theirs)).tolist() == [[-50.0, 50.0]]
    assert bootstrap.relative_differences((ours, theirs), (ours, ours)).tolist() == [[-25.0, 25.0]]
    twice = bootstrap.relative_differences((ours, theirs), times=np.array([[2, 0], [0, 2]], dtype=np.float32))
    assert twice[0, 0] == -50.0 and twice[1].tolist() == [-50.0, -100.0]


def test_seeds_are_not_drawn():
    """An interval over utterances is as wide for seeds that differ as for their mean: what they say is told apart."""
    one = _counts(0.2, seeds=1)
    theirs = np.repeat(one, 2, axis=0)
    apart = np.concatenate([one * [2, 1], one * [0, 1]])  # +100% and -100%, the same on any utterances
    assert bootstrap.paired_difference((apart, theirs)) == pytest.approx((0.0, 0.0), abs=1e-4)


def test_a_paired_interval_agrees_with_drawing_one_by_one():
    ours, theirs = _counts(0.2, seeds=2, utterances=60), _counts(0.25, seeds=2, utterances=60)
    drawn = np.random.default_rng(1).integers(0, 60, (20_000, 60))
    rates = [each[:, drawn, 0].sum(axis=2) / each[:, drawn, 1].sum(axis=2) for each in (ours, theirs)]  # (2, 20000)
    expected = np.percentile(100 * (rates[0] / rates[1] - 1).mean(axis=0), [2.5, 97.5])
    assert bootstrap.paired_difference((ours, theirs)) == pytest.approx(expected, abs=0.8)
