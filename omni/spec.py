"""A sub-network on paper: {parameter name: sparsity}, plain JSON, and the model it belongs to."""

from __future__ import annotations

import hashlib
import json
from numbers import Real
from pathlib import Path
from typing import Any, Dict, Mapping

from torch import nn

from .files import write_json

Spec = Dict[str, float]
VERSION = 1


def spec_of(given: Any, net: Any) -> Spec:
    """A spec as it is; one number as `net.uniform` of it.

    Raises:
        ValueError: a sparsity that is out of the range of every weight.
        TypeError: neither.
    """
    if isinstance(given, Mapping):
        return given
    if not isinstance(given, Real) or isinstance(given, bool):
        raise TypeError(f"{given!r:.60}: want a spec, {{parameter name: sparsity}}, or one sparsity for all weights, "
                        "such as 0.8" + ("; single and pick give (kind, spec)" if isinstance(given, tuple) else ""))
    spec = net.uniform(float(given))
    low = min(spec.values())
    if given < low:  # `uniform` takes it for the largest sub-network
        raise ValueError(f"sparsity {given}: no weight can have it; the nearest is {low:g}")
    return spec


def check_spec(spec: Spec, targets: Mapping[str, Any]) -> None:
    """
    Raises:
        ValueError: a name that is none of `targets` ({parameter name: Target}), or a sparsity that its structure does
            not have.
    """
    for name, sparsity in spec.items():
        if name not in targets:
            raise ValueError(f"{name}: not a weight that this supernet prunes")
        if not isinstance(sparsity, Real) or not 0.0 <= sparsity < 1.0:
            raise ValueError(f"{name}: sparsity {sparsity!r}, want 0 <= sparsity < 1")
        structure = targets[name].structure
        if sparsity > structure.limit:
            raise ValueError(f"{name}: sparsity {sparsity}, structure '{structure}' goes to {structure.limit:g}")


def fingerprint(model: nn.Module) -> str:
    """Sixteen hex digits over the names and shapes of the model's parameters: what a spec must fit."""
    shapes = sorted((name, list(parameter.shape)) for name, parameter in model.named_parameters())
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()[:16]


def save_spec(path: str | Path, spec: Spec, model: nn.Module) -> None:
    """Writes {"omni_spec": version, "fingerprint": of `model`, "sparsity": spec}, whole or not at all.

    Raises:
        ValueError: the spec names what is no parameter of the model, or holds no sparsity.
    """
    _check(path, spec, model)
    whole = {"omni_spec": VERSION, "fingerprint": fingerprint(model), "sparsity": spec}
    write_json(path, whole)


def load_spec(path: str | Path, model: nn.Module) -> Spec:
    """Reads a spec file.

    Raises:
        ValueError: not a spec file, another version, made for a model of other parameters, or holding what is no
            sparsity.
    """
    try:
        whole = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or no text at all
        raise ValueError(f"{path}: not a spec file ({error})") from None
    if not isinstance(whole, dict) or not {"omni_spec", "fingerprint", "sparsity"} <= set(whole):
        raise ValueError(f"{path}: not a spec file")
    if whole["omni_spec"] != VERSION:
        raise ValueError(f"{path}: a spec file of version {whole['omni_spec']}, this omni reads version {VERSION}")
    if whole["fingerprint"] != fingerprint(model):
        raise ValueError(f"{path}: made for a model with other parameters ({whole['fingerprint']}, "
                         f"this one is {fingerprint(model)})")
    _check(path, whole["sparsity"], model)
    return whole["sparsity"]


def _check(path: Path | str, spec: Any, model: nn.Module) -> None:
    names = {name for name, _ in model.named_parameters()}
    for name, sparsity in spec.items() if isinstance(spec, dict) else [("sparsity", None)]:
        if isinstance(sparsity, bool) or not isinstance(sparsity, (int, float)) or not 0.0 <= sparsity < 1.0:
            raise ValueError(f"{path}: {name}: sparsity {sparsity}, want 0 <= sparsity < 1")
        if name not in names:
            raise ValueError(f"{path}: {name}: not a parameter of {type(model).__name__}")
