"""The three lines for those who would rather edit; settings."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest
import torch

import omni.icefall
from omni.icefall import Settings, read_settings
from omni.icefall.settings import shipped
from omni.strategies import Gradual, LargestFirst, Sandwich, SmallestFirst
from tests.omni.models import INPUTS, Mlp, build

ROOT = Path(__file__).parents[3]
SETTINGS = {"targets": {"(first|second).weight": {"high": 0.75, "structure": "4x1"}}, "steps": 20}


def step(params, model, optimizer, enter=omni.icefall.step):
    """What a host's train_one_epoch does, with the third line."""
    params["batch_idx_train"] += 1
    with enter(params):
        zeros = float((model.first.weight == 0).float().mean())
        model(INPUTS[Mlp]).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    return zeros


def resume(model, params, settings, steps):
    """Attaches a copy of `model` that goes on from what `params` holds; -> what its steps dropped, and its weights."""
    again = build(Mlp)
    again.load_state_dict(model.state_dict())
    copied = {"batch_idx_train": params["batch_idx_train"]}
    omni.icefall.attach(again, copied, settings, {"omni": params["omni"]})
    optimizer = torch.optim.SGD(again.parameters(), 1e-3)
    return [step(copied, again, optimizer) for _ in range(steps)], list(again.parameters())


def test_three_lines_train_a_supernet_and_go_on_where_it_was_stopped():
    settings = Settings(**SETTINGS, strategy=Gradual(dense_until=0.2, grow_until=0.5, prune_to=0.75, refresh_every=5))
    model = build(Mlp)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    params = {"batch_idx_train": 0}
    plugin = omni.icefall.attach(model, params, settings)
    zeros = [step(params, model, optimizer) for _ in range(12)]
    assert zeros[:3] == [0.0] * 3 and zeros[-1] == pytest.approx(0.75, abs=0.05) and zeros == sorted(zeros)
    assert params["omni"]["prepared"] == 12 and bool((model.first.weight != 0).all())

    resumed, weights = resume(model, params, settings, 8)
    assert resumed == [step(params, model, optimizer, plugin.step) for _ in range(8)]
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), weights))


def test_the_strategy_that_ships_shrinks_and_grows_back():
    strategy = SmallestFirst(dense_until=0.1, grow_until=0.5, hold_from=1.0, refresh_every=1, sizes={0.0: 1.0})
    model, params = build(Mlp), {"batch_idx_train": 0}
    omni.icefall.attach(model, params, Settings(**SETTINGS, strategy=strategy))
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    zeros = [step(params, model, optimizer) for _ in range(9)]
    assert zeros[-1] > 0.6  # the last batch of the smallest alone
    dropped = ~model.first.weight.detach().bool()
    assert not dropped.any()  # masks are left behind with the batch
    before = model.first.weight.detach().clone()
    params["batch_idx_train"] += 1
    with omni.icefall.step(params):
        share = model.first.weight.detach() / before
    assert float((share == 1.0).float().mean()) == pytest.approx(0.25, abs=0.05)  # what the smallest keeps is as it was
    assert torch.allclose(share[share != 1.0], torch.tensor(0.3))  # all else: grow_with of itself
    assert params["omni"]["settled"] == 10


def of_curriculum(kind):
    return kind(dense_until=0.2, grow_until=0.6, refresh_every=1, sizes={0.75: 1.0},
                **({"hold_from": 1.0} if kind is SmallestFirst else {}))


@pytest.mark.parametrize("kind", [SmallestFirst, LargestFirst])
def test_on_weights_that_were_trained_without_omni_the_curriculum_begins_anew(kind):
    settings = Settings(**{**SETTINGS, "steps": 40}, strategy=of_curriculum(kind))
    model, params = build(Mlp), {"batch_idx_train": 30}  # beyond 0.6 of the whole training
    plugin = omni.icefall.attach(model, params, settings)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    zeros = [step(params, model, optimizer) for _ in range(5)]  # 10 batches are left: 1 dense, pruned by the sixth
    assert zeros[0] == 0.0 and 0.0 < zeros[2] < zeros[3] <= zeros[4] <= 0.75
    assert params["omni"]["settled"] == 36
    resumed, _ = resume(model, params, settings, 5)
    assert resumed == [step(params, model, optimizer, plugin.step) for _ in range(5)]


def test_a_checkpoint_beyond_the_end_is_told():
    with pytest.raises(ValueError, match="steps 20: the checkpoint is of batch 20"):
        omni.icefall.attach(build(Mlp), {"batch_idx_train": 20}, Settings(**SETTINGS, strategy=Gradual()))


def test_a_step_without_a_supernet_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("omni.icefall.plugin._attached", None)
    with pytest.raises(RuntimeError, match="attach"), omni.icefall.step({"batch_idx_train": 1}):
        pass


