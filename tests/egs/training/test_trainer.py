"""Training: what is counted, that it learns, and that a stopped run goes on as if it had not been stopped."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import omni
from egs.librispeech.omni_sparsity.decoding import __main__ as decode
from egs.librispeech.omni_sparsity.subnets import __main__ as subnets
from egs.librispeech.omni_sparsity.training import __main__ as train
from egs.librispeech.omni_sparsity.training import loop
from egs.librispeech.omni_sparsity.loss.backend import loss_backend
from egs.librispeech.omni_sparsity.training.checkpoint import load_checkpoint
from egs.librispeech.omni_sparsity.training.trainer import Trainer
from omni.errors import UserError
from egs.librispeech.omni_sparsity.experiments.plan import sizes

ROOT = Path(__file__).parents[3]


class Stopped(Exception):
    """With the step that the run went on from."""


def run(config, data_dir, exp_dir, stop_at=None, **more):
    trainer = Trainer(config, data_dir, exp_dir, tensorboard=False)
    real, steps = loop.train_step, []

    def step(*arguments):
        steps.append(trainer.step)
        if trainer.step == stop_at:
            raise Stopped(steps[0])
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        trainer.run(more.get("start_epoch", 0), more.get("start_batch", 0))
    return trainer


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def tensor_bytes(content):
    if isinstance(content, torch.Tensor):
        return content.numel() * content.element_size()
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    return sum(map(tensor_bytes, parts))


def assert_same_training(one: Path, other: Path, name: str):
    a, b = load_checkpoint(one / name), load_checkpoint(other / name)
    assert same(a["model"], b["model"]) and same(a["model_avg"], b["model_avg"])
    assert same(a["omni"]["private"], b["omni"]["private"]) and same(a["omni"]["ranks"], b["omni"]["ranks"])
    for key in ("batch_idx_train", "passes", "averaged_until", "sampler", "scheduler"):
        assert a[key] == b[key], key


def test_a_stopped_training_goes_on_bit_by_bit(config, data_dir, tmp_path):
    unbroken = run(config, data_dir, tmp_path / "a")
    total = unbroken.step
    assert total > 12
    for stop in (4, total // 2 + 2, total - 1):
        with pytest.raises(Stopped):
            run(config, data_dir, tmp_path / "b", stop_at=stop)
    run(config, data_dir, tmp_path / "b")
    assert_same_training(tmp_path / "a", tmp_path / "b", "epoch-2.pt")
    assert not list((tmp_path / "b").glob("checkpoint-*.pt"))  # only needed within an epoch

    run(config, data_dir, tmp_path / "b", start_epoch=2)  # trains the second epoch again
    assert_same_training(tmp_path / "a", tmp_path / "b", "epoch-2.pt")


def test_so_does_one_whose_sub_networks_grow_back_from_the_smallest(config, data_dir, tmp_path):
    config.omni.strategy = omni.strategy_class("smallest_first")(sizes={0.0: 1.0, 0.5: 1.0, 0.9: 1.0}, refresh_every=1)
    config.omni.bins = [0.3, 0.6, 0.9]
    config.train.save_every_n = 1
    total = run(config, data_dir, tmp_path / "a").step
    for stop in range(1, total):
        with pytest.raises(Stopped):
            run(config, data_dir, tmp_path / "b", stop_at=stop)
    run(config, data_dir, tmp_path / "b")
    assert_same_training(tmp_path / "a", tmp_path / "b", "epoch-2.pt")


def test_start_batch_takes_the_named_checkpoint(config, data_dir, tmp_path):
    with pytest.raises(Stopped):
        run(config, data_dir, tmp_path, stop_at=7)
    assert sorted(p.name for p in tmp_path.glob("checkpoint-*")) == ["checkpoint-3.pt", "checkpoint-6.pt"]
    with pytest.raises(Stopped) as stopped:
        run(config, data_dir, tmp_path, stop_at=5, start_batch=3)
    assert stopped.value.args == (3,)
    with pytest.raises(UserError, match="checkpoint-5.pt: no such checkpoint"):
        run(config, data_dir, tmp_path, start_batch=5)


def test_passes_are_counted_and_every_kind_is_told(config, data_dir, tmp_path, caplog):
    config.omni.strategy, config.train.num_epochs = omni.strategy_class("sandwich")(dense_until=0.5), 1
    trainer = run(config, data_dir, tmp_path)
    log = (tmp_path / "log" / "train.log").read_text()
    state = load_checkpoint(tmp_path / "epoch-1.pt")
    assert trainer.step < state["passes"] < 3 * trainer.step and (state["passes"] - trainer.step) % 2 == 0
    assert "min" in log and "random" in log and "validation, pruned loss/frame: max" in log
    assert {"model", "model_avg", "optimizer", "scheduler", "grad_scaler", "sampler", "average_period",
            "batch_idx_train"} <= state.keys()


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_checkpoint_is_as_large_as_planned(config, data_dir, tmp_path, optimizer):
    config.train.optimizer, config.train.num_epochs = optimizer, 1
    run(config, data_dir, tmp_path)
    state = load_checkpoint(tmp_path / "epoch-1.pt")
    held = {name: tensor_bytes(state[name]) for name in ("model", "model_avg", "omni", "optimizer")}
    assert sum(held.values()) == pytest.approx(sizes(config)["checkpoint"], rel=0.01), held


def test_half_precision_learns_as_well(config, data_dir, tmp_path):
    """bf16 in the model, float32 in weights, sums over the lattice and optimizer; on a CPU only where asked for."""
    config.train.base_lr = 5e-3
    if torch.__version__ < "2":
        config.train.precision = "bf16"
        with pytest.raises(UserError, match="train.precision bf16: torch 1.13.* take auto"):
            run(config, data_dir, tmp_path)
        return
    losses, weights = {}, {}
    for precision in ("float32", "bf16", "auto"):
        config.train.precision = precision
        trainer = run(config, data_dir, tmp_path / precision)
        log = (tmp_path / precision / "log" / "train.log").read_text()
        losses[precision] = [float(v) for v in re.findall(r"validation, pruned loss/frame: max ([\d.]+)", log)]
        assert f"cpu, {'bf16' if precision == 'bf16' else 'float32'}, 1 process" in log
        assert all(p.dtype == torch.float32 for p in trainer.model.parameters())
        weights[precision] = nn.utils.parameters_to_vector(trainer.model.parameters())
    assert torch.equal(weights["auto"], weights["float32"])
    # Not the losses: four digits of them may well be the same.
    assert (weights["bf16"] != weights["float32"]).float().mean() > 0.5
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)


def test_stages_3_to_5_learn_write_what_they_promise_and_are_idle_when_done(config, data_dir, tmp_path, monkeypatch):
    config.train.num_epochs, config.train.base_lr, config.decode.avg = 4, 5e-3, 2
    (tmp_path / "toy.yaml").write_text(config.to_yaml())
    common = ["--config", str(tmp_path / "toy.yaml"), "--exp-dir", str(tmp_path / "exp")]
    commands = [(train, ["--data-dir", str(data_dir)]),
                (subnets, ["--data-dir", str(data_dir), "--sparsities", "0 0.5"]),
                (decode, ["--data-dir", str(data_dir)])]

    def run_all():
        for module, more in commands:
            monkeypatch.setattr(sys, "argv", ["command", *common, *more])
            module.main()
        return {p: p.stat().st_mtime_ns for p in (tmp_path / "exp").rglob("*") if p.is_file()}

    before = run_all()
    log = (tmp_path / "exp/log/train.log").read_text()
    validation = [float(v) for v in re.findall(r"validation, pruned loss/frame: max ([\d.]+)", log)]
    assert len(validation) == 4 and validation[-1] < 0.6 * validation[0]
    assert any((tmp_path / "exp/tensorboard").iterdir())

    rows = json.loads((tmp_path / "exp/subnets/subnets.json").read_text())
    assert [row["sparsity"] for row in rows] == [0.0, 0.5]
    assert [row["measured_sparsity"] for row in rows] == pytest.approx([0.0, 0.5], abs=0.005)
    assert rows[1]["bytes"] < rows[0]["bytes"] and rows[1]["params_nonzero"] < rows[0]["params_nonzero"]
    for row in rows:
        for test_set in ("dev-clean", "test-clean"):
            name = f"{test_set}-epoch-4-avg-2-sparsity-{row['sparsity']:g}"
            assert (tmp_path / f"exp/greedy_search/errs-{name}.txt").read_text().startswith("%WER = ")
            record = json.loads((tmp_path / f"exp/greedy_search/decode-{name}.json").read_text())
            assert record["checkpoint"] == row["checkpoint"] and record["loss_backend"] == loss_backend("auto")[1]

    after = run_all()
    assert after == before
    config.train.base_lr = 1e-3
    (tmp_path / "toy.yaml").write_text(config.to_yaml())
    for module, more in commands[:2]:
        monkeypatch.setattr(sys, "argv", ["command", *common, *more])
        with pytest.raises(SystemExit):
            module.main()
    assert run_names(tmp_path / "exp") == {p.name for p in before}


def run_names(folder: Path) -> set:
    return {p.name for p in folder.rglob("*") if p.is_file()}


def test_a_training_may_begin_with_the_model_of_another(config, data_dir, tmp_path):
    first = run(config, data_dir, tmp_path / "a")
    config.train.init_from = str(tmp_path / "a" / "epoch-2.pt")
    with pytest.raises(Stopped):
        run(config, data_dir, tmp_path / "b", stop_at=0)
    trainer = Trainer(config, data_dir, tmp_path / "c", tensorboard=False)
    trainer.resume(1, 0)
    assert same(trainer.model.state_dict(), first.model.state_dict()) and trainer.step == trainer.passes == 0
    assert same({n: v.float() for n, v in trainer.average.state.items() if "private" not in n},
                {n: v.float() for n, v in first.model.state_dict().items()})
    config.model.encoder_dim = 32
    with pytest.raises(UserError, match="train.init_from .*epoch-2.pt: not of a model like this one"):
        Trainer(config, data_dir, tmp_path / "d", tensorboard=False).resume(1, 0)
    config.train.init_from = str(tmp_path / "a" / "epoch-3.pt")
    with pytest.raises(UserError, match="^train.init_from .*epoch-3.pt: no such checkpoint; there are epoch-1.pt"):
        Trainer(config, data_dir, tmp_path / "d", tensorboard=False).resume(1, 0)


def test_another_configuration_is_refused(config, data_dir, tmp_path):
    train.keep_config(tmp_path, config)
    config.train.base_lr *= 2
    train.keep_config(tmp_path, config)  # nothing was trained yet
    (tmp_path / "checkpoint-1.pt").touch()
    train.keep_config(tmp_path, config)
    config.train.base_lr *= 2
    with pytest.raises(UserError, match="settings.json: this experiment was begun with other settings"):
        train.keep_config(tmp_path, config)
