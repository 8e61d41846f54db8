"""How a mistake of the caller reaches the terminal: one clear line and a non-zero exit, never a traceback."""

from __future__ import annotations

import errno
import functools
import sys
from typing import Callable

# A full disk has many voices: the C library's, torch's zip writer, libsndfile, HDF5, sqlite, protobuf streams.
_FULL_DISK = ("no space left on device", "pytorchstreamwriter failed", "disk quota exceeded", "iostream error")


class UserError(Exception):
    """Bad input. The message is one line that names the file or value and says what to do."""


def is_full_disk(error: BaseException) -> bool:
    """Whether `error`, or what it was raised from, says that a file system is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(voice in str(seen).lower() for voice in _FULL_DISK):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def cli(main: Callable[..., None]) -> Callable[..., None]:
    """Wraps the `main()` of a command: UserError and a full disk end as one line on stderr with exit code 2.

    Other exceptions keep their traceback: they are our mistakes, and a report needs it.
    """

    @functools.wraps(main)
    def wrapped(*args, **kwargs) -> None:
        try:
            main(*args, **kwargs)
        except UserError as error:
            _stop(" ".join(str(error).split()))
        except KeyboardInterrupt:
            print("stopped; the same command goes on from here", file=sys.stderr)
            raise SystemExit(130) from None
        except Exception as error:
            if not is_full_disk(error):
                raise
            name = getattr(error, "filename", None)
            where = f" while writing {name}" if name else ""
            advice = "free some disk and run the same command again, it goes on from here"
            _stop(f"no space left on device{where}: {advice}")

    return wrapped


def _stop(line: str) -> None:
    print(f"error: {line}", file=sys.stderr)
    raise SystemExit(2)
