"""tools/reproduce.sh: which calls of run.sh it makes, in what order, and what it does when one fails."""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from omni.errors import UserError
from egs.librispeech.omni_sparsity.report.results import Decoded
from egs.librispeech.omni_sparsity.experiments import __main__ as run, condition, trainings
from egs.librispeech.omni_sparsity.experiments.jobs import ask

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "tools/reproduce.sh"
SETTING = condition.Condition("mini", 8.0, "mini-long.yaml", [0.5], [1], systems={
    "dense": {"omni.strategy": "dense"}, "pruned": {"omni.strategy": "gradual"}, "omni": {}})


@pytest.fixture
def called(tmp_path, monkeypatch):
    """A project whose run.sh notes its arguments and threads, and fails where a file says so."""
    (tmp_path / "run.sh").write_text(
        f"#!/bin/sh\nexec {sys.executable} - \"$@\" <<'E'\n"
        "import json, os, sys\n"
        "print('at work')\n"
        f"open({str(tmp_path / 'calls')!r}, 'a').write(json.dumps([sys.argv[1:], os.environ.get('OMP_NUM_THREADS')])"
        " + chr(10))\n"
        f"sys.exit(3 * any('omni-seed' in word for word in sys.argv) * os.path.exists({str(tmp_path / 'fail')!r}))\n"
        "E\n")
    (tmp_path / "run.sh").chmod(0o755)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "cores", lambda: 6)
    here = {"out": tmp_path / "out"}
    monkeypatch.setattr(run, "read", lambda args: ask("mini", SETTING, argparse.Namespace(**{**vars(args), **here})))
    tables = []
    monkeypatch.setattr(run, "compare", lambda argv: tables.append(argv) or "the table")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def calls():
        path = tmp_path / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    calls.tables, calls.root = tables, tmp_path
    return calls


def test_one_after_the_other(called, capfd):
    run.main(["--seeds", "1"])
    names = [words[words.index("--exp-dir") + 1].rsplit("/")[-1] for words, _ in called()]
    assert names == ["dense-seed-1", "omni-seed-1", "pruned-0.5-seed-1"]
    assert all(words[-2:] == ["--python", sys.executable] and threads is None for words, threads in called())
    assert called.tables[0][-1] == "tools/reproduce.sh --seeds 1"
    out = capfd.readouterr().out
    assert out.endswith("the table\n") and out.count("at work") == 3 and "== 3 of 3 done: pruned-0.5-seed-1" in out


def test_a_table_whenever_one_ends_and_one_for_all_that_end_meanwhile(called, monkeypatch, capsys):
    begun, ended, tables = threading.Event(), threading.Semaphore(0), []

    def run_job(condition, job, *_):
        assert job.system == "dense" or begun.wait(60)
        ended.release()

    def compare(argv):
        tables.append(argv)
        begun.set()
        if len(tables) == 1:  # it takes until the others have ended
            assert all(ended.acquire(timeout=60) for _ in range(3))
            time.sleep(0.1)  # and are known to have
        return "the table"

    monkeypatch.setattr(run, "run_job", run_job)
    monkeypatch.setattr(run, "compare", compare)
    run.main([])
    assert "== 1 of 3 done: dense-seed-1\n== 3 of 3 done: omni-seed-1, pruned-0.5-seed-1\n" in capsys.readouterr().out
    assert len(tables) == 3  # the third is the one that is shown


def test_side_by_side_each_has_its_share_of_the_cores_and_a_log(called):
    run.main(["--parallel", "3"])
    assert sorted(threads for _, threads in called()) == ["2", "2", "2"]
    assert (called.root / "out/omni-seed-1/run.log").read_text() == "at work\n"


@pytest.mark.parametrize("parallel", ["1", "2"])
def test_one_that_fails_is_named(called, capsys, parallel):
    (called.root / "fail").touch()
    with pytest.raises(SystemExit) as stop:
        run.main(["--parallel", parallel])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: omni-seed-1 ended with exit code 3") and error.count("\n") == 1
    assert ("run.log" in error) == (parallel == "2")


