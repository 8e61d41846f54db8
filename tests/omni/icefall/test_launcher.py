"""`python -m omni.icefall`, `omni.bake` and `omni.sweep` on a stand-in host, as a user calls them."""

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import omni.bake
import omni.icefall.__main__ as launcher
import omni.sweep
from omni.bake import averaged

HOST = Path(__file__).parent / "host"
ROOT = Path(__file__).parents[3]
CONFIG = {
    "targets": {"(embed|scale|shared|attention.*proj).weight": {"high": 0.75}, "lstm.weight_.*": {"high": 0.75}},
    "steps": 200, "strategy": "smallest_first", "dense_until": 0.2, "grow_until": 0.5, "hold_from": 1.0,
    "refresh_every": 10, "validate": [0.75],
}


def call(*command, good=True):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    found = subprocess.run([sys.executable, *map(str, command)], env=env, capture_output=True, text=True)
    assert (found.returncode == 0) == good, found.stderr
    return found


def train(exp_dir, *arguments, config, good=True, script=HOST / "train.py", changes=()):
    sets = [word for change in changes for word in ("--set", change)]
    return call("-m", "omni.icefall", script, "--omni-config", config, *sets, "--", "--exp-dir", exp_dir, *arguments,
                good=good)


def load(path):
    return torch.load(path, map_location="cpu", weights_only=False)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "toy.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, config):
    exp_dir = tmp_path_factory.mktemp("trained")
    train(exp_dir, config=config)
    return exp_dir


@contextmanager
def host_modules():
    """The host's train.py, imported as the host does."""
    sys.path.insert(0, str(HOST))
    try:
        yield importlib.import_module("train")
    finally:
        sys.path.remove(str(HOST))
        for name in ("train", "model"):
            sys.modules.pop(name, None)


def host_model():
    with host_modules() as host:
        return host.get_model(None)


def test_the_checkpoint_is_one_of_the_plain_host_and_the_other_way_round(trained, tmp_path, config):
    model = host_model()
    found = load(trained / "epoch-2.pt")
    model.load_state_dict(found["model"], strict=True)
    assert all(bool((value != 0).any()) for name, value in found["model"].items() if name != "count")
    assert found["omni"]["targets"]["embed.weight"]["high"] == 0.75
    plain = tmp_path / "plain"
    call(HOST / "train.py", "--exp-dir", plain, "--num-epochs", "1")
    assert "omni" not in load(plain / "epoch-1.pt")
    train(plain, "--start-epoch", "2", config=config)
    assert "of a training without omni" in (plain / "log-0.txt").read_text()
    assert load(plain / "epoch-2.pt")["batch_idx_train"] == 200


def test_the_dense_strategy_is_the_training_of_the_host(tmp_path, config):
    train(tmp_path / "omni", "--num-epochs", "1", config=config, changes=["strategy=dense"])
    call(HOST / "train.py", "--exp-dir", tmp_path / "plain", "--num-epochs", "1")
    one, other = (load(tmp_path / name / "epoch-1.pt") for name in ("omni", "plain"))
    for part in ("model", "model_avg"):
        assert all(torch.equal(one[part][name], value) for name, value in other[part].items())


def test_a_resumed_training_is_the_unbroken_one(trained, tmp_path, config):
    shutil.copy(trained / "epoch-1.pt", tmp_path)
    train(tmp_path, "--start-epoch", "2", config=config)
    one, other = load(trained / "epoch-2.pt"), load(tmp_path / "epoch-2.pt")
    assert all(torch.equal(one["model"][name], value) for name, value in other["model"].items())
    assert all(torch.equal(one["omni"]["ranks"][name], value) for name, value in other["omni"]["ranks"].items())


def test_sub_networks_learn_and_the_dev_sets_see_them(trained, tmp_path):
    lines = [line for line in (trained / "log-0.txt").read_text().splitlines() if "validation" in line]
    assert len(lines) == 4 and "omni: validation at sparsity 0.75" in lines[2]
    supernet = float(lines[2].split()[-1])
    call(HOST / "train.py", "--exp-dir", tmp_path)
    with host_modules() as host:
        model = host.get_model(None)
        model.load_state_dict(load(tmp_path / "epoch-2.pt")["model"])
        net = omni.Supernet(model, {name: omni.Range(**allowed) for name, allowed in CONFIG["targets"].items()})
        with net.active(net.smallest()):  # one-shot: the dense model, cut without training
            oneshot = host.compute_validation_loss(host.AttributeDict(best_valid_loss=0.0, fail_at=0), model)
    assert supernet < 0.8 * oneshot


