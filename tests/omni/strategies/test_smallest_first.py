"""Dense, shrink, grow back, hold."""

import pytest
import torch

from omni.strategies import SmallestFirst

SIZES = {0.0: 1, 0.5: 1, 0.9: 2}


def fork(net, values):
    """Private values come to be, and take `values`, {bin: value}; the model's own bias is -1."""
    with net.active(0.5):
        net.model(torch.ones(1, 10)).sum().backward()
    with torch.no_grad():
        net.model.bias.fill_(-1.0)
        for key, value in net.private_parameters():
            value.fill_(values[key.split(":")[0]])


def private(net):
    return [value.item() for _, value in net.private_parameters()]


@pytest.mark.parametrize("progress, what", [
    (0.0, ("max", 0.0)), (0.19, ("max", 0.0)), (0.2, ("pruned", 0.0)), (0.3, ("pruned", 0.9 * 37 / 64)),
    (0.4, ("pruned", 0.9 * 7 / 8)), (0.5, ("pruned", 0.9 * 63 / 64)), (0.5999, ("pruned", 0.9)),
])
def test_dense_then_the_smallest_alone_by_the_cubic_law(net, trained, progress, what):
    assert all(trained(SmallestFirst(), net, progress, step) == [what] for step in range(5))


@pytest.mark.parametrize("progress", [0.6, 0.7, 1.0])
def test_then_one_of_all_sizes_a_step(net, progress):
    drawn = [SmallestFirst(sizes=SIZES).subnets(net, step, progress) for step in range(2000)]
    found = [(kind, spec["weight"]) for (kind, spec), in drawn]
    for what, share in ((("max", 0.0), 0.25), (("random", 0.5), 0.25), (("min", 0.9), 0.5)):
        assert found.count(what) / 2000 == pytest.approx(share, abs=0.04)


def test_sizes_sparser_than_the_range_are_its_end(make):
    net = make(high=0.7, bins=(0.5, 0.9))
    strategy = SmallestFirst(sizes={0.0: 1, 0.9: 1})
    assert {spec["weight"] for step in range(20) for _, spec in strategy.subnets(net, step, 0.9)} == {0.0, 0.7}
    strategy.prepare(net, 1, 0.59, 0.6)  # and so is the edge of a bin


def test_the_ranking_stays_within_what_the_smallest_has_kept(net, kept):
    """At 0.3 of the training 0.52 are to go, so 1 to 5 have gone, in that order."""
    with torch.no_grad():
        net.targets["weight"].weight.copy_(torch.tensor([20.0, 19, 18, 17, 16, 10, 9, 8, 7, 6]))
    SmallestFirst().prepare(net, 100, 0.29, 0.3)
    assert [kept(net, s) for s in (0.4, 0.5, 0.8)] == [[5, 6, 7, 8, 9, 10], [6, 7, 8, 9, 10], [6, 7]]
    SmallestFirst().prepare(net, 200, 0.1, 0.11)  # in the dense phase nothing has gone
    assert kept(net, 0.5) == [1, 2, 3, 4, 5]


def test_no_mask_moves_once_the_smallest_is_reached(net, kept):
    net.targets["weight"].weight.data.mul_(-1).add_(11)  # 10 to 1
    for step in range(0, 500, 100):
        SmallestFirst().prepare(net, step, 0.69, 0.7)
    assert [kept(net, s) for s in (0.5, 0.9)] == [[6, 7, 8, 9, 10], [10]]


def test_it_grows_back_once_with_a_share_of_what_was_dropped(make):
    for grow_with, left in ((0.3, 0.3), (0.0, 0.0), (1.0, 1.0)):
        net = make()
        SmallestFirst(grow_with=grow_with).prepare(net, 1, 0.58, 0.5999)
        assert net.targets["weight"].weight.tolist() == [list(range(1, 11))]
        SmallestFirst(grow_with=grow_with).prepare(net, 2, 0.5999, 0.6)
        expected = torch.tensor([[left * value for value in range(1, 10)] + [10.0]])
        assert torch.allclose(net.targets["weight"].weight, expected)
        SmallestFirst(grow_with=grow_with).prepare(net, 3, 0.6, 0.61)
        assert torch.allclose(net.targets["weight"].weight, expected)


def test_the_smallest_takes_its_private_values_along(net):
    """It has 0.297 at a progress of 0.25 and 0.680 at 0.35: it goes from the bin to 0.5 into that to 0.9."""
    fork(net, {"0.5": 2.0, "0.9": 3.0})
    SmallestFirst().prepare(net, 1, 0.25, 0.26)
    assert private(net) == [2.0, 3.0]
    SmallestFirst().prepare(net, 1, 0.25, 0.35)
    assert private(net) == [2.0, 2.0]
    SmallestFirst().prepare(net, 1, 0.2, 0.25)  # from the dense network into the first
    assert private(net) == [-1.0, 2.0]


def test_every_size_begins_with_the_norms_of_the_smallest(net):
    fork(net, {"0.5": 2.0, "0.9": 3.0})
    SmallestFirst().prepare(net, 1, 0.5999, 0.6)
    assert private(net) == [3.0, 3.0] and net.model.bias.item() == 3.0


@pytest.mark.parametrize("hold_from, progress, held", [
    (0.8, 0.79, False), (0.8, 0.8, True), (0.8, 1.0, True), (0.6, 0.6, True),
    (0.3, 0.5, False), (0.3, 0.59, False), (0.3, 0.6, True),  # never before all sizes have begun to grow back
    (1.0, 0.9, False), (1.0, 1.0, False),  # never at all
])
def test_larger_networks_hold_the_smallest_from_hold_from_on(net, hold_from, progress, held):
    strategy = SmallestFirst(hold_from=hold_from)
    for sparsity in (0.0, 0.5):
        assert strategy.held(net, net.uniform(sparsity), progress) == ({"weight": 0.9} if held else None)
    assert strategy.held(net, net.smallest(), progress) is None


def test_what_is_watched_and_when_sizes_are_settled(net):
    strategy = SmallestFirst(grow_until=0.7)
    assert strategy.watched(net) == [("max", {"weight": 0.0}), ("min", {"weight": 0.9})] and strategy.settled() == 0.7
    assert strategy.one_pass and not strategy.of_one_size and strategy.system == "omni"
