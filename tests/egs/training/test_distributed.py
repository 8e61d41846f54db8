"""Two processes, started as torchrun does, train what one does, survive the loss of one, and go on as any number."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity.training.checkpoint import load_checkpoint
from egs.librispeech.omni_sparsity.training.distributed import Processes
from omni.errors import UserError

ROOT = Path(__file__).parents[3]
# Sums over processes come in another order; Muon and the bits that a mask turns on enlarge what that changes.
TOLERANCE = 1e-3


@pytest.fixture
def shared(config):
    """Two batches a step; the first epoch of two reaches every kind of sub-network."""
    config.data.batches_per_step, config.data.max_duration, config.train.num_epochs = 2, 4, 2
    config.omni.strategy = omni.strategy_class("smallest_first")(dense_until=0.1, grow_until=0.3, hold_from=0.4,
                                                                 refresh_every=2)
    return config


def start(config, data_dir, exp_dir, launcher, *more):
    exp_dir.mkdir(exist_ok=True)
    (exp_dir / "c.yaml").write_text(config.to_yaml())
    command = [sys.executable, *launcher, "-m", "egs.librispeech.omni_sparsity.training", "--config",
               str(exp_dir / "c.yaml"), "--data-dir", str(data_dir), "--exp-dir", str(exp_dir), "--tensorboard", "0",
               *more]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def node(number):
    """A launcher on one of two machines, which meet at an address; a process each."""
    return ["-m", "torch.distributed.run", "--nnodes", "2", "--node_rank", str(number), "--nproc_per_node", "1",
            "--master_addr", "127.0.0.1", "--master_port", str(20000 + os.getpid() % 20000)]


def train(config, data_dir, exp_dir, launchers=((),), *more):
    """-> the last checkpoint."""
    running = [start(config, data_dir, exp_dir, launcher, *more) for launcher in launchers]
    outputs = [process.communicate(timeout=300)[0] for process in running]
    assert all(process.returncode == 0 for process in running), "\n".join(outputs)
    return load_checkpoint(exp_dir / f"epoch-{config.train.num_epochs}.pt")


def assert_same(one, other, equal):
    assert one["batch_idx_train"] == other["batch_idx_train"] and one["passes"] == other["passes"]
    assert one["omni"]["forked"] and other["omni"]["forked"]
    for part in (lambda state: state["model"], lambda state: state["omni"]["private"]):
        for name, value in part(one).items():
            assert equal(value, part(other)[name]), name


def test_two_machines_train_what_one_process_does_and_resume_exactly(shared, data_dir, tmp_path):
    """What is done on the first process alone (validation, saving) must leave no trace on its model: a resumed run
    gives its state to both, an unbroken one lets each keep its own."""
    one = train(shared, data_dir, tmp_path / "1")
    two = train(shared, data_dir, tmp_path / "2", (node(0), node(1)))
    assert_same(one, two, lambda a, b: torch.allclose(a, b, atol=TOLERANCE))
    assert one["passes"] == 2 * one["batch_idx_train"] > 16 and two["world_size"] == 2
    assert (tmp_path / "2/log/train-1.log").is_file()
    again = train(shared, data_dir, tmp_path / "2", (node(0), node(1)), "--start-epoch", "2")
    assert_same(two, again, torch.equal)


@pytest.mark.one_stack
def test_a_killed_process_is_told_and_one_goes_on_alone(shared, data_dir, tmp_path):
    shared.train.num_epochs = 5  # long enough to be in time
    unbroken = train(shared, data_dir, tmp_path / "1")
    process = start(shared, data_dir, tmp_path / "2",
                    ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"])
    deadline = time.monotonic() + 120
    while not list((tmp_path / "2").glob("checkpoint-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    workers = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(workers[-1]), signal.SIGKILL)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and not (tmp_path / "2/epoch-5.pt").exists()
    assert "SIGKILL" in output or "signal 9" in output.lower() or "another one is gone" in output
    assert_same(unbroken, train(shared, data_dir, tmp_path / "2"), lambda a, b: torch.allclose(a, b, atol=TOLERANCE))
    assert "going on from" in (tmp_path / "2/log/train.log").read_text()


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
