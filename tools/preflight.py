"""One screen about the environment: what is there, what is missing, and the exact command that mends it.

    python -m tools.preflight

Works under any Python from 3.10 with the standard library alone, so also where nothing is installed. It
reports on the environment that `run.sh` would use: the running Python if lhotse is installed there, else the
project's .venv, else its .venv-modern. Versions come from the packages' metadata and are compared with those of
the stack that this Python is for: requirements.txt (k2, Python 3.10) or tools/env/modern.txt. Then a child
process imports the packages that have compiled parts of their own and computes a small k2 loss and a kaldifeat
fbank (about a second for all), because a wheel of another Python installs without a word and a library that
crashes must not take this report along. `--import-all` imports the others too, as the set-up does once.

Exit code: 0 if all that is needed works, 1 otherwise. kaldifeat, CUDA and the test packages are not needed, in
the modern stack k2 neither.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from omni.errors import cli
from tools.probe import run_probe

ROOT = Path(__file__).resolve().parents[1]
# Of each stack: the file of its packages, the Pythons that it is for, the environment that tools/setup_env.sh makes.
REQUIREMENTS = {"k2": "requirements.txt", "modern": "tools/env/modern.txt"}
PYTHONS = {"k2": ((3, 10), (3, 10)), "modern": ((3, 11), (3, 13))}
FOLDERS = {"k2": ".venv", "modern": ".venv-modern"}
# A line each; what else is needed shares one line, unless something is wrong with it.
SHOWN = ("torch", "k2", "torchaudio", "lhotse", "sentencepiece", "kaldialign", "espeakng-loader", "kaldifeat")
FOR_TESTS = ("pytest", "hypothesis")
SHARED = ("numpy", "lilcom", "soundfile", "omegaconf", "pyyaml", "tqdm", "tensorboard", "matplotlib", *FOR_TESTS)
COMPILED = (*SHOWN, "numpy", "lilcom", "soundfile")
OPTIONAL = {"k2": ("kaldifeat", *FOR_TESTS), "modern": ("kaldifeat", "k2", *FOR_TESTS)}
LOW_DISK_GB = 6  # an environment takes that while it is made


@dataclass
class Row:
    """One line of the screen: `verdict` is ok, missing, wrong version, broken or low, `detail` what to do."""

    name: str
    found: str
    verdict: str = "ok"
    detail: str = ""
    needed: bool = True

    def __str__(self) -> str:
        return f"  {self.name:<16}{self.found:<14}{self.verdict:<15}{self.detail}".rstrip()


def running_stack() -> str:
    """The stack that this Python is for."""
    return "k2" if sys.version_info[:2] == PYTHONS["k2"][0] else "modern"


def expected_versions(stack: str, root: Path = ROOT) -> dict[str, str]:
    """Returns {package: version} of the `package==version` lines of the stack's and of kaldifeat's requirements."""
    pins = {}
    for path in (root / REQUIREMENTS[stack], root / "tools/kaldifeat/requirements.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := re.match(r"([\w.-]+)==([^\s#]+)", line):
                pins[match[1].lower()] = match[2]
    return pins


def installed_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Returns {package: version} of those of `names` that this Python has metadata of."""
    found = {}
    for name in names:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if version:  # None: a folder of metadata that a killed pip left empty
            found[name] = version
    return found


@dataclass
class Environment:
    """What is known of one Python; versions, errors of the probe and facts that it found by package.

    python: as one would type it; pip_major: the major version of its pip, 0 if it has none.
    """

    stack: str
    versions: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict] = field(default_factory=dict)
    python: str = ".venv/bin/python"
    pip_major: int = 23

    def __post_init__(self) -> None:
        self.pins = expected_versions(self.stack)

    @property
    def setup(self) -> str:
        """The command that mends it."""
        if not self.versions:
            return "tools/setup_env.sh"
        folder = Path(self.python).parent.parent
        if (ROOT / folder / "pyvenv.cfg").exists() and str(folder) not in FOLDERS.values():
            return f"tools/setup_env.sh --stack {self.stack} --venv {folder}"
        return f"tools/setup_env.sh --stack {self.stack}"

    def row(self, name: str) -> Row:
        """The line of one package."""
        want, have, needed = self.pins.get(name), self.versions.get(name), name not in OPTIONAL[self.stack]
        wrong = have is not None and want is not None and have.split("+")[0] != want
        broken = have is not None and not wrong and name in self.errors
        if name == "kaldifeat":
            mend = f"optional (lhotse's fbank serves): {self.setup} --kaldifeat"
        elif want is None:
            mend = "optional (the loss in PyTorch serves)"
        elif self.pip_major == 0 or "torch" not in self.versions and "k2" not in self.versions:
            mend = self.setup  # nothing to mend piece by piece
        else:
            old_pip = f"{self.python} -m pip install 'pip<24' && " if name == "k2" and self.pip_major >= 24 else ""
            flags = "--force-reinstall --no-deps " if broken else "--no-deps " if name == "k2" else ""
            asked = "-r tools/env/k2.txt" if name == "k2" else f"{name}=={want}"
            mend = f"{old_pip}{self.python} -m pip install {flags}{asked}"
        if have is None:
            return Row(name, "-", "missing", mend, needed)
        if wrong:
            return Row(name, have, "wrong version", f"want {want}: {mend}", needed)
        if broken:
            return Row(name, have, "broken", f"{self.errors[name][:120]}; {mend}", needed)
        return Row(name, have, needed=needed)

    def rows(self) -> list[Row]:
        """The lines of all packages, those of SHARED in one unless something is wrong there."""
        rows = []
        for name in SHOWN:
            row = self.row(name)
            if name == "torch" and row.verdict == "ok" and "torch" in self.facts:
                cuda = self.facts["torch"].get("cuda")
                row.detail = f"built for CUDA {cuda}" if cuda else "built for the CPU alone"
            rows.append(row)
        shared = [self.row(name) for name in SHARED]
        wrong = [row for row in shared if row.verdict != "ok"]
        right = [row.name for row in shared if row.verdict == "ok"]
        return rows + wrong + ([Row("others", str(len(right)), detail=" ".join(right))] if right else [])