def trainings_file(path, names, sizes):
    """A trainings.json with `names` of SETTING's jobs, each with a row of every size of `sizes` that the job has."""
    jobs = [job for job in condition.jobs(SETTING, [1]) if job.name in names]
    rows = {job: [Decoded({"test_set": "t", "name": f"sparsity-{size:g}", "system": job.system},
                          [trainings.Counted(1, 3)])
                  for size in job.sparsities if size in sizes] for job in jobs}
    trainings.write(SETTING, rows, path)
    return path


def trained(called):
    return [words[words.index("--exp-dir") + 1].rsplit("/")[-1] for words, _ in called()]


def test_what_a_file_has_is_not_trained(called, capfd, tmp_path):
    path = trainings_file(tmp_path / "there.json", ("dense-seed-1", "pruned-0.5-seed-1"), (0.0, 0.5))
    run.main(["--reuse", str(path)])
    assert trained(called) == ["omni-seed-1"]
    assert called.tables[0][-2:] == ["--reuse", str(path)]
    assert f"2 of 3 trainings are in {path} with the same settings" in capfd.readouterr().out


def test_a_training_without_a_size_that_is_wanted_is_not_whole(called, tmp_path):
    path = trainings_file(tmp_path / "there.json", ("dense-seed-1", "pruned-0.5-seed-1"), (0.5,))
    run.main(["--reuse", str(path)])
    assert trained(called) == ["dense-seed-1", "omni-seed-1"]


def test_sizes_and_systems_can_be_chosen(called, capsys):
    run.main(["--only", "pruned omni", "--sparsities", "0.9 0.25"])
    assert trained(called) == ["omni-seed-1", "pruned-0.25-seed-1", "pruned-0.9-seed-1"]
    words = called()[0][0]
    assert words[words.index("--sparsities") + 1] == "0 0.25 0.9"
    table = called.tables[0]
    assert table[table.index("--sparsities") + 1] == "0.25 0.9" and "--only" not in table  # of all that is there
    with pytest.raises(SystemExit):
        run.main(["--only", "omnibus"])
    assert capsys.readouterr().err == "error: --only omnibus: want one or more of dense, omni, pruned\n"
    with pytest.raises(SystemExit):
        run.main(["--sparsities", "0.5 1.5"])
    assert 'error: --sparsities 0.5 1.5: want shares of zeros, 0 to below 1, e.g. "0.5 0.9"' in capsys.readouterr().err


