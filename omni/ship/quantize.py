"""Int8 with one scale an output: the weight that comes back is int8 * scale, and zero stays zero. Imports no torch."""

from __future__ import annotations

from typing import Tuple

import numpy as np

_SMALLEST_NORMAL = np.finfo(np.float16).smallest_normal


def scales_of(largest: np.ndarray) -> np.ndarray:
    """
    Args:
        largest: (O,) float32, the largest absolute value of each output.

    Returns:
        (O,) float16 where that has all its digits for each of them, else float32. Never below `largest` / 127, so
        that no value is clipped. 1 for an output of zeros.
    """
    exact = np.where(largest > 0, largest / np.float32(127), np.float32(1)).astype(np.float32)
    exact = np.maximum(exact, np.finfo(np.float32).tiny)
    with np.errstate(over="ignore"):
        half = exact.astype(np.float16)
        half = np.where(half.astype(np.float32) < exact, np.nextafter(half, np.float16(np.inf)), half)
    return half if np.all(half >= _SMALLEST_NORMAL) and np.all(np.isfinite(half)) else exact


def quantize(matrix: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """(O, ...) float32 -> int8 of its shape, scales (O,) of `scales_of`. No value moves by more than half a step."""
    scale = scales_of(np.abs(matrix.reshape(len(matrix), -1)).max(axis=1, initial=0))
    step = scale.astype(np.float32).reshape(-1, *[1] * (matrix.ndim - 1))
    return np.clip(np.rint(matrix / step), -127, 127).astype(np.int8), scale


def restore(values: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(O, ...) int8, (O,) -> float32."""
    return values * scale.astype(np.float32).reshape(-1, *[1] * (values.ndim - 1))
