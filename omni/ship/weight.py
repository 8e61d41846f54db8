"""A matrix as it ships: kept blocks, which blocks they are, a scale an output. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Dict, List, Mapping, Optional, Tuple

import numpy as np

from . import coding
from .quantize import quantize, restore

TYPES = {"int8": np.int8, "float16": np.float16, "float32": np.float32}  # of values


@dataclass(frozen=True)
class Weight:
    """A weight of two dimensions or more, seen as a matrix (outputs, everything else).

    Attributes:
        shape: of the weight.
        blocks: (rows, columns) of a block; None: dense.
        values: dense: of `shape`. Sparse: (kept blocks, columns, rows), the blocks of the first `rows` outputs first,
            within them by rising column.
        kept: bool (outputs / rows, inputs / columns); None where dense.
        scale: (outputs,) float16 or float32 that int8 values are multiplied by; None for other values.
    """

    shape: Tuple[int, ...]
    blocks: Optional[Tuple[int, int]]
    values: np.ndarray
    kept: Optional[np.ndarray]
    scale: Optional[np.ndarray]

    @staticmethod
    def of(weight: np.ndarray, blocks: Optional[Tuple[int, int]], values: str) -> "Weight":
        """
        Args:
            weight: float32; stored sparse where `blocks` are given and one of them is zero.
            values: "int8", "float16" or "float32".

        Raises:
            ValueError: NaN, infinity, or beyond the range of float16.
        """
        if not np.isfinite(weight).all():
            raise ValueError("NaN or infinity among its values")
        scale = None
        if values == "int8":
            stored, scale = quantize(weight)
        else:
            with np.errstate(over="ignore"):
                stored = weight.astype(TYPES[values])
            if not np.isfinite(stored).all():
                raise ValueError("a value beyond the range of float16: pack it with float32 or int8")
        if blocks is None:
            return Weight(weight.shape, None, stored, None, scale)
        kept = (_split(weight, blocks) != 0).any(axis=(2, 3))
        if kept.all():
            return Weight(weight.shape, None, stored, None, scale)
        return Weight(weight.shape, blocks, _split(stored, blocks)[kept], kept, scale)

    def dense(self) -> np.ndarray:
        """float32, of `shape`.

        Raises:
            MemoryError: more than there is room for.
        """
        whole = self.values
        if self.blocks is not None:
            rows, columns = self.blocks
            groups, across = self.kept.shape
            whole = np.zeros((groups, across, columns, rows), self.values.dtype)
            whole[self.kept] = self.values
            whole = whole.transpose(0, 3, 1, 2).reshape(self.shape)  # (group, row, block column, column)
        return whole.astype(np.float32) if self.scale is None else restore(whole, self.scale)

    def tensors(self, coded: bool) -> Tuple[Dict[str, np.ndarray], Dict[str, List[int]]]:
        """-> {end of the tensor's name: tensor}, {"shape", "blocks"} for the header."""
        about = {"shape": list(self.shape)}
        out = {"values": self.values}
        if self.values.dtype == np.int8 and coded:
            out["values"] = _bytes(coding.deflate(np.ascontiguousarray(self.values).tobytes()))
        if self.kept is not None:
            about["blocks"] = list(self.blocks)
            out["mask"] = (_bytes(coding.encode_mask(self.kept)) if coded
                           else np.packbits(self.kept.ravel(), bitorder="little"))
        if self.scale is not None:
            out["scale"] = self.scale
        return out, about

    @staticmethod
    def read(about: object, tensors: Mapping[str, np.ndarray], coded: bool) -> "Weight":
        """What `tensors` said.

        Raises:
            ValueError: it does not fit together.
        """
        if not isinstance(about, dict):
            raise ValueError("nothing is said of its shape")
        shape, blocks = (about.get(key) for key in ("shape", "blocks"))
        for sizes, least in ((shape, 2), (blocks, 2)):
            fits = isinstance(sizes, list) and all(type(size) is int and 0 < size < 2**31 for size in sizes)
            if sizes is not None and not (fits and len(sizes) >= least):
                raise ValueError(f"a shape or blocks of {sizes!r:.60}")
        if shape is None or math.prod(shape) >= 2**40:
            raise ValueError(f"a shape of {shape!r:.60}")
        if (blocks is None) != ("mask" not in tensors):
            raise ValueError("blocks without a mask, or a mask without blocks")
        kept, inner = None, tuple(shape)
        if blocks is not None:
            (rows, columns), inputs = blocks[:2], math.prod(shape[1:])
            if len(blocks) != 2 or shape[0] % rows or inputs % columns:
                raise ValueError(f"shape {shape} is no whole number of blocks of {blocks}")
            grid = (shape[0] // rows, inputs // columns)
            kept = _mask(tensors["mask"], grid[0] * grid[1], coded).reshape(grid)
            inner = (int(kept.sum()), columns, rows)
        values, scale = tensors["values"], tensors.get("scale")
        if scale is not None:
            if scale.dtype not in (np.float16, np.float32) or scale.shape != (shape[0],):
                raise ValueError(f"scales of {scale.dtype} {list(scale.shape)} for {shape[0]} outputs")
            if not np.isfinite(scale).all():
                raise ValueError("NaN or infinity among its scales")
            if coded:
                if values.dtype != np.uint8 or values.ndim != 1:
                    raise ValueError(f"values of {values.dtype}, want a deflate stream in uint8")
                values = np.frombuffer(coding.inflate(values.tobytes(), math.prod(inner)), np.int8)
                if values.size != math.prod(inner):
                    raise ValueError(f"{values.size} values, want {math.prod(inner)}")
                values = values.reshape(inner)
        if values.dtype not in ((np.int8,) if scale is not None else (np.float16, np.float32)):
            raise ValueError(f"values of {values.dtype} {'with' if scale is not None else 'without'} scales")
        if values.shape != inner:
            raise ValueError(f"values of {list(values.shape)}, want {list(inner)}")
        return Weight(tuple(shape), tuple(blocks) if blocks else None, values, kept, scale)


def _split(weight: np.ndarray, blocks: Tuple[int, int]) -> np.ndarray:
    """(O, ...) -> (O / rows, inputs / columns, columns, rows)."""
    rows, columns = blocks
    return weight.reshape(len(weight) // rows, rows, -1, columns).transpose(0, 2, 3, 1)


def _mask(data: np.ndarray, count: int, coded: bool) -> np.ndarray:
    if data.dtype != np.uint8 or data.ndim != 1:
        raise ValueError(f"a mask of {data.dtype}")
    if count > 2**31:
        raise ValueError(f"{count} blocks")
    if coded:
        return coding.decode_mask(data.tobytes(), count)
    if data.size != -(-count // 8):
        raise ValueError(f"{data.size} bytes of mask for {count} blocks")
    return np.unpackbits(data, count=count, bitorder="little").astype(bool)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)
