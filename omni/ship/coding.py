"""Bytes near their entropy: int8 values by deflate's Huffman codes, masks as gaps between blocks. Imports no torch.

Int8 weights with a scale an output lie about zero, 6 to 7.5 bits of entropy each. Deflate (RFC 1951) with Huffman codes
alone comes within 1% of that, and every language can read it. A mask of independent bits has geometric gaps, for which
Huffman codes are near the entropy as well (Gallager and van Voorhis 1975); a bit a block is 2.1 times as much at a
sparsity of 0.9.
"""

from __future__ import annotations

import zlib

import numpy as np

_ESCAPE = 255  # a byte of a gap that goes on in the next byte


def deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_HUFFMAN_ONLY)
    return coder.compress(data) + coder.flush()


def inflate(data: bytes, at_most: int) -> bytes:
    """
    Raises:
        ValueError: no whole deflate stream, bytes behind it, or more than `at_most` bytes come out (never made).
    """
    coder = zlib.decompressobj(-15)
    try:
        out = coder.decompress(data, at_most + 1)
    except zlib.error as error:
        raise ValueError(f"no deflate stream ({error})") from None
    if len(out) > at_most:
        raise ValueError(f"more than {at_most} bytes in a deflate stream")
    if not coder.eof or coder.unused_data:
        raise ValueError("no whole deflate stream")
    return out


def encode_mask(kept: np.ndarray) -> bytes:
    """
    Args:
        kept: bool, in the order of the blocks.

    Returns:
        Deflate of: one byte, 1 where gaps lead from one kept block to the next, 0 where from one dropped to the next
        (the rarer kind); then each gap, the number of blocks in between, in bytes that add up, 255 but for the last.
    """
    kept = kept.ravel()
    rarer = int(2 * np.count_nonzero(kept) <= kept.size)
    gaps = np.diff(np.flatnonzero(kept == bool(rarer)), prepend=-1) - 1
    escapes = gaps // _ESCAPE
    out = np.full(int(escapes.sum()) + gaps.size, _ESCAPE, np.uint8)
    out[np.cumsum(escapes + 1) - 1] = gaps % _ESCAPE
    return deflate(bytes([rarer]) + out.tobytes())


def decode_mask(data: bytes, count: int) -> np.ndarray:
    """-> bool (count,).

    Raises:
        ValueError: not what `encode_mask` wrote for so many blocks.
    """
    coded = np.frombuffer(inflate(data, count + 2), np.uint8)
    if not coded.size or coded[0] > 1:
        raise ValueError("no mask")
    last = coded[1:] < _ESCAPE  # the byte that ends a gap
    if coded.size > 1 and not last[-1]:
        raise ValueError("a mask that ends within a gap")
    places = (np.cumsum(coded[1:], dtype=np.int64) + np.cumsum(last) - 1)[last]
    if places.size and places[-1] >= count:
        raise ValueError(f"a mask of more than {count} blocks")
    kept = np.full(count, not coded[0])
    kept[places] = bool(coded[0])
    return kept