def test_plan_runs_nothing(called, capsys, monkeypatch):
    one = {"hours": 2.5, "dense_hours": 2.0, "disk_bytes": 4e8}
    monkeypatch.setattr(run, "plans", lambda setting, todo: {job.name: one for job in todo})
    run.main(["--plan"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("    2.00 h  ./run.sh --corpus mini")
    assert lines[-1].startswith("3 trainings, about 7.0 device hours in all (decoding not counted), "
                                "1.2 GB of checkpoints")
    assert not called() and not called.tables


def test_a_plan_of_nothing_measures_nothing(called, capsys, monkeypatch, tmp_path):
    path = trainings_file(tmp_path / "there.json", ("dense-seed-1", "omni-seed-1", "pruned-0.5-seed-1"), (0.0, 0.5))
    monkeypatch.setattr(run, "plans", lambda *_: pytest.fail("measured"))
    run.main(["--plan", "--reuse", str(path)])
    assert "0 trainings, about 0.0 device hours" in capsys.readouterr().out


@pytest.mark.parametrize("made", [False, True])
def test_plans_of_all_trainings(monkeypatch, capsys, tmp_path, made):
    measured_on = []
    rows = [{"loss": loss, "kind": kind, "audio_hours_per_hour": speed}
            for loss in ("k2", "native") for kind, speed in (("dense", 120.0), ("omni", 100.0))]
    measured = {"rows": rows, "device": "CPU", "torch": "2", "threads": 2}
    monkeypatch.setattr("egs.librispeech.omni_sparsity.training.bench.measure",
                        lambda config, data_dir, *_: measured_on.append(data_dir) or measured)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "egs").symlink_to(ROOT / "egs")
    if made:
        (tmp_path / "data/mini/lang_bpe_200").mkdir(parents=True)
    found = run.plans(SETTING, list(condition.jobs(SETTING, [1])))
    audio = 8.0 * 3 * 6 / 3  # three speeds, six epochs of a third each
    hours = audio * (0.2 / 120 + 0.8 / 100)
    assert found["dense-seed-1"]["dense_hours"] == pytest.approx(audio / 120)
    assert found["omni-seed-1"]["hours"] == pytest.approx(hours) == found["pruned-0.5-seed-1"]["hours"]
    assert found["omni-seed-1"]["disk_bytes"] == 6 * found["omni-seed-1"]["bytes"]["checkpoint"]
    assert measured_on == [tmp_path / "data/mini" if made else None]
    told = capsys.readouterr()
    assert told.out.startswith("measured here: CPU")
    assert told.err.startswith("measuring training steps here")  # before the minutes, and not among the commands
    assert ("on data/mini" if made else "on noise") in told.err


def test_nonsense_is_one_line(capsys):
    with pytest.raises(SystemExit):
        run.main(["--parallel", "0"])
    assert capsys.readouterr().err == "error: --parallel 0: want at least 1\n"


def test_a_table_that_fails_is_told(tmp_path):
    with pytest.raises(UserError, match="no training of condition mini is done"):
        run.compare(["--condition", "mini", "--out", str(tmp_path)])


@pytest.fixture
def script(tmp_path):
    """Calls a copy of tools/reproduce.sh whose environment is a marker file and whose Python prints its arguments."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/reproduce.sh").write_text(SCRIPT.read_text())
    (tmp_path / condition.RECIPE).mkdir(parents=True)
    (tmp_path / condition.RECIPE / "conf").symlink_to(ROOT / condition.RECIPE / "conf")
    setup = 'touch made; echo "$*" >&2; echo ./python'
    for name, text in (("tools/setup_env.sh", setup), ("python", 'printf "[%s]" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)

    def call(*words):
        done = subprocess.run(["bash", "tools/reproduce.sh", *words], cwd=tmp_path, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"]})
        return done.returncode, done.stdout, done.stderr, (tmp_path / "made").exists()

    return call


def test_the_script_takes_the_stack_and_hands_on_the_rest(script):
    code, out, error, made = script("--seeds", "1 2", "--stack=modern", "--plan")
    assert (code, made) == (0, True)
    assert out == "[-m][egs.librispeech.omni_sparsity.experiments][--seeds][1 2][--stack=modern][--plan]"
    assert error == "--plan measures training steps on this machine, so the environment comes first\n--stack modern\n"
    assert script() == (0, "[-m][egs.librispeech.omni_sparsity.experiments]", "--stack auto\n", True)


@pytest.mark.parametrize("words, says", [
    (["--corpus", "maxi"], "--corpus maxi: no such condition; there are codes, librispeech, mini"),
    (["--condition=../mini"], "--corpus ../mini: no such condition"),
    (["--corpse", "mini"], "--corpse: no such option"),
    (["--seeds"], "--seeds wants a value"),
    (["--stack", "old"], "--stack old: want k2, modern or auto"),
    (["--plan", "--reuse", "nowhere.json"], "--reuse nowhere.json: no such file"),
])
def test_what_is_wrong_is_told_before_the_environment_is_made(script, words, says):
    code, out, error, made = script(*words)
    assert (code, out, made) == (2, "", False)
    assert error.startswith(f"error: {says}") and error.count("\n") == 1


def test_help_needs_no_environment_and_lists_what_python_takes(script, capsys):
    code, out, _, made = script("--plan", "--help")
    assert code == 0 and not made
    with pytest.raises(SystemExit):
        run.main(["--help"])
    options = set(re.findall(r"--[a-z]+", capsys.readouterr().out.split("options:")[-1]))
    assert options - {"--condition"} == set(re.findall(r"^  (--[a-z]+)", out, re.MULTILINE))
