"""`<name>.pt`: torch.save of {"config": settings of the model, "weights": omni.pack(...)}; the zeros are left out."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, Dict, Mapping

import torch

import omni
from omni.errors import UserError
from omni.files import atomic
from omni.loading import load_pt

from ...config import Model
from ...model.transducer import Transducer, shipped


def write(path: Path, settings: Dict[str, Any], state: Mapping[str, torch.Tensor], blocks: Mapping[str, Any]) -> None:
    buffer = io.BytesIO()  # not straight to the file: torch would write its name into it
    torch.save({"config": settings, "weights": omni.pack(state, blocks)}, buffer)
    with atomic(path) as beside:
        beside.write_bytes(buffer.getvalue())


def read(path: Path, digest: str | None = None) -> Transducer:
    """The model in a file that `write` made, in evaluation mode.

    Raises:
        UserError: no such file, damaged, not the one that `digest` is of, or it holds other weights or settings than
            the model has. Nothing but tensors and plain values is unpickled from it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; stage 4 (subnets) makes it")
    data = path.read_bytes()
    if digest is not None and hashlib.sha256(data).hexdigest()[:16] != digest:
        raise _wrong(path, f"not the file that subnets.json lists ({digest})")
    settings, state = _content(path, data)
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


def _content(path: Path, data: bytes) -> tuple[Dict[str, Any], Dict[str, torch.Tensor]]:
    try:
        damaged = zipfile.ZipFile(io.BytesIO(data)).testzip()  # torch reads past a wrong checksum
        if damaged:
            raise ValueError(f"its part {damaged} is damaged")
        content = load_pt(path)  # not torch.load(weights_only=True): torch 1.13's refuses numbers with a fraction
        whole = isinstance(content, dict) and set(content) == {"config", "weights"}
        if not whole or not isinstance(content["config"], dict):
            raise ValueError("want config and weights")
        state = omni.unpack(content["weights"])
        odd = [name for name, value in state.items() if not isinstance(value, torch.Tensor)]
        if odd:
            raise ValueError(f"{odd[0]} is no tensor")
        return content["config"], state
    except Exception as error:  # damage has many voices: zip, pickle, tensors that do not fit
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise _wrong(path, f"not a sub-network of stage 4 ({why})") from None


def _same_names(path: Path, what: str, found: set, wanted: set) -> None:
    for odd, says in ((wanted - found, "is missing"), (found - wanted, "is none of this model's")):
        if odd:
            more = f" (and {len(odd) - 1} more)" if len(odd) > 1 else ""
            raise _wrong(path, f"{what} {min(map(str, odd))}{more} {says}")


def _wrong(path: Path, what: str) -> UserError:
    return UserError(f"{path}: {what}: delete the file and run stage 4 (subnets) again")
