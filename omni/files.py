"""Files that are whole or absent: written beside their place, then renamed. This is what makes kill -9 harmless."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` with the same suffixes; renames it on success, removes it on an exception.

    The temporary name is fixed (`.tmp-<name>`), so what a killed process left is overwritten by the next try. Writers
    that work at the same time must not share a target.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".tmp-{path.name}")  # the suffixes stay last: writers choose a format by them
    try:
        yield beside
        with open(beside, "rb") as file:  # a rename may reach the disk before the data does
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None and error.errno is not None:
            error.filename = str(path)  # a full disk is told with the file that did not fit; words alone would be lost
        raise


def write_text(path: str | Path, text: str) -> None:
    """Writes `text` (UTF-8) to `path`, whole or not at all."""
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
