"""Structures: which values go, to the number."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omni import Blocks, NofM, parse_structure


def kept(structure, weight, sparsity, exact=False):
    """`weight` with ones where it is kept, zeros elsewhere."""
    ones = torch.ones_like(weight)
    structure.mask_(ones, structure.mask(structure.rank(weight.abs(), exact), weight.shape, sparsity))
    return ones


@pytest.mark.parametrize("exact", [False, True])
def test_the_smallest_block_goes_first(exact):
    weight = torch.tensor([[1.0, 4.0], [-1.0, 0.0], [3.0, 0.1], [-3.0, 0.1]])
    blocks = Blocks(2, 1)  # sums of magnitudes: 2, 4 above; 6, 0.2 below
    assert blocks.rank(weight.abs(), exact).codes.tolist() == [[1, 2], [3, 0]]
    assert kept(blocks, weight, 0.5, exact).tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]


def test_wide_blocks_are_neighbouring_inputs():
    weight = torch.tensor([[1.0, 1.0, 5.0, 5.0], [4.0, 0.0, 2.0, 2.5]])
    assert kept(Blocks(1, 2), weight, 0.5).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("exact", [False, True])
def test_n_of_m_drops_the_smallest_of_each_group_and_the_cheapest_group_first(exact):
    weight = torch.tensor([[4.0, -3.0, 2.0, 1.0, 9.0, -8.0, 0.1, 0.1], [5.0, 6.0, 7.0, 8.0, 0.5, 0.5, 0.5, 0.5]])
    # what groups would lose: 3, 0.2 in the first row, 11, 1 in the second
    structure = NofM(2, 4)
    assert kept(structure, weight, 0.125, exact).tolist() == [[1, 1, 1, 1, 1, 1, 0, 0], [1] * 8]
    assert kept(structure, weight, 0.25, exact).tolist() == [[1, 1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0, 1, 1]]
    assert kept(structure, weight, 0.5, exact).tolist() == [[1, 1, 0, 0, 1, 1, 0, 0], [0, 0, 1, 1, 0, 0, 1, 1]]
    assert structure.limit == 0.5
    assert structure.scores(weight.abs()).tolist() == [[[1.5], [pytest.approx(0.1)]], [[5.5], [0.5]]]


def test_n_of_m_groups_of_a_convolution_are_input_channels_at_one_place_of_the_kernel():
    weight = torch.rand(3, 8, 5) + 0.1
    groups = kept(NofM(1, 4), weight, 0.75).view(3, 2, 4, 5)
    assert bool((groups.sum(dim=2) == 1).all())
    assert torch.equal(groups.argmax(dim=2), weight.view(3, 2, 4, 5).argmax(dim=2))


structures = st.one_of(
    st.builds(Blocks, st.integers(1, 4), st.integers(1, 4)),
    st.integers(2, 5).flatmap(lambda m: st.builds(NofM, st.integers(1, m - 1), st.just(m))),
)


@settings(max_examples=150, deadline=None)
@given(
    structures, st.tuples(*[st.integers(1, 5)] * 3), st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.sampled_from([0, 1, 10**6]), st.booleans(), st.integers(0, 99),
)
def test_sparsity_is_exact_to_a_unit_and_masks_nest(structure, sizes, shares, values, exact, seed):
    """Any shape that divides, any two sparsities; weights all zero, of two magnitudes, or all different."""
    rows, cols = (structure.rows, structure.cols) if isinstance(structure, Blocks) else (1, structure.m)
    shape = (rows * sizes[0], cols * sizes[1], sizes[2])
    weight = torch.randint(-values, values + 1, shape, generator=torch.Generator().manual_seed(seed)).float()
    assert structure.divides(weight.shape)
    dense, sparse = (kept(structure, weight, share * structure.limit, exact) for share in sorted(shares))
    for mask, share in zip((dense, sparse), sorted(shares)):
        zeros = weight.numel() - int(mask.sum())
        assert zeros % structure.unit == 0
        assert abs(zeros - share * structure.limit * weight.numel()) <= 0.5 * structure.unit + 1e-6
        assert zeros == structure.dropped(weight.shape, share * structure.limit) * structure.unit
    assert bool((sparse <= dense).all())
    if isinstance(structure, NofM):
        groups = structure.split(sparse).sum(dim=-1)
        assert bool(((groups == structure.kept) | (groups == structure.m)).all())


def test_what_divides():
    assert Blocks(8, 3).divides(torch.Size([16, 4, 3])) and not Blocks(8, 5).divides(torch.Size([16, 4, 3]))
    assert not Blocks(8, 1).divides(torch.Size([12, 4])) and not Blocks(1, 1).divides(torch.Size([4]))
    assert NofM(2, 4).divides(torch.Size([3, 8, 5])) and not NofM(2, 4).divides(torch.Size([8, 6]))
    assert not NofM(2, 4).divides(torch.Size([8])) and not Blocks(8, 1).divides(torch.Size([0, 4]))
    assert Blocks(8, 3).rank(torch.rand(16, 4, 3)).codes.shape == (2, 4)


@pytest.mark.parametrize("structure", [Blocks(4, 1), NofM(2, 4)])
def test_values_of_another_memory_format_are_masked_in_place(structure):
    plain = torch.randn(8, 4, 3, 3)
    other = plain.clone(memory_format=torch.channels_last)
    mask = structure.mask(structure.rank(plain.abs()), plain.shape, 0.4)
    copies = [torch.empty_like(values) for values in (plain, other)]
    for values, out in zip((plain, other), copies):
        structure.masked(values, mask, out)
        structure.mask_(values, mask)
    assert torch.equal(plain, copies[0]) and torch.equal(plain, copies[1])
    assert torch.equal(plain, other) and other.is_contiguous(memory_format=torch.channels_last)
    assert int((plain == 0).sum()) == structure.dropped(plain.shape, 0.4) * structure.unit > 0


@pytest.mark.parametrize(
    "text, structure",
    [("8x1", Blocks(8, 1)), ("4x16", Blocks(4, 16)), ("unstructured", Blocks(1, 1)), ("2:4", NofM(2, 4))],
)
def test_names(text, structure):
    assert parse_structure(text) == structure and str(structure) == text


@pytest.mark.parametrize("text", ["8y1", "0x1", "4:4", "0:4", "8", "8x1x1"])
def test_other_names_are_refused(text):
    with pytest.raises(ValueError, match=f"structure '{text}'"):
        parse_structure(text)
