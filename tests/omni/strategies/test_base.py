"""What every strategy has, and strategies of one's own."""

import random
import sys

import pytest
import torch

import omni
from omni.settings import Given, build, check, names
from omni.strategies import Dense, Gradual, LargestFirst, Sandwich, SmallestFirst

COIN = """from __future__ import annotations

from typing import Dict

import omni
from omni.settings import setting


class Coin(omni.Strategy):
    heads: float = setting(0.5, "how often the largest", low=0.0, high=1.0)
    extra: Dict[float, float] = setting({0.9: 1.0}, "what else")

    def subnets(self, net, step: int, progress: float) -> omni.strategies.base.Subnets:
        return [net.pick(step, {0.0: self.heads, 0.9: 1.0 - self.heads})]
"""
SHIPPED = [Dense(), Gradual(prune_to=0.5), LargestFirst(), Sandwich(), Sandwich(layerwise=True), SmallestFirst()]


class Plain(omni.Strategy):
    def subnets(self, net, step, progress):
        return [("max", net.largest())]


@pytest.mark.parametrize("strategy", SHIPPED, ids=lambda strategy: strategy.name)
def test_draws_are_functions_of_seed_and_step(make, strategy):
    def drawn(net, first=0):
        return [strategy.subnets(net, step, 0.7) for step in range(first, 30)]

    net, again, other = make(), make(), make(seed=43)
    random.seed(1), torch.manual_seed(1)
    states = random.getstate(), torch.get_rng_state()
    once = drawn(net)
    assert random.getstate() == states[0] and torch.equal(torch.get_rng_state(), states[1])
    random.seed(2), torch.manual_seed(2)
    assert drawn(again) == once and drawn(again, first=10) == once[10:]  # resumed
    assert (drawn(other) == once) == strategy.of_one_size


@pytest.mark.parametrize("strategy", SHIPPED, ids=lambda strategy: strategy.name)
def test_the_largest_comes_first_where_it_trains(make, strategy):
    for step in range(50):
        kinds = [kind for kind, _ in strategy.subnets(make(), step, step / 50)]
        assert "max" not in kinds[1:] and set(kinds) <= {"max", "min", "random", "pruned"}


def test_blocks_are_ranked_every_so_many_steps_but_not_when_all_is_done(net, kept):
    strategy = Plain(refresh_every=10)
    net.targets["weight"].weight.data.mul_(-1).add_(11)  # 10 to 1
    for step, before, progress in ((11, 0.4, 0.5), (9, 0.4, 0.5), (20, 0.99, 1.0)):
        strategy.prepare(net, step, before, progress)
        assert kept(net, 0.7) == [8, 9, 10]
    strategy.prepare(net, 20, 0.98, 0.99)
    assert kept(net, 0.7) == [1, 2, 3]


def test_what_a_strategy_does_that_says_nothing_else(net):
    strategy = Plain()
    assert strategy.smallest(net, 0.9) == net.largest() and strategy.held(net, net.largest(), 0.9) is None
    assert strategy.watched(net) == [("max", {"weight": 0.0}), ("min", {"weight": 0.9})]
    assert (strategy.settled(), strategy.system, strategy.of_one_size, strategy.one_pass) == (0.0, "omni", False, True)
    with pytest.raises(NotImplementedError, match="Strategy.subnets"):
        omni.Strategy().subnets(net, 0, 0.0)


def test_one_of_your_own_is_a_file_and_a_class(tmp_path, net):
    """With annotations that are strings, settings of its own, and no decorator."""
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a:b/coin.py").write_text(COIN)
    name = f"{tmp_path}/a:b/coin.py:Coin"
    kind = omni.strategy_class(name)
    assert kind.name == name and names(kind) == ["refresh_every", "heads", "extra"]
    coin = build(kind, [Given("heads", "1e-1", "here"), Given("extra", {0: 1}, "here")])
    check(coin)
    assert coin.heads == 0.1 and coin.extra == {0.0: 1.0} and coin.refresh_every == 100
    kinds = [coin.subnets(net, step, 0.5)[0][0] for step in range(500)]
    assert kinds.count("max") / 500 == pytest.approx(0.1, abs=0.04) and set(kinds) == {"max", "min"}
    with pytest.raises(ValueError, match="heads 2: want from 0 to 1"):
        kind(heads=2)


