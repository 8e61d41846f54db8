"""Masks and int8 values come back from their codes, and take little more than their entropy."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omni.ship.coding import decode_mask, deflate, encode_mask, inflate


def entropy(values) -> float:
    """Bits a value, as if drawn one by one."""
    share = np.unique(values, return_counts=True)[1] / np.size(values)
    return float(-(share * np.log2(share)).sum())


@given(st.lists(st.booleans(), min_size=1, max_size=3000))
@settings(max_examples=100, deadline=None)
def test_any_mask_comes_back(bits):
    kept = np.array(bits)
    assert np.array_equal(decode_mask(encode_mask(kept), kept.size), kept)


@pytest.mark.parametrize("gap", [0, 1, 254, 255, 256, 509, 510, 511, 2000])
@pytest.mark.parametrize("rare", [True, False])
def test_long_gaps_go_on_in_the_next_byte(gap, rare):
    kept = np.full(3000, not rare)
    kept[[gap, 2999]] = rare
    data = encode_mask(kept)
    assert np.array_equal(decode_mask(data, 3000), kept)
    assert inflate(data, 100)[:1] == bytes([rare]) and inflate(data, 100)[1:2 + gap // 255] == (
        b"\xff" * (gap // 255) + bytes([gap % 255]))


@pytest.mark.parametrize("sparsity", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97])
def test_a_mask_takes_little_more_than_its_entropy(sparsity):
    """And a bit a block at most, but for the table of codes."""
    kept = np.random.RandomState(0).rand(200_000) >= sparsity
    bits = 8 * len(encode_mask(kept))
    assert bits <= 1.15 * entropy(kept) * kept.size + 800
    if sparsity in (0.5, 0.9):
        assert bits <= 1.02 * entropy(kept) * kept.size + 800


@pytest.mark.parametrize("data, says", [
    (b"", "no whole deflate stream"),
    (b"\xff\xff", "no deflate stream"),
    (deflate(b""), "no mask"),
    (deflate(b"\x02\x00"), "no mask"),
    (deflate(b"\x01\xff"), "ends within a gap"),
    (deflate(b"\x01\x0a"), "more than 10 blocks"),
    (deflate(b"\x01" + b"\xff" * 8 + b"\x00"), "more than 10 blocks"),
    (deflate(b"\x01" + b"\x00" * 11), "more than 10 blocks"),
    (deflate(b"\x01" + b"\x00" * 100_000), "more than 12 bytes"),
    (deflate(b"\x01\x00")[:-1], "no whole deflate stream"),
    (deflate(b"\x01\x00") + b"x", "no whole deflate stream"),
])
def test_other_bytes_are_no_mask(data, says):
    with pytest.raises(ValueError, match=says):
        decode_mask(data, 10)


def test_a_bomb_is_not_unpacked():
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        inflate(zlib.compress(bytes(10**7))[2:-4], 1000)


def test_int8_weights_take_little_more_than_their_entropy():
    draw = np.random.RandomState(0)
    for values in (np.clip(draw.randn(100_000) * 30, -127, 127), np.clip(draw.laplace(size=100_000) * 9, -127, 127)):
        values = values.astype(np.int8)
        data = deflate(values.tobytes())
        assert 8 * len(data) <= 1.02 * entropy(values) * values.size
        assert inflate(data, values.size) == values.tobytes()