def test_a_batch_that_fails_leaves_the_dense_weights_in_the_last_checkpoint(tmp_path, config):
    found = train(tmp_path, "--fail-at", "99", "--num-epochs", "1", config=config, good=False)
    assert "a batch that fails" in found.stderr
    weights = load(tmp_path / "epoch-1.pt")["model"]
    assert all(bool((weights[name] != 0).all()) for name in ("embed.weight", "lstm.weight_ih_l0"))


def test_two_processes_of_the_hosts_own_spawn_and_a_strategy_of_ones_own(tmp_path, config):
    (tmp_path / "own.py").write_text("""import omni


class Least(omni.Strategy):
    share: float = omni.settings.share(0.5, "of the training before which the largest trains")

    def subnets(self, net, step, progress):
        return [("min", net.smallest()) if progress >= self.share else ("max", net.largest())]
""")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    train(tmp_path, "--world-size", "2", "--port", port, "--num-epochs", "1", config=config,
          changes=[f"strategy={tmp_path / 'own.py'}:Least", "share=0.1"])
    found = load(tmp_path / "epoch-1.pt")
    assert found["batch_idx_train"] == 100 and found["omni"]["prepared"] == 100
    log = (tmp_path / "log-0.txt").read_text()
    assert "omni: validation at sparsity 0.75" in log


def test_what_is_baked_is_the_sub_network(trained, tmp_path):
    call("-m", "omni.bake", "--checkpoint", trained / "epoch-2.pt", "--sparsity", "0.5", "--out", tmp_path / "half.pt")
    whole, half = load(trained / "epoch-2.pt")["model"], load(tmp_path / "half.pt")["model"]
    assert list(whole) == list(half)
    for name, value in half.items():
        kept = value != 0
        assert torch.equal(value[kept], whole[name][kept]), name
        pruned = name.endswith("weight") and name.split(".")[0] in ("embed", "scale", "attention", "shared", "again")
        pruned = pruned or name.startswith("lstm.weight")
        if value.is_floating_point() and name != "lstm.scales":
            assert float((~kept).float().mean()) == pytest.approx(0.5 if pruned else 0.0, abs=0.02), name
    assert torch.equal(half["shared.weight"], half["again.weight"])  # tied
    model = host_model()
    model.load_state_dict(half, strict=True)
    x = torch.randn(2, 5, 8)
    encoder = torch.nn.Sequential(model.embed, model.scale)
    assert torch.equal(torch.jit.script(encoder)(x), encoder(x))
    call("-m", "omni.bake", "--checkpoint", trained / "epoch-2.pt", "--sparsity", "0", "--out", tmp_path / "dense.pt")
    dense = load(tmp_path / "dense.pt")["model"]
    assert all(torch.equal(dense[name], value) for name, value in whole.items())


def test_an_average_between_two_checkpoints(trained, tmp_path):
    first, last = (load(trained / f"epoch-{epoch}.pt") for epoch in (1, 2))
    call("-m", "omni.bake", "--checkpoint", trained / "epoch-2.pt", "--since", trained / "epoch-1.pt",
         "--sparsity", "0", "--out", tmp_path / "mean.pt")
    found = load(tmp_path / "mean.pt")["model"]
    for name, value in found.items():
        if value.is_floating_point():
            wanted = 2 * last["model_avg"][name].double() - first["model_avg"][name].double()
            assert torch.allclose(value.double(), wanted, atol=1e-6), name


def test_an_average_is_between_multiples_of_its_period():
    end = {"batch_idx_train": 209, "average_period": 10, "model": {"x": torch.zeros(1), "n": torch.tensor(9)},
           "model_avg": {"x": torch.tensor([5.0]), "n": torch.tensor(8)}}
    start = {**end, "batch_idx_train": 101, "model_avg": {"x": torch.tensor([3.0]), "n": torch.tensor(1)}}
    assert averaged(end, start) == {"x": torch.tensor([7.0]), "n": torch.tensor(8)}  # (200 x 5 - 100 x 3) / 100
    with pytest.raises(ValueError, match="--since is of batch 101, --checkpoint of batch 109: want an earlier one"):
        averaged({**end, "batch_idx_train": 109}, start)
    assert averaged({**end, "omni": {"settled": 101}}, start)
    with pytest.raises(ValueError, match="--since is of batch 101: sizes changed until batch 102, and an average"):
        averaged({**end, "omni": {"settled": 102}}, start)


