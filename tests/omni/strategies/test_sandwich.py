"""The largest, the smallest and a random one in each step."""

import pytest

import omni
from omni.strategies import Sandwich
from tests.omni.models import Mlp, build


def test_dense_first_then_three_passes_a_step(net, trained):
    assert trained(Sandwich(), net, 0.19) == [("max", 0.0)] and not Sandwich().one_pass
    (one, largest), (two, smallest), (three, between) = Sandwich().subnets(net, 5, 0.4)
    assert (one, two, three) == ("max", "min", "random")
    assert largest == {"weight": 0.0} and smallest == {"weight": pytest.approx(0.9 * 7 / 8)}
    assert 0.3 <= between["weight"] <= 0.9 * 7 / 8


def test_the_random_one_is_never_denser_than_0_3_nor_sparser_than_the_smallest(net):
    for progress, low, high in ((0.21, 0.0659, 0.0659), (0.8, 0.3, 0.9)):  # 0.9 (1 - (39/40)^3)
        drawn = [Sandwich().subnets(net, step, progress)[2][1]["weight"] for step in range(300)]
        assert min(drawn) == pytest.approx(low, abs=0.01) and max(drawn) == pytest.approx(high, abs=0.01)


def test_its_weights_lie_near_each_other_or_layerwise_apart():
    net = omni.Supernet(build(Mlp), omni.Range(0.0, 0.9, "4x1"))

    def apart(strategy):
        specs = [strategy.subnets(net, step, 0.8)[2][1].values() for step in range(100)]
        return max(max(spec) - min(spec) for spec in specs)

    assert 0.1 < apart(Sandwich()) <= 0.2 < 0.4 < apart(Sandwich(layerwise=True))
