"""Each strategy trains, ranks and holds what `Plan` did with the recipe's settings; and one of your own is a file and a name."""

import copy

import pytest
import torch

import omni
from omni.strategies import Dense, Gradual, LargestFirst, Sandwich, SmallestFirst
from tests.omni.models import Mlp, build

SIZES = {0.0: 0.6, 0.5: 0.05, 0.7: 0.05, 0.8: 0.05, 0.9: 0.25}
CUBIC = {"dense_until": 0.2, "grow_from": 0.0, "grow_until": 0.6, "growth": "cubic", "rank": "kept", "freeze_at": 1.0,
         "refresh_every": 2}
PAIRS = [
    (Gradual(prune_to=0.7, refresh_every=2), {"sampling": "gradual", "prune_to": 0.7}),
    (LargestFirst(refresh_every=2), {"sizes": SIZES}),
    (SmallestFirst(refresh_every=2), {"sizes": SIZES, "first": "smallest", "grow_with": 0.3, "hold_from": 0.8}),
    (Sandwich(refresh_every=2), {"sampling": "sandwich"}),
    (Sandwich(refresh_every=2, layerwise=True), {"sampling": "sandwich", "layerwise": True}),
]


def supernet():
    torch.manual_seed(0)
    return omni.Supernet(build(Mlp), omni.Range(0.0, 0.9, "4x1"), private=[".*bias"], bins=[0.5, 0.7, 0.8, 0.9])


def drift(*nets):
    """Their weights move alike, as a training moves them."""
    for net in nets:
        torch.manual_seed(1)
        with torch.no_grad():
            for value in [*net.model.parameters(), *(p for _, p in net.private_parameters())]:
                value += 0.05 * torch.randn_like(value)


@pytest.mark.parametrize("strategy, plan", PAIRS, ids=lambda of: getattr(of, "name", ""))
def test_a_strategy_does_what_the_plan_did(strategy, plan):
    ours = supernet()
    theirs = copy.deepcopy(ours)
    curriculum = omni.Curriculum(theirs, omni.Plan(**CUBIC, **plan))
    before, kinds = 0.0, set()
    for step in range(60):
        progress = step / 60
        strategy.prepare(ours, step, before, progress)
        curriculum.prepare(step, before, progress)
        trained = strategy.subnets(ours, step, progress)
        assert trained == curriculum.subnets(step, progress)
        kinds |= {kind for kind, _ in trained}
        for _, spec in trained:
            held = strategy.held(ours, spec, progress)
            assert held == curriculum.held(spec, progress)
            for net in (ours, theirs):
                with net.active(spec, hold=held):
                    pass
        drift(ours, theirs)
        for name, target in ours.targets.items():
            assert torch.equal(target.weight, theirs.targets[name].weight)
            assert torch.equal(ours.mask(name, 0.7), theirs.mask(name, 0.7))
        for (_, one), (_, other) in zip(ours.private_parameters(), theirs.private_parameters()):
            assert torch.equal(one, other)
        before = progress
    assert len(kinds) > 1 or strategy.of_one_size
    assert strategy.watched(ours) == curriculum.ends()


def test_the_dense_model_is_trained_alone_and_never_ranked(monkeypatch):
    net = supernet()
    monkeypatch.setattr(net, "refresh", None)
    for step in range(0, 200, 50):
        Dense().prepare(net, step, 0.4, 0.5)
        assert Dense().subnets(net, step, 0.5) == [("max", net.largest())]


def test_a_strategy_of_your_own_is_a_file_and_a_name(tmp_path):
    (tmp_path / "coin.py").write_text(
        "import omni\n"
        "@omni.strategy('coin')\n"
        "class Coin(omni.Strategy):\n"
        "    def subnets(self, net, step, progress):\n"
        "        return [net.pick(step, {0.0: 0.5, 0.9: 0.5})]\n")
    coin = omni.strategy_class(f"{tmp_path}/coin.py:Coin")(refresh_every=7)
    net = supernet()
    assert {coin.subnets(net, step, 0.5)[0][0] for step in range(20)} == {"max", "min"}
    coin.prepare(net, 7, 0.4, 0.5)
    assert "coin" in omni.strategy_names() and omni.strategy_class("coin").system == "omni"


@pytest.mark.parametrize("name, says", [
    ("none", "dense, gradual, largest_first, sandwich, smallest_first"), ("no.py:Coin", "no.py: no such file"), ("bad.py:Coin", "bad.py: SyntaxError"),
    ("empty.py:Coin", "has no class Coin"),
])
def test_a_name_that_is_none(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("class")
    (tmp_path / "empty.py").write_text("Coin = 3")
    with pytest.raises(ValueError, match=says):
        omni.strategy_class(name)


@pytest.mark.parametrize("make, says", [
    (lambda: Gradual(prune_to=1.0), "prune_to 1.0: want at least 0 and less than 1"),
    (lambda: LargestFirst(dense_until=float("nan")), "dense_until nan: want from 0 to 1"),
    (lambda: SmallestFirst(dense_until=0.6), "dense_until 0.6: want less than grow_until, 0.6"),
    (lambda: SmallestFirst(sizes={1.0: 0.5}), "want {sparsity: share}"), (lambda: LargestFirst(sizes={0.5: 0}), "above 0"),
    (lambda: Dense(refresh_every=0), "refresh_every 0: want at least 1"),
])
def test_settings_out_of_their_range(make, says):
    with pytest.raises(ValueError, match=says):
        make()
