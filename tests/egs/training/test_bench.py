"""tools/bench_train.py and tools/plan.py: parts of a step, what is reported, the arithmetic. Never how fast."""

import json

import pytest
import torch

from egs.librispeech.omni_sparsity.experiments import plan
from egs.librispeech.omni_sparsity.training import bench as bench_train
from egs.librispeech.omni_sparsity.training.stopwatch import Stopwatch


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(
        "model: {projection_dim: 8, encoder_dim: 16, num_heads: 2, ffn_dim: 32, num_layers: 1, decoder_dim: 16,"
        " joiner_dim: 16, vocab_size: 20}\n"
        "data: {max_duration: 30}\n"
        "train: {num_epochs: 4}\n"
        "omni: {dense_until: 0.25, refresh_every: 1,"
        " targets: {'encoder.emformer.*pos_ff.[14].weight': {low: 0.0, high: 0.9, structure: 8x1}}}\n"
    )
    return path


def test_a_moment_counts_for_the_innermost_part():
    watch = Stopwatch(torch.device("cpu"))
    clock = iter(range(100))
    import egs.librispeech.omni_sparsity.training.stopwatch as module

    real, module.time.perf_counter = module.time.perf_counter, lambda: next(clock)
    try:
        with watch.part("outer"):
            with watch.part("inner"):
                pass
            watch.timed("inner", lambda: None)()
    finally:
        module.time.perf_counter = real
    assert watch.taken() == {"outer": 3, "inner": 2} and watch.taken() == {}


def test_it_reports_what_it_measured(small, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench_train, "peak_of", lambda *_: 12.0)
    out = tmp_path / "x.json"
    bench_train.main(["--config", str(small), "--synthetic", "--steps", "3", "--out", str(out)])
    found = json.loads(out.read_text())
    assert [row["kind"] for row in found["rows"][:2]] == ["dense", "omni"]
    assert {row["loss"] for row in found["rows"]} == set(bench_train.losses_here())
    for row in found["rows"]:
        parts = {name: value for name, value in row["percent"].items() if name != "data"}
        assert sum(parts.values()) == pytest.approx(100)
        assert min(parts[name] for name in ("encoder", "loss", "backward", "optimizer")) > 0
    omni = found["rows"][1]
    assert omni["percent"]["masks"] > 0
    assert found["audio_seconds_per_step"] == pytest.approx(2 * 12.3, rel=0.1)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2 + len(found["rows"]) + len(bench_train.losses_here())


def test_the_recipe_is_left_as_it_was(small):
    from egs.librispeech.omni_sparsity.config import load_config
    from egs.librispeech.omni_sparsity.training import loop

    before = (torch.Tensor.backward, loop.compute_loss, loop.update)
    bench = bench_train.Bench(load_config(small), 0.75)
    bench.step("native", "omni", next(bench_train.synthetic_batches(bench.config, 1)))
    assert before == (torch.Tensor.backward, loop.compute_loss, loop.update)
    assert "active" not in vars(bench.learner.net) and "forward" not in vars(bench.learner.model.encoder)


def test_the_arithmetic_of_a_plan(small, tmp_path, capsys):
    rows = [{"loss": "native", "kind": "dense", "audio_hours_per_hour": 100.0, "peak_mb": 900.0},
            {"loss": "native", "kind": "omni", "audio_hours_per_hour": 80.0, "peak_mb": 1000.0}]
    measured = tmp_path / "m.json"
    measured.write_text(json.dumps({"rows": rows, "device": "CPU", "torch": "2", "precision": "float32", "threads": 1,
                                    "steps": 3, "audio_seconds_per_step": 24.6}))
    out = tmp_path / "plan.json"
    plan.main(["--config", str(small), "--measured", str(measured), "--hours", "10", "--world-size", "2",
               "--price", "3", "--out", str(out)])
    found = json.loads(out.read_text())
    assert found["audio_hours"] == 10 * 3 * 4
    assert found["hours"] == pytest.approx(120 * (0.25 / 100 + 0.75 / 80) / 2)
    assert found["cost"] == pytest.approx(found["hours"] * 2 * 3) and found["peak_mb"] == 1000.0
    assert found["bytes"]["masked_weights"] == 2 * 16 * 32
    assert "cost 4" in capsys.readouterr().out


def test_it_plans_from_steps_of_its_own(small, monkeypatch, capsys):
    monkeypatch.setattr(plan, "peak_of", lambda *_: None)
    plan.main(["--config", str(small), "--steps", "1", "--hours", "1"])
    assert "time: at least" in capsys.readouterr().out


@pytest.mark.parametrize("gpu, wanted, seconds", [(False, 300.0, 50.0), (False, 20.0, 20.0), (True, 300.0, 300.0)])
def test_a_cpu_measures_shorter_batches(small, monkeypatch, gpu, wanted, seconds):
    from egs.librispeech.omni_sparsity.config import load_config

    monkeypatch.setattr("egs.librispeech.omni_sparsity.training.distributed.cuda_works", lambda backend: gpu)
    config = load_config(small, [f"data.max_duration={wanted}"])
    assert plan.measurable(config).data.max_duration == seconds and config.data.max_duration == wanted


def test_the_peak_is_that_of_the_measured_steps(small, monkeypatch, capsys):
    monkeypatch.setattr("egs.librispeech.omni_sparsity.training.distributed.cuda_works", lambda backend: False)
    asked = []
    monkeypatch.setattr(plan, "peak_of", lambda again, variant: asked.append(again))
    plan.main(["--config", str(small), "--steps", "1", "--hours", "1", "--set", "data.max_duration=100"])
    assert asked[0][-2:] == ["--set", "data.max_duration=50.0"]
    assert ", 432 steps" in capsys.readouterr().out  # of the training: 1 h, three speeds, four epochs, 100 s a step


@pytest.mark.parametrize("module, arguments, words", [
    (bench_train, ["--steps", "0"], "--steps 0: want at least 1"),
    (bench_train, ["--progress", "2"], "--progress 2.0: want 0 to 1"),
    (bench_train, ["--out", "."], "a folder"),
    (bench_train, ["--data-dir", "absent"], "stage 2 makes it"),
    (plan, ["--hours", "0"], "--hours 0.0: want at least"),
    (plan, ["--world-size", "0"], "--world-size 0: want at least 1"),
    (plan, ["--measured", "absent.json"], "absent.json: not a file that tools.bench_train --out wrote"),
    (plan, ["--config", "absent.yaml"], "no such file"),
])
def test_nonsense_is_one_line(module, arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        module.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and words in error and error.count("\n") == 1