def test_a_sweep_makes_a_report(trained, tmp_path):
    out = tmp_path / "out"
    call("-m", "omni.sweep", "--checkpoint", trained / "epoch-2.pt", "--sparsities", "0 0.5", "--decode",
         HOST / "decode.py", "--out", out, "--", "--decoding-method", "greedy_search")
    rows = json.loads((out / "results.json").read_text())
    assert [(row["sparsity"], row["test_set"]) for row in rows] == [
        (s, name) for s in (0.0, 0.5) for name in ("test-clean", "test-other")
    ]
    for row in rows:
        summary = out / f"sparsity-{row['sparsity']:g}" / "greedy_search"
        text = next(summary.glob(f"wer-summary-{row['test_set']}-*")).read_text()
        assert float(text.split()[-1]) == pytest.approx(row["wer"], abs=0.01)
    assert rows[0]["bytes"] > rows[-1]["bytes"] and rows[0]["train_passes"] == 200
    assert (out / "pareto.png").is_file() and (out / "report.html").is_file()


@pytest.mark.parametrize("missing", ["compute_loss", "get_model", "run", "is_training"])
def test_a_host_without_a_function_or_argument_is_told_its_name(tmp_path, config, monkeypatch, missing):
    host = tmp_path / "train.py"
    shutil.copy(HOST / "model.py", tmp_path)
    text = (HOST / "train.py").read_text().replace(f"def {missing}(", f"def another_{missing}(")
    host.write_text(text.replace("is_training", "is_train") if missing == "is_training" else text)
    monkeypatch.setattr("omni.icefall.host._hosts", [])
    with host_modules():  # loads it here, and forgets it
        told = mistake(monkeypatch, launcher, host, "--omni-config", config)
    assert str(host) in told
    assert ("no argument is_training" if missing == "is_training" else f"{missing}()") in told


def mistake(monkeypatch, program, *arguments):
    """The one line that a command ends with."""
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert len(str(stopped.value).splitlines()) == 1 and str(stopped.value).startswith("error: ")
    return str(stopped.value)


def test_mistakes_end_in_one_line(trained, tmp_path, config, monkeypatch):
    plain = tmp_path / "plain.pt"
    torch.save({"model": {}}, plain)
    (tmp_path / "no.pt").write_text("no")
    last = trained / "epoch-2.pt"
    bake = [omni.bake, "--out", tmp_path / "out.pt", "--checkpoint"]
    sweep = [omni.sweep, "--out", tmp_path / "out", "--decode", HOST / "decode.py", "--checkpoint", last]
    launch = [launcher, HOST / "train.py", "--omni-config"]
    for command, word in (
        ([*bake, tmp_path / "none.pt", "--sparsity", "0"], "none.pt: no such file"),
        ([*bake, tmp_path / "no.pt", "--sparsity", "0"], "not a checkpoint"),
        ([*bake, plain, "--sparsity", "0"], "without omni"),
        ([*bake, last, "--sparsity", "0.9"], "0.9"),
        ([*bake, last, "--sparsity", "0", "--since", last], "want an earlier one"),
        ([*bake, last, "--spec", tmp_path / "spec.json"], "spec.json: no such file"),
        ([*sweep, "--sparsities", "2"], "--sparsities"),
        ([*sweep[:-4], "--decode", tmp_path / "none.py", "--checkpoint", last], "none.py: no such file"),
        ([*launch, "nowhere"], "omni ships settings for"),
        ([*launch, config, "--set", "depth=3"], "no setting depth"),
        ([*launch, config, "--set", "strategy=sandwich"], "strategy sandwich: it trains several"),
        ([*launch, config, "--set", "hold_from=0.6"], "write `hold_from: 1.0`"),
    ):
        assert word in mistake(monkeypatch, *command)
    assert not (tmp_path / "out.pt").exists()


def test_a_mistake_that_only_the_model_shows_ends_in_one_line(tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({**CONFIG, "targets": {"nothing.*": {"high": 0.75}}}))
    found = train(tmp_path / "exp", config=tmp_path / "bad.json", good=False)
    assert len(found.stderr.splitlines()) == 1 and "nothing.*" in found.stderr
