"""A sparse model as a small file: kept blocks and one bit a block, in place of the zeros."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import torch
from torch import Tensor

from .structures import Blocks


def pack(state: Mapping[str, Tensor], blocks: Mapping[str, Blocks]) -> Dict[str, Any]:
    """State dict -> what `torch.save` should write. Lossless.

    Args:
        state: plain state dict of a pruned model.
        blocks: structure of the weights that were pruned; others are kept as they are. A weight is stored sparse
            only where that is smaller.

    Returns:
        {"omni_pack": 1, "plain": {name: tensor}, "sparse": {name: {"shape", "blocks", "bits", "kept"}}}; `bits` is
        uint8, least significant bit first, `kept` (number of kept blocks, rows * cols).
    """
    plain, sparse = {}, {}
    for name, value in state.items():
        entry = _pack_one(value, blocks[name]) if name in blocks else None
        if entry is not None and _bytes(entry["kept"], entry["bits"]) < _bytes(value):
            sparse[name] = entry
        else:
            plain[name] = value.detach().clone()  # a clone: torch.save writes the whole storage behind a view
    return {"omni_pack": 1, "plain": plain, "sparse": sparse}


def unpack(packed: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The state dict that `pack` was given.

    Raises:
        ValueError: not written by `pack`.
    """
    if packed.get("omni_pack") != 1:
        raise ValueError("not a packed model of version 1 (key 'omni_pack')")
    state = dict(packed["plain"])
    for name, entry in packed["sparse"].items():
        grid = Blocks(*entry["blocks"])
        value = torch.zeros(entry["shape"], dtype=entry["kept"].dtype)
        split = grid.split(value)  # (O/rows, rows, I/cols, cols)
        count = split.shape[0] * split.shape[2]
        kept = (entry["bits"][:, None] >> torch.arange(8, dtype=torch.uint8) & 1).flatten()[:count].bool()
        flat = torch.zeros(count, grid.rows * grid.cols, dtype=value.dtype)
        flat[kept] = entry["kept"]
        split.copy_(flat.view(split.shape[0], split.shape[2], grid.rows, grid.cols).transpose(1, 2))
        state[name] = value
    return state


def _bytes(*values: Tensor) -> int:
    return sum(value.numel() * value.element_size() for value in values)


def _pack_one(value: Tensor, grid: Blocks) -> Dict[str, Any]:
    split = grid.split(value.detach().contiguous()).transpose(1, 2)  # (O/rows, I/cols, rows, cols)
    flat = split.reshape(-1, grid.rows * grid.cols)
    kept = (flat != 0).any(dim=1)
    bits = torch.nn.functional.pad(kept.to(torch.uint8), (0, -kept.numel() % 8)).view(-1, 8)
    weights = 2 ** torch.arange(8, dtype=torch.uint8)
    return {
        "shape": list(value.shape),
        "blocks": (grid.rows, grid.cols),
        "bits": (bits * weights).sum(dim=1).to(torch.uint8),
        "kept": flat[kept].clone(),
    }
