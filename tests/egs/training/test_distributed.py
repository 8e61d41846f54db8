"""Two processes, started as torchrun does, train what one does, survive the loss of one, and go on as any number."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from egs.librispeech.omni_sparsity.training.checkpoint import load_checkpoint
from egs.librispeech.omni_sparsity.training.distributed import Processes
from omni.errors import UserError

ROOT = Path(__file__).parents[3]
# Sums over processes come in another order; Muon and the bits that a mask turns on enlarge what that changes.
TOLERANCE = 1e-3


@pytest.fixture
def shared(config):
    """Two batches a step, in one epoch that reaches every kind of sub-network."""
    config.data.batches_per_step, config.data.max_duration, config.train.num_epochs = 2, 4, 1
    config.train.log_interval = 1
    return config


def start(config, data_dir, exp_dir, world_size, *more):
    exp_dir.mkdir(exist_ok=True)
    (exp_dir / "c.yaml").write_text(config.to_yaml())
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(world_size)]
    command = [sys.executable, *(launcher if world_size > 1 else []), "-m", "egs.librispeech.omni_sparsity.training",
               "--config", str(exp_dir / "c.yaml"), "--data-dir", str(data_dir), "--exp-dir", str(exp_dir),
               "--tensorboard", "0", *more]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def train(config, data_dir, exp_dir, world_size, *more):
    """-> the last checkpoint."""
    process = start(config, data_dir, exp_dir, world_size, *more)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return load_checkpoint(exp_dir / f"epoch-{config.train.num_epochs}.pt")


def curve(exp_dir):
    """{step: [loss per frame of each kind of sub-network]} of the log."""
    lines = re.findall(r"step (\d+) passes .* loss/frame: (.*); lr", (exp_dir / "log/train.log").read_text())
    return {int(step): [float(x) for x in re.findall(r"(?:max|min|random) ([\d.]+)", text)] for step, text in lines}


def assert_close(one, other):
    assert one["batch_idx_train"] == other["batch_idx_train"] and one["passes"] == other["passes"]
    for name, value in one["model"].items():
        assert torch.allclose(value, other["model"][name], atol=TOLERANCE), name


def test_two_processes_train_what_one_does(shared, data_dir, tmp_path):
    one, two = (train(shared, data_dir, tmp_path / str(n), n) for n in (1, 2))
    assert_close(one, two)
    want, have = curve(tmp_path / "1"), curve(tmp_path / "2")
    assert len(want) > 8 and want.keys() == have.keys()
    for step in want:
        assert have[step] == pytest.approx(want[step], rel=TOLERANCE), step
    assert one["passes"] == two["passes"] == 2 * one["batch_idx_train"]
    assert (tmp_path / "2/log/train-1.log").is_file()


@pytest.mark.parametrize("sampling", ["each", "split"])
def test_processes_that_train_different_sub_networks_stay_one_model(shared, data_dir, tmp_path, sampling):
    shared.omni.sampling, shared.omni.dense_until = sampling, 0.3
    one, two = (train(shared, data_dir, tmp_path / str(n), n) for n in (1, 2))
    assert_close(one, two)
    assert one["omni"]["forked"] and two["omni"]["forked"]
    for name, value in one["omni"]["private"].items():
        assert torch.allclose(value, two["omni"]["private"][name], atol=TOLERANCE), name


def test_a_killed_process_is_told_and_one_goes_on_alone(shared, data_dir, tmp_path):
    shared.train.num_epochs = 5  # long enough to be in time
    unbroken = train(shared, data_dir, tmp_path / "1", 1)
    process = start(shared, data_dir, tmp_path / "2", 2)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "2").glob("checkpoint-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and not (tmp_path / "2/epoch-5.pt").exists()
    assert "SIGKILL" in output or "signal 9" in output.lower() or "another one is gone" in output
    assert_close(unbroken, train(shared, data_dir, tmp_path / "2", 1))
    assert "going on from" in (tmp_path / "2/log/train.log").read_text()


def test_processes_hold_one_model_and_resume_exactly(config, data_dir, tmp_path):
    """What is done on the first process alone (validation, saving) must leave no trace on its model: a resumed run
    gives its state to both, an unbroken one lets each keep its own."""
    config.train.num_epochs, config.omni.dense_until = 2, 0.6
    whole = train(config, data_dir, tmp_path / "two", 2)
    again = train(config, data_dir, tmp_path / "two", 2, "--start-epoch", "2")
    assert whole["omni"]["forked"] and whole["passes"] == again["passes"]
    for name, value in whole["model"].items():
        assert torch.equal(value, again["model"][name]), name
    for name, value in whole["omni"]["private"].items():
        assert torch.equal(value, again["omni"]["private"][name]), name


def test_two_nodes(shared, data_dir, tmp_path):
    """Two launchers that meet at an address, as on two machines."""
    (tmp_path / "c.yaml").write_text(shared.to_yaml())
    port = 20000 + os.getpid() % 20000
    nodes = [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--node_rank", str(node),
             "--nproc_per_node", "1", "--master_addr", "127.0.0.1", "--master_port", str(port), "-m",
             "egs.librispeech.omni_sparsity.training", "--config", str(tmp_path / "c.yaml"), "--data-dir", str(data_dir),
             "--exp-dir", str(tmp_path), "--tensorboard", "0"],
            cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for node in (0, 1)
    ]
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], "\n".join(outputs)
    assert load_checkpoint(tmp_path / "epoch-1.pt")["world_size"] == 2


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setattr("egs.librispeech.omni_sparsity.training.distributed.cuda_works", lambda backend: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"process 3 of this machine finds 2 GPU\(s\): want --world-size 2"):
        Processes("native")


def test_batches_that_cannot_be_shared(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="data.batches_per_step 3: want a multiple of the 2 processes"):
        Processes("native", 3)
