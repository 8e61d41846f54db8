"""tools/bench_masks.py at toy size: what it reports and whether it fits together. Never how fast."""

import json

import pytest
import torch

from tools import bench_masks

TOY = ["--layers", "2", "--dim", "32", "--ffn-dim", "64", "--repeats", "2", "--threads", "1"]
WEIGHTS = 2 * (32 * 64 + 2 * 32 * 32 + 2 * 32 * 64)


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_what_it_reports_fits_together(tmp_path, capsys):
    path = tmp_path / "masks.json"
    bench_masks.main([*TOY, "--sparsity", "0.5", "--out", str(path)])
    found = json.loads(path.read_text())
    assert (found["weights"], found["threads"], found["repeats"], found["asked"]) == (WEIGHTS, 1, 2, 0.5)
    assert set(found["sparsity"]) == {"omni 8x1", "omni unstructured", "l1_unstructured", "WeightNormSparsifier"}
    assert all(abs(value - 0.5) < 0.005 for value in found["sparsity"].values())
    jobs = found["jobs"]
    for name in ("refresh", "activate", "restore", "activate + restore", "refresh + activate"):
        assert name in jobs and f"unstructured: {name}" in jobs
    assert {"copy_", "refresh(exact)", "l1_unstructured", "WeightNormSparsifier"} <= set(jobs)
    assert all(0 < row["least"] <= row["median"] <= row["most"] and row["copies"] > 0 for row in jobs.values())
    assert jobs["copy_"]["copies"] == 1
    times = found["times"]["l1_unstructured / omni"]
    assert times == pytest.approx(jobs["l1_unstructured"]["median"] / jobs["refresh + activate"]["median"])
    assert set(found["aims"]) == set(bench_masks.AIMS)
    printed = capsys.readouterr().out
    for name, aim in found["aims"].items():
        assert aim["holds"] == ((aim["value"] <= bench_masks.AIMS[name][2]) == ("most" in aim["aim"]))
        assert f"{name}: {aim['value']:.3g}" in printed


def test_memory_is_one_copy_a_quarter_of_a_byte_and_one_bit_in_eight_blocks(tmp_path):
    bench_masks.main([*TOY, "--only-omni", "--out", str(tmp_path / "masks.json")])
    found = json.loads((tmp_path / "masks.json").read_text())
    memory = found["memory"]
    assert memory["weights"] == WEIGHTS and memory["bytes_of_weights"] == 4 * WEIGHTS
    assert memory["bytes_per_weight"]["ranks"] == 0.25
    assert memory["held_after_use"] - memory["held_before_use"] == 4 * WEIGHTS
    assert memory["masks_while_active"] == WEIGHTS / 8  # a byte for each block
    assert memory["living_while_active"] == memory["held_after_use"] + memory["masks_while_active"]
    assert memory["peak_growth"] >= 0
    assert "l1_unstructured" not in found["jobs"] and "l1_unstructured / omni" not in found["aims"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--threads", "0"], "--threads 0: want at least 1"),
        (["--repeats", "0"], "--repeats 0"),
        (["--dim", "20"], "--dim 20: want a multiple of 8"),
        (["--ffn-dim", "0"], "--ffn-dim 0"),
        (["--sparsity", "1.5"], "--sparsity 1.5"),
        (["--device", "tpu"], "--device tpu: want cpu or cuda"),
        (["--out", "."], "--out .: a folder"),
    ],
)
def test_bad_arguments_end_in_one_line(arguments, words, capsys):
    with pytest.raises(SystemExit) as caught:
        bench_masks.main([*TOY, *arguments])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and words in error and error.count("\n") == 1
