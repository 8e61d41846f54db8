"""tools/preflight.py: what each state of an environment is called, and the command that mends it."""

import os
import re
import subprocess
import sys

import pytest

from tools import preflight, probe

PINS = preflight.expected_versions("k2")
WHOLE = {name: PINS[name] for name in preflight.SHOWN + preflight.SHARED}


def rows(versions, stack="k2", **kwargs):
    return {row.name: row for row in preflight.Environment(stack, versions, **kwargs).rows()}


def without(*names):
    return {name: version for name, version in WHOLE.items() if name not in names}


def test_every_shown_package_has_a_pin():
    assert set(preflight.SHOWN + preflight.SHARED) <= set(PINS)
    assert PINS["k2"] == "1.23.4" and PINS["torch"] == "1.13.1"


def test_the_wheel_of_k2_is_of_the_pinned_version():
    (line,) = (x for x in (preflight.ROOT / "tools/env/k2.txt").read_text().splitlines() if not x.startswith("#"))
    assert re.fullmatch(rf"k2=={re.escape(PINS['k2'])} --hash=sha256:[0-9a-f]{{64}}", line)


def test_all_there():
    found = rows(WHOLE, facts={"torch": {"cuda": "11.7"}})
    assert {row.verdict for row in found.values()} == {"ok"}
    assert found["torch"].detail == "built for CUDA 11.7"
    assert found["others"].found == str(len(preflight.SHARED))


def test_missing_k2_names_the_pip_line():
    row = rows(without("k2"))["k2"]
    assert (row.verdict, row.needed) == ("missing", True)
    assert row.detail == ".venv/bin/python -m pip install --no-deps -r tools/env/k2.txt"


def test_new_pip_is_replaced_before_k2_is_asked_for():
    detail = rows(without("k2"), pip_major=24)["k2"].detail
    assert detail.startswith(".venv/bin/python -m pip install 'pip<24' && ")
    assert "pip<24" not in rows(without("lhotse"), pip_major=24)["lhotse"].detail


def test_wrong_lhotse():
    row = rows({**WHOLE, "lhotse": "1.32.2"})["lhotse"]
    assert (row.found, row.verdict, row.needed) == ("1.32.2", "wrong version", True)
    assert row.detail == "want 1.32.0: .venv/bin/python -m pip install lhotse==1.32.0"


def test_local_version_label_is_the_same_version():
    assert rows({**WHOLE, "torch": "1.13.1+cu117"})["torch"].verdict == "ok"


def test_missing_kaldifeat_is_a_warning():
    row = rows(without("kaldifeat"))["kaldifeat"]
    assert (row.verdict, row.needed) == ("missing", False)
    assert row.detail.endswith("tools/setup_env.sh --stack k2 --kaldifeat")


def test_wrong_one_of_the_shared_line_gets_its_own():
    found = rows({**WHOLE, "numpy": "2.1.0"})
    assert found["numpy"].verdict == "wrong version"
    assert "numpy" not in found["others"].detail


def test_broken_import_says_why_and_reinstalls():
    row = rows(WHOLE, errors={"k2": "ImportError: no _k2"})["k2"]
    assert row.verdict == "broken"
    assert row.detail == (
        "ImportError: no _k2; .venv/bin/python -m pip install --force-reinstall --no-deps -r tools/env/k2.txt"
    )


def test_an_empty_python_is_mended_by_the_setup():
    found = rows({}, python="/usr/bin/python3", pip_major=0)
    assert {row.detail for name, row in found.items() if name != "kaldifeat"} == {"tools/setup_env.sh"}


def test_wrong_python():
    assert preflight.python_row((3, 10, 2), ".venv/bin/python", "k2").verdict == "ok"
    assert preflight.python_row((3, 12, 2), ".venv-modern/bin/python", "modern").verdict == "ok"
    row = preflight.python_row((3, 9, 7), ".venv/bin/python", "modern")
    assert (row.verdict, row.needed) == ("wrong version", True)
    assert row.detail.endswith("tools/setup_env.sh")


def test_modern_stack_needs_no_k2():
    pins = preflight.expected_versions("modern")
    assert pins["torch"].startswith("2.") and "k2" not in pins
    whole = {name: pins[name] for name in preflight.SHOWN + preflight.SHARED if name != "k2"}
    found = rows(whole, stack="modern")
    assert (found["k2"].verdict, found["k2"].needed) == ("missing", False)
    assert {row.verdict for name, row in found.items() if name != "k2"} == {"ok"}
    assert rows({**whole, "k2": "1.24.4.dev20260101"}, stack="modern")["k2"].verdict == "ok"
    row = rows({**whole, "lhotse": "1.32.0"}, stack="modern")["lhotse"]
    assert row.verdict == "wrong version" and row.needed


