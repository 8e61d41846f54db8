"""docs/strategies.md: its tables are those of the classes, and its example trains in the recipe."""

import dataclasses
import json
import logging
import re
from pathlib import Path

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity.config import Model, load_config
from egs.librispeech.omni_sparsity.training.checkpoint import load_checkpoint
from egs.librispeech.omni_sparsity.training.trainer import Trainer
from omni.errors import UserError
from omni.settings import range_of
from tests.egs.conftest import VOCAB, data_dir  # noqa: F401, a fixture

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/strategies.md").read_text(encoding="utf-8")
MINI = ROOT / "egs/librispeech/omni_sparsity/conf/mini.yaml"
SHIPPED = ["dense", "gradual", "largest_first", "sandwich", "smallest_first"]


def table(first):
    """The cells of the rows of the table whose first heading is `first`."""
    rows = PAGE[PAGE.index(f"| {first} |"):].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip().strip("|").split("|")] for row in rows]


def test_the_table_of_strategies_is_what_ships():
    passes = {re.sub(r"[`*]|\(.*\)", "", row[0]).strip(): int(row[2]) for row in table("strategy")}
    assert passes == {name: 1 if omni.strategy_class(name).one_pass else 3 for name in SHIPPED}


def test_the_table_of_settings_is_that_of_the_classes():
    fields = {name: {one.name: one for one in dataclasses.fields(omni.strategy_class(name))} for name in SHIPPED}
    told = {}
    for name, default, allowed, of, what in table("setting"):
        kinds = SHIPPED if of == "all" else of.split(", ")
        for kind in kinds:
            told[kind, name.strip("`")] = (default, allowed, what)
    assert set(told) == {(kind, name) for kind in fields for name in fields[kind]}
    for (kind, name), (default, allowed, what) in told.items():
        one = fields[kind][name]
        value = getattr(omni.strategy_class(kind)(), name)
        assert default == (json.dumps(value) if isinstance(value, bool) else str(value)), (kind, name)
        assert allowed == range_of(one) and one.metadata["doc"].startswith(what), (kind, name)


def test_the_table_of_methods_is_what_a_strategy_has():
    methods = [name for name, value in vars(omni.Strategy).items() if callable(value) and not name.startswith("_")]
    assert [row[0].split("(")[0].strip("`") for row in table("method")] == methods
    for name in ("system", "of_one_size", "one_pass"):
        assert f"`{name}`" in PAGE and hasattr(omni.Strategy, name)


@pytest.fixture
def coin(tmp_path, monkeypatch):
    """Writes mine/coin.py, as the page has it, where the run is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/coin.py").write_text(re.search(r"^```python mine/coin.py\n(.*?)^```", PAGE, re.M | re.S)[1])
    monkeypatch.chdir(tmp_path)


def overrides():
    """The `--set` of the page's command."""
    command = re.search(r"    (\./run\.sh --exp-dir exp/coin .*?)\n\n", PAGE, re.S)[1]
    return [quoted or bare for quoted, bare in re.findall(r"--set (?:'([^']*)'|(\S+))", command)]


def test_the_command_and_the_file_are_one_configuration(coin, tmp_path):
    (tmp_path / "own.yaml").write_text(re.search(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)[1])
    by_line, by_file = load_config(MINI, overrides()), load_config(tmp_path / "own.yaml")
    for config in (by_line, by_file):
        assert dataclasses.asdict(config.omni.strategy) == {"refresh_every": 50, "heads": 0.7}
    assert by_line.omni.strategy.name == by_file.omni.strategy.name == "mine/coin.py:Coin"
    assert by_line.omni.bins == by_file.omni.bins == [0.9]
    (tmp_path / "again.yaml").write_text(by_line.to_yaml())
    assert load_config(tmp_path / "again.yaml").sections() == by_line.sections()
    with pytest.raises(UserError, match="omni.heads 1.5: want from 0 to 1"):
        load_config(MINI, [*overrides(), "omni.heads=1.5"])


def test_the_recipe_trains_with_it(coin, data_dir, tmp_path):  # noqa: F811
    config = load_config(MINI, [
        *overrides(), "data.max_duration=10", "data.num_workers=0", "data.parts=1", "data.first_max_seconds=20",
        "train.num_epochs=1", "omni.refresh_every=2", "loss.backend=native",
    ])
    config.model = Model(projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=32, num_layers=1, decoder_dim=16,
                         joiner_dim=16, vocab_size=VOCAB)
    kinds = []
    trainer = Trainer(config, data_dir, tmp_path / "exp", tensorboard=False)
    draw = trainer.strategy.subnets
    trainer.strategy.subnets = lambda *where: [kinds.append(kind) or (kind, spec) for kind, spec in draw(*where)]
    threads, handlers = torch.get_num_threads(), list(logging.getLogger().handlers)
    try:
        trainer.run(0, 0)
    finally:
        torch.set_num_threads(threads)
        logging.getLogger().handlers[:] = handlers
    assert len(kinds) > 3 and set(kinds) <= {"max", "min"}
    state = load_checkpoint(tmp_path / "exp/epoch-1.pt", "cpu")
    assert "mine/coin.py:Coin" in json.dumps(state["settings"])
