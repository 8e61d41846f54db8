"""What a few trainings tell: Student's t-interval over seeds, and the word that a difference earns.

A percentile bootstrap over n seeds is no wider than their range, and so holds the true mean in 1 - 2 ** (1 - n) of the
cases: half of them at two seeds, three quarters at three. Student's interval holds it in 95% at any n from two on
(tests/egs/experiments/test_statistics.py shows both). scipy has the quantile, for 40 MB that neither environment needs
otherwise; for whole degrees of freedom it is a short sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from egs.librispeech.omni_sparsity.report.bootstrap import LEVEL

CLAIM_SEEDS = 5  # with fewer an interval over seeds is told, and nothing is claimed


def t_quantile(probability: float, freedom: int) -> float:
    """The t that Student's distribution stays below with `probability`.

    Args:
        probability: from 0.5 to below 1.
        freedom: degrees of freedom, at least 1.
    Raises:
        ValueError: out of range.
    """
    if not 0.5 <= probability < 1.0 or freedom < 1:
        raise ValueError(f"probability {probability}, {freedom} degrees of freedom: want 0.5 to below 1, and 1 or more")
    low, high = 0.0, math.pi / 2  # angles: t = sqrt(freedom) tan(angle)
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < 2 * probability - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)): Abramowitz & Stegun, 26.7.3 (odd) and 26.7.4 (even)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    first = 2 if freedom % 2 else 1
    term, total = (cosine, cosine if freedom > 1 else 0.0) if freedom % 2 else (1.0, 1.0)
    for k in range(first, freedom - 2, 2):
        term *= cosine**2 * k / (k + 1)
        total += term
    return 2 / math.pi * (angle + sine * total) if freedom % 2 else sine * total


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Interval of the mean of independent trainings' numbers, one of each seed.

    Raises:
        ValueError: fewer than two values have no interval.
    """
    if len(values) < 2:
        raise ValueError("one value has no interval over seeds; want two or more")
    half = t_quantile(0.5 + LEVEL / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    mean = float(np.mean(values))
    return mean - float(half), mean + float(half)


def claim(*intervals: Sequence[float]) -> str:
    """Of a difference in word error rate: "better" or "worse" where no interval holds 0, else "undecided"."""
    if all(high < 0 for _, high in intervals):
        return "better"
    return "worse" if all(low > 0 for low, _ in intervals) else "undecided"
