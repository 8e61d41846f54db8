"""Two runs of a data stage at the same time: the second waits for the first, and finds the work done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from omni.lock import hold

ROOT = Path(__file__).parents[2]
WAITING = "another process works in"


def _call(module: str, *arguments) -> subprocess.Popen:
    words = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _waits(data: Path, makes: str, module: str, *arguments) -> None:
    """While this process holds `data` the command says so and makes nothing there; afterwards it goes on."""
    with hold(data):
        call = _call(module, "--data-dir", data, *arguments)
        assert call.stderr.readline() == f"{WAITING} {data}: waiting for it\n"
        assert not (data / makes).exists()
    told = call.communicate(timeout=120)[1]
    assert call.returncode == 0 and any((data / makes).iterdir()), told
    assert not (data / ".lock").exists()


def test_a_data_stage_waits_for_another_run_of_it(libri, tmp_path):
    data = tmp_path / "data"
    _waits(data, "manifests", "local.prepare_corpus", "--corpus", "librispeech", "--download-dir", libri)
    _waits(data, "fbank", "local.compute_fbank", "--nj", 1)
    _waits(data, "lang_bpe_16", "local.train_bpe", "--vocab-size", 16)


def test_two_runs_make_one_synthetic_corpus(tmp_path):
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    options = ["--download-dir", tmp_path / "mini", "--mini-scale", 0.01, "--nj", 1]
    calls = [_call("local.prepare_corpus", *options, "--data-dir", tmp_path / f"data{n}") for n in range(2)]
    told = [call.communicate(timeout=300)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0], told
    assert sum(WAITING in text for text in told) == 1, told
