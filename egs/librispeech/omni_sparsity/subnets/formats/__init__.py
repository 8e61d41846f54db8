"""The files that ship: a module a format, whose name is the end of its files' names. To add one: one file.

A module has

    SUFFIX                                                      of its files
    write(path, settings, state, blocks, values, about, bpe)    writes the file, whole or not at all
    read(path, digest)                                          -> the model, in evaluation mode
    load(path)                                                  -> what the file holds, for the two below
    parameters(found), digest_of(found)                         -> values of each weight in it; its `Subnet.checkpoint`
    note(path, more)                                            adds to what the file says of itself

with settings the configuration's section `model` as a dictionary, state the part of the state dict that decoding needs,
blocks {parameter: omni.Blocks} of the pruned weights, values the type of those of matrices, about what else the file
says of itself, bpe the bytes of the BPE model, digest as `Subnet.checkpoint` or None.
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
    return storage_of(path).read(path, digest)


def storage_of(path: Path):
    """
    Raises:
        UserError: of no known format.
    """
    return registry.load(sys.modules[__name__], path.suffix[1:], f"{path}: format")
