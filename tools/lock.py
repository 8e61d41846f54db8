"""One process at a time in a folder: a second run waits, and then finds the work done."""

from __future__ import annotations

import fcntl
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds `folder`, which is made if it is not there, for this process; waits, and says so, while another holds it.

    The lock goes with the process that holds it, also by kill -9. Its file, `.lock`, stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process works in {folder}: waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
