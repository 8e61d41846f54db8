"""Which implementation of the transducer loss serves: k2's, or the project's own in plain PyTorch."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Tuple

from omni.errors import UserError


@functools.lru_cache(maxsize=None)
def loss_backend(name: str) -> Tuple[ModuleType, str]:
    """
    Args:
        name: "k2", "native" or "auto": k2 where it can be imported, else native.

    Returns:
        A module with rnnt_loss_smoothed, get_rnnt_prune_ranges, do_rnnt_pruning and rnnt_loss_pruned, and what results
        call it: "k2 1.23.4" or "native".

    Raises:
        UserError: k2 is asked for and cannot be imported.
    """
    error = k2_error() if name != "native" else ""
    if name == "k2" and error:
        raise UserError(f"loss.backend k2: not importable ({error}); take native, or auto")
    if name == "native" or error:
        from . import native as native_loss

        return native_loss, "native"
    from importlib.metadata import version

    import k2

    return k2, f"k2 {version('k2')}"


def why(name: str) -> str:
    """Why `loss_backend(name)` is what it is, for the log."""
    if name != "auto":
        return "as asked"
    error = k2_error()
    return f"no k2: {error}" if error else "k2 is here"


def k2_error() -> str:
    """Why k2 cannot be imported; empty if it can."""
    try:
        import k2  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a library that it links is not found
        return str(error).strip().splitlines()[0]
    return ""
