"""A progress bar on a terminal; elsewhere a line now and then that says how long is left."""

from __future__ import annotations

import io
import sys
import time
from typing import Iterable, Iterator, TypeVar

Item = TypeVar("Item")
TIME = "%Y-%m-%d %H:%M:%S"  # as run.sh writes it
_SECONDS = 15.0  # between lines, and before the first


class _Lines(io.TextIOBase):
    """A stream for tqdm that turns each state of the bar into a line on stderr."""

    def write(self, text: str) -> int:
        if line := text.strip("\r\n "):
            print(time.strftime(TIME), line, file=sys.stderr, flush=True)
        return len(text)


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Passes `items` through and shows on stderr how many of `total` have gone by, how fast, and the time that is left.

    Args:
        items: anything to loop over.
        total: how many items there are.
        what: their name in the plural, such as "speakers".
    """
    from tqdm import tqdm

    shown = {"total": total, "desc": what, "unit": f" {what}", "disable": False}  # whatever TQDM_DISABLE says
    if sys.stderr.isatty():
        yield from tqdm(items, **shown, dynamic_ncols=True)
        return
    rarely = {"delay": _SECONDS, "mininterval": _SECONDS, "maxinterval": _SECONDS}
    yield from tqdm(items, **shown, **rarely, file=_Lines(), leave=False,
                    bar_format="{desc}: {n_fmt} of {total_fmt} in {elapsed}, {remaining} left ({rate_fmt})")
