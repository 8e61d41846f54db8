"""A sweep writes what is new, and nothing else."""

import json

import pytest
import torch

import omni
from omni import bake, sweep

DECODE = """
import sys
from pathlib import Path

folder = Path(sys.argv[sys.argv.index("--exp-dir") + 1]) / "greedy_search"
folder.mkdir()
(folder / "recogs-test-clean-epoch-9999.txt").write_text("a")
(folder / "wer-summary-test-clean-epoch-9999.txt").write_text("b")
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Calls a sweep of a checkpoint whose one weight is 1 to 10 times `scale`."""
    (tmp_path / "decode.py").write_text(DECODE)
    monkeypatch.setattr(bake, "load", lambda path, trust=False: {"batch_idx_train": 7, bake.KEY: {"seconds": 1.5}})

    def run(scale=1.0, sparsities=(0.0, 0.5)):
        def subnet(checkpoint, sparsity, since=None):
            model = torch.nn.Linear(10, 1, bias=False)
            torch.nn.init.constant_(model.weight, scale)
            model.weight.data.mul_(torch.arange(1.0, 11.0))
            net = omni.Supernet(model, omni.Range(0.0, 0.9, "unstructured"))
            net.prune_(sparsity)
            return net

        monkeypatch.setattr(bake, "subnet", subnet)
        script, out = tmp_path / "decode.py", tmp_path / "out"
        sweep.sweep(tmp_path / "epoch-1.pt", None, list(sparsities), script, out, ["test-clean"], [])
        return {path: path.stat().st_mtime_ns for path in sorted((tmp_path / "out").rglob("*")) if path.is_file()}

    return run


def test_a_sweep_that_finds_nothing_new_writes_nothing(host):
    first = host()
    assert {path.name for path in first} >= {"subnets.json", "sparsity-0.json", "sparsity-0.5.json", "epoch-9999.pt",
                                             "decode-test-clean-epoch-9999-sparsity-0.5.json"}
    assert host() == first


def test_what_is_new_is_written(host, tmp_path):
    first, other = host(), host(scale=2.0)
    index = tmp_path / "out/subnets/subnets.json"
    assert other[tmp_path / "out/sparsity-0.5/epoch-9999.pt"] != first[tmp_path / "out/sparsity-0.5/epoch-9999.pt"]
    assert other[index] == first[index]  # other weights, but as many of them
    assert [row["sparsity"] for row in json.loads(index.read_text())] == [0.0, 0.5]
    host(scale=2.0, sparsities=(0.0, 0.9))
    assert [(row["sparsity"], row["params_nonzero"]) for row in json.loads(index.read_text())] == [(0.0, 10), (0.9, 1)]


def test_an_index_or_a_spec_that_is_damaged_is_written_anew(host, tmp_path):
    host()
    for name in ("subnets.json", "sparsity-0.5.json"):
        whole = (tmp_path / "out/subnets" / name).read_text()
        (tmp_path / "out/subnets" / name).write_text(whole[:20])
        host()
        assert (tmp_path / "out/subnets" / name).read_text() == whole
