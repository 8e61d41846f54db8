"""A machine for tools/setup_env.sh that installs nothing: a copy of the script beside a PATH that holds a few
tools and a stand-in for Python, which notes what it is asked for."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = (
    "awk bash cat chmod cp cut date dirname env flock grep head kill ls mkdir mktemp mv nproc rm rmdir sed sh "
    "sha256sum sleep sort tac tail touch tr uname".split()
)

# Answers as a Python of VERSION would to each thing that the script asks; $FAKE is a folder of notes and switches.
PYTHON = r"""#!/bin/sh
case "$1 $2" in
  *"(3, 10) <= sys.version_info"*) [ VERSION = 3.10 ] ;;
  *"(3, 11) <= sys.version_info"*) [ VERSION = 3.11 ] ;;
  *"import ensurepip"*) [ ! -e "$FAKE/no-ensurepip" ] ;;
  *pip.__version__*) echo "${FAKE_PIP:-23}" ;;
  *sysconfig*) echo "$FAKE/site" ;;
  *kaldifeat.Fbank*) [ -e "$FAKE/site/kaldifeat" ] ;;
  --version*) echo "Python VERSION.13" ;;
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
      *k2.txt*)
        [ ! -e "$FAKE/no-k2" ] || { echo "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"; exit 1; } ;;
      *requirements.txt*|*modern.txt*)
        [ ! -e "$FAKE/no-index" ] || { echo "ERROR: No matching distribution found for k2==1.23.4"; exit 1; }
        [ ! -e "$FAKE/slow" ] || { : >"$FAKE/in-pip"; sleep 60; } ;;
    esac ;;
  "-m tools.preflight")
    echo preflight >>"$FAKE/calls"
    [ ! -e "$FAKE/broken" ] || { echo "  k2 broken"; exit 1; } ;;
  *) echo "stand-in Python was asked: $*" >&2; exit 99 ;;
esac
"""


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
        self.give_disk(100)  # that of the machine the tests run on may be full
        self.venv = self.project / ".venv"

    @staticmethod
    def program(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python_at(self, path: Path, version: str = "3.10") -> Path:
        return self.program(path, PYTHON.replace("VERSION", version))

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

    @property
    def whole(self) -> tuple[int, str, str]:
        """What `run` returns where everything is there already."""
        return 0, f"{self.venv}/bin/python\n", ""

    def calls(self) -> str:
        """What the stand-in was asked since the last look."""
        notes = self.fake / "calls"
        text = notes.read_text() if notes.exists() else ""
        notes.unlink(missing_ok=True)
        return text

    def give_python(self, version: str = "3.10") -> Path:
        return self.python_at(self.bin / f"python{version}", version)

    def give_compiler(self) -> None:
        for name in ("g++", "make"):
            self.program(self.bin / name, "#!/bin/sh\n")
        self.program(self.bin / "cmake", "#!/bin/sh\necho cmake version 3.25.1\n")

    def give_disk(self, gb: int) -> None:
        """What `df` says is free."""
        self.program(self.bin / "df", f"#!/bin/sh\necho header\necho /dev/x 9 9 {gb << 20} 50% /\n")

    def stamp(self) -> list[str]:
        return (self.venv / ".omni_ok").read_text().split("\n")[:2]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)
