"""Where the time of a training step goes: each moment counts for the innermost part that was entered."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List

import torch


class Stopwatch:
    """Seconds of each part. On a GPU every change of part waits for the device, so that times are where work is."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: Dict[str, float] = {}
        self._parts: List[str] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        self._change()
        self._parts.append(name)
        try:
            yield
        finally:
            self._change()
            self._parts.pop()

    def timed(self, name: str, call: Callable) -> Callable:
        """`call`, whose time counts for `name`."""

        def inner(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        return inner

    def taken(self) -> Dict[str, float]:
        """Seconds since the last call."""
        found, self.seconds = self.seconds, {}
        return found

    def _change(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if self._parts:
            name = self._parts[-1]
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._since
        self._since = now