@pytest.mark.parametrize(
    "archs, capability, runs",
    [
        (["sm_70", "sm_80", "sm_86"], (8, 0), True),
        (["sm_70", "sm_80"], (8, 9), True),
        (["sm_86"], (8, 0), False),
        (["sm_80", "sm_86"], (9, 0), False),
        (["sm_80", "compute_86"], (9, 0), True),
        ([], (8, 0), False),
    ],
)
def test_which_devices_a_cuda_build_runs_on(archs, capability, runs):
    assert probe._has_code_for(archs, capability) is runs


def test_cuda_line():
    assert preflight.cuda_row({}).verdict == "ok"
    good = ["A100", 80.0, "sm_80", True]
    assert preflight.cuda_row({"torch": {"devices": [good, good]}, "k2": {"with_cuda": True}}).found == "2"
    new = preflight.cuda_row({"torch": {"devices": [["H200", 139.0, "sm_90", False]]}})
    assert new.verdict == "broken" and "sm_90" in new.detail and not new.needed
    assert preflight.cuda_row({"torch": {"devices": [good]}, "k2": {"with_cuda": False}}).verdict == "broken"


def test_low_disk(monkeypatch):
    usage = type("usage", (), {"free": 2**30})
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda path: usage)
    disk = preflight.machine_rows()[-1]
    assert (disk.found, disk.verdict) == ("1 GB", "low")


def test_a_crashing_import_is_named_and_the_others_are_still_checked(tmp_path, monkeypatch):
    (tmp_path / "lilcom.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    (tmp_path / "tqdm.py").write_text("raise ImportError('wheel of another Python\\nmore')")
    (tmp_path / "yaml.py").write_text("print('[noise]')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    errors, facts = probe.run_probe(["lilcom", "tqdm", "pyyaml"])
    assert errors == {
        "lilcom": "crashed while it was imported",
        "tqdm": "ImportError: wheel of another Python",
    }
    assert set(facts) == {"lilcom", "tqdm", "pyyaml"}


def run_main(monkeypatch, capsys, versions, errors={}):
    monkeypatch.setattr(preflight, "installed_versions", lambda names: {"pip": "23.0.1", **versions})
    monkeypatch.setattr(preflight, "run_probe", lambda names: (errors, {}))
    monkeypatch.setattr(preflight, "running_stack", lambda: "k2")
    monkeypatch.setattr(preflight, "python_row", lambda version, path, stack: preflight.Row("Python", "3.10.13"))
    with pytest.raises(SystemExit) as stop:
        preflight.main(["--this-python"])
        raise SystemExit(0)
    return stop.value.code, capsys.readouterr().out.splitlines()


def test_exit_codes(monkeypatch, capsys):
    code, lines = run_main(monkeypatch, capsys, WHOLE)
    assert code == 0 and lines[-1] == "all that is needed is here" and len(lines) <= 24
    code, lines = run_main(monkeypatch, capsys, without("kaldifeat", "pytest"))
    assert code == 0
    assert re.match(r" +kaldifeat +- +missing +optional", next(line for line in lines if "kaldifeat" in line))
    code, lines = run_main(monkeypatch, capsys, without("k2"))
    assert code == 1 and lines[-1].startswith("1 of these") and lines[-1].endswith(": k2")
    code, lines = run_main(monkeypatch, capsys, {**WHOLE, "lhotse": "1.33.0"}, {"k2": "ImportError: x"})
    assert code == 1 and lines[-1].endswith(": k2, lhotse")


def test_runs_on_the_standard_library_alone():
    # -S: no site-packages at all, as in an interpreter where nothing was ever installed
    done = subprocess.run(
        [sys.executable, "-S", "-m", "tools.preflight", "--this-python"],
        cwd=preflight.ROOT,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr == ""
    assert re.search(r"^  lhotse +- +missing +tools/setup_env.sh", done.stdout, re.M)


def test_reports_on_the_project_environment_unless_this_one_has_lhotse(tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "ROOT", tmp_path)
    monkeypatch.setattr(preflight, "installed_versions", lambda names: {})
    assert preflight.environment_python() is None
    (tmp_path / ".venv/bin").mkdir(parents=True)
    python = tmp_path / ".venv/bin/python"
    python.symlink_to(tmp_path / "gone")
    assert preflight.environment_python() == python
    with pytest.raises(SystemExit) as stop:
        preflight.main([])
    assert stop.value.code == 1
    monkeypatch.setattr(preflight, "installed_versions", lambda names: {"lhotse": "1.33.0"})
    assert preflight.environment_python() is None
