"""A sub-network: what it is called, what it keeps, where it comes from and what its file holds.

Everything after training is keyed by its name; sparsity is one of its properties. Imports no torch.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

from omni.errors import UserError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_UNIFORM = "sparsity-"


@dataclass(frozen=True)
class Subnet:
    """A row of subnets/subnets.json; paths are relative to the experiment's folder.

    Attributes:
        name: "sparsity-0.7" of the uniform ones, else as its spec file is called: "0.6MB", "own-0.9".
        system: "omni", "dense", "pruned", "oneshot", "snapshot" or "branch", as in results.json.
        origin: "uniform" (the same sparsity everywhere), "searched" (a spec that was brought), "own training" or
            "branch".
        sparsity: asked for, the mean over the prunable weights.
        measured_sparsity: share of the prunable weights that the file leaves out.
        spec: file of {parameter: sparsity}, as omni.save_spec writes it.
        file, bytes: the file that ships, and its size.
        params_total, params_nonzero: of what decoding needs; those that are in the file.
        train_passes, train_seconds, loss_backend: of the training that it was cut from.
        epoch, avg: which checkpoints were averaged.
        precision: type of the values of matrices in `file`: "int8" with a scale an output, "float16" or "float32".
        spec_digest, checkpoint: first 16 digits of the SHA-256 of what the spec says, and of the tensors in `file`.
    """

    name: str
    system: str
    origin: str
    sparsity: float
    measured_sparsity: float
    spec: str
    file: Optional[str]
    bytes: int
    params_total: int
    params_nonzero: int
    train_passes: float
    train_seconds: float
    loss_backend: Optional[str] = None
    epoch: Optional[int] = None
    avg: Optional[int] = None
    precision: str = "float32"
    spec_digest: Optional[str] = None
    checkpoint: Optional[str] = None

    def to_row(self) -> Dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

    @staticmethod
    def from_row(row: Any, where: str) -> "Subnet":
        """
        Args:
            where: the row stands, for the error.

        Raises:
            UserError: a key is missing.
        """
        row = upgraded(row) if isinstance(row, dict) else {}
        row = {"system": "omni", "origin": "uniform", **row}
        fields = {field.name: field for field in dataclasses.fields(Subnet)}
        missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in row]
        if missing:
            raise UserError(f"{where} lacks {', '.join(missing)}: run stage 4 (subnets) again")
        return Subnet(**{name: value for name, value in row.items() if name in fields})

    @property
    def decoded_as(self) -> str:
        """What tells its files of stage 5 from others, as icefall's decode.py names them."""
        return f"epoch-{self.epoch}-avg-{self.avg}-{self.name}"


def uniform_name(sparsity: float) -> str:
    return f"{_UNIFORM}{sparsity:g}"


def is_uniform(name: str) -> bool:
    """Whether `--sparsities` gave that name."""
    return name.startswith(_UNIFORM)


def label(row: Mapping[str, Any]) -> str:
    """What a reader sees: "sparsity 0.7" for the name sparsity-0.7, else the name itself."""
    return row["name"].replace(_UNIFORM, "sparsity ", 1) if is_uniform(row["name"]) else row["name"]


def check_name(name: str, where: object) -> None:
    """
    Raises:
        UserError: it cannot be a file's name, or stands for something else.
    """
    if not _NAME.fullmatch(name) or name == "subnets":
        raise UserError(f"{where}: {name!r} is no name for a sub-network: want letters, digits and . _ + -, such as "
                        "0.6MB.json")


def upgraded(row: Mapping[str, Any]) -> Dict[str, Any]:
    """A row of subnets.json or results.json with today's keys: those of before sub-networks had names were uniform."""
    row = dict(row)
    if "size_bytes" in row:
        row["bytes"] = row.pop("size_bytes")
    if "sparsity" in row:
        row.setdefault("name", uniform_name(row["sparsity"]))
        row.setdefault("file", f"subnets/{row['name']}.pt")
    return row
