"""A sub-network on paper: {parameter name: sparsity}, plain JSON, and the model it belongs to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict

from torch import nn

Spec = Dict[str, float]
VERSION = 1


def fingerprint(model: nn.Module) -> str:
    """Sixteen hex digits over the names and shapes of the model's parameters: what a spec must fit."""
    shapes = sorted((name, list(parameter.shape)) for name, parameter in model.named_parameters())
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]


def dump_spec(spec: Spec, model: nn.Module) -> str:
    """The text of a spec file: version, fingerprint of `model`, sparsities."""
    whole = {"omni_spec": VERSION, "fingerprint": fingerprint(model), "sparsity": spec}
    return json.dumps(whole, indent=1) + "\n"


def load_spec(path: str | Path, model: nn.Module) -> Spec:
    """Reads a spec file.

    Raises:
        ValueError: not a spec file, another version, or made for a model of other parameters.
    """
    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not a spec file ({error})") from None
    if not isinstance(whole, dict) or whole.get("omni_spec") != VERSION:
        raise ValueError(f"{path}: not a spec file of version {VERSION}")
    if whole["fingerprint"] != fingerprint(model):
        raise ValueError(f"{path}: made for a model with other parameters ({whole['fingerprint']}, "
                         f"this one is {fingerprint(model)})")
    return whole["sparsity"]
