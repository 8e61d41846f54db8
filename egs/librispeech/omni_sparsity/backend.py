"""Which implementation of the transducer loss serves: k2's, or the project's own in plain PyTorch."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Tuple

from tools.errors import UserError

NAMES = ("auto", "k2", "native")


@functools.lru_cache(maxsize=None)
def loss_backend(name: str) -> Tuple[ModuleType, str]:
    """
    Args:
        name: one of NAMES; "auto": k2 where it can be imported, else native.

    Returns:
        A module with rnnt_loss_smoothed, get_rnnt_prune_ranges, do_rnnt_pruning and rnnt_loss_pruned, and what results
        call it: "k2 1.23.4" or "native".

    Raises:
        UserError: k2 is asked for and cannot be imported.
    """
    if name != "native":
        try:
            from importlib.metadata import version

            import k2

            return k2, f"k2 {version('k2')}"
        except (ImportError, OSError) as error:  # OSError: a library that it links is not found
            if name == "k2":
                raise UserError(f"loss.backend k2: not importable ({error}); take native, or auto") from None
    from . import native_loss

    return native_loss, "native"
