"""How far a word error rate would move on other utterances of the same kind: bootstrap over utterances."""

from __future__ import annotations

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
    tail = 50.0 * (1.0 - LEVEL)
    low, high = np.percentile(rates, [tail, 100.0 - tail])
    return float(low), float(high)
