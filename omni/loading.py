"""Reading files of torch.save without running what they say.

A .pt file is a zip archive of a pickle and of the bytes of the tensors. A pickle may name any function to be called
while it is read. `torch.load(weights_only=True)` refuses that; but in torch 1.13 it refuses every Python number with a
fraction too, in all versions the paths that icefall keeps beside its weights, and torch 1.13 pays no heed to
`pickle_module`. So there is one reader here for all versions, with a list of what a checkpoint is made of. Python's
documentation describes the way ("Restricting Globals", https://docs.python.org/3/library/pickle.html).
"""

from __future__ import annotations

import pickle
import zipfile
from collections import Counter, OrderedDict, deque
from pathlib import Path, PurePath
from typing import Any, Dict, Tuple

import torch
from torch import Tensor, nn


def load_pt(path: str | Path, device: torch.device | str = "cpu", trust: bool = False) -> Any:
    """What `torch.save` wrote: tensors, numbers, text, paths, and lists and dictionaries of them.

    Args:
        device: where tensors are put.
        trust: unpickle anything, as `torch.load` does: whoever wrote the file then runs code here.

    Raises:
        ValueError: no such file, not a whole file of torch.save, or one that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        if trust:
            return torch.load(path, map_location=device, weights_only=False)
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive, device).load()
    except _Refused as refused:
        raise ValueError(f"{path}: refused: it holds {refused}, which may run code as it is read; where you trust its "
                         "origin, say --trust-checkpoint (in Python: trust=True)") from None
    except Exception as error:  # what a broken archive or pickle raises has no common type
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not a whole checkpoint, or not a checkpoint at all ({why})") from None


class _Refused(Exception):
    """Says what was named."""


def _tensor(flat: Tensor, offset: int, size: Any, stride: Any, requires_grad: bool, *_: Any) -> Tensor:
    return flat.as_strided(size, stride, offset).requires_grad_(requires_grad)  # refuses what is out of bounds


def _tensor_of_type(flat: Tensor, offset: int, size: Any, stride: Any, requires_grad: bool, _: Any, dtype: Any,
                    *more: Any) -> Tensor:
    return _tensor(flat.view(dtype), offset, size, stride, requires_grad)


def _latin(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise _Refused(f"text in {encoding!r:.20}")
    return text.encode("latin1")


# What a file may name, and what it gets for it: types that nobody can change, functions of this file, and the type of
# the values for the type of a storage.
_ALLOWED: Dict[Tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor_v3"): _tensor_of_type,
    ("torch._utils", "_rebuild_parameter"): lambda value, requires_grad, hooks: nn.Parameter(value, requires_grad),
    ("torch", "Size"): torch.Size, ("torch", "device"): torch.device, ("torch.torch_version", "TorchVersion"): str,
    ("torch.storage", "UntypedStorage"): torch.uint8,
    ("collections", "OrderedDict"): OrderedDict, ("collections", "deque"): deque,
    ("collections", "Counter"): lambda *items: Counter(*items),
    ("builtins", "set"): set, ("builtins", "frozenset"): frozenset, ("builtins", "slice"): slice,
    ("builtins", "complex"): complex, ("builtins", "bytearray"): bytearray,
    ("_codecs", "encode"): _latin,  # how protocol 2 writes bytes
    ("icefall.utils", "AttributeDict"): dict,
}
for _name in ("Path", "PosixPath", "WindowsPath"):
    _ALLOWED["pathlib", _name] = lambda *parts: Path(*parts)  # a path of this system, wherever it was written
for _name in ("PurePath", "PurePosixPath", "PureWindowsPath"):
    _ALLOWED["pathlib", _name] = lambda *parts: PurePath(*parts)
for _name, _type in {
    "Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128,
}.items():
    _ALLOWED["torch", f"{_name}Storage"] = _type


class _Reader(pickle.Unpickler):
    """Reads <name>/data.pkl of an archive, and <name>/data/<key> for each memory that tensors share."""

    def __init__(self, archive: zipfile.ZipFile, device: torch.device | str) -> None:
        pickles = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("no archive of torch.save")
        self._archive, self._device, self._root = archive, device, pickles[0][: -len(".pkl")]
        self._memories: Dict[str, Tensor] = {}
        super().__init__(archive.open(pickles[0]))

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins", "pathlib._local": "pathlib"}.get(module, module)  # older, newer names
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and isinstance(vars(torch).get(name), torch.dtype):
            return vars(torch)[name]
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, place: Any) -> Tensor:
        """("storage", type of the values, key, device, number of values) -> all of that memory, flat."""
        kind, dtype, key, _, count = place
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise _Refused(f"a {kind!r:.20}")
        if key not in self._memories:
            buffer = bytearray(self._archive.read(f"{self._root}/{key}"))  # checks its CRC-32
            flat = torch.frombuffer(buffer, dtype=dtype) if buffer else torch.empty(0, dtype=dtype)
            if len(flat) != count:
                raise ValueError(f"{len(flat)} values at {key}, where {count} should be")
            self._memories[key] = flat.to(self._device)
        return self._memories[key]
