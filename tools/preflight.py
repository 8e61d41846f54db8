"""One screen about the environment: what is there, what is missing, and the exact command that mends it.

    python -m tools.preflight

Works under any Python from 3.10 with the standard library alone, so also where nothing is installed. It
reports on the environment that `run.sh` would use: the running Python if k2 is installed there, else the
project's .venv. Versions come from the packages' metadata and are compared with requirements.txt; then a
child process imports the packages that have compiled parts of their own and computes a small k2 loss and a
kaldifeat fbank (about a second for all), because a wheel of another Python installs without a word and a
library that crashes must not take this report along. `--import-all` imports the others too, as the
set-up does once.

Exit code: 0 if all that is needed works, 1 otherwise. kaldifeat, CUDA and the test packages are not needed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.errors import cli

ROOT = Path(__file__).resolve().parents[1]
PYTHON = (3, 10)
IMPORT_NAMES = {"espeakng-loader": "espeakng_loader", "pyyaml": "yaml"}
# A line each; what else is needed shares one line, unless something is wrong with it.
SHOWN = ("torch", "k2", "torchaudio", "lhotse", "sentencepiece", "kaldialign", "espeakng-loader", "kaldifeat")
FOR_TESTS = ("pytest", "hypothesis")
SHARED = ("numpy", "lilcom", "soundfile", "pyyaml", "tqdm", "tensorboard", "matplotlib", *FOR_TESTS)
COMPILED = (*SHOWN, "numpy", "lilcom", "soundfile")
OPTIONAL = ("kaldifeat", *FOR_TESTS)
PROBE_SECONDS = 300  # a cold disk may take a minute to read torch
LOW_DISK_GB = 5


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


def expected_versions(root: Path = ROOT) -> dict[str, str]:
    """Returns {package: version} of the `package==version` lines of both requirements files."""
    pins = {}
    for path in (root / "requirements.txt", root / "tools/kaldifeat/requirements.txt"):
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


# ---- in the child process ---------------------------------------------------------------------------
def _torch_facts(torch) -> dict:
    facts = {"cuda": torch.version.cuda, "devices": []}
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            device = torch.cuda.get_device_properties(i)
            runs = _has_code_for(torch.cuda.get_arch_list(), (device.major, device.minor))
            arch = f"sm_{device.major}{device.minor}"
            facts["devices"].append([device.name, device.total_memory / 2**30, arch, runs])
    return facts


def _has_code_for(archs: list[str], capability: tuple[int, int]) -> bool:
    """Whether a CUDA build for `archs` (sm_80, compute_86, ...) runs on a device of this compute capability.

    Machine code (sm) serves its major version from its minor version on, PTX (compute) all later versions.
    """
    for arch in archs:
        if match := re.fullmatch(r"(sm|compute)_(\d+)(\d)[a-z]?", arch):
            built_for = int(match[2]), int(match[3])
            if built_for <= capability and (match[1] == "compute" or built_for[0] == capability[0]):
                return True
    return False


def _k2_facts(k2) -> dict:
    """A smoothed transducer loss of two frames and one symbol, forward and backward."""
    import torch

    am, lm = torch.zeros(1, 2, 3, requires_grad=True), torch.zeros(1, 2, 3, requires_grad=True)
    symbols = torch.tensor([[1]])
    loss = k2.rnnt_loss_smoothed(
        lm=lm, am=am, symbols=symbols, termination_symbol=0, lm_only_scale=0.25, am_only_scale=0.0,
        boundary=torch.tensor([[0, 0, 1, 2]]), reduction="sum",
    )  # fmt: skip
    loss.backward()
    if not (torch.isfinite(loss) and am.grad.abs().sum() > 0):
        raise ArithmeticError(f"the loss of a toy input is {loss.item()}")
    return {"with_cuda": bool(getattr(k2, "with_cuda", False))}


def _kaldifeat_facts(kaldifeat) -> dict:
    """The fbank of a second of noise."""
    import torch

    frames = kaldifeat.Fbank(kaldifeat.FbankOptions())(torch.randn(16000))
    if not (frames.dim() == 2 and torch.isfinite(frames).all()):
        raise ArithmeticError(f"the fbank of a second of noise has shape {tuple(frames.shape)}")
    return {}


CHECKS = {"torch": _torch_facts, "k2": _k2_facts, "kaldifeat": _kaldifeat_facts}


def probe(names: list[str]) -> None:
    """Imports `names`; prints a JSON line before and after each, so that the last one names who crashed."""
    for name in names:
        print(json.dumps([name, "crashed while it was imported", {}]), flush=True)
        error, facts = None, {}
        try:
            module = importlib.import_module(IMPORT_NAMES.get(name, name))
            facts = CHECKS[name](module) if name in CHECKS else {}
        except BaseException as exception:
            first = (str(exception).strip().splitlines() or [""])[0]
            error = f"{type(exception).__name__}: {first}"
        print(json.dumps([name, error, facts]), flush=True)


def run_probe(names: list[str]) -> tuple[dict[str, str], dict[str, dict]]:
    """Runs `probe` in a child process, again without a package that crashed it.

    Returns:
        errors: {package: one line} of those that do not work; facts: {package: what its check found}.
    """
    errors: dict[str, str] = {}
    facts: dict[str, dict] = {}
    left = list(names)
    while left:
        command = [sys.executable, "-m", "tools.preflight", "--probe", *left]
        try:
            output = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=PROBE_SECONDS
            ).stdout
        except subprocess.TimeoutExpired as expired:
            output = expired.stdout or b""
        before = len(left)
        for line in output.decode(errors="replace").splitlines():
            try:
                name, error, found = json.loads(line)
            except ValueError:  # what an import printed
                continue
            left = [other for other in left if other != name]
            facts[name] = found
            errors.pop(name, None)
            if error:
                errors[name] = error
        if len(left) == before:
            errors.update({name: "the check did not start" for name in left})
            break
    return errors, facts


# ---- the lines --------------------------------------------------------------------------------------
def package_row(
    name: str,
    pins: dict[str, str],
    versions: dict[str, str],
    errors: dict[str, str],
    python: str,
    pip_major: int,
) -> Row:
    """The line of one package.

    Args:
        pins, versions, errors: what is expected, what is installed, what failed on import, by package.
        python: the Python to name in the command that mends.
        pip_major: the major version of its pip; 0 if it has none.
    """
    want, have, needed = pins[name], versions.get(name), name not in OPTIONAL
    if name == "kaldifeat":
        mend = f"optional (lhotse's fbank serves): {_setup(python)} --kaldifeat"
    elif pip_major == 0 or not {"torch", "k2"} & versions.keys():  # nothing to mend piece by piece
        mend = _setup(python)
    else:
        old_pip = f"{python} -m pip install 'pip<24' && " if name == "k2" and pip_major >= 24 else ""
        mend = f"{old_pip}{python} -m pip install {name}=={want}"
    if have is None:
        return Row(name, "-", "missing", mend, needed)
    if have.split("+")[0] != want:
        return Row(name, have, "wrong version", f"want {want}: {mend}", needed)
    if name in errors:
        mend = mend.replace(f"install {name}==", f"install --force-reinstall --no-deps {name}==")
        return Row(name, have, "broken", f"{errors[name][:120]}; {mend}", needed)
    return Row(name, have, needed=needed)


def _setup(python: str) -> str:
    """The set-up command that mends the environment of `python`."""
    folder = Path(python).parent.parent
    inside = (ROOT / folder / "pyvenv.cfg").exists() and folder != Path(".venv")
    return f"tools/setup_env.sh --venv {folder}" if inside else "tools/setup_env.sh"


def package_rows(
    pins: dict[str, str],
    versions: dict[str, str],
    errors: dict[str, str],
    facts: dict[str, dict],
    python: str = ".venv/bin/python",
    pip_major: int = 23,
) -> list[Row]:
    """The lines of all packages, those of SHARED in one unless something is wrong there."""
    rows = []
    for name in SHOWN:
        row = package_row(name, pins, versions, errors, python, pip_major)
        if name == "torch" and row.verdict == "ok" and "torch" in facts:
            cuda = facts["torch"].get("cuda")
            row.detail = f"built for CUDA {cuda}" if cuda else "built for the CPU alone"
        rows.append(row)
    shared = [package_row(name, pins, versions, errors, python, pip_major) for name in SHARED]
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


def python_row(version: tuple[int, int, int], path: str) -> Row:
    """The line of the Python itself."""
    found = ".".join(map(str, version))
    if version[:2] != PYTHON:
        mend = "rm -rf .venv && tools/setup_env.sh" if path.startswith(".venv/") else "tools/setup_env.sh"
        return Row("Python", found, "wrong version", f"k2's wheel is for 3.10: {mend}")
    return Row("Python", found, detail=path)


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
    own = ROOT / ".venv"
    if not os.path.lexists(own / "bin/python") or Path(sys.prefix).resolve() == own.resolve():
        return None
    return None if installed_versions(("k2",)) else own / "bin/python"


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
    parser.add_argument("--probe", nargs="+", metavar="PACKAGE", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.probe:
        return probe(args.probe)
    other = None if args.this_python else environment_python()
    if other:
        again = [str(other), "-m", "tools.preflight", "--this-python", *(["--import-all"] * args.import_all)]
        try:
            return_code = subprocess.run(again, cwd=ROOT).returncode
        except OSError:
            print(Row("Python", "-", "broken", "the Python behind .venv is gone: tools/setup_env.sh"))
            return_code = 1
        raise SystemExit(return_code)

    names = SHOWN + SHARED
    versions = installed_versions(names)
    pip = installed_versions(("pip",)).get("pip", "0")
    errors, facts = run_probe([name for name in (names if args.import_all else COMPILED) if name in versions])
    path = shown_path()
    rows = [python_row(sys.version_info[:3], path)]
    rows += package_rows(expected_versions(), versions, errors, facts, path, int(pip.split(".")[0]))
    rows += [cuda_row(facts), *machine_rows()]
    for row in rows:
        print(row)
    bad = [row for row in rows if row.verdict != "ok" and row.needed]
    if bad:
        print(f"{len(bad)} of these must be mended before ./run.sh: {', '.join(row.name for row in bad)}")
        raise SystemExit(1)
    print("all that is needed is here")


if __name__ == "__main__":
    main()
