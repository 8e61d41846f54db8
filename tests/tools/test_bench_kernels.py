"""The benchmark of the kernels runs and says what it should; how long anything takes is no test."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from omni import runtime
from tools import bench_kernels


@pytest.fixture(autouse=True)
def as_before():
    isa, threads = runtime.isa(), torch.get_num_threads()
    yield
    runtime.use(isa)
    torch.set_num_threads(threads)


def test_a_line_for_each_layer_and_number_of_rows(capsys, tmp_path):
    out = tmp_path / "table.md"
    args = ["--shapes", "16x8", "24x5", "--rows", "1", "3", "--repeats", "2", "--inner", "1", "--out", str(out)]
    bench_kernels.main([*args, "--isa", "numpy"])
    said = capsys.readouterr().out
    assert said == out.read_text() and said.startswith("numpy, torch ")
    head, _, *lines = [line.strip("|").split("|") for line in said.splitlines() if line.startswith("|")]
    assert [line[0].split() + line[1].split() for line in lines] == [["16x8", "1"], ["16x8", "3"], ["24x5", "1"],
                                                                     ["24x5", "3"]]
    for line in lines:
        assert len(line) == len(head) and all(float(one) > 0 for cell in line[5:11] for one in cell.split("/"))


@pytest.mark.parametrize("args, said", [
    (["--shapes", "12x8"], "--shapes 12x8: want outputs x inputs such as 576x144, outputs a multiple of 8"),
    (["--shapes", "big"], "--shapes big: want"),
    (["--rows", "0"], "want numbers from 1"),
    (["--isa", "mmx"], "mmx"),
])
def test_what_cannot_be_measured_is_one_line(capsys, args, said):
    with pytest.raises(SystemExit):
        bench_kernels.main(args)
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


@pytest.mark.parametrize("int8", [False, True])
def test_the_sparse_weight_is_the_dense_one_without_a_share_of_its_blocks(int8):
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((64, 50)).astype(np.float32), np.zeros(64, np.float32)
    x = np.eye(50, dtype=np.float32)
    whole, sparse = (bench_kernels.ours(weight, bias, sparsity, int8, rng).apply(x) for sparsity in (0, 0.7))
    assert np.abs(whole - weight.T).max() < (0.02 if int8 else 1e-6)
    kept = sparse != 0
    assert np.array_equal(sparse[kept], whole[kept])
    blocks = kept.reshape(50, 8, 8).any(axis=2)
    assert blocks.sum() == 120 and np.array_equal(blocks.repeat(8, axis=1) & (whole != 0), kept)
