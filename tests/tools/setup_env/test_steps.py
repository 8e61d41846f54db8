"""The steps of tools/setup_env.sh: environment, packages, kaldifeat, check, mark."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.one_stack


def test_whole_setup_and_the_call_after_it(machine):
    machine.give_python()
    machine.give_compiler()
    code, out, err = machine.run()
    assert (code, out) == (0, f"{machine.venv}/bin/python\n")
    steps = [line[:10] for line in err.splitlines() if line.startswith("[")]
    assert steps == [f"[setup {number}/4" for number in (1, 2, 3, 4)]
    calls = machine.calls().splitlines()
    assert calls[0].startswith("venv") and calls[-1] == "preflight" and len(calls) == 5
    assert "--force-reinstall --no-deps -r" in calls[1] and calls[1].endswith("/tools/env/k2.txt")
    assert machine.stamp()[1] == "yes"
    assert not (machine.venv / ".build").exists()
    assert sorted(os.listdir(machine.project)) == [".venv", "requirements.txt", "tools"]

    began = time.monotonic()
    assert machine.run() == machine.whole
    assert time.monotonic() - began < 1
    assert machine.calls() == ""


def test_without_a_compiler(machine):
    machine.give_python()
    code, _, err = machine.run()
    assert code == 0
    assert "\nnote: no C++ compiler (g++ or clang++): kaldifeat is left out, lhotse's own fbank" in err
    assert machine.stamp()[1] == "no-compiler"
    assert machine.run() == machine.whole
    machine.calls()

    machine.give_compiler()  # one that came later is used
    assert machine.run()[0] == 0
    assert machine.stamp()[1] == "yes"
    assert "-r" in machine.calls()


def test_dry_run_names_the_compiler(machine):
    assert "kaldifeat: no C++ compiler" in machine.run("--dry-run")[1]
    machine.give_compiler()
    assert "kaldifeat: built by g++" in machine.run("--dry-run")[1]
    (machine.bin / "make").unlink()
    assert "kaldifeat: no make" in machine.run("--dry-run")[1]
    assert "kaldifeat: left out" in machine.run("--dry-run", "--no-kaldifeat")[1]


def test_kaldifeat_that_does_not_build(machine):
    machine.give_python()
    machine.give_compiler()
    (machine.fake / "no-kaldifeat").touch()
    code, _, err = machine.run()
    assert code == 0
    assert "\nnote: kaldifeat could not be built (x.cc:1: fatal error: Python.h" in err
    assert str(machine.venv / "setup.log") in err
    assert machine.stamp()[1] == "failed"
    machine.calls()
    assert machine.run() == machine.whole and machine.calls() == ""  # not again at every start
    (machine.fake / "no-kaldifeat").unlink()
    left = machine.fake / "site/kaldifeat-1.24.dist-info"  # a killed pip's, where the next one stumbles
    left.mkdir(parents=True)
    assert machine.run("--kaldifeat")[0] == 0
    assert machine.stamp()[1] == "yes" and not left.exists()


def test_kaldifeat_left_out_stays_out_until_asked_for(machine):
    machine.give_python()
    machine.give_compiler()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert machine.stamp()[1] == "off" and "tools/kaldifeat" not in machine.calls()
    assert machine.run() == machine.whole and machine.calls() == ""
    assert machine.run("--kaldifeat")[0] == 0
    assert "tools/kaldifeat" in machine.calls() and machine.stamp()[1] == "yes"


def test_changed_requirements_are_installed(machine):
    machine.give_python()
    machine.run("--no-kaldifeat")
    machine.calls()
    with open(machine.project / "requirements.txt", "a") as file:
        file.write("one-more==1.0\n")
    assert machine.run("--no-kaldifeat")[0] == 0
    calls = machine.calls().splitlines()
    assert len(calls) == 3 and "requirements.txt" in calls[1] and calls[2] == "preflight"
    with open(machine.project / "tools/env/k2.txt", "a") as file:
        file.write("# another wheel\n")
    assert machine.run("--no-kaldifeat")[0] == 0
    assert "k2.txt" in machine.calls()


def test_pip_too_new_for_k2_is_replaced(machine):
    machine.give_python()
    machine.run("--no-kaldifeat", FAKE_PIP="24")
    calls = machine.calls().splitlines()
    assert calls[1] == "-m pip install --progress-bar off pip<24" and "k2.txt" in calls[2]


def test_killed_while_pip_installs(machine):
    machine.give_python()
    (machine.fake / "slow").touch()
    process = machine.start("--no-kaldifeat")
    deadline = time.monotonic() + 30
    while not (machine.fake / "in-pip").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (machine.venv / ".omni_ok").exists()
    (machine.fake / "slow").unlink()
    (machine.venv / "half-written").touch()
    machine.calls()
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 0 and "stopped half-way" in err
    assert machine.calls().startswith("venv from") and not (machine.venv / "half-written").exists()
    assert machine.stamp()[1] == "off"


def test_stopped_before_pip_was_there(machine):
    machine.give_python()
    (machine.fake / "no-venv").touch()
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 2 and "-m venv failed" in err
    (machine.fake / "no-venv").unlink()
    machine.calls()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert machine.calls().startswith("venv from")


def test_pip_that_fails(machine):
    machine.give_python()
    (machine.fake / "no-index").touch()
    code, _, err = machine.run()
    assert code == 2
    assert err.splitlines(keepends=True)[-1] == (
        "error: pip could not install the packages: ERROR: No matching distribution found for k2==1.23.4; "
        f"log: {machine.venv}/setup.log\n"
    )
    assert not (machine.venv / ".omni_ok").exists()


def test_index_without_the_wheel_of_k2(machine):
    machine.give_python()
    (machine.fake / "no-k2").touch()
    code, _, err = machine.run()
    assert code == 2 and "the packages: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES; log: " in err
    assert not (machine.venv / ".omni_ok").exists() and "requirements.txt" not in machine.calls()


def test_environment_that_does_not_import_is_not_marked_whole(machine):
    machine.give_python()
    (machine.fake / "broken").touch()
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 2
    *_, screen, last = err.splitlines()
    assert screen == "  k2 broken"
    assert last.startswith("error: the environment is installed but does not work")
    assert not (machine.venv / ".omni_ok").exists()
    (machine.fake / "broken").unlink()
    machine.calls()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert machine.calls() == "preflight\n"  # what is whole is not installed again


def test_environment_of_someone_else_is_taken_over_but_never_removed(machine):
    machine.give_python()
    machine.python_at(machine.venv / "bin/python")
    (machine.venv / "pyvenv.cfg").touch()
    (machine.venv / "precious").touch()
    (machine.fake / "no-index").touch()
    assert machine.run("--no-kaldifeat")[0] == 2
    (machine.fake / "no-index").unlink()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert (machine.venv / "precious").exists() and "venv from" not in machine.calls()


def test_folder_that_is_no_environment_is_refused(machine):
    machine.give_python()
    folder = machine.home / "photos"
    folder.mkdir()
    (folder / "one").touch()
    code, out, err = machine.run("--venv", str(folder))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"error: {folder} is not an environment of Python 3.10")
    assert os.listdir(folder) == ["one"]
    machine.python_at(folder / "bin/python")  # a Python of the machine's, say, or of conda
    assert machine.run("--venv", str(folder))[0] == 2
    assert sorted(os.listdir(folder)) == ["bin", "one"]


def test_environment_whose_python_is_gone_is_made_again(machine):
    machine.give_python()
    machine.run("--no-kaldifeat")
    (machine.venv / "bin/python").unlink()
    machine.calls()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert machine.calls().startswith("venv from")


def test_second_setup_waits_for_the_first(machine):
    if not shutil.which("flock"):
        pytest.skip("flock is not here")
    machine.give_python()
    (machine.fake / "slow").touch()
    first = machine.start("--no-kaldifeat")
    deadline = time.monotonic() + 30
    while not (machine.fake / "in-pip").exists():
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.02)
    (machine.fake / "slow").unlink()
    second = machine.start("--no-kaldifeat")
    time.sleep(0.3)
    assert second.poll() is None
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    _, err = second.communicate(timeout=30)
    assert second.returncode == 0 and "another set-up of this project is running" in err


def test_unknown_option(machine):
    code, out, err = machine.run("--venvv", "x")
    assert (code, out) == (2, "")
    assert err == "error: unknown option --venvv (tools/setup_env.sh --help lists them)\n"


def test_every_requirement_is_pinned():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if line.split("#")[0].strip()]
    assert len(pins) > 40 and all(pin.count("==") == 1 for pin in pins)
