"""One process at a time in a folder: a second run waits, and then finds the work done."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds `folder`, which is made if it is not there, for this process; waits, and says so, while another holds it.

    The lock, a file `.lock`, is gone afterwards; of a process that was killed the file may stay, and holds nobody up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    file = _locked(path)
    while not _is(file, path):  # who held it before has removed it: another may have made it anew meanwhile
        file.close()
        file = _locked(path)
    with file:
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path) -> IO[str]:
    file = open(path, "a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"another process works in {path.parent}: waiting for it", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
