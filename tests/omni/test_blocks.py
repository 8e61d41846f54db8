"""omni.Blocks: which blocks go, to the number."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omni import Blocks


def test_the_smallest_block_goes_first():
    weight = torch.tensor([[1.0, 4.0], [-1.0, 0.0], [3.0, 0.1], [-3.0, 0.1]])
    blocks = Blocks(2, 1)  # norms: 2, 4 above; 6, 0.2 below
    assert blocks.rank(weight).tolist() == [[1, 2], [3, 0]]
    kept = blocks.split(weight.clone()).mul_(blocks.mask(blocks.rank(weight), 0.5)).view(4, 2)
    assert kept.tolist() == [[0.0, 4.0], [0.0, 0.0], [3.0, 0.0], [-3.0, 0.0]]


def test_equal_blocks_go_in_order_and_in_the_right_number():
    assert int(Blocks(1, 1).mask(Blocks(1, 1).rank(torch.zeros(4, 8)), 0.75).sum()) == 8


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 4)] * 2, *[st.integers(1, 5)] * 2, *[st.floats(0, 0.99)] * 2)
def test_sparsity_is_exact_to_a_block_and_masks_nest(rows, cols, high, wide, one, other):
    weight = torch.randn(rows * high, cols * wide, generator=torch.Generator().manual_seed(rows + 7 * high))
    blocks = Blocks(rows, cols)
    assert blocks.divides(weight.shape)
    ranks = blocks.rank(weight)
    low, top = sorted((one, other))
    sparse, sparser = blocks.mask(ranks, low), blocks.mask(ranks, top)
    for mask, sparsity in ((sparse, low), (sparser, top)):
        assert int((~mask).sum()) == round(sparsity * high * wide)
    assert bool((sparser <= sparse).all())


def test_convolutions_are_seen_as_matrices():
    assert Blocks(8, 3).divides(torch.Size([16, 4, 3])) and not Blocks(8, 5).divides(torch.Size([16, 4, 3]))
    assert Blocks(8, 3).rank(torch.randn(16, 4, 3)).shape == (2, 4)


@pytest.mark.parametrize(
    "text, blocks", [("8x1", Blocks(8, 1)), ("4x16", Blocks(4, 16)), ("unstructured", Blocks(1, 1))]
)
def test_names(text, blocks):
    assert Blocks.parse(text) == blocks and str(blocks) == text
