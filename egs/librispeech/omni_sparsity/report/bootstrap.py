"""How far a word error rate would move on other utterances of the same kind: bootstrap over utterances."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 42


def interval(
    errors: Sequence[int], words: Sequence[int], resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Percentile bootstrap interval of the word error rate, resampling whole utterances with replacement.

    After M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation",
    ICASSP 2004. The rate of a resample depends only on how often each distinct (errors, words) pair was
    drawn, and those counts are multinomial: drawing them gives the same distribution as drawing utterances,
    for much less work.

    Args:
      errors: errors of each utterance (insertions + deletions + substitutions), N numbers.
      words: reference words of each utterance, N numbers.
    Returns:
      (low, high) in percent: 95% of the resamples lie between them.
    Raises:
      ValueError: N is 0, the lengths differ, or there is no reference word.
    """
    pairs = np.array([errors, words], dtype=np.int64).T  # (N, 2); ragged input raises ValueError here
    if len(pairs) == 0 or pairs[:, 1].sum() == 0:
        raise ValueError("no reference words, no word error rate")
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)  # (K, 2), (K,)
    drawn = np.random.default_rng(seed).multinomial(
        len(pairs), counts / len(pairs), size=resamples
    )  # (resamples, K)
    totals = drawn @ kinds  # (resamples, 2): errors, words
    # Utterances without reference words may be all that a resample drew.
    rates = 100.0 * totals[:, 0] / np.maximum(totals[:, 1], 1)
    return _percentiles(rates)


def rate(counts: np.ndarray) -> float:
    """Word error rate in percent of (seeds, utterances, 2) errors and words."""
    errors, words = counts.reshape(-1, 2).sum(axis=0)
    return 100.0 * float(errors) / float(words)


def paired_difference(
    *pairs: tuple[np.ndarray, np.ndarray], resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Interval over utterances of the relative difference of two systems' word error rates, in percent.

    Both decoded the same utterances, so a resample draws them once for both (Bisani & Ney 2004, section 4), for all
    seeds and for all pairs. The trainings stay as they are: what other seeds would say is not in this interval.

    Args:
      pairs: (ours, theirs), each (seeds, utterances, 2) errors and words; of several, the mean of their differences.
    Returns:
      (low, high); negative: ours is better.
    Raises:
      ValueError: shapes or words differ.
    """
    differences = relative_differences(*pairs, times=_draws(pairs[0][0].shape[1], resamples, seed))
    return _percentiles(differences.mean(axis=1))


def relative_differences(*pairs: tuple[np.ndarray, np.ndarray], times: np.ndarray | None = None) -> np.ndarray:
    """100 (ours / theirs - 1) of each seed, the mean over `pairs` (as in `paired_difference`).

    Args:
      times: (resamples, utterances) how often each utterance counts; without it, once.
    Returns:
      (resamples, seeds); one resample without `times`.
    Raises:
      ValueError: shapes or words differ.
    """
    counts = [system for pair in pairs for system in pair]
    if any(each.shape != counts[0].shape or (each[..., 1] != counts[0][..., 1]).any() for each in counts):
        raise ValueError("two systems can be paired over the same utterances and seeds alone")
    rates = [_rates(each, times) for each in counts]
    found = [100.0 * (ours / np.maximum(theirs, 1e-9) - 1.0) for ours, theirs in zip(rates[::2], rates[1::2])]
    return np.mean(found, axis=0)


def _rates(counts: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Word error rate of each resample and seed, (resamples, seeds), from (seeds, utterances, 2)."""
    seeds, utterances, _ = counts.shape
    flat = counts.transpose(1, 0, 2).reshape(utterances, -1).astype(np.float32)
    times = np.ones((1, utterances), dtype=np.float32) if times is None else times
    totals = (times @ flat).reshape(-1, seeds, 2).astype(np.float64)  # whole numbers that float32 holds exactly
    return 100.0 * totals[..., 0] / np.maximum(totals[..., 1], 1)


@functools.lru_cache(maxsize=8)  # drawing takes far longer than what is done with it; 34 MB for 860 utterances
def _draws(utterances: int, resamples: int, seed: int) -> np.ndarray:
    """How often each resample has each utterance, (resamples, utterances) float32."""
    draw = np.random.default_rng(seed)
    return draw.multinomial(utterances, np.full(utterances, 1.0 / utterances), size=resamples).astype(np.float32)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    tail = 50.0 * (1.0 - LEVEL)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return float(low), float(high)
