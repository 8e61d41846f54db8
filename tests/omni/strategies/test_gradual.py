"""One model pruned to one size as it trains."""

import pytest
import torch

from omni.strategies import Gradual


@pytest.mark.parametrize("progress, sparsity", [
    (0.0, 0.0), (0.19, 0.0), (0.2, 0.0), (0.3, 0.8 * 37 / 64), (0.4, 0.8 * 7 / 8), (0.5, 0.8 * 63 / 64), (0.6, 0.8),
    (1.0, 0.8),
])
def test_it_follows_the_cubic_law(net, trained, progress, sparsity):
    """1 - (1 - x)^3 at x = 0, 1/4, 1/2, 3/4, 1 of the way from 0.2 to 0.6."""
    for step in (0, 5):
        assert trained(Gradual(prune_to=0.8), net, progress, step) == [("pruned", sparsity)]


def test_it_begins_and_ends_where_it_is_told(net, trained):
    strategy = Gradual(prune_to=0.6, dense_until=0.0, grow_until=0.5)
    assert (trained(strategy, net, 0.25) == [("pruned", 0.6 * 7 / 8)]
            and trained(strategy, net, 0.5) == [("pruned", 0.6)])
    assert strategy.settled() == 0.5 and strategy.watched(net) == [("pruned", {"weight": 0.6})]
    assert strategy.of_one_size and strategy.system == "pruned" and strategy.held(net, net.largest(), 0.9) is None


def test_what_has_been_dropped_stays_dropped(net, kept):
    """At 0.4 of the training 0.525 are to go: 1 to 5; all others are ranked by what they are then."""
    with torch.no_grad():
        net.targets["weight"].weight.copy_(torch.tensor([20.0, 0, 0, 0, 0, 10, 9, 8, 7, 6]))
    Gradual(prune_to=0.6).prepare(net, 100, 0.39, 0.4)
    assert kept(net, 0.5) == [6, 7, 8, 9, 10] and kept(net, 0.8) == [6, 7]


def test_nothing_sparser_than_the_range_is_promised(make):
    strategy = Gradual(prune_to=0.8)
    for use in (lambda net: strategy.prepare(net, 0, 0.0, 0.0), lambda net: strategy.subnets(net, 0, 0.0),
                strategy.watched):
        with pytest.raises(ValueError, match="sparsity 0.8: no weight can have it; the nearest is 0.7"):
            use(make(high=0.7, bins=()))
