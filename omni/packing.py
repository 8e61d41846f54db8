"""A sparse model without its zeros: kept blocks and which they are, in memory or as the file that ships (ship/)."""

from __future__ import annotations

import ctypes
import math
import zlib
from pathlib import Path
from typing import Any, Dict, Mapping, Optional

import torch
from torch import Tensor, nn

from .structures import Blocks, Structure
from .supernet import Supernet
from .targets import Range, Target, choose

VERSION = 2  # 1 had no checksums


def pack(
    state: Supernet | nn.Module | Mapping[str, Tensor],
    blocks: Mapping[str, Structure | Target] | None = None,
    *,
    file: str | Path | None = None,
    values: str = "int8",
    about: Optional[Mapping[str, Any]] = None,
    coded: bool = True,
) -> Dict[str, Any] | None:
    """State dict -> the file that ships, or without `file` a dictionary for `torch.save`, which loses nothing.

    Args:
        state: plain state dict of a pruned model; or the model, or its supernet.
        blocks: structure of the weights that were pruned (`net.blocks`, or `net.targets`); others are kept as they are.
            Without it those of the supernet, or of the weights that `Supernet(model, Range())` would prune. A weight is
            stored sparse only where that is smaller.
        file: `<name>.omni.safetensors` to write, whole or not at all, in the format of docs/shipping.md; `omni.load`
            reads it without torch. The other arguments are of this file.
        values: of weights of two dimensions or more, embeddings too: "int8" with a scale an output, "float16" or
            "float32". Norms and biases are float32.
        about: more to say in the header: {key: what JSON can hold}.
        coded: int8 values and masks near their entropy, decoded when loaded; False: as they are, mapped from the file.

    Returns:
        None with `file`. Else {"omni_pack": 2, "plain": {name: tensor}, "sparse": {name: {"shape", "blocks", "bits",
        "kept"}}, "sums": {name: CRC-32}}; `bits` is uint8, least significant bit first, `kept` (number of kept blocks,
        rows * cols).

    Raises:
        ValueError: a weight that is not a whole number of its blocks, or of values that the file cannot hold.
        RuntimeError: the supernet's model holds other parameters than it did.
        TypeError: a state dict without blocks, or something else.
        ImportError: `file` without the safetensors package.
    """
    if blocks is None:
        blocks = _default_blocks(state)
    if isinstance(state, Supernet):
        state = state.model
    if isinstance(state, nn.Module):
        state = state.state_dict()
    if not isinstance(state, Mapping) or not isinstance(blocks, Mapping):
        given = f"pack({type(state).__name__}, {type(blocks).__name__})"
        hint = "; the name of a file is file=" if isinstance(blocks, (str, Path)) else ""
        raise TypeError(f"{given}: want a state dict and {{name: blocks}}{hint}")
    if file is not None:
        return _ship(state, blocks, Path(file), values, about, coded)
    plain, sparse, sums = {}, {}, {}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"pack: {name} is no tensor but {type(value).__name__}")
        entry = _pack_one(name, value, _grid(name, blocks[name])) if name in blocks else None
        if entry is not None and _bytes(entry["kept"], entry["bits"]) < _bytes(value):
            sparse[name] = entry
            sums[name] = _checksum(_unpack_one(name, entry))  # of what comes back: 0.0 for the -0.0 that masks leave
        else:
            plain[name] = value.detach().clone()  # a clone: torch.save writes the whole storage behind a view
            sums[name] = _checksum(value)
    return {"omni_pack": VERSION, "plain": plain, "sparse": sparse, "sums": sums}


