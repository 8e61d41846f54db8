"""Weight matrices that multiply activations: the C kernels by ctypes, or numpy where they are not compiled."""

from __future__ import annotations

import ctypes
import functools
from typing import Any, Callable

import numpy as np

from .library import address, library, scratch

_FLOAT32 = np.dtype(np.float32)
_TYPES = {_FLOAT32: 0, np.dtype(np.int8): 1}
_PANEL = 16  # OMNI_PANEL of kernels.h
_MOST = 2**31 - 1


class _Sparse(ctypes.Structure):  # omni_sparse of kernels.h
    _fields_ = [(name, ctypes.c_int32) for name in
                ("outputs", "inputs", "block_rows", "block_cols", "type", "column_bytes")]
    _fields_ += [(name, ctypes.c_void_p) for name in ("start", "column", "values", "scale", "bias")]


class _Dense(ctypes.Structure):  # omni_dense of kernels.h
    _fields_ = [(name, ctypes.c_int32) for name in ("outputs", "inputs", "type")]
    _fields_ += [(name, ctypes.c_void_p) for name in ("values", "scale", "bias")]


class Matrix:
    """A weight (outputs, inputs), block-sparse or dense, with its scale and bias. Made by `sparse` or `dense`.

    Attributes:
        shape: (outputs, inputs). is_dense: whether `dense` made it.
        struct: `omni_sparse` or `omni_dense` of csrc/kernels.h for callers in C; lives as long as the matrix does.
    """

    def __init__(self, struct: ctypes.Structure, shape: tuple[int, int], **arrays: np.ndarray | None) -> None:
        self.struct, self.shape, self._arrays = struct, shape, arrays
        for name, array in arrays.items():
            setattr(struct, name, address(array))
        self._pointer = ctypes.addressof(struct)
        self.is_dense = isinstance(struct, _Dense)
        self._groups: Any = None

    @classmethod
    def sparse(
        cls, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, shape: tuple[int, int],
        blocks: tuple[int, int], scale: np.ndarray | None = None, bias: np.ndarray | None = None,
    ) -> Matrix:
        """A matrix of R x C blocks (R outputs by C inputs), those that are not stored being zero.

        Contiguous arrays are used where they are, read-only, memory-mapped and unaligned ones too: do not change them.
        Fast where R is a multiple of 8 and there are at most 65536 inputs.

        Args:
            values: float32 or int8, of each kept block, column by column, R values each: (kept, C, R) in any shape.
                Blocks are in the order of their row groups, within a group by rising column.
            columns: uint16 or uint32 (kept,), of each kept block its first input / C.
            starts: int32 (outputs / R + 1,): row group g has the blocks starts[g] to starts[g + 1] - 1.
            shape: (outputs, inputs), a whole number of blocks.
            blocks: (R, C).
            scale: float32 (outputs,), or None for 1: each output is multiplied by it.
            bias: float32 (outputs,), or None for 0; added last.

        Raises:
            ValueError: an array of another type or length, or columns or starts that are not in order; it is named.
        """
        shape, blocks = _pair("shape", shape), _pair("blocks", blocks)
        (outputs, inputs), (rows, cols) = shape, blocks
        if outputs % rows or inputs % cols:
            raise ValueError(f"shape {outputs}x{inputs} is not a whole number of blocks of {rows}x{cols}")
        starts = _array("starts", starts, (np.int32,), outputs // rows + 1)
        columns = _array("columns", columns, (np.uint16, np.uint32))
        kept = len(columns)
        values = _array("values", values, (np.float32, np.int8), kept * rows * cols)
        if starts[0] != 0 or starts[-1] != kept or (np.diff(starts) < 0).any():
            raise ValueError(f"starts: want numbers that rise from 0 to the {kept} blocks that columns have")
        if kept and int(columns.max()) >= inputs // cols:
            raise ValueError(f"columns: {columns.max()} is none of the {inputs // cols} blocks of a row")
        rising = columns[1:] > columns[:-1]
        rising[starts[1:-1][(starts[1:-1] > 0) & (starts[1:-1] < kept)] - 1] = True  # from one group to the next
        if not rising.all():
            raise ValueError(f"columns: block {int(rising.argmin()) + 1} is not right of the one before it")
        if columns.dtype == np.uint32 and inputs // cols <= 2**16:
            columns = columns.astype(np.uint16)  # what the fast loops take
        if rows % 8 == 0 and 1 < cols and inputs <= 2**16 and kept * cols <= _MOST:
            # The same values as blocks of one column, which is what the fast loops take.
            columns = columns[:, None] * np.uint32(cols) + np.arange(cols, dtype=np.uint32)
            columns = columns.astype(np.uint16).reshape(-1)
            starts, cols = starts * np.int32(cols), 1
        scale, bias = (_array(*one, (np.float32,), outputs) for one in (("scale", scale), ("bias", bias)))
        struct = _Sparse(outputs, inputs, rows, cols, _TYPES[values.dtype], columns.itemsize)
        return cls(struct, shape, values=values, column=columns, start=starts, scale=scale, bias=bias)

    @classmethod
    def dense(cls, weight: np.ndarray, scale: np.ndarray | None = None, bias: np.ndarray | None = None) -> Matrix:
        """A matrix without zeros. The weight is copied, to panels of 16 outputs.

        Args:
            weight: float32 or int8 (outputs, inputs), with any strides.
            scale, bias: as of `sparse`.

        Raises:
            ValueError: an array of another type or shape; it is named.
        """
        weight = np.asarray(weight)
        if weight.ndim != 2 or weight.dtype not in _TYPES:
            raise ValueError(f"weight: want float32 or int8 (outputs, inputs), not {weight.dtype} {weight.shape}")
        outputs, inputs = shape = _pair("shape of weight", weight.shape)
        scale, bias = (_array(*one, (np.float32,), outputs) for one in (("scale", scale), ("bias", bias)))
        panels = np.zeros((-(-outputs // _PANEL), _PANEL, inputs), weight.dtype)
        panels.reshape(-1, inputs)[:outputs] = weight
        panels = np.ascontiguousarray(panels.transpose(0, 2, 1))
        return cls(_Dense(outputs, inputs, _TYPES[weight.dtype]), shape, values=panels, scale=scale, bias=bias)

    def apply(self, x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """x W^T * scale + bias.

        Args:
            x: float32 (M, inputs); copied unless neighbours in a row are neighbours in memory.
            out: float32 (M, outputs) to write to, neighbours in a row neighbours in memory, apart from x; or None.

        Returns:
            float32 (M, outputs); `out` if it was given.

        Raises:
            ValueError: another type or shape, or an `out` that cannot be written to.
        """
        x, out = self._checked(x, out)
        loaded = library()
        if not loaded:
            return self._numpy(x, out)
        place = scratch(loaded, *x.shape[::-1])
        call = loaded.omni_dense_apply if self.is_dense else loaded.omni_sparse_apply
        call(self._pointer, address(x), x.strides[0] >> 2, address(out), out.strides[0] >> 2, x.shape[0], place)
        return out

    def bound(self, x: np.ndarray, out: np.ndarray) -> Callable[[], object]:
        """`apply(x, out)` for buffers that are used again and again: what is checked and looked up is so once, here.

        Args:
            x, out: as of `apply`; x is not copied. They are held for as long as what is returned.

        Returns:
            A function without arguments that reads x and writes out as they are then. One thread at a time.

        Raises:
            ValueError: as `apply`; also an x that would have to be copied.
        """
        checked, out = self._checked(x, out)
        if checked is not x:
            raise ValueError("x: want rows contiguous and aligned")
        loaded = library()
        if not loaded:
            return functools.partial(self._numpy, x, out)
        rows, inputs = x.shape
        place = np.empty(loaded.omni_scratch(inputs, rows), np.float32)
        call = functools.partial(loaded.omni_dense_apply if self.is_dense else loaded.omni_sparse_apply, self._pointer,
                                 address(x), x.strides[0] >> 2, address(out), out.strides[0] >> 2, rows,
                                 address(place))
        call.held = (self, x, out, place)
        return call

    def _checked(self, x: np.ndarray, out: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        outputs, inputs = self.shape
        if x.dtype != _FLOAT32 or x.ndim != 2 or x.shape[1] != inputs:
            raise ValueError(f"x: want float32 (M, {inputs}), not {x.dtype} {x.shape}")
        rows = x.shape[0]
        if not _walkable(x):
            x = np.ascontiguousarray(x) if x.flags.aligned else x.copy()
        if out is None:
            out = np.empty((rows, outputs), np.float32)
        elif out.dtype != _FLOAT32 or out.shape != (rows, outputs) or not out.flags.writeable or not _walkable(out):
            raise ValueError(f"out: want writable float32 ({rows}, {outputs}), its rows contiguous and aligned")
        elif np.may_share_memory(x, out):
            raise ValueError("out: shares memory with x")
        return x, out

    def _numpy(self, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        """Group by group, so that NaN and infinity reach the same outputs as in C."""
        if self._groups is None:
            self._groups = self._decode()
        for first, inputs, weight in self._groups:
            np.matmul(x[:, inputs], weight, out=out[:, first : first + weight.shape[1]])
        for name, operation in (("scale", np.multiply), ("bias", np.add)):
            if self._arrays[name] is not None:
                operation(out, self._arrays[name], out=out)
        return out

    def _decode(self) -> list:
        """(first output, inputs, float32 (inputs, outputs)) of each row group; of a dense matrix all at once."""
        values, (outputs, inputs) = self._arrays["values"], self.shape
        if self.is_dense:
            weight = values.transpose(1, 0, 2).reshape(inputs, -1)[:, :outputs].astype(np.float32)
            return [(0, slice(None), weight)]
        starts, rows, cols = self._arrays["start"], self.struct.block_rows, self.struct.block_cols
        places = (self._arrays["column"].astype(np.int64)[:, None] * cols + np.arange(cols)).reshape(-1)
        weight = values.reshape(-1, rows).astype(np.float32)
        spans = [slice(a * cols, b * cols) for a, b in zip(starts[:-1].tolist(), starts[1:].tolist())]
        return [(g * rows, places[span], weight[span]) for g, span in enumerate(spans)]


def _walkable(array: np.ndarray) -> bool:
    """Whether C can walk it: floats of a row side by side, rows a whole number of floats apart, aligned."""
    ahead, beside = array.strides
    rows, width = array.shape
    return (beside == 4 or width == 1) and (ahead >= 4 * width and ahead % 4 == 0 or rows < 2) and array.flags.aligned


def _pair(what: str, pair: Any) -> tuple[int, int]:
    try:
        first, second = (int(one) for one in pair)
    except (TypeError, ValueError):
        raise ValueError(f"{what}: want two whole numbers, not {pair!r:.60}") from None
    if not (0 < first <= _MOST and 0 < second <= _MOST):
        raise ValueError(f"{what}: want two numbers from 1 to {_MOST}, not {first} and {second}")
    return first, second


def _array(name: str, given: Any, types: tuple, size: int | None = None) -> np.ndarray | None:
    """A flat contiguous view of `given` (a copy only where it is not contiguous), of one of `types` and of `size`."""
    if given is None and name in ("scale", "bias"):
        return None
    array = np.asarray(given)
    if array.dtype not in [np.dtype(one) for one in types]:
        raise ValueError(f"{name}: want {' or '.join(np.dtype(one).name for one in types)}, not {array.dtype}")
    if array.ndim != 1 and name != "values":
        raise ValueError(f"{name}: want one dimension, not {array.ndim}")
    if size is not None and array.size != size:
        raise ValueError(f"{name}: want {size} numbers, not {array.size}")
    return array.reshape(-1) if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(-1)
