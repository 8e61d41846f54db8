"""One process at a time in a folder: a second one waits, and then finds the work done, or is refused."""

from __future__ import annotations

import fcntl
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Iterator

from .errors import UserError


@contextmanager
def hold(folder: Path, wait: bool = True) -> Iterator[None]:
    """Holds `folder`, which is made if it is not there, for this process; waits, and says so, while another holds it.

    The lock, a file `.lock`, is gone afterwards; of a process that was killed the file may stay, and holds nobody up.

    Raises:
        UserError: another process holds it, which is named, and `wait` is False.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    file = _locked(path, wait)
    while not _is(file, path):  # who held it before has removed it: another may have made it anew meanwhile
        file.close()
        file = _locked(path, wait)
    with file:
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _locked(path: Path, wait: bool) -> IO[str]:
    file = open(path, "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if not wait:
            file.seek(0)
            who = file.read().strip()
            file.close()
            raise UserError(f"{path.parent}: another process ({who or 'just begun'}) works there: wait for its end, or "
                            "give another folder") from None
        print(f"another process works in {path.parent}: waiting for it", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)
    return file


def _is(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
