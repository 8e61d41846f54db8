"""A progress bar on a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Iterable, Iterator, TypeVar

Item = TypeVar("Item")
_SECONDS = 15.0  # between log lines


def progress(items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Passes `items` through and shows on stderr how many of `total` have gone by.

    Args:
        items: anything to loop over.
        total: how many items there are.
        what: their name in the plural, such as "speakers".
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, total=total, desc=what, dynamic_ncols=True)
        return
    last = time.monotonic()
    for count, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last > _SECONDS:
            last = time.monotonic()
            print(f"{what}: {count} of {total}", file=sys.stderr, flush=True)
