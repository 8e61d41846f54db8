"""tools/setup_env.sh without installing anything: a copy of it beside a PATH that holds a few tools and a
stand-in for Python, which notes what it is asked for."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "awk bash cat chmod cp cut date df dirname env flock grep head kill ls mkdir mktemp mv nproc rm sed sh "
    "sha256sum sleep sort tac tail touch tr uname".split()
)

# Answers as Python 3.10 would to each thing that the script asks; $FAKE is a folder of notes and switches.
PYTHON = r"""#!/bin/sh
case "$1 $2" in
  *version_info*) [ "${0##*/}" != old-python ] ;;
  *"import ensurepip"*) [ ! -e "$FAKE/no-ensurepip" ] ;;
  *pip.__version__*) echo "${FAKE_PIP:-23}" ;;
  *sysconfig*) echo "$FAKE/site" ;;
  *kaldifeat.Fbank*) [ -e "$FAKE/site/kaldifeat" ] ;;
  --version*) echo "Python 3.10.13" ;;
  "-m venv")
    echo "venv from $0" >>"$FAKE/calls"
    mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; : >"$3/pyvenv.cfg"
    [ ! -e "$FAKE/no-venv" ] ;;
  "-m pip")
    echo "$*" >>"$FAKE/calls"
    case "$*" in
      *tools/kaldifeat/requirements.txt*)
        [ ! -e "$FAKE/no-kaldifeat" ] || { echo "x.cc:1: fatal error: Python.h: No such file"; exit 1; }
        mkdir -p "$FAKE/site/kaldifeat" ;;
      *requirements.txt*)
        [ ! -e "$FAKE/no-index" ] || { echo "ERROR: No matching distribution found for k2==1.23.4"; exit 1; }
        [ ! -e "$FAKE/slow" ] || { : >"$FAKE/in-pip"; sleep 60; } ;;
    esac ;;
  "-m tools.preflight")
    echo preflight >>"$FAKE/calls"
    [ ! -e "$FAKE/broken" ] || { echo "  k2 broken"; exit 1; } ;;
  *) echo "stand-in Python was asked: $*" >&2; exit 99 ;;
