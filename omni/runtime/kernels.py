"""Weight matrices that multiply activations: the C kernels by ctypes, or numpy where they are not compiled."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from typing import Any, List

import numpy as np

_FLOAT32 = np.dtype(np.float32)
_TYPES = {_FLOAT32: 0, np.dtype(np.int8): 1}
_ISAS = ("avx512", "avx2", "neon", "portable")
_PANEL = 16  # OMNI_PANEL of kernels.h
_MOST = 2**31 - 1
_from_buffer = ctypes.c_char.from_buffer


class _Sparse(ctypes.Structure):  # omni_sparse of kernels.h
    _fields_ = [(name, ctypes.c_int32) for name in
                ("outputs", "inputs", "block_rows", "block_cols", "type", "column_bytes")]
    _fields_ += [(name, ctypes.c_void_p) for name in ("start", "column", "values", "scale", "bias")]


class _Dense(ctypes.Structure):  # omni_dense of kernels.h
    _fields_ = [(name, ctypes.c_int32) for name in ("outputs", "inputs", "type")]
    _fields_ += [(name, ctypes.c_void_p) for name in ("values", "scale", "bias")]


_lock = threading.Lock()
_loaded: Any = None  # the library; False: numpy
_forced_numpy = False
_local = threading.local()


def _library() -> Any:
    """The compiled library, or False where numpy takes its place; loaded at the first use."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return False if _forced_numpy else _loaded


def _load() -> Any:
    global _forced_numpy
    asked = os.environ.get("OMNI_ISA", "")
    _forced_numpy = asked == "numpy"
    from .build import library as library_path  # not above: `python -m omni.runtime.build` comes before it

    path = library_path()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        why = f"cannot load {path.name} ({error})" if path.exists() else "the compiled kernels are not there"
        if asked not in ("", "numpy"):
            raise ValueError(f"OMNI_ISA={asked}: {why}; python -m omni.runtime.build compiles them") from None
        if not _forced_numpy:
            warnings.warn(f"omni.runtime: {why}, numpy is used, which is slower; `python -m omni.runtime.build` "
                          "compiles them", RuntimeWarning, stacklevel=2)
        return False
    for name in ("omni_sparse_apply", "omni_dense_apply"):
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        getattr(library, name).argtypes = [pointer, pointer, number, pointer, number, number, pointer]
    library.omni_scratch.argtypes = [ctypes.c_int32, ctypes.c_int64]
    library.omni_scratch.restype = ctypes.c_size_t
    library.omni_isa.restype = ctypes.c_char_p
    library.omni_use.argtypes = [ctypes.c_char_p]
    if asked not in ("", "numpy"):
        _use(library, asked, "OMNI_ISA=")
    return library


def _use(library: Any, name: str, what: str = "") -> None:
    if library.omni_use(name.encode()):
        raise ValueError(f"{what}{name}: this machine has {', '.join(_runnable(library))}")


def _runnable(library: Any) -> List[str]:
    before = library.omni_isa()
    found = [name for name in _ISAS if library.omni_use(name.encode()) == 0]
    library.omni_use(before)
    return found


def isa() -> str:
    """The instruction set in use: "avx512", "avx2", "neon", "portable", or "numpy" without compiled kernels.

    The best that the processor has, or what the environment variable OMNI_ISA says.

    Raises:
        ValueError: OMNI_ISA names what this machine has not.
    """
    library = _library()
    return library.omni_isa().decode() if library else "numpy"


def available() -> List[str]:
    """What `use` takes on this machine, the fastest first."""
    _library()
    return [*(_runnable(_loaded) if _loaded else []), "numpy"]


def use(name: str) -> None:
    """Uses an instruction set, or "numpy", from now on, in all threads and for all matrices.

    Raises:
        ValueError: this machine has it not.
    """
    global _forced_numpy
    _library()
    if name != "numpy":
        if not _loaded:
            raise ValueError(f"{name}: the kernels are not compiled; python -m omni.runtime.build compiles them")
        _use(_loaded, name)
    _forced_numpy = name == "numpy"


def _address(array: np.ndarray | None) -> int | None:
    if array is None:
        return None
    try:
        return ctypes.addressof(_from_buffer(array))  # three times as fast as what always works
    except (TypeError, ValueError, BufferError):  # read-only, empty, or with gaps
        return array.__array_interface__["data"][0]


def _scratch(library: Any, inputs: int, rows: int) -> int:
    """Address of this thread's scratch, made larger where it is too small."""
    try:
        if _local.inputs >= inputs and _local.rows >= rows:  # cheaper than to ask how much it is
            return _local.address
    except AttributeError:
        _local.inputs, _local.rows = 0, 0
    _local.inputs, _local.rows = max(inputs, _local.inputs), max(rows, _local.rows)
    _local.scratch = np.empty(library.omni_scratch(_local.inputs, _local.rows), np.float32)
    _local.address = _address(_local.scratch)
    return _local.address


class Matrix:
    """A weight (outputs, inputs), block-sparse or dense, with its scale and bias. Made by `sparse` or `dense`.

    Attributes:
        shape: (outputs, inputs).
        struct: `omni_sparse` or `omni_dense` of csrc/kernels.h for callers in C; lives as long as the matrix does.
    """

    def __init__(self, struct: ctypes.Structure, shape: tuple[int, int], **arrays: np.ndarray | None) -> None:
        self.struct, self.shape, self._arrays = struct, shape, arrays
        for name, array in arrays.items():
            setattr(struct, name, _address(array))
        self._pointer = ctypes.addressof(struct)
        self._dense = isinstance(struct, _Dense)
        self._groups: Any = None

    @classmethod
    def sparse(
        cls, values: np.ndarray, columns: np.ndarray, starts: np.ndarray, shape: tuple[int, int],
        blocks: tuple[int, int], scale: np.ndarray | None = None, bias: np.ndarray | None = None,
    ) -> Matrix:
        """A matrix of R x C blocks (R outputs by C inputs), those that are not stored being zero.

        Contiguous arrays are used where they are, read-only, memory-mapped and unaligned ones too: do not change them.
        Fast where R is a multiple of 8 and there are at most 65536 blocks side by side.

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
            raise ValueError(f"columns: block {int(rising.argmin()) + 1} is not right of the one before it in its group")
        if columns.dtype == np.uint32 and inputs // cols <= 2**16:
            columns = columns.astype(np.uint16)  # what the fast loops take
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
        outputs, inputs = self.shape
        if x.dtype != _FLOAT32 or x.ndim != 2 or x.shape[1] != inputs:
            raise ValueError(f"x: want float32 (M, {inputs}), not {x.dtype} {x.shape}")
        rows = x.shape[0]
        if not _walkable(x):
            x = np.ascontiguousarray(x)
        if out is None:
            out = np.empty((rows, outputs), np.float32)
        elif out.dtype != _FLOAT32 or out.shape != (rows, outputs) or not out.flags.writeable or not _walkable(out):
            raise ValueError(f"out: want writable float32 ({rows}, {outputs}), its rows contiguous and aligned")
        elif np.may_share_memory(x, out):
            raise ValueError("out: shares memory with x")
        library = _library()
        if not library:
            return self._numpy(x, out)
        scratch = _scratch(library, inputs, rows)
        call = library.omni_dense_apply if self._dense else library.omni_sparse_apply
        call(self._pointer, _address(x), x.strides[0] >> 2, _address(out), out.strides[0] >> 2, rows, scratch)
        return out

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
        if self._dense:
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
    return (beside == 4 or array.shape[1] == 1) and ahead % 4 == 0 and ahead >= 0 and array.flags.aligned


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
