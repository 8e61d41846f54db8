"""Which sub-networks train when."""

import pytest
import torch

import omni
from tests.omni.models import Mlp, build


@pytest.fixture
def curriculum():
    def make(private=(), bins=(), **plan):
        net = omni.Supernet(build(Mlp), omni.Range(0.0, 0.9, "4x1"), private=private, bins=bins)
        return omni.Curriculum(net, omni.Plan(**{"dense_until": 0.2, "grow_from": 0.5, "grow_until": 0.6, **plan}))

    return make


def test_dense_first_then_all_kinds_in_their_shares(curriculum):
    c = curriculum(p_max=0.3, p_min=0.3)
    assert [kind for kind, _ in c.subnets(5, 0.1)] == ["max"]
    kinds = [kind for step in range(2000) for kind, _ in c.subnets(step, 0.8)]
    for kind, share in (("max", 0.3), ("min", 0.3), ("random", 0.4)):
        assert kinds.count(kind) / 2000 == pytest.approx(share, abs=0.04)
    assert c.subnets(7, 0.8) == c.subnets(7, 0.8)


def test_the_smallest_grows_sparser(curriculum):
    c = curriculum(p_max=0.0, p_min=1.0)
    found = [c.net.mean_sparsity(c.subnets(1, progress)[0][1]) for progress in (0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.5, 0.7, 0.9, 0.9])


def test_it_may_grow_as_a_model_that_is_pruned_on_its_own(curriculum):
    c = curriculum(growth="cubic", grow_from=0.0, p_max=0.0, p_min=1.0)
    found = [c.net.mean_sparsity(c.subnets(1, progress)[0][1]) for progress in (0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.0, 0.9 - 0.9 / 8, 0.9, 0.9])
    assert c.smallest(0.1) == c.net.largest() and c.smallest(0.4) == c.subnets(1, 0.4)[0][1]


def test_a_list_of_sizes(curriculum):
    c = curriculum(sizes={0.0: 0.4, 0.5: 0.2, 0.9: 0.4})
    assert c.subnets(3, 0.1) == [("max", c.net.largest())]
    found = [c.subnets(step, 0.8)[0] for step in range(500)]
    means = {kind: round(c.net.mean_sparsity(spec), 3) for kind, spec in found}
    assert means == {"max": 0.0, "random": 0.5, "min": 0.9}
    assert max(c.net.mean_sparsity(c.subnets(step, 0.3)[0][1]) for step in range(50)) == pytest.approx(0.6)
    each = curriculum(sizes={0.0: 0.5, 0.9: 0.5}, sampling="each")
    assert any(each.subnets(step, 0.8, place=0) != each.subnets(step, 0.8, place=1) for step in range(20))


def test_random_subnetworks_stay_in_their_range(curriculum):
    c = curriculum(p_max=0.0, p_min=0.0, random_low=0.3, spread=0.1)
    for step in range(50):
        (kind, spec), = c.subnets(step, 0.4)
        assert kind == "random" and all(0.3 <= value <= 0.7 for value in spec.values())


def test_the_sandwich_is_three_passes(curriculum):
    c = curriculum(sampling="sandwich")
    assert [kind for kind, _ in c.subnets(1, 0.1)] == ["max"]
    assert [kind for kind, _ in c.subnets(1, 0.9)] == ["max", "min", "random"]


def test_a_model_that_is_pruned_on_its_own(curriculum):
    c = curriculum(sampling="gradual", prune_to=0.8, dense_until=0.2, grow_until=0.7)
    found = []
    for progress in (0.0, 0.2, 0.45, 0.7, 1.0):
        (kind, spec), = c.subnets(3, progress)
        assert kind == "pruned"
        found.append(c.net.mean_sparsity(spec))
    assert found == pytest.approx([0.0, 0.0, 0.8 - 0.8 / 8, 0.8, 0.8])
    assert c.ends() == [("pruned", c.net.uniform(0.8))]


def test_a_dense_training(curriculum):
    c = curriculum(sampling="dense")
    assert all(c.subnets(step, 0.9) == [("max", c.net.largest())] for step in range(20))
    assert [kind for kind, _ in c.ends()] == ["max"]


def test_ranks_are_refreshed_until_they_freeze(curriculum):
    c = curriculum(refresh_every=10, freeze_at=0.7)
    assert c.refreshes(20, 0.3) and not c.refreshes(25, 0.3) and not c.refreshes(20, 0.7)
    name = next(iter(c.net.targets))
    before = c.net.mask(name, 0.5)
    with torch.no_grad():
        c.net.targets[name].weight.copy_(c.net.targets[name].weight.flip(1).contiguous())
    c.prepare(20, 0.75, 0.75)
    assert torch.equal(c.net.mask(name, 0.5), before)
    c.prepare(20, 0.3, 0.3)
    assert torch.equal(c.net.mask(name, 0.5), before.flip(1))


def test_smallest_first_then_all_sizes_grow_back_from_it(curriculum):
    c = curriculum(first="smallest", rank="kept", private=["norm.*"], bins=[0.5, 0.9], sizes={0.0: 1, 0.9: 1})
    assert [c.subnets(step, 0.4)[0][0] for step in range(5)] == ["pruned"] * 5
    with c.net.active(c.net.smallest()):
        c.net.model(torch.randn(3, 6)).sum().backward()
    with torch.no_grad():
        for key, value in c.net.private_parameters():
            value.fill_(3.0 if key.startswith("0.9") else 2.0)
    c.prepare(100, 0.59, 0.6)
    assert all(float((target.weight == 0).float().mean()) == pytest.approx(0.9, abs=0.05)
               for target in c.net.targets.values())
    assert all(bool((value == 3.0).all()) for _, value in c.net.private_parameters())
    assert {c.subnets(step, 0.7)[0][0] for step in range(20)} == {"max", "min"}


@pytest.mark.parametrize("wrong", [
    {"sampling": "some"}, {"first": "both"}, {"growth": "fast"}, {"rank": "none"}, {"p_max": 1.2},
    {"p_max": 0.6, "p_min": 0.6}, {"refresh_every": 0}, {"first": "smallest", "dense_until": 0.7}, {"sizes": {1.0: 1}},
    {"sizes": {0.5: -1.0}}, {"sizes": {0.5: 0}}, {"freeze_at": -0.1}, {"hold_from": 0.8, "rank": "kept"},
    {"hold_from": 0.8, "first": "smallest"},
])
def test_a_plan_that_makes_no_sense_is_refused(wrong):
    omni.Plan().check()
    with pytest.raises(ValueError, match=next(iter(wrong))):
        omni.Plan(**wrong).check()


@pytest.mark.parametrize("changes", [{"sampling": "dense"}, {"sampling": "gradual", "prune_to": 0.5}, {"first": "largest"},
                                     {"hold_from": 1.0}])
def test_only_larger_networks_of_a_supernet_that_grows_back_hold_the_smallest(curriculum, changes):
    plan = {"first": "smallest", "hold_from": 0.8}
    c, other = curriculum(**plan), curriculum(**{**plan, **changes})
    assert c.held(c.net.largest(), 0.8) == c.held(c.net.uniform(0.5), 0.9) == c.net.smallest()
    assert c.held(c.net.smallest(), 0.9) is None and c.held(c.net.largest(), 0.79) is None
    assert all(other.held(other.net.uniform(sparsity), 0.9) is None for sparsity in (0.0, 0.5, 0.9))
