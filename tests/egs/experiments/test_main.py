"""tools/reproduce.sh: which calls of run.sh it makes, in what order, and what it does when one fails."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from omni.errors import UserError
from egs.librispeech.omni_sparsity.experiments import __main__ as run, condition, trainings

ROOT = Path(__file__).resolve().parents[3]
SETTING = condition.Condition("mini", 8.0, "mini.yaml", [0.5], [1], systems={name: {} for name in condition.SYSTEMS})


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
    monkeypatch.setattr(run, "read", lambda args: ("mini", SETTING, [1], tmp_path / "out"))
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


def test_what_a_file_has_is_not_trained(called, capfd, tmp_path):
    jobs = {job.name: job for job in condition.jobs(SETTING, [1])}
    there = {name: {"settings": trainings.settings_digest(SETTING, jobs[name]), "rows": []} for name in
             ("dense-seed-1", "pruned-0.5-seed-1")}
    path = tmp_path / "there.json"
    path.write_text(json.dumps({"sets": {}, "trainings": there}))
    run.main(["--reuse", str(path)])
    assert [words[words.index("--exp-dir") + 1].rsplit("/")[-1] for words, _ in called()] == ["omni-seed-1"]
    assert called.tables[0][-2:] == ["--reuse", str(path)]
    assert f"2 of 3 trainings are in {path} with the same settings" in capfd.readouterr().out


def test_plan_runs_nothing(called, capsys, monkeypatch):
    one = {"hours": 2.5, "dense_hours": 2.0, "disk_bytes": 4e8}
    monkeypatch.setattr(run, "plans", lambda setting, todo: {job.name: one for job in todo})
    run.main(["--plan"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("    2.00 h  ./run.sh --corpus mini")
    assert lines[-1].startswith("3 trainings, about 7.0 device hours in all (decoding not counted), 1.2 GB of checkpoints")
    assert not called() and not called.tables


@pytest.mark.parametrize("made", [False, True])
def test_plans_of_all_trainings(monkeypatch, capsys, tmp_path, made):
    measured_on = []
    rows = [{"loss": loss, "kind": kind, "audio_hours_per_hour": speed}
            for loss in ("k2", "native") for kind, speed in (("dense", 120.0), ("omni", 100.0))]
    monkeypatch.setattr("egs.librispeech.omni_sparsity.training.bench.measure", lambda config, data_dir, *_: measured_on.append(data_dir) or {
        "rows": rows, "device": "CPU", "torch": "2", "threads": 2})
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
    assert ("on data/mini" if made else "on noise") in capsys.readouterr().out


def test_nonsense_is_one_line(capsys):
    with pytest.raises(SystemExit):
        run.main(["--parallel", "0"])
    assert capsys.readouterr().err == "error: --parallel 0: want at least 1\n"


def test_a_table_that_fails_is_told(tmp_path):
    with pytest.raises(UserError, match="no training of condition mini is done"):
        run.compare(["--condition", "mini", "--out", str(tmp_path)])


def test_the_script_takes_the_stack_and_hands_on_the_rest(tmp_path):
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools/reproduce.sh").write_text((ROOT / "tools/reproduce.sh").read_text())
    for name, text in (("tools/setup_env.sh", 'echo "$*" >&2; echo ./python'), ("python", 'printf "[%s]" "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(["bash", "tools/reproduce.sh", "--seeds", "1 2", "--stack", "modern", "--plan"], cwd=tmp_path,
                          capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert (done.stdout, done.stderr) == ("[-m][egs.librispeech.omni_sparsity.experiments][--seeds][1 2][--stack][modern][--plan]", "--stack modern\n")
