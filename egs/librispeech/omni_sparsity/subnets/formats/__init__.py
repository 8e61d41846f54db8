"""The files that would ship: a module a format, whose name is the end of its files' names. To add one: one file.

A module has

    write(path, settings, state, blocks)    writes the file, whole or not at all
    read(path, digest)                      -> the model, in evaluation mode

with settings the configuration's section `model` as a dictionary, state the part of the state dict that decoding needs,
blocks {parameter: omni.Blocks} of the pruned weights, digest as `Subnet.checkpoint` or None.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ... import registry


def load_subnet(path: Path, digest: str | None = None):
    """The model in a file of stage 4, whatever its format, in evaluation mode.

    Args:
        digest: as `Subnet.checkpoint`, where it is known; compared.

    Raises:
        UserError: of no known format, or as the format's `read`.
    """
    storage = registry.load(sys.modules[__name__], path.suffix[1:], f"{path}: format")
    return storage.read(path, digest)
