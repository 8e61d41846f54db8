"""Random block-sparse weights in the arrays that `Matrix.sparse` takes, and what they multiply to, in double."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Blocks(NamedTuple):
    """What `Matrix.sparse` takes, in its order, and the same weight as a whole."""

    values: np.ndarray
    columns: np.ndarray
    starts: np.ndarray
    shape: tuple
    blocks: tuple
    whole: np.ndarray  # float64 (outputs, inputs)


def blocks(rng: np.random.Generator, shape: tuple, grid: tuple, sparsity: float, dtype: Any = np.float32) -> Blocks:
    """A weight of `shape` in blocks of `grid`, of which a share `sparsity` is not stored; one row group is empty."""
    (outputs, inputs), (rows, cols) = shape, grid
    kept = rng.random((outputs // rows, inputs // cols)) >= sparsity
    kept[len(kept) // 2] &= len(kept) == 1
    starts = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    groups, columns = np.nonzero(kept)
    values = numbers(rng, (len(columns), cols, rows), dtype)
    some = values[: len(values) // 3]
    some *= rng.integers(0, 2, (len(some), 1, 1)).astype(dtype)  # stored, but zero
    whole = np.zeros((outputs // rows, rows, inputs // cols, cols))
    whole[groups, :, columns, :] = values.transpose(0, 2, 1)
    columns = columns.astype(np.uint16 if inputs // cols <= 2**16 else np.uint32)
    return Blocks(values, columns, starts, shape, grid, whole.reshape(shape))


def numbers(rng: np.random.Generator, shape: tuple, dtype: Any = np.float32) -> np.ndarray:
    if dtype == np.int8:
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.standard_normal(shape).astype(dtype)


def close(got: np.ndarray, whole: np.ndarray, x: np.ndarray, scale: Any = None, bias: Any = None) -> bool:
    """Whether `got` is x whole^T * scale + bias, as near as sums of float32 in any order are."""
    x, whole = x.astype(np.float64), whole.astype(np.float64)
    scale = np.ones(len(whole)) if scale is None else scale.astype(np.float64)
    bias = np.zeros(len(whole)) if bias is None else bias.astype(np.float64)
    size = np.abs(x) @ np.abs(whole).T * np.abs(scale) + np.abs(bias)
    return got.dtype == np.float32 and bool((np.abs(got - (x @ whole.T * scale + bias)) <= 1e-6 * size + 1e-30).all())


def unaligned(array: np.ndarray) -> np.ndarray:
    """The same values, read-only, at an odd address."""
    memory = np.zeros(array.nbytes + 17, np.uint8)
    first = 1 + -memory.ctypes.data % 16
    memory[first : first + array.nbytes] = np.frombuffer(array.tobytes(), np.uint8)
    view = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    view.flags.writeable = False
    return view
