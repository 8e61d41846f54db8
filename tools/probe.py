"""Whether the packages that have compiled parts work: imports them in a child process, and tries k2 and kaldifeat.

A wheel of another Python installs without a word, and a library that crashes must not take the report of
tools/preflight.py along. With the standard library alone.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORT_NAMES = {"espeakng-loader": "espeakng_loader", "pyyaml": "yaml"}
SECONDS = 300  # a cold disk may take a minute to read torch


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


def _torchaudio_facts(folder: Path) -> dict:
    """The recipe reads one file of it: its compiled part may be for another torch."""
    if not (folder / "models/emformer.py").is_file():
        raise ImportError(f"{folder}/models/emformer.py is not there")
    return {}


def _kaldifeat_facts(kaldifeat) -> dict:
    """The fbank of a second of noise."""
    import torch

    frames = kaldifeat.Fbank(kaldifeat.FbankOptions())(torch.randn(16000))
    if not (frames.dim() == 2 and torch.isfinite(frames).all()):
        raise ArithmeticError(f"the fbank of a second of noise has shape {tuple(frames.shape)}")
    return {}


CHECKS = {"torch": _torch_facts, "k2": _k2_facts, "kaldifeat": _kaldifeat_facts}
UNIMPORTED = {"torchaudio": _torchaudio_facts}


def probe(names: list[str]) -> None:
    """Imports `names`; prints a JSON line before and after each, so that the last one names who crashed."""
    for name in names:
        print(json.dumps([name, "crashed while it was imported", {}]), flush=True)
        error, facts = None, {}
        try:
            if name in UNIMPORTED:
                facts = UNIMPORTED[name](Path(importlib.util.find_spec(name).origin).parent)
            else:
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
        command = [sys.executable, "-m", "tools.probe", *left]
        try:
            output = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS
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


if __name__ == "__main__":
    probe(sys.argv[1:])
