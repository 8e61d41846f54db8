"""`python -m egs.librispeech.omni_sparsity.report` as run.sh calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from egs.librispeech.omni_sparsity.report.__main__ import _command, main

ROOT = Path(__file__).resolve().parents[3]
FILES = ("results.json", "RESULTS.md", "pareto.png", "report.html")


def _run(exp_dir, data_dir, *options):
    return subprocess.run(
        [sys.executable, "-m", "egs.librispeech.omni_sparsity.report", "--exp-dir", exp_dir, "--data-dir", data_dir,
         *options],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_writes_four_files_prints_the_tables_and_again_the_same_bytes(experiment, capsys):
    exp_dir, data_dir = experiment
    before = set(exp_dir.iterdir())
    main(["--exp-dir", str(exp_dir), "--data-dir", str(data_dir)])
    printed = capsys.readouterr().out
    assert set(exp_dir.iterdir()) - before == {exp_dir / name for name in FILES}
    assert printed.split("\n")[0] == "WER on the test sets, greedy_search"
    assert printed.split()[-4:] == [str(exp_dir / name) for name in FILES]
    assert len(json.loads((exp_dir / "results.json").read_text())) == 20
    first = [(exp_dir / name).read_bytes() for name in FILES]
    assert all(len(data) > 500 for data in first)
    main(["--exp-dir", str(exp_dir), "--data-dir", str(data_dir)])
    assert [(exp_dir / name).read_bytes() for name in FILES] == first


def test_a_fresh_process_writes_the_same_bytes_under_another_hash_seed(experiment, monkeypatch):
    exp_dir, data_dir = experiment
    found = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        done = _run(exp_dir, data_dir)
        assert done.returncode == 0, done.stderr
        found.append([(exp_dir / name).read_bytes() for name in FILES])
    assert found[0] == found[1]


def test_bad_input_is_one_line_and_leaves_the_old_report(experiment):
    exp_dir, data_dir = experiment
    for name in FILES:
        (exp_dir / name).write_text("old")
    (exp_dir / "subnets" / "subnets.json").unlink()
    done = _run(exp_dir, data_dir)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and "stage 4" in done.stderr
    assert all((exp_dir / name).read_text() == "old" for name in FILES)


def test_a_folder_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--exp-dir", str(tmp_path / "nowhere")])
    assert stop.value.code == 2
    assert "nowhere is not a folder" in capsys.readouterr().err


def test_neither_torch_nor_lhotse_is_imported(experiment):
    exp_dir, data_dir = experiment
    code = (
        "import sys; from egs.librispeech.omni_sparsity.report.__main__ import main; "
        f"main(['--exp-dir', {str(exp_dir)!r}, '--data-dir', {str(data_dir)!r}]); "
        "print(sorted({'torch', 'lhotse', 'k2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_command_that_is_shown(experiment):
    assert _command(Path("exp/mini"), Path("data/mini")) == "./run.sh"
    assert _command(Path("exp/real"), Path("data/librispeech")) == (
        "./run.sh --corpus librispeech --exp-dir exp/real"
    )
    assert _command(Path(os.getcwd()) / "exp" / "mini", Path("data/mini")) == "./run.sh"
    exp_dir, data_dir = experiment
    main(["--exp-dir", str(exp_dir), "--data-dir", str(data_dir), "--command", "./run.sh --set a.b=c"])
    assert "    ./run.sh --set a.b=c\n" in (exp_dir / "RESULTS.md").read_text()
