"""A strategy bound to a supernet, and strategies by the names that they had before."""

import pytest
import torch

import omni
from omni.strategies import Dense, Gradual, LargestFirst, Sandwich, SmallestFirst
from tests.omni.models import INPUTS, Mlp, build


def supernet():
    return omni.Supernet(build(Mlp), omni.Range(0.0, 0.9, "4x1"), private=["norm.*"], bins=[0.5, 0.9])


@pytest.mark.parametrize("strategy", [Dense(), Gradual(), LargestFirst(), Sandwich(), SmallestFirst(refresh_every=2)],
                         ids=lambda strategy: strategy.name)
def test_a_curriculum_says_what_its_strategy_says(strategy):
    net, other = supernet(), supernet()
    curriculum = omni.Curriculum(net, strategy)
    before = 0.0
    for step in range(40):
        progress = step / 40
        curriculum.prepare(step, before, progress)
        strategy.prepare(other, step, before, progress)
        assert curriculum.subnets(step, progress) == strategy.subnets(other, step, progress)
        assert curriculum.smallest(progress) == strategy.smallest(other, progress)
        for spec in (net.largest(), net.smallest()):
            assert curriculum.held(spec, progress) == strategy.held(other, spec, progress)
        for one in (net, other):
            with torch.no_grad():
                one.model.first.weight.mul_(torch.linspace(0.9, 1.1, 6))
        before = progress
    assert curriculum.ends() == strategy.watched(other)
    for name in net.targets:
        assert torch.equal(net.targets[name].weight, other.targets[name].weight)
        assert torch.equal(net.mask(name, 0.7), other.mask(name, 0.7))


def test_a_whole_training_ends_with_every_size():
    """The smallest's weights move for the smallest alone once they are held; plain SGD leaves what has no gradient."""
    net = supernet()
    curriculum = omni.Curriculum(net, SmallestFirst(refresh_every=5))
    optimizer = torch.optim.SGD([*net.model.parameters(), *(value for _, value in net.private_parameters())], 0.1)
    kinds = []
    for step in range(50):
        curriculum.prepare(step, max(0, step - 1) / 50, step / 50)
        mask = net.mask("first.weight", 0.9)
        for kind, spec in curriculum.subnets(step, step / 50):
            kinds.append(kind)
            was = net.model.first.weight.detach().clone()
            with net.active(spec, hold=curriculum.held(spec, step / 50)):
                net.model(INPUTS[Mlp]).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            moved = (net.model.first.weight != was) & mask
            if step >= 40:
                assert bool(moved.any()) == (kind == "min")
    assert kinds[:10] == ["max"] * 10 and kinds[10:30] == ["pruned"] * 20 and {"max", "min"} <= set(kinds[30:])


@pytest.mark.parametrize("old, strategy", [
    ({}, SmallestFirst()), ({"dense_until": 0.1, "grow_with": 0.5}, SmallestFirst(dense_until=0.1, grow_with=0.5)),
    ({"first": "largest", "sizes": {0.0: 1, 0.9: 1}}, LargestFirst(sizes={0.0: 1, 0.9: 1})),
    ({"sampling": "dense"}, Dense()),
    ({"sampling": "gradual", "prune_to": 0.7}, Gradual(prune_to=0.7)),
    ({"sampling": "sandwich", "layerwise": True, "refresh_every": 7}, Sandwich(layerwise=True, refresh_every=7)),
])
def test_a_plan_is_a_strategy_by_its_old_name(old, strategy):
    assert omni.Plan(**old) == strategy


@pytest.mark.parametrize("wrong, says", [
    ({"sampling": "some"}, "some"), ({"sampling": "split"}, "split"), ({"first": "both"}, "both_first"),
    ({"growth": "cubic"}, "no setting growth with strategy smallest_first"), ({"p_max": 0.3}, "p_max"),
    ({"first": "largest", "hold_from": 0.8}, "no setting hold_from with strategy largest_first"),
    ({"refresh_every": 0}, "refresh_every 0"), ({"dense_until": 0.7}, "dense_until 0.7"),
    ({"sizes": {1.0: 1}}, "sizes"),
])
def test_a_plan_that_makes_no_sense_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        omni.Plan(**wrong)
