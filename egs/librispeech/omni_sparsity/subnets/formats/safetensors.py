"""`<name>.omni.safetensors`: the file that ships (omni.ship), with what a device needs beside the weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Dict, Mapping

import torch

import omni
from omni.errors import UserError
from omni.ship import container
from omni.ship.shipped import SUFFIX, Shipped

from ...config import Model
from ...model.transducer import Transducer, shipped

KIND = "emformer-transducer"
BPE = "bpe"  # a tensor of the bytes of sentencepiece's model


def write(
    path: Path,
    settings: Dict[str, Any],
    state: Mapping[str, torch.Tensor],
    blocks: Mapping[str, Any],
    values: str,
    about: Mapping[str, Any],
    bpe: bytes,
) -> None:
    with_tokens = {**state, BPE: torch.tensor(list(bpe), dtype=torch.uint8)}
    try:
        omni.pack(with_tokens, blocks, file=path, values=values, about={"kind": KIND, "model": settings, **about})
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def read(path: Path, digest: str | None = None) -> Transducer:
    """The model in a file that `write` made, in evaluation mode; int8 values times their scales.

    Raises:
        UserError: no such file, damaged, not the one that `digest` is of, or it holds other weights or settings than
            the model has.
    """
    found = load(path)
    if digest is not None and digest_of(found) != digest:
        raise _wrong(path, f"not the file that subnets.json lists ({digest})")
    settings, state = found.about.get("model"), found.state_dict()
    state.pop(BPE, None)
    if not isinstance(settings, dict):
        raise _wrong(path, "its header has no model")
    _same_names(path, "setting of the model", set(settings), {field.name for field in dataclasses.fields(Model)})
    try:
        model = Transducer(Model(**settings))
    except Exception as error:  # whatever a layer says of a value that makes no sense
        raise _wrong(path, f"its settings make no model ({error})") from None
    _same_names(path, "weight", set(state), set(shipped(model.state_dict())))
    try:
        model.load_state_dict(state, strict=False)  # heads of the training are not shipped
    except RuntimeError as error:
        raise _wrong(path, f"weights of another shape ({str(error).splitlines()[-1].strip()})") from None
    return model.eval()


def load(path: Path) -> Shipped:
    """
    Raises:
        UserError: as `omni.load`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; stage 4 (subnets) makes it")
    try:
        return omni.load(path, KIND)
    except ValueError as error:
        raise UserError(f"{error}, or delete it and run stage 4 (subnets) again") from None


def digest_of(found: Shipped) -> str:
    """Sixteen digits that results which are added to the header leave alone."""
    return found.sha256[:16]


def note(path: Path, more: Mapping[str, Any]) -> None:
    """Adds to what the file says of itself; the tensors stay as they are.

    Raises:
        UserError: as `load`.
    """
    load(path)
    container.rewrite(path, more)


def parameters(found: Shipped) -> Dict[str, int]:
    """-> {name: values in the file}, the BPE model left out."""
    counts = {name: value.size for name, value in found.plain.items() if name != BPE}
    return {**{name: weight.values.size for name, weight in found.weights.items()}, **counts}


def _same_names(path: Path, what: str, found: set, wanted: set) -> None:
    for odd, says in ((wanted - found, "is missing"), (found - wanted, "is none of this model's")):
        if odd:
            more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
            raise _wrong(path, f"{what} {min(map(str, odd))}{more} {says}")


def _wrong(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}: delete the file and run stage 4 (subnets) again")
