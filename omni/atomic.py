"""Files that are whole or absent. (The recipe has tools/atomic.py, which loads no torch.)"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yields a path beside `path`; what is written there is renamed to `path` at the end, and removed on an exception."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".tmp-{path.name}")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_json(path: str | Path, value: Any) -> None:
    """Writes `value` as indented JSON, whole or not at all."""
    with atomic(path) as beside:
        beside.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
