"""Specs: a pure function of (seed, step, index), inside the ranges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import omni
from omni.sampler import Sampler
from omni.targets import Target


def sampler(seed=42, ranges=((0.0, 0.9), (0.0, 0.9)), levels=()):
    weight = nn.Parameter(torch.ones(8, 4))
    targets = {str(i): Target(weight, omni.Blocks(8, 1), low, high) for i, (low, high) in enumerate(ranges)}
    return Sampler(targets, seed, levels)


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
    kinds = [sampler().single(step)[0] for step in range(8)]
    assert kinds == ["max", "random", "max", "min", "max", "random", "random", "min"]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 9), st.integers(0, 10**6), st.floats(0, 1), st.tuples(*[st.floats(0, 0.99)] * 4))
def test_a_spec_stays_in_the_ranges(seed, step, spread, edges):
    ranges = [tuple(sorted(edges[:2])), tuple(sorted(edges[2:]))]
    one = sampler(seed, ranges)
    specs = [one.random(step, spread=spread), one.random(step, layerwise=True), one.uniform(edges[0])]
    for spec in [*specs, *one.sandwich(step, n_random=2), one.single(step)[1]]:
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


def test_a_sparsity_that_no_weight_can_have_is_refused():
    """What some can reach is taken by those; what is denser than all of them is the largest."""
    one = sampler(ranges=((0.2, 0.6), (0.3, 0.8)))
    assert one.uniform(0.0) == one.largest() == {"0": 0.2, "1": 0.3}
    assert one.uniform(0.7) == {"0": 0.6, "1": 0.7} and one.uniform(0.8) == one.smallest()
    for call in (lambda: one.uniform(0.81), lambda: one.pick(1, {0.0: 0, 0.81: 1})):
        with pytest.raises(ValueError, match="sparsity 0.81: no weight can have it; the nearest is 0.8"):
            call()
    assert one.pick(1, {0.0: 0, 0.81: 1}, high=0.8) == ("min", one.smallest())


def test_each_rank_draws_its_own_and_rank_0_what_one_process_draws():
    one = sampler()
    specs = [one.random(7, rank=rank) for rank in range(4)]
    assert specs[0] == one.random(7) and len({spec["0"] for spec in specs}) == 4
    assert one.sandwich(7, rank=1)[2] == specs[1]
    assert one.sandwich(7, high=0.6)[:2] == [one.largest(), one.uniform(0.6)]
    kinds = [[one.single(step, rank=rank)[0] for step in range(50)] for rank in range(2)]
    assert kinds[0] != kinds[1] and kinds[0] == [one.single(step)[0] for step in range(50)]


def test_one_subnetwork_a_step_comes_in_its_shares():
    one = sampler()
    drawn = [one.single(step, p_max=0.5, p_min=0.2, high=0.8, low=0.4) for step in range(3000)]
    for kind, share in (("max", 0.5), ("min", 0.2), ("random", 0.3)):
        assert [k for k, _ in drawn].count(kind) / 3000 == pytest.approx(share, abs=0.03)
    for kind, spec in drawn:
        assert spec == {"max": one.largest(), "min": one.uniform(0.8)}.get(kind, spec)
        assert kind != "random" or all(0.4 <= s <= 0.8 for s in spec.values())
    assert {one.single(step, p_max=1.0, p_min=0.0)[0] for step in range(50)} == {"max"}
    for wrong in ((0.8, 0.3), (-0.1, 0.5)):
        with pytest.raises(ValueError, match="want two probabilities that are at most 1 together"):
            one.single(1, *wrong)


def test_layerwise_every_weight_draws_on_its_own_and_evenly():
    one = sampler()
    drawn = [one.random(step, layerwise=True) for step in range(2000)]
    apart = sum(abs(spec["0"] - spec["1"]) for spec in drawn) / 2000
    assert apart == pytest.approx(0.3, abs=0.02)  # of two that are uniform on 0 to 0.9: a third of it
    below = sum(spec["0"] < 0.09 for spec in drawn) / 2000
    assert below == pytest.approx(0.1, abs=0.03)  # no heap at the edge


def test_levels_alone_are_drawn_and_all_of_them_alike():
    one = sampler(levels=(0.9, 0.5, 0.7, 0.0))
    drawn = [one.random(step)["0"] for step in range(2000)]
    for level in one.levels:
        assert drawn.count(level) / 2000 == pytest.approx(0.25, abs=0.04)
    for step in range(50):
        assert set(one.random(step, layerwise=True, low=0.4).values()) <= {0.5, 0.7, 0.9}
        assert set(one.random(step, spread=0.3, high=0.8).values()) <= {0.0, 0.5, 0.7}
    narrow = sampler(ranges=((0.0, 0.9), (0.55, 0.65)), levels=(0.0, 0.5, 0.9))
    assert all(0.55 <= narrow.random(step)["1"] <= 0.65 for step in range(20))  # no level there: its own range
    with pytest.raises(ValueError, match="sparsity 1.0"):
        sampler(levels=(0.5, 1.0))


def test_sizes_come_as_often_as_they_should():
    one, sizes = sampler(), {0.9: 2, 0.0: 1, 0.5: 1}
    found = [one.pick(step, sizes) for step in range(2000)]
    assert found == [one.pick(step, sizes) for step in range(2000)]
    for kind, sparsity, share in (("max", 0.0, 0.25), ("random", 0.5, 0.25), ("min", 0.9, 0.5)):
        mine = [spec for name, spec in found if name == kind]
        assert len(mine) / 2000 == pytest.approx(share, abs=0.04) and all(s == one.uniform(sparsity) for s in mine)
    assert found != [one.pick(step, sizes, rank=1) for step in range(2000)]
    clipped = [one.pick(step, sizes, high=0.4) for step in range(50)]
    assert {kind for kind, _ in clipped} == {"max", "min"} and one.uniform(0.4) in [spec for _, spec in clipped]


@pytest.mark.parametrize("sizes", [{}, {0.5: -1.0, 0.9: 2.0}, {0.5: 0.0}, {1.0: 1.0}])
def test_sizes_that_make_no_sense_are_refused(sizes):
    with pytest.raises(ValueError, match="size|sparsity"):
        sampler().pick(1, sizes)
