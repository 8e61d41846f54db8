"""Specs: a pure function of (seed, step, index), inside the ranges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import omni
from omni.sampler import Sampler
from omni.targets import Target


def sampler(seed=42, ranges=((0.0, 0.9), (0.0, 0.9))):
    weight = nn.Parameter(torch.ones(8, 4))
    return Sampler({str(i): Target(weight, omni.Blocks(8, 1), low, high) for i, (low, high) in enumerate(ranges)}, seed)


def test_sampling_is_a_function_of_seed_and_step():
    one = sampler()
    torch.manual_seed(5)
    first = one.random(7)
    torch.manual_seed(6)
    assert one.random(7) == first != one.random(8)
    assert one.random(7, index=1) != first
    assert sampler(seed=43).random(7) != first
    spec = one.random(7, low=0.3, high=0.6, spread=0.2)
    assert all(0.3 <= s <= 0.6 for s in spec.values()) and len(set(spec.values())) == 2
    largest, smallest, some = one.sandwich(7)
    assert set(largest.values()) == {0.0} and set(smallest.values()) == {0.9} and some == first


def test_what_was_drawn_is_drawn_for_ever():
    """A resumed training must see the sub-networks that the stopped one would have seen."""
    assert sampler().random(7) == {"0": 0.6125, "1": 0.6125}


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(0, 10**6), st.floats(0, 1), st.tuples(*[st.floats(0, 0.99)] * 4))
def test_a_spec_stays_in_the_ranges(seed, step, spread, edges):
    ranges = [tuple(sorted(edges[:2])), tuple(sorted(edges[2:]))]
    one = sampler(seed, ranges)
    for spec in [one.random(step, spread=spread), one.uniform(edges[0]), *one.sandwich(step, n_random=2)]:
        assert all(low <= spec[str(i)] <= high for i, (low, high) in enumerate(ranges))
    assert one.random(step, spread=spread) == one.random(step, spread=spread)


def test_mean_sparsity_counts_each_weight_with_its_size():
    one = sampler()
    one.targets["1"] = Target(nn.Parameter(torch.ones(8, 12)), omni.Blocks(8, 1), 0.0, 0.9)
    assert one.mean_sparsity({"0": 0.8, "1": 0.4}) == pytest.approx(0.5)
    assert one.mean_sparsity({"0": 0.8}) == pytest.approx(0.2)


def test_no_sparsity_is_named():
    with pytest.raises(ValueError, match="sparsity 1.0: want 0 <= sparsity < 1"):
        sampler().uniform(1.0)