esac
"""


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


class Machine:
    """A project folder with the script, and a machine that has only what a test gives it."""

    def __init__(self, top: Path) -> None:
        self.project, self.bin = top / "project", top / "bin"
        self.fake, self.home = top / "fake", top / "home"
        for folder in (self.bin, self.fake, self.home):
            folder.mkdir()
        shutil.copytree(ROOT / "tools", self.project / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "requirements.txt", self.project)
        for tool in TOOLS:
            if path := shutil.which(tool):
                (self.bin / tool).symlink_to(path)
        self.venv = self.project / ".venv"

    def env(self, **more: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "HOME": str(self.home), "FAKE": str(self.fake), **more}

    def start(self, *args: str, **more: str) -> subprocess.Popen:
        return subprocess.Popen(
            ["bash", str(self.project / "tools/setup_env.sh"), *args],
            cwd=self.project, env=self.env(**more), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def run(self, *args: str, **more: str) -> tuple[int, str, str]:
        process = self.start(*args, **more)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def calls(self) -> str:
        """What the stand-in was asked since the last look."""
        notes = self.fake / "calls"
        text = notes.read_text() if notes.exists() else ""
        notes.unlink(missing_ok=True)
        return text

    def give_python(self, name: str = "python3.10") -> Path:
        return program(self.bin / name, PYTHON)

    def give_compiler(self) -> None:
        for name in ("g++", "make"):
            program(self.bin / name, "#!/bin/sh\n")
        program(self.bin / "cmake", "#!/bin/sh\necho cmake version 3.25.1\n")

    def stamp(self) -> list[str]:
        return (self.venv / ".omni_ok").read_text().split("\n")[:2]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


# ---- the search for a Python 3.10 -------------------------------------------------------------------
def dry_python(machine, *args: str, **more: str) -> str:
    code, out, err = machine.run("--dry-run", *args, **more)
    assert code == 0, err
    assert not machine.venv.exists()
    return next(line for line in out.splitlines() if line.startswith("python: ")).removeprefix("python: ")


def refusing_shim(machine) -> None:
    program(machine.bin / "python3.10", "#!/bin/sh\necho 'pyenv: command not found' >&2\nexit 127\n")


def test_python_on_path(machine):
    assert dry_python(machine) == "none here; would be fetched by uv or conda"
    path = machine.give_python()
    assert dry_python(machine) == str(path)


def test_refusing_pyenv_shim_is_passed_over_for_the_newest_version(machine, tmp_path):
    refusing_shim(machine)
    for version in ("3.10.0", "3.10.9", "3.10.13", "3.11.7"):
        program(tmp_path / f"pyenv/versions/{version}/bin/python", PYTHON)
    program(machine.bin / "pyenv", f"#!/bin/sh\n[ $1 = root ] && echo {tmp_path}/pyenv\n")
    assert dry_python(machine) == str(tmp_path / "pyenv/versions/3.10.13/bin/python")


def test_pyenv_in_the_home_folder_without_its_command(machine):
    refusing_shim(machine)
    python = program(machine.home / ".pyenv/versions/3.10.4/bin/python", PYTHON)
    assert dry_python(machine) == str(python)


def test_uv_that_knows_one(machine, tmp_path):
    refusing_shim(machine)
    python = program(tmp_path / "uv python/bin/python3.10", PYTHON)
    program(machine.bin / "uv", f'#!/bin/sh\n[ "$*" = "python find 3.10" ] && echo "{python}"\n')
    assert dry_python(machine) == str(python)


def test_conda_environment(machine):
    python = program(machine.home / "miniforge3/envs/asr/bin/python3.10", PYTHON)
    assert dry_python(machine) == str(python)
    base = program(machine.home / "elsewhere/bin/python3.10", PYTHON)
    assert dry_python(machine, CONDA_EXE=str(machine.home / "elsewhere/bin/conda")) == str(base)


def test_given_python(machine, tmp_path):
    machine.give_python()
    python = program(tmp_path / "mine", PYTHON)
    assert dry_python(machine, "--python", str(python)) == str(python)
    old = program(tmp_path / "old-python", PYTHON)
    for wrong, reason in ((old, "not a Python 3.10"), (tmp_path / "none", "no such program")):
        code, out, err = machine.run("--python", str(wrong))
        assert (code, out) == (2, "")
        assert err.startswith(f"error: --python {wrong}: {reason}") and err.count("\n") == 1
        assert not machine.venv.exists()


def test_python_that_makes_no_environments(machine):
    machine.give_python()
    (machine.fake / "no-ensurepip").touch()
    assert "python3.10-venv" in dry_python(machine)
    code, _, err = machine.run()
    assert code == 2 and "lacks the module ensurepip" in err.splitlines()[-1]


def test_no_python_and_none_to_be_had(machine):
    code, _, err = machine.run()
    assert code == 2
    assert err.splitlines()[-1].startswith("error: no Python 3.10 found")
    assert "pyenv install 3.10" in err and "--python" in err
    assert not machine.venv.exists()


def test_uv_fetches_one_into_the_environment(machine, tmp_path):
    source = program(tmp_path / "source", PYTHON)
    program(
        machine.bin / "uv",
        f"""#!/bin/sh
        [ "$*" = "python install 3.10" ] || exit 1
        dir=$UV_PYTHON_INSTALL_DIR/cpython-3.10.22-linux/bin
        mkdir -p "$dir" && cat {source} >"$dir/python3.10" && chmod +x "$dir/python3.10"
        """,
    )
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 0, err
    assert f"venv from {machine.venv}/.python/cpython-3.10.22-linux/bin/python3.10" in machine.calls()


# ---- the steps --------------------------------------------------------------------------------------
def test_whole_setup_and_the_call_after_it(machine):
    machine.give_python()
    machine.give_compiler()
    code, out, err = machine.run()
    assert (code, err) == (0, "")
    steps = [line[:10] for line in out.splitlines() if line.startswith("[")]
    assert steps == [f"[setup {number}/4" for number in (1, 2, 3, 4)]
    calls = machine.calls().splitlines()
    assert calls[0].startswith("venv") and calls[-1] == "preflight" and len(calls) == 4
    assert machine.stamp()[1] == "yes"
    assert not (machine.venv / ".build").exists()
    assert sorted(os.listdir(machine.project)) == [".venv", "requirements.txt", "tools"]

    began = time.monotonic()
    assert machine.run() == (0, "", "")
    assert time.monotonic() - began < 1
    assert machine.calls() == ""


def test_without_a_compiler(machine):
    machine.give_python()
    code, _, err = machine.run()
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("note: no C++ compiler (g++ or clang++): kaldifeat is left out, lhotse's own fbank")
    assert machine.stamp()[1] == "no-compiler"
    assert machine.run() == (0, "", "")
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
    assert err.startswith("note: kaldifeat could not be built (x.cc:1: fatal error: Python.h")
    assert str(machine.venv / "setup.log") in err
    assert machine.stamp()[1] == "failed"
    machine.calls()
    assert machine.run() == (0, "", "") and machine.calls() == ""  # not again at every start
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
    assert machine.run() == (0, "", "") and machine.calls() == ""
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
    assert len(calls) == 2 and "requirements.txt" in calls[0] and calls[1] == "preflight"


def test_pip_too_new_for_k2_is_replaced(machine):
    machine.give_python()
    machine.run("--no-kaldifeat", FAKE_PIP="24")
    calls = machine.calls().splitlines()
    assert calls[1] == "-m pip install --progress-bar off pip<24" and "requirements.txt" in calls[2]


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
    assert err == (
        "error: pip could not install the packages: ERROR: No matching distribution found for k2==1.23.4; "
        f"log: {machine.venv}/setup.log\n"
    )
    assert not (machine.venv / ".omni_ok").exists()


def test_environment_that_does_not_import_is_not_marked_whole(machine):
    machine.give_python()
    (machine.fake / "broken").touch()
    code, _, err = machine.run("--no-kaldifeat")
    assert code == 2
    *screen, last = err.splitlines()
    assert screen == ["  k2 broken"]
    assert last.startswith("error: the environment is installed but does not work")
    assert not (machine.venv / ".omni_ok").exists()
    (machine.fake / "broken").unlink()
    machine.calls()
    assert machine.run("--no-kaldifeat")[0] == 0
    assert machine.calls() == "preflight\n"  # what is whole is not installed again


def test_environment_of_someone_else_is_taken_over_but_never_removed(machine):
    machine.give_python()
    program(machine.venv / "bin/python", PYTHON)
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
    assert err.startswith(f"error: {folder} is not an environment of Python 3.10") and err.count("\n") == 1
    assert os.listdir(folder) == ["one"]
    program(folder / "bin/python", PYTHON)  # a Python of the machine's, say, or of conda
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
