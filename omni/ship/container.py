"""A safetensors file with a version, a kind and a checksum, read where it lies on the disk. Imports no torch.

https://github.com/huggingface/safetensors has the format: eight bytes with the length of a JSON header, the header with
type, shape and place of each tensor and a dictionary of texts, then the tensors. Nothing in it can be run.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import numpy as np

from ..files import atomic

VERSION = 1
_TYPES = {"BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
          "F16": np.float16, "F32": np.float32, "F64": np.float64}


def _safetensors():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError("files that ship need the safetensors package: pip install safetensors") from None
    return safetensors


def digest_of_tensors(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256, in hexadecimal, of name, type, shape and bytes of each tensor, sorted by name."""
    sum_ = hashlib.sha256()
    for name in sorted(tensors):
        value = np.asarray(tensors[name], order="C")
        sum_.update(f"{name}\0{value.dtype.str[1:]}\0{','.join(map(str, value.shape))}\0".encode())
        sum_.update(value.reshape(-1).view(np.uint8).data)
    return sum_.hexdigest()


def digest_of_texts(texts: Mapping[str, str]) -> str:
    """SHA-256, in hexadecimal, of all texts but its own, sorted by name."""
    rest = sorted((name, text) for name, text in texts.items() if name != "sha256_header")
    return hashlib.sha256("".join(f"{name}\0{text}\0" for name, text in rest).encode()).hexdigest()


def write(path: Path, tensors: Mapping[str, np.ndarray], texts: Mapping[str, str]) -> None:
    """Writes the file, whole or not at all.

    Args:
        texts: what the header says beside the tensors; "omni_version", "sha256" and "sha256_header" are added.

    Raises:
        ImportError: the safetensors package is not installed.
    """
    texts = {**texts, "omni_version": str(VERSION), "sha256": digest_of_tensors(tensors)}
    texts["sha256_header"] = digest_of_texts(texts)
    data = _safetensors().numpy.save({name: np.asarray(tensors[name], order="C") for name in tensors}, metadata=texts)
    with atomic(path) as beside:
        beside.write_bytes(data)


def rewrite(path: Path, more: Mapping[str, Any]) -> None:
    """Adds `more` as JSON to the texts of a file, or puts it in the place of what was there; the tensors stay.

    Raises:
        ValueError: as `read`.
    """
    tensors, texts = read(path)
    added = {key: as_json(value) for key, value in more.items()}
    if any(texts.get(key) != text for key, text in added.items()):
        write(path, tensors, {**texts, **added})


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def read(path: Path) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """-> tensors, read-only and mapped from the file; texts.

    Raises:
        ValueError: no such file, not a whole one, of a newer version, or changed since it was written.
        ImportError: the safetensors package is not installed.
    """
    safetensors = _safetensors()
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            texts = file.metadata() or {}
            kinds = {name: (file.get_slice(name).get_dtype(), tuple(file.get_slice(name).get_shape()))
                     for name in file.offset_keys()}
    except (safetensors.SafetensorError, OSError, ValueError, OverflowError, MemoryError) as error:
        raise ValueError(f"{path}: not a whole safetensors file ({error}); get it anew") from None
    version = texts.get("omni_version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise ValueError(f"{path}: a safetensors file, but not one that omni wrote (no omni_version)")
    if int(version) > VERSION:
        raise ValueError(f"{path}: of version {int(version)}, this omni reads up to {VERSION}: update omni")
    tensors = _mapped(path, kinds)
    if (texts.get("sha256"), texts.get("sha256_header")) != (digest_of_tensors(tensors), digest_of_texts(texts)):
        raise ValueError(f"{path}: changed since it was written (SHA-256); get it anew")
    return tensors, texts


def _mapped(path: Path, kinds: Mapping[str, Tuple[str, tuple]]) -> Dict[str, np.ndarray]:
    """Views of the file; the library has made sure that tensors lie one behind the other up to its end."""
    odd = [name for name, (kind, _) in kinds.items() if kind not in _TYPES]
    if odd:
        raise ValueError(f"{path}: {odd[0]} is of type {kinds[odd[0]][0]}, want one of {', '.join(_TYPES)}")
    sizes = {name: int(np.prod(shape, dtype=object)) * np.dtype(_TYPES[kind]).itemsize
             for name, (kind, shape) in kinds.items()}
    start = os.path.getsize(path) - sum(sizes.values())
    mapped = np.memmap(path, np.uint8, "r")
    tensors = {}
    for name, (kind, shape) in kinds.items():
        tensors[name] = mapped[start : start + sizes[name]].view(_TYPES[kind]).reshape(shape).view(np.ndarray)
        start += sizes[name]
    return tensors
