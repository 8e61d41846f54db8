"""tools/bench_training.py on a tiny corpus: what it reports and whether it fits together. Never how fast."""

import pytest

from tools import bench_training


def test_what_it_reports_fits_together(config, data_dir, capsys):
    found = bench_training.measure(config, data_dir, 3)
    assert found["steps"] == 3 and 0 < found["batches"] <= 3
    assert 0 < found["weights"] < found["parameters"]
    median = found["milliseconds"]
    assert set(median) == {"A", "B", "enter", "leave", "hooks", "refresh"} and min(median.values()) > 0
    assert found["refresh_each_step"] == pytest.approx(median["refresh"] / config.omni.refresh_every)
    assert 0 < found["masks_alone"] < median["B"]
    assert found["masks_alone_percent"] == pytest.approx(100 * found["masks_alone"] / median["A"])
    assert found["overhead_percent"] == pytest.approx(100 * found["B_minus_A"] / median["A"])
    bench_training.show({**found, "torch": "any", "threads": 1})
    assert "masks alone: " in capsys.readouterr().out


def test_bad_arguments_end_in_one_line(tmp_path, capsys):
    for arguments, words in (
        (["--steps", "0"], "--steps 0: want at least 1"),
        (["--out", str(tmp_path)], "a folder"),
        (["--data-dir", str(tmp_path)], "stage 2 makes it"),
        (["--config", str(tmp_path / "none.yaml")], "no such configuration"),
    ):
        with pytest.raises(SystemExit) as caught:
            bench_training.main(arguments)
        error = capsys.readouterr().err
        assert caught.value.code == 2 and words in error and error.count("\n") == 1
