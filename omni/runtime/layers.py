"""Layers over rows of float32, and the weights of a file that ships as what multiplies them."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, Set, Tuple

import numpy as np

from ..ship.shipped import Shipped
from ..ship.weight import Weight
from .kernels import Matrix

EPSILON = np.float32(1e-5)  # of torch.nn.LayerNorm


class Weights:
    """The weights of a file by name. Each is taken once; `done` says what nobody took.

    Values stay what they are in the file: int8 with its scales, or float32, which is used where it lies in the mapped
    file unless it is dense (the kernels want panels of it). float16 becomes float32.
    """

    def __init__(self, shipped: Shipped, path: Path) -> None:
        self._shipped, self._path = shipped, path
        self._left: Set[str] = {*shipped.weights, *shipped.plain}

    def weight(self, name: str, shape: Tuple[int, ...]) -> Weight:
        """
        Raises:
            ValueError: it is missing or of another shape; it is named.
        """
        found = self._shipped.weights.get(name)
        self._check(name, None if found is None else found.shape, shape)
        return found

    def plain(self, name: str, shape: Tuple[int, ...]) -> np.ndarray:
        """A copy in float32, for what numpy works on; errors as `weight`."""
        found = self._shipped.plain.get(name)
        self._check(name, None if found is None else found.shape, shape)
        return np.array(found, np.float32)

    def bytes(self, name: str) -> bytes:
        found = self._shipped.plain.get(name)
        self._check(name, None if found is None else found.shape, None)
        return found.tobytes()

    def linear(self, name: str, outputs: int, inputs: int, bias: bool = True) -> Matrix:
        """`<name>.weight` (outputs, inputs) with `<name>.bias`; errors as `weight`."""
        weight = self.weight(f"{name}.weight", (outputs, inputs))
        return matrix(weight, self.plain(f"{name}.bias", (outputs,)) if bias else None)

    def norm(self, name: str, size: int) -> "LayerNorm":
        return LayerNorm(self.plain(f"{name}.weight", (size,)), self.plain(f"{name}.bias", (size,)))

    def done(self) -> None:
        """
        Raises:
            ValueError: the file holds weights that are none of this model's.
        """
        if self._left:
            more = f" (and {len(self._left) - 1} more)" if len(self._left) > 1 else ""
            raise ValueError(f"{self._path}: weight {min(self._left)}{more} is none of this model's; update omni")

    def _check(self, name: str, found: object, wanted: object) -> None:
        if found is None:
            raise ValueError(f"{self._path}: weight {name} is missing; make the file anew")
        if wanted is not None and tuple(found) != tuple(wanted):
            raise ValueError(f"{self._path}: {name} is {tuple(found)}, its settings want {tuple(wanted)}; "
                             "make the file anew")
        self._left.discard(name)


def matrix(weight: Weight, bias: np.ndarray | None) -> Matrix:
    """The kernels' matrix of a weight of a file: kept blocks and int8 values as they are."""
    values = weight.values.astype(np.float32) if weight.values.dtype == np.float16 else weight.values
    scale = None if weight.scale is None else weight.scale.astype(np.float32)
    if weight.blocks is None:
        return Matrix.dense(values.reshape(weight.shape[0], -1), scale, bias)
    across = weight.kept.shape[1]
    columns = np.nonzero(weight.kept)[1].astype(np.uint16 if across <= 2**16 else np.uint32)
    starts = np.concatenate([[0], np.cumsum(weight.kept.sum(axis=1))]).astype(np.int32)
    shape = (weight.shape[0], across * weight.blocks[1])
    return Matrix.sparse(values, columns, starts, shape, weight.blocks, scale, bias)


class LayerNorm:
    """torch.nn.LayerNorm over rows."""

    def __init__(self, weight: np.ndarray, bias: np.ndarray) -> None:
        self.weight, self.bias = weight, bias
        self._share = np.float32(1 / len(weight))

    def apply(self, x: np.ndarray, out: np.ndarray, work: np.ndarray, one: np.ndarray) -> None:
        """
        Args:
            x: (M, D); `out` may be x itself.
            work: (M, D), written over; one: (M, 1), written over.
        """
        np.add.reduce(x, axis=1, out=one, keepdims=True)
        one *= self._share
        np.subtract(x, one, out=out)
        np.multiply(out, out, out=work)
        np.add.reduce(work, axis=1, out=one, keepdims=True)
        one *= self._share
        one += EPSILON
        np.sqrt(one, out=one)
        out /= one
        out *= self.weight
        out += self.bias


def silu(x: np.ndarray, work: np.ndarray) -> None:
    """x / (1 + exp(-x)) in place; exp may overflow, to the right result."""
    np.negative(x, out=work)
    np.exp(work, out=work)
    work += np.float32(1)
    x /= work


def relu(x: np.ndarray, work: np.ndarray) -> None:
    np.maximum(x, np.float32(0), out=x)


def gelu(x: np.ndarray, work: np.ndarray) -> None:
    """x (1 + erf(x / sqrt 2)) / 2 in place, erf to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    t = 1 / (1 + np.float32(0.3275911 / np.sqrt(2)) * np.abs(x))
    work.fill(1.061405429)
    for factor in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        work *= t
        work += np.float32(factor)
    work *= t
    work *= np.exp(x * x * np.float32(-0.5))  # 1 - erf(|x| / sqrt 2)
    np.subtract(np.float32(2), work, out=work, where=x > 0)
    work *= np.float32(0.5)
    x *= work


ACTIVATIONS: Dict[str, Callable[[np.ndarray, np.ndarray], None]] = {"relu": relu, "gelu": gelu, "silu": silu}


def softmax(scores: np.ndarray, one: np.ndarray) -> None:
    """Over the last axis, in place; `one` has a last axis of 1 and is written over."""
    np.maximum.reduce(scores, axis=-1, out=one, keepdims=True)
    scores -= one
    np.exp(scores, out=scores)
    np.add.reduce(scores, axis=-1, out=one, keepdims=True)
    scores /= one
