"""The curriculum: which sub-networks train when."""

import pytest

from egs.librispeech.omni_sparsity.model import Transducer
from egs.librispeech.omni_sparsity.strategy import Strategy, make_supernet
from tools.errors import UserError


@pytest.fixture
def strategy(config):
    def make(**changes):
        for name, value in {"dense_until": 0.2, "grow_from": 0.5, "grow_until": 0.6, **changes}.items():
            setattr(config.omni, name, value)
        return Strategy(make_supernet(Transducer(config.model), config.omni, 42), config.omni)

    return make


def test_dense_first_then_all_kinds_in_their_shares(strategy):
    s = strategy(p_max=0.3, p_min=0.3)
    assert [kind for kind, _ in s.subnets(5, 0.1)] == ["max"]
    kinds = [kind for step in range(2000) for kind, _ in s.subnets(step, 0.8)]
    for kind, share in (("max", 0.3), ("min", 0.3), ("random", 0.4)):
        assert kinds.count(kind) / 2000 == pytest.approx(share, abs=0.04)
    assert s.subnets(7, 0.8) == s.subnets(7, 0.8)


def test_the_smallest_grows_sparser(strategy):
    s = strategy(p_max=0.0, p_min=1.0)
    found = [s.net.mean_sparsity(s.subnets(1, progress)[0][1]) for progress in (0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.5, 0.7, 0.9, 0.9])


def test_it_may_grow_as_a_model_that_is_pruned_on_its_own(strategy):
    s = strategy(growth="cubic", grow_from=0.0, p_max=0.0, p_min=1.0)
    found = [s.net.mean_sparsity(s.subnets(1, progress)[0][1]) for progress in (0.2, 0.4, 0.6, 1.0)]
    assert found == pytest.approx([0.0, 0.9 - 0.9 / 8, 0.9, 0.9])
    assert s.smallest(0.1) == s.net.largest() and s.smallest(0.4) == s.subnets(1, 0.4)[0][1]


def test_a_list_of_sizes(strategy):
    s = strategy(sizes={0.0: 0.4, 0.5: 0.2, 0.9: 0.4})
    assert s.subnets(3, 0.1) == [("max", s.net.largest())]
    found = [s.subnets(step, 0.8)[0] for step in range(500)]
    means = {kind: round(s.net.mean_sparsity(spec), 3) for kind, spec in found}
    assert means == {"max": 0.0, "random": 0.5, "min": 0.9}
    assert max(s.net.mean_sparsity(s.subnets(step, 0.3)[0][1]) for step in range(50)) == pytest.approx(0.6)
    each = strategy(sizes={0.0: 0.5, 0.9: 0.5}, sampling="each")
    assert any(each.subnets(step, 0.8, place=0) != each.subnets(step, 0.8, place=1) for step in range(20))


def test_random_subnetworks_stay_in_their_range(strategy):
    s = strategy(p_max=0.0, p_min=0.0, random_low=0.3, spread=0.1)
    for step in range(50):
        (kind, spec), = s.subnets(step, 0.4)
        assert kind == "random" and all(0.3 <= value <= 0.7 for value in spec.values())


def test_the_sandwich_is_three_passes(strategy):
    s = strategy(sampling="sandwich")
    assert [kind for kind, _ in s.subnets(1, 0.1)] == ["max"]
    assert [kind for kind, _ in s.subnets(1, 0.9)] == ["max", "min", "random"]


def test_a_model_that_is_pruned_on_its_own(strategy):
    s = strategy(sampling="gradual", prune_to=0.8, dense_until=0.2, grow_until=0.7)
    found = []
    for progress in (0.0, 0.2, 0.45, 0.7, 1.0):
        (kind, spec), = s.subnets(3, progress)
        assert kind == "pruned"
        found.append(s.net.mean_sparsity(spec))
    assert found == pytest.approx([0.0, 0.0, 0.8 - 0.8 / 8, 0.8, 0.8])
    assert s.ends() == [("pruned", s.net.uniform(0.8))] and s.system(0.8) == "pruned"


def test_a_dense_training(strategy):
    s = strategy(sampling="dense")
    assert all(s.subnets(step, 0.9) == [("max", s.net.largest())] for step in range(20))
    assert [kind for kind, _ in s.ends()] == ["max"]
    assert (s.system(0.0), s.system(0.5)) == ("dense", "oneshot")
    assert strategy(sampling="single").system(0.5) == "omni"


def test_ranks_are_refreshed_until_they_freeze(strategy):
    s = strategy(refresh_every=10, freeze_at=0.7)
    assert s.refreshes(20, 0.3) and not s.refreshes(25, 0.3) and not s.refreshes(20, 0.7)


def test_what_does_not_fit_is_named(config):
    config.omni.targets = {"encoder.nothing": {"high": 0.9}}
    with pytest.raises(UserError, match="encoder.nothing"):
        make_supernet(Transducer(config.model), config.omni, 42)
    config.omni.targets = {"encoder.*": {"deepness": 3}}
    with pytest.raises(UserError, match="deepness"):
        make_supernet(Transducer(config.model), config.omni, 42)