@pytest.mark.parametrize("name", shipped())
def test_settings_that_ship_are_the_strategy_that_ships_but_hold_nothing(name):
    pytest.importorskip("omegaconf")
    with pytest.raises(ValueError, match="steps 0: want how many batches"):
        read_settings(name)
    settings = read_settings(name, ["steps=1000", "dense_until=1e-1"])
    assert settings.strategy == SmallestFirst(hold_from=1.0, dense_until=0.1)
    assert settings.steps == 1000 and settings.validate == [max(allowed.high for allowed in settings.ranges().values())]


@pytest.fixture()
def file(tmp_path):
    pytest.importorskip("omegaconf")
    path = tmp_path / "x.json"
    path.write_text(json.dumps({**SETTINGS, "strategy": "smallest_first", "grow_with": 0.5, "hold_from": 1.0}))
    return str(path)


def test_a_baseline_takes_no_edit_of_the_file(file):
    assert read_settings(file, ["strategy=dense"]).strategy.name == "dense"
    assert read_settings(file, ["strategy=gradual", "prune_to=0.7"]).strategy == Gradual(prune_to=0.7)
    assert read_settings(file, ["grow_with=1"]).strategy == SmallestFirst(grow_with=1.0, hold_from=1.0)


@pytest.mark.parametrize("change, word", [
    ("steps", "--set steps: want name=value"), ("a: [b", "want name=value"),
    ("steps=[1", "--set steps=[1: the value is not YAML"),
    ("steps=many", "--set steps=many: steps wants int, not 'many'"), ("steps=0", "steps 0: want how many batches"),
    ("depth=3", "--set depth=3: no setting depth with strategy smallest_first; there are strategy, "),
    ("targets={}", "targets: want {pattern"), ('targets={"a": {"high": 1}', "the value is not YAML"),
    ("targets={a: 3}", "targets: 'a': want {low, high, structure}, not 3"),
    ("targets={a: {depth: 3}}", "targets: 'a': want {low, high, structure}, not {'depth': 3}"),
    ("targets={a: {high: 2}}", "targets: 'a': Range(0.0, 2): want 0 <= low <= high < 1"),
    ("targets={a: {high: much}}", "targets: 'a': high 'much': want a number"),
    ("targets={a: {structure: 2:4}}", "targets: 'a': structure 124: want text"),
    ("dense_until=2", "dense_until 2.0: want from 0 to 1"), ("validate=[0.8]", "validate 0.8: want at most 0.75"),
    ("validate=[1]", "validate [1.0]: want at least 0 and less than 1"),
    ("dropout=some", "dropout some: want one of none"),
    ("strategy=sandwich", "strategy sandwich: it trains several sub-networks a step"),
    ("strategy=fastest", "--set strategy=fastest: strategy 'fastest': want one of dense"),
    ("hold_from=0.5", "hold_from 0.5: the host's optimizer moves weights without a gradient too, so none can be held; "
                      "write `hold_from: 1.0`"),
])
def test_a_setting_that_makes_no_sense_is_named(file, change, word):
    with pytest.raises(ValueError) as told:
        read_settings(file, [change])
    assert word in str(told.value) and "\n" not in str(told.value)


def test_a_file_that_does_not_say_hold_from_is_told_what_to_add(tmp_path):
    pytest.importorskip("omegaconf")
    path = tmp_path / "mine.yaml"
    path.write_text("targets: {first.weight: {high: 0.75}}\nsteps: 20\n")
    with pytest.raises(ValueError, match="hold_from 0.8: .*write `hold_from: 1.0` in your settings"):
        read_settings(str(path))
    path.write_text("targets: [\n")
    with pytest.raises(ValueError, match=f"{path}: not YAML"):
        read_settings(str(path))


def test_settings_are_checked_in_python_too():
    with pytest.raises(ValueError, match="strategy sandwich"):
        Settings(**SETTINGS, strategy=Sandwich())
    with pytest.raises(ValueError, match="write `hold_from: 1.0`"):
        Settings(**SETTINGS)


def test_without_omegaconf_the_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "omegaconf", None)
    with pytest.raises(ValueError, match=r"pip install omegaconf, or 'omni-sparsity\[icefall\]'"):
        read_settings("zipformer", ["steps=10"])
    assert Settings(**SETTINGS, strategy=Gradual()).steps == 20


def test_the_settings_in_the_guide_are_read(tmp_path):
    pytest.importorskip("omegaconf")
    guide = (ROOT / "docs/plug-in.md").read_text(encoding="utf-8")
    text, = re.findall(r"^```yaml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.yaml").write_text(text)
    settings = read_settings(str(tmp_path / "mine.yaml"))
    assert settings.strategy == SmallestFirst(hold_from=1.0, dense_until=0.25) and settings.steps == 100000
    for name in (one.name for one in dataclasses.fields(Settings)):
        assert re.search(rf"^{name}:|`{name}`", text + guide, re.MULTILINE), name
