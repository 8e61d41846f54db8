"""The three lines for those who would rather edit; settings."""

import json

import pytest
import torch

import omni.icefall
from omni.icefall import Settings, read_settings
from omni.icefall.settings import SHIPPED
from tests.omni.models import INPUTS, Mlp, build

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
    settings = Settings(**SETTINGS, dense_until=0.2, grow_until=0.5, p_max=0.0, p_min=1.0, refresh_every=5)
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


def test_the_smallest_may_come_first():
    settings = Settings(**SETTINGS, dense_until=0.1, grow_until=0.5, first="smallest", rank="kept", refresh_every=1,
                        sizes={0.0: 1.0})
    model, params = build(Mlp), {"batch_idx_train": 0}
    omni.icefall.attach(model, params, settings)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    zeros = [step(params, model, optimizer) for _ in range(12)]
    assert zeros[-4] > 0.6  # the last batch of the smallest alone
    assert zeros[-3] == pytest.approx(0.75, abs=0.05)  # what it dropped is zero in the dense network too ...
    assert zeros[-1] < 0.1  # ... and grows back


@pytest.mark.parametrize("first", ["largest", "smallest"])
def test_on_weights_that_were_trained_without_omni_the_curriculum_begins_anew(first):
    settings = Settings(**{**SETTINGS, "steps": 40}, dense_until=0.2, grow_until=0.6, first=first, refresh_every=1,
                        grow_from=0.0, p_max=0.0, p_min=1.0)
    model, params = build(Mlp), {"batch_idx_train": 30}  # beyond 0.6 of the whole training
    plugin = omni.icefall.attach(model, params, settings)
    optimizer = torch.optim.SGD(model.parameters(), 1e-3)
    zeros = [step(params, model, optimizer) for _ in range(5)]
    assert zeros[0] == 0.0 and 0.0 < zeros[3] < zeros[4] < 0.75  # 10 batches are left: 1 dense, pruned by the sixth
    resumed, _ = resume(model, params, settings, 5)
    assert resumed == [step(params, model, optimizer, plugin.step) for _ in range(5)]


def test_a_checkpoint_beyond_the_end_is_told():
    with pytest.raises(ValueError, match="steps 20: the checkpoint is of batch 20"):
        omni.icefall.attach(build(Mlp), {"batch_idx_train": 20}, Settings(**SETTINGS))


def test_a_step_without_a_supernet_says_what_is_missing(monkeypatch):
    monkeypatch.setattr("omni.icefall.plugin._attached", None)
    with pytest.raises(RuntimeError, match="attach"), omni.icefall.step({"batch_idx_train": 1}):
        pass


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_settings_that_ship_are_whole(name):
    pytest.importorskip("yaml")
    with pytest.raises(ValueError, match="steps"):
        read_settings(name)
    assert read_settings(name, ["steps=1000", "p_max=0.4"]).p_max == 0.4


@pytest.mark.parametrize("change, word", [
    ("steps", "want name=value"), ("steps=many", "steps wants int"), ("targets={}", "targets"), ("p_max=2", "p_max"),
    ("targets={a: {depth: 3}}", "depth"), ("targets={a: {high: 2}}", "high"), ("a: [b", "want name=value"),
])
def test_a_setting_that_makes_no_sense_is_named(tmp_path, change, word):
    pytest.importorskip("yaml")
    path = tmp_path / "x.json"
    path.write_text(json.dumps(SETTINGS))
    with pytest.raises(ValueError, match=word):
        read_settings(str(path), [change])
