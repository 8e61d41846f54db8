"""All sizes from the dense phase on."""

import pytest

from omni.strategies import LargestFirst

GROWN = 0.9 * 37 / 64  # the smallest at 0.3 of the training, a quarter of the way from 0.2 to 0.6


def test_dense_first(net, trained):
    assert all(trained(LargestFirst(), net, 0.19, step) == [("max", 0.0)] for step in range(20))


@pytest.mark.parametrize("progress, there", [
    (0.3, {("max", 0.0), ("random", 0.5), ("min", round(GROWN, 4))}),
    (0.8, {("max", 0.0), ("random", 0.5), ("min", 0.9)}),
])
def test_then_every_size_down_to_the_smallest_of_that_moment(net, progress, there):
    strategy = LargestFirst(sizes={0.0: 1, 0.5: 1, 0.9: 1})
    drawn = [one for step in range(50) for one in strategy.subnets(net, step, progress)]
    assert len(drawn) == 50 and {(kind, round(spec["weight"], 4)) for kind, spec in drawn} == there


def test_sizes_come_in_their_shares(net):
    strategy = LargestFirst(sizes={0.0: 0.5, 0.5: 0.1, 0.9: 0.4})
    kinds = [kind for step in range(2000) for kind, _ in strategy.subnets(net, step, 0.8)]
    for kind, share in (("max", 0.5), ("random", 0.1), ("min", 0.4)):
        assert kinds.count(kind) / 2000 == pytest.approx(share, abs=0.04)


def test_nothing_is_taken_away_grows_back_or_is_held(net):
    before = net.targets["weight"].weight.clone()
    strategy = LargestFirst()
    for step in range(100):
        strategy.prepare(net, step, max(0, step - 1) / 100, step / 100)
    assert bool((net.targets["weight"].weight == before).all())
    assert strategy.held(net, net.largest(), 0.9) is None and strategy.settled() == 0.6
    assert strategy.watched(net) == [("max", {"weight": 0.0}), ("min", {"weight": 0.9})]
