"""subnets/subnets.json: the sub-networks of an experiment, the densest first. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Dict, Iterable, List

from omni.errors import UserError
from omni.files import write_json

from .subnet import Subnet, check_name

INDEX = "subnets.json"


def index_path(exp_dir: Path) -> Path:
    return exp_dir / "subnets" / INDEX


def read_index(exp_dir: Path) -> List[Subnet]:
    """
    Raises:
        UserError: no such file, or not one of stage 4's.
    """
    path, again = index_path(exp_dir), "run stage 4 (subnets) again"
    if not path.is_file():
        raise UserError(f"{path} is missing: stage 4 (subnets) makes it: ./run.sh --stage 4")
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise UserError(f"{path} is not JSON ({error}): delete it and {again}") from None
    if not isinstance(rows, list):
        raise UserError(f"{path} holds a {type(rows).__name__}, not a list: delete it and {again}")
    if not rows:
        raise UserError(f"{path} lists no sub-network: {again}")
    subnets = [Subnet.from_row(row, f"{path}: row {number}") for number, row in enumerate(rows, 1)]
    seen = set()
    for subnet in subnets:
        if subnet.name in seen:
            raise UserError(f"{path}: {subnet.name} is there twice: delete it and {again}")
        seen.add(subnet.name)
    return subnets


def write_index(exp_dir: Path, subnets: Iterable[Subnet]) -> None:
    ordered = sorted(subnets, key=lambda subnet: (subnet.sparsity, subnet.name))
    write_json(index_path(exp_dir), [subnet.to_row() for subnet in ordered])


def spec_files(folder: Path) -> Dict[str, Path]:
    """{name of a sub-network: its spec file} of a folder: every .json but the index.

    Raises:
        UserError: a file whose name cannot be that of a sub-network.
    """
    files = [path for path in sorted(folder.glob("*.json")) if path.name != INDEX and not path.name.startswith(".")]
    for path in files:
        check_name(path.stem, path)
    return {path.stem: path for path in files}


def digest_of_spec(path: Path) -> str | None:
    """Sixteen digits of what a spec file says, however it is laid out; None where it is no JSON."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