def test_one_that_is_registered_has_a_name(tmp_path):
    (tmp_path / "twice.py").write_text(COIN.replace("class Coin", '@omni.strategy("tests-coin")\nclass Coin'))
    for _ in range(2):  # the same file again is the same strategy
        omni.strategy_class(f"{tmp_path}/twice.py:Coin")
    assert "tests-coin" in omni.strategy_names() and omni.strategy_class("tests-coin")(heads=0.25).heads == 0.25
    with pytest.raises(ValueError, match="heads 2: want from 0 to 1"):
        omni.strategy_class("tests-coin")(heads=2)
    with pytest.raises(ValueError, match="'tests-coin': .*Coin has this name already"):
        omni.strategy("tests-coin")(type("Other", (omni.Strategy,), {}))


def test_two_files_of_one_name_are_two_strategies(tmp_path):
    for folder, text in (("a", COIN), ("b", COIN.replace("0.9", "0.5"))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "coin.py").write_text(text)
    one, other = (omni.strategy_class(f"{tmp_path}/{folder}/coin.py:Coin") for folder in "ab")
    assert build(one, []).extra == {0.9: 1.0} and build(other, []).extra == {0.5: 1.0}
    for folder in "ab":
        path = tmp_path / folder / "coin.py"
        path.write_text(path.read_text().replace("class Coin", '@omni.strategy("tests-coin")\nclass Coin'))
    omni.strategy_class(f"{tmp_path}/a/coin.py:Coin")
    with pytest.raises(ValueError, match="b/coin.py: .*tests-coin.* .*a/coin.py.Coin has this name already"):
        omni.strategy_class(f"{tmp_path}/b/coin.py:Coin")


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    """Strategies of these tests are not there for others."""
    from omni.strategies import base

    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))


def test_five_ship():
    assert omni.strategy_names() == ["dense", "gradual", "largest_first", "sandwich", "smallest_first"]


@pytest.mark.parametrize("name, says", [
    ("none", "'none': want one of dense, gradual, largest_first, sandwich, smallest_first, or path/to/file.py:Class"),
    ("no.py:Coin", "no.py: no such file"), ("bad.py:Coin", "bad.py: SyntaxError"),
    ("breaks.py:Coin", "ZeroDivisionError"),
    ("empty.py:Coin", "has no class Coin that is an omni.Strategy"), ("empty.py:Other", "has no class Other"),
    ("empty.py", "want one of"), ("bare.py:Coin", "bare.py: Coin: .*heads"),
])
def test_a_name_that_is_none(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("class")
    (tmp_path / "breaks.py").write_text("1 / 0")
    (tmp_path / "bare.py").write_text(COIN.replace('setting(0.5, "how often the largest", low=0.0, high=1.0)', "{}"))
    (tmp_path / "empty.py").write_text("Coin = 3\nclass Other: pass\n")
    with pytest.raises(ValueError, match=says) as raised:
        omni.strategy_class(name)
    assert "\n" not in str(raised.value) and not any(module.endswith(("bad.py", "breaks.py")) for module in sys.modules)


@pytest.mark.parametrize("make_it, says", [
    (lambda: Gradual(prune_to=1.0), "prune_to 1.0: want at least 0 and less than 1"),
    (lambda: LargestFirst(dense_until=float("nan")), "dense_until nan: want from 0 to 1"),
    (lambda: LargestFirst(grow_until=1.1), "grow_until 1.1: want from 0 to 1"),
    (lambda: SmallestFirst(dense_until=0.6), "dense_until 0.6: want less than grow_until, 0.6"),
    (lambda: SmallestFirst(hold_from=-0.1), "hold_from -0.1: want from 0 to 1"),
    (lambda: SmallestFirst(sizes={1.0: 0.5}), "sparsities from 0 to below 1"),
    (lambda: SmallestFirst(sizes={}), "want"),
    (lambda: LargestFirst(sizes={0.5: -1.0}), "sizes .*: want"),
    (lambda: LargestFirst(sizes={0.5: 0}), "a share above 0"),
    (lambda: Dense(refresh_every=0), "refresh_every 0: want at least 1"),
])
def test_settings_out_of_their_range(make_it, says):
    with pytest.raises(ValueError, match=says):
        make_it()


def test_weights_that_cannot_be_ranked_within_another_are_ranked_anew():
    """N:M has no ranking within a sub-network; the strategy that ships trains it all the same."""
    net = omni.Supernet(torch.nn.Linear(8, 8, bias=False), omni.Range(0.0, 0.5, "2:4"))
    strategy = omni.strategy_class("smallest_first")(refresh_every=1, sizes={0.0: 1, 0.5: 1})
    for before, progress in ((0.2, 0.3), (0.59, 0.6)):
        strategy.prepare(net, 1, before, progress)
    with torch.no_grad():
        net.model.weight.copy_(torch.arange(64.0).view(8, 8))
    strategy.prepare(net, 2, 0.6, 0.7)
    assert net.mask("weight", 0.5)[0].tolist() == [False, False, True, True] * 2
