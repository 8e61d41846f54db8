"""A strategy in a flat section of settings."""

import pytest

from omni.settings import Given
from omni.strategies import Dense, Gradual, LargestFirst, SmallestFirst, chosen

COIN = """from __future__ import annotations
import omni
from omni.settings import share


class Coin(omni.Strategy):
    heads: float = share(0.5, "how often the largest")

    def subnets(self, net, step, progress):
        return [net.pick(step, {0.0: self.heads, 0.9: 1.0 - self.heads})]
"""


def file(**values):
    return [Given(name, value, "file.yaml") for name, value in values.items()]


def line(**values):
    return [Given(name, value, f"--set omni.{name}={value}") for name, value in values.items()]


def test_without_a_word_the_one_that_ships():
    assert chosen([], ["bins"]) == (SmallestFirst(), [])
    strategy, rest = chosen(file(grow_with=0.5, bins=[0.9], dense_until="1e-1"), ["bins", "private"])
    assert strategy == SmallestFirst(grow_with=0.5, dense_until=0.1) and rest == file(bins=[0.9])


def test_a_file_names_its_strategy_before_or_after_its_settings():
    for given in (file(strategy="gradual", prune_to=0.5), file(prune_to=0.5, strategy="gradual")):
        assert chosen(given, [])[0] == Gradual(prune_to=0.5)


def test_another_strategy_over_a_file_drops_the_settings_of_the_former():
    """But keeps those that it has too, and whatever stands beside."""
    of_file = file(strategy="smallest_first", dense_until=0.1, hold_from=0.9, sizes={0.0: 1}, bins=[0.9])
    strategy, rest = chosen([*of_file, *line(strategy="largest_first")], ["bins"])
    assert strategy == LargestFirst(dense_until=0.1, sizes={0.0: 1.0}) and rest == file(bins=[0.9])
    assert chosen([*of_file, *line(strategy="dense")], ["bins"])[0] == Dense()
    after = chosen([*of_file, *line(strategy="gradual", prune_to=0.5)], ["bins"])[0]
    assert after == Gradual(dense_until=0.1, prune_to=0.5)


@pytest.mark.parametrize("given, says", [
    (line(hold_from=0.5, strategy="dense"), "--set omni.hold_from=0.5: no setting omni.hold_from with "
                                            "omni.strategy dense; there are strategy, refresh_every, bins"),
    (line(strategy="dense", hold_from=0.5), "no setting omni.hold_from with omni.strategy dense"),
    ([*file(strategy="dense"), *line(hold_from=0.5)], "no setting omni.hold_from with omni.strategy dense"),
    (file(strategy="dense", hold_from=0.5), "file.yaml: no setting omni.hold_from"),
    (file(hold_from=0.5, strategy="dense"), "file.yaml: no setting omni.hold_from"),
    ([*file(depth=3), *line(strategy="dense")], "file.yaml: no setting omni.depth"),
    (line(strategy="none"), "--set omni.strategy=none: omni.strategy 'none': want one of dense, "),
    (line(strategy=3), "--set omni.strategy=3: omni.strategy wants str, not 3"),
    (line(strategy="no.py:Coin"), "omni.strategy 'no.py:Coin': no.py: no such file"),
    (line(dense_until=2), "omni.dense_until 2.0: want from 0 to 1"),
    (line(dense_until=0.7), "omni.dense_until 0.7: want less"),
    (line(strategy="gradual", prune_to="x"), "--set omni.prune_to=x: omni.prune_to wants float, not 'x'"),
])
def test_what_makes_no_sense_is_one_line(given, says):
    with pytest.raises(ValueError, match=says) as raised:
        chosen(given, ["bins"], "omni.")
    assert "\n" not in str(raised.value)


def test_a_file_of_ones_own_with_its_settings(tmp_path):
    (tmp_path / "coin.py").write_text(COIN)
    name = f"{tmp_path}/coin.py:Coin"
    shipped = file(strategy="smallest_first", hold_from=0.9, refresh_every=20)
    strategy, _ = chosen([*shipped, *line(strategy=name, heads=0.25)], [], "omni.")
    assert (strategy.name, strategy.heads, strategy.refresh_every) == (name, 0.25, 20)
    for wrong, says in ((line(heads=2), "omni.heads 2.0: want from 0 to 1"),
                        (line(tails=1), "are strategy, refresh_every, heads")):
        with pytest.raises(ValueError, match=says):
            chosen([*shipped, *line(strategy=name), *wrong], [], "omni.")
