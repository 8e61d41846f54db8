"""The compiled kernels, loaded by ctypes at their first use: which instruction set they use, and scratch memory."""

from __future__ import annotations

import ctypes
import os
import threading
import warnings
from typing import Any, List

import numpy as np

ISAS = ("avx512", "avx2", "neon", "portable")  # the best first

_from_buffer = ctypes.c_char.from_buffer
_lock = threading.Lock()
_loaded: Any = None  # the library; False where there is none; None before the first use
_numpy = False  # whether numpy was asked for
_local = threading.local()


def library() -> Any:
    """The compiled library, or False where numpy takes its place.

    Raises:
        ValueError: the environment variable OMNI_ISA names what this machine has not.
    """
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = _load()
    return False if _numpy else _loaded


def isa() -> str:
    """The instruction set in use: "avx512", "avx2", "neon", "portable", or "numpy" without compiled kernels.

    The best that the processor has, or what the environment variable OMNI_ISA says.

    Raises:
        ValueError: OMNI_ISA names what this machine has not.
    """
    loaded = library()
    return loaded.omni_isa().decode() if loaded else "numpy"


def available() -> List[str]:
    """What `use` takes on this machine, the fastest first."""
    library()
    return [*(_runnable(_loaded) if _loaded else []), "numpy"]


def use(name: str) -> None:
    """Uses an instruction set, or "numpy", from now on, in all threads and for all matrices.

    Raises:
        ValueError: this machine has it not.
    """
    global _numpy
    library()
    if name != "numpy":
        if not _loaded:
            raise ValueError(f"{name}: the kernels are not compiled; `python -m omni.runtime.build` compiles them")
        _use(_loaded, name)
    _numpy = name == "numpy"


def address(array: np.ndarray | None) -> int | None:
    """Where the values of `array` begin; it must outlive what uses that."""
    if array is None:
        return None
    try:
        return ctypes.addressof(_from_buffer(array))  # three times as fast as what always works
    except (TypeError, ValueError, BufferError):  # read-only, empty, or with gaps
        return array.__array_interface__["data"][0]


def scratch(loaded: Any, inputs: int, rows: int) -> int:
    """Address of this thread's scratch, made larger where it is too small."""
    try:
        if _local.inputs >= inputs and _local.rows >= rows:  # cheaper than to ask the library how much it is
            return _local.address
    except AttributeError:
        _local.inputs, _local.rows = 0, 0
    _local.inputs, _local.rows = max(inputs, _local.inputs), max(rows, _local.rows)
    _local.scratch = np.empty(loaded.omni_scratch(_local.inputs, _local.rows), np.float32)
    _local.address = address(_local.scratch)
    return _local.address


def _load() -> Any:
    global _numpy
    from .build import library as library_path  # not above: `python -m omni.runtime.build` comes before it

    asked = os.environ.get("OMNI_ISA", "")
    _numpy = asked == "numpy"
    asked = "" if _numpy else asked
    try:
        path = library_path()
        loaded = ctypes.CDLL(str(path))
    except OSError as error:
        why = "cannot be loaded: " + " ".join(str(error).split()) if path.exists() else "are not there"
        if asked:
            raise ValueError(f"OMNI_ISA={asked}: the compiled kernels {why}; `python -m omni.runtime.build` "
                             "compiles them") from None
        if not _numpy:
            warnings.warn(f"omni.runtime: the compiled kernels {why}; numpy is used, which is slower; "
                          "`python -m omni.runtime.build` compiles them", RuntimeWarning, stacklevel=3)
        return False
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    for name in ("omni_sparse_apply", "omni_dense_apply"):
        getattr(loaded, name).argtypes = [pointer, pointer, number, pointer, number, number, pointer]
    loaded.omni_scratch.argtypes = [ctypes.c_int32, ctypes.c_int64]
    loaded.omni_scratch.restype = ctypes.c_size_t
    loaded.omni_isa.restype = ctypes.c_char_p
    loaded.omni_use.argtypes = [ctypes.c_char_p]
    if asked:
        _use(loaded, asked, "OMNI_ISA=")
    return loaded


def _use(loaded: Any, name: str, what: str = "") -> None:
    if loaded.omni_use(name.encode()):
        raise ValueError(f"{what}{name}: this machine has {', '.join(_runnable(loaded))} and numpy")


def _runnable(loaded: Any) -> List[str]:
    before = loaded.omni_isa()
    found = [name for name in ISAS if loaded.omni_use(name.encode()) == 0]
    loaded.omni_use(before)
    return found