def cuda_row(facts: dict[str, dict]) -> Row:
    """The line of the CUDA devices that torch sees."""
    devices = facts.get("torch", {}).get("devices", [])
    if not devices:
        return Row("CUDA devices", "none", detail="training runs on the CPU", needed=False)
    text = ", ".join(f"{name} {memory:.0f} GB" for name, memory, _, _ in devices)
    lacking = sorted({arch for _, _, arch, runs in devices if not runs})
    if lacking:
        problem = f"this torch has no code for {', '.join(lacking)}"
    elif not facts.get("k2", {}).get("with_cuda", True):
        problem = "this k2 is built for the CPU alone"
    else:
        return Row("CUDA devices", str(len(devices)), detail=text, needed=False)
    problem = f"{text}: {problem}; set CUDA_VISIBLE_DEVICES= to use the CPU"
    return Row("CUDA devices", str(len(devices)), "broken", problem, needed=False)


def python_row(version: tuple[int, int, int], path: str, stack: str) -> Row:
    """The line of the Python itself."""
    found = ".".join(map(str, version))
    low, high = PYTHONS[stack]
    if not low <= version[:2] <= high:
        return Row("Python", found, "wrong version", "want 3.10 (k2), or 3.11 to 3.13: tools/setup_env.sh")
    return Row("Python", found, detail=f"{path} (stack {stack})")


def machine_rows() -> list[Row]:
    """Cores and memory that this process may use, free disk of the project's folder."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        memory = min(memory, int(text))
    free = shutil.disk_usage(ROOT).free / 2**30
    disk = Row("free disk", f"{free:.0f} GB", detail=str(ROOT), needed=False)
    if free < LOW_DISK_GB:
        disk.verdict = "low"
        disk.detail = f"{ROOT}: free {LOW_DISK_GB} GB, or give --data-dir and --exp-dir on another disk"
    return [
        Row("cores", str(cores), detail=platform.machine(), needed=False),
        Row("memory", f"{memory / 2**30:.0f} GB", needed=False),
        disk,
    ]


def environment_python() -> Path | None:
    """The project's own Python if it, and not the running one, is what `run.sh` would use."""
    if installed_versions(("lhotse",)):
        return None
    for folder in FOLDERS.values():
        if os.path.lexists(ROOT / folder / "bin/python"):
            return None if Path(sys.prefix).resolve() == (ROOT / folder).resolve() else ROOT / folder / "bin/python"
    return None


def shown_path() -> str:
    """This Python's path as one would type it in the project's folder."""
    path = Path(sys.executable)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


@cli
def main(argv: list[str] | None = None) -> None:
    """Prints the screen; exit code 1 if something needed is missing, of another version or broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.preflight", description=__doc__.splitlines()[0])
    parser.add_argument("--this-python", action="store_true", help="report on the Python that runs this")
    parser.add_argument("--import-all", action="store_true", help="import also what has no compiled parts")
    args = parser.parse_args(argv)
    other = None if args.this_python else environment_python()
    if other:
        again = [str(other), "-m", "tools.preflight", "--this-python", *(["--import-all"] * args.import_all)]
        try:
            return_code = subprocess.run(again, cwd=ROOT).returncode
        except OSError:
            gone = f"the Python behind {other.relative_to(ROOT)} is gone: tools/setup_env.sh"
            print(Row("Python", "-", "broken", gone))
            return_code = 1
        raise SystemExit(return_code)

    names = SHOWN + SHARED
    versions = installed_versions(names)
    pip = installed_versions(("pip",)).get("pip", "0")
    errors, facts = run_probe([name for name in (names if args.import_all else COMPILED) if name in versions])
    stack, path = running_stack(), shown_path()
    environment = Environment(stack, versions, errors, facts, path, int(pip.split(".")[0]))
    rows = [python_row(sys.version_info[:3], path, stack), *environment.rows(), cuda_row(facts), *machine_rows()]
    for row in rows:
        print(row)
    bad = [row for row in rows if row.verdict != "ok" and row.needed]
    if bad:
        print(f"{len(bad)} of these must be mended before ./run.sh: {', '.join(row.name for row in bad)}")
        raise SystemExit(1)
    print("all that is needed is here")


if __name__ == "__main__":
    main()