def unpack(packed: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The state dict that `pack` was given, and never another: shapes, types and values are held to the checksums.

    Version 1 is read too; it had no checksums, so that only what cannot be is refused.

    Raises:
        ValueError: not written by `pack`, or damaged; the weight is named.
    """
    version = packed.get("omni_pack") if isinstance(packed, Mapping) else None
    if type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"not a packed model of version {VERSION} (key 'omni_pack')")
    plain, sparse, sums = (packed.get(part) for part in ("plain", "sparse", "sums"))
    for part, found in (("plain", plain), ("sparse", sparse), *([("sums", sums)] if version > 1 else [])):
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            raise ValueError(f"a damaged packed model: '{part}' is no dictionary by names")
    state = {}
    for name, value in plain.items():
        if not isinstance(value, Tensor) or value.device.type == "meta":
            raise ValueError(f"{name}: damaged, no tensor")
        state[name] = value
    for name, entry in sparse.items():
        if name in plain:
            raise ValueError(f"{name}: damaged, stored twice")
        state[name] = _unpack_one(name, entry)
    if version > 1:
        for name in dict.fromkeys((*state, *sums)):
            if name not in state or name not in sums:
                raise ValueError(f"{name}: damaged, {'its values are' if name in sums else 'its checksum is'} missing")
            if type(sums[name]) is not int or sums[name] != _checksum(state[name]):
                raise ValueError(f"{name}: damaged, its values do not have their checksum")
    return state


def _ship(
    state: Mapping[str, Tensor], blocks: Mapping[str, Any], file: Path, values: str, about: Any, coded: bool
) -> None:
    from .ship import shipped

    arrays, grids = {}, {}
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"pack: {name} is no tensor but {type(value).__name__}")
        value = value.detach().cpu()
        arrays[name] = (value.float() if value.is_floating_point() else value).numpy()
        if name in blocks:
            grid = _grid(name, blocks[name])
            if not grid.divides(value.shape):
                raise ValueError(f"{name}: shape {tuple(value.shape)} is not a whole number of {grid} blocks")
            grids[name] = (grid.rows, grid.cols)
    shipped.write(file, arrays, grids, values, about, coded)


def _default_blocks(state: Any) -> Mapping[str, Structure]:
    if isinstance(state, Supernet):
        return state.blocks
    if isinstance(state, nn.Module):
        return {name: one.target.blocks for name, one in choose(state, Range()).items() if one.target}
    raise TypeError(f"pack({type(state).__name__}) needs the blocks of its weights: pack(net), pack(model), or "
                    "pack(state_dict, net.blocks)")


def _grid(name: str, given: Any) -> Blocks:
    given = given.structure if isinstance(given, Target) else given
    if not isinstance(given, Structure):
        raise TypeError(f"pack: {name}: want omni.Blocks, not {given!r:.60}")
    return given if isinstance(given, Blocks) else Blocks(1, 1)


def _bytes(*values: Tensor) -> int:
    return sum(value.numel() * value.element_size() for value in values)


def _checksum(value: Tensor) -> int:
    """CRC-32 over type, shape and values (in row-major order, as they lie in memory)."""
    value = value.detach()
    if value.is_quantized:
        value = value.int_repr()
    if value.layout is not torch.strided:
        value = value.to_dense()
    value = value.cpu().contiguous().resolve_conj().resolve_neg()
    sum_ = zlib.crc32(f"{value.dtype} {list(value.shape)}".encode())
    size = _bytes(value)
    return zlib.crc32((ctypes.c_char * size).from_address(value.data_ptr()), sum_) if size else sum_


def _pack_one(name: str, value: Tensor, grid: Blocks) -> Dict[str, Any]:
    if not grid.divides(value.shape):
        raise ValueError(f"{name}: shape {tuple(value.shape)} is not a whole number of {grid} blocks")
    split = grid.split(value.detach().contiguous()).transpose(1, 2)  # (O/rows, I/cols, rows, cols)
    flat = split.reshape(-1, grid.rows * grid.cols)
    kept = (flat != 0).any(dim=1)
    bits = torch.nn.functional.pad(kept.to(torch.uint8), (0, -kept.numel() % 8)).view(-1, 8)
    weights = 2 ** torch.arange(8, dtype=torch.uint8, device=bits.device)
    return {
        "shape": list(value.shape),
        "blocks": (grid.rows, grid.cols),
        "bits": (bits * weights).sum(dim=1).to(torch.uint8),
        "kept": flat[kept].clone(),
    }


def _unpack_one(name: str, entry: Any) -> Tensor:
    if not isinstance(entry, Mapping) or not {"shape", "blocks", "bits", "kept"} <= set(entry):
        raise ValueError(f"{name}: damaged, want 'shape', 'blocks', 'bits' and 'kept'")
    shape, blocks, bits, kept = (entry[part] for part in ("shape", "blocks", "bits", "kept"))
    for part, numbers in (("shape", shape), ("blocks", blocks)):
        if not isinstance(numbers, (list, tuple)) or not all(type(one) is int and one > 0 for one in numbers):
            raise ValueError(f"{name}: damaged, {part} {numbers!r:.60}")
    if len(blocks) != 2 or math.prod(shape) >= 2**62 or not Blocks(*blocks).divides(torch.Size(shape)):
        raise ValueError(f"{name}: damaged, shape {list(shape)} is not a whole number of blocks of {list(blocks)}")
    grid = Blocks(*blocks)
    count = math.prod(shape) // grid.unit
    for part, tensor, dims in (("bits", bits, 1), ("kept", kept, 2)):
        ordinary = isinstance(tensor, Tensor) and tensor.layout is torch.strided and not tensor.is_quantized
        if not ordinary or tensor.dim() != dims or tensor.device.type == "meta":
            raise ValueError(f"{name}: damaged, {part} is no tensor of {dims} dimension{'s' * (dims > 1)}")
    if bits.dtype != torch.uint8 or len(bits) != -(-count // 8):
        raise ValueError(f"{name}: damaged, {len(bits)} bytes of bits ({bits.dtype}) for {count} blocks")
    with torch.no_grad():
        places = torch.arange(8, dtype=torch.uint8, device=kept.device)
        marks = (bits.to(kept.device)[:, None] >> places & 1).flatten()[:count].bool()
        if tuple(kept.shape) != (int(marks.sum()), grid.unit):
            blocks = f"{int(marks.sum())} blocks of {grid.unit}"
            raise ValueError(f"{name}: damaged, kept is {tuple(kept.shape)} for {blocks}")
        flat = kept.new_zeros(count, grid.unit)  # no larger than the file says by its bits and its kept blocks
        flat[marks] = kept.detach()
        value = kept.new_zeros(shape)
        split = grid.split(value)  # (O/rows, rows, I/cols, cols)
        split.copy_(flat.view(split.shape[0], split.shape[2], grid.rows, grid.cols).transpose(1, 2))
    return value
