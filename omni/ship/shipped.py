"""A model as it ships: `omni.pack(..., file=...)` writes it, `omni.load` reads it without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple

import numpy as np

from . import container
from .weight import TYPES, Weight

SUFFIX = ".omni.safetensors"
_DIGESTS = ("omni_version", "sha256", "sha256_header")
_OURS = {*_DIGESTS, "values", "weights", "coding"}  # texts of the header that `about` cannot have


class Shipped:
    """
    Attributes:
        about: what the header says beside the tensors: of `omni.pack` "values" ("int8", "float16" or "float32") and
            what its caller gave.
        weights: {name: Weight} of the weights of two dimensions or more.
        plain: {name: array} of all others, norms and biases; arrays are read-only and mapped from the file.
        sha256: of the tensors, in hexadecimal; what `about` says is no part of it.
    """

    def __init__(
        self, about: Dict[str, Any], weights: Dict[str, Weight], plain: Dict[str, np.ndarray], sha256: str
    ) -> None:
        self.about, self.weights, self.plain, self.sha256 = about, weights, plain, sha256

    def arrays(self) -> Dict[str, np.ndarray]:
        """The state dict as numpy arrays: float32, where a weight was a number with a fraction."""
        return {**{name: weight.dense() for name, weight in self.weights.items()}, **self.plain}

    def state_dict(self) -> Dict[str, Any]:
        """`arrays` as torch tensors, for `model.load_state_dict`."""
        import torch

        return {name: torch.from_numpy(np.array(value)) for name, value in self.arrays().items()}


def write(
    path: str | Path,
    state: Mapping[str, np.ndarray],
    blocks: Mapping[str, Tuple[int, int]],
    values: str = "int8",
    about: Optional[Mapping[str, Any]] = None,
    coded: bool = True,
) -> None:
    """Writes a state dict of numpy arrays; `omni.pack` says what of each argument.

    Raises:
        ValueError: a value or name that the file cannot hold; the weight is named.
    """
    path, about = Path(path), dict(about or {})
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"{path}: want a name that ends in {SUFFIX}")
    if values not in TYPES:
        raise ValueError(f"values {values!r}: want one of {', '.join(TYPES)}")
    odd = sorted(_OURS.intersection(about)) + [key for key in about if not isinstance(key, str)]
    if odd:
        raise ValueError(f"about: {odd[0]!r} is no key of the caller's")
    tensors: Dict[str, np.ndarray] = {}
    shapes = {}
    for name, value in state.items():
        parts, said = {"": value}, None
        if np.issubdtype(value.dtype, np.floating):
            value = np.asarray(value, np.float32, order="C")
            parts = {"": value}
            if value.ndim >= 2 and value.size:
                try:
                    ends, said = Weight.of(value, blocks.get(name), values).tensors(coded)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
                parts = {f".{end}": part for end, part in ends.items()}
        for end, part in parts.items():
            if name + end in tensors:
                raise ValueError(f"{name + end}: two weights would have that name in the file")
            tensors[name + end] = part
        if said is not None:
            shapes[name] = said
    said = {**about, "values": values, "weights": shapes, "coding": "deflate" if coded else "none"}
    container.write(path, tensors, {key: container.as_json(value) for key, value in said.items()})


def load(path: str | Path, kind: Optional[str] = None) -> Shipped:
    """Reads a file that `omni.pack` wrote; imports no torch.

    Args:
        kind: what `about["kind"]` must be; None: anything.

    Raises:
        ValueError: no such file, damaged, of a newer version, or of another kind; one line that names the file.
        ImportError: the safetensors package is not installed.
    """
    path = Path(path)
    tensors, texts = container.read(path)
    try:
        about = {key: json.loads(text) for key, text in texts.items() if key not in _DIGESTS}
    except (ValueError, RecursionError):
        raise ValueError(f"{path}: its header is not JSON; get it anew") from None
    shapes, coding = about.pop("weights", None), about.pop("coding", None)
    if kind is not None and about.get("kind") != kind:
        raise ValueError(f"{path}: of kind {about.get('kind')!r:.60}, want {kind!r}")
    if not isinstance(shapes, dict) or coding not in ("deflate", "none"):
        raise ValueError(f"{path}: its header lacks weights or coding; get it anew")
    weights = {}
    for name, said in shapes.items():
        parts = {end: tensors.pop(f"{name}.{end}") for end in ("values", "mask", "scale") if f"{name}.{end}" in tensors}
        try:
            if "values" not in parts:
                raise ValueError("its values are missing")
            weights[name] = Weight.read(said, parts, coding == "deflate")
        except (ValueError, MemoryError) as error:
            raise ValueError(f"{path}: {name}: {error or 'more than there is memory for'}; get it anew") from None
    return Shipped(about, weights, tensors, texts["sha256"])
