"""python -m omni.sweep: bakes sub-networks of one training and decodes each with the recipe's own decode.py.

    cd egs/librispeech/ASR
    python -m omni.sweep --checkpoint zipformer/exp/epoch-30.pt --since zipformer/exp/epoch-21.pt \\
        --sparsities "0 0.5 0.7 0.9" --decode zipformer/decode.py --out zipformer/exp/omni -- \\
        --decoding-method greedy_search --causal 1 --chunk-size 16 --left-context-frames 128

Writes OUT/sparsity-<s>/epoch-9999.pt and what decode.py leaves beside it, and gathers all of it in OUT as a report of
omni_sparsity is made from: OUT/subnets/, OUT/<method>/. From a clone of omni_sparsity the report is made at once
(results.json, RESULTS.md, pareto.png, report.html). A sub-network that was decoded before is not decoded again, and a
file that would say the same is not written again.
"""

from __future__ import annotations

import argparse
import filecmp
import glob
import hashlib
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List, Mapping

import torch

import omni

from . import bake
from .files import write_json
from .icefall.settings import split_arguments

EPOCH = "9999"
REPORT = "egs.librispeech.omni_sparsity.report"


def parse(text: str) -> List[float]:
    """
    Raises:
        ValueError: not numbers from 0 to below 1.
    """
    try:
        found = sorted({float(word) for word in text.replace(",", " ").split()})
    except ValueError:
        found = []
    if not found or not all(0.0 <= value < 1.0 for value in found):
        raise ValueError(f'--sparsities {text!r}: want numbers from 0 to below 1, e.g. "0 0.5 0.9"')
    return found


def row_of(checkpoint: Mapping[str, Any], net: omni.Supernet, sparsity: float, name: str) -> Dict[str, Any]:
    """What subnets.json says of a sub-network; `net` is pruned to it."""
    report = omni.report(net)
    buffer = io.BytesIO()
    torch.save(omni.pack(net), buffer)
    return {
        "name": name, "system": "omni", "origin": "uniform", "sparsity": sparsity,
        "measured_sparsity": round(report.sparsity, 6), "spec": f"subnets/{name}.json",
        "file": f"{name}/epoch-{EPOCH}.pt",
        "bytes": buffer.tell(), "params_total": report.total.size, "params_nonzero": report.total.nonzero,
        "train_passes": checkpoint["batch_idx_train"], "train_seconds": round(checkpoint[bake.KEY]["seconds"], 1),
    }


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """Sixteen hex digits over names and values."""
    whole = hashlib.sha256()
    for name, value in state.items():
        whole.update(name.encode())
        whole.update(value.contiguous().numpy().tobytes())
    return whole.hexdigest()[:16]


def _same(path: Path, content: Any) -> bool:
    try:
        return json.loads(path.read_text(encoding="utf-8")) == content
    except (FileNotFoundError, ValueError):  # not there, or half of one
        return False


def _keep(path: Path, content: Any) -> None:
    """Writes JSON where it would say something new."""
    if not _same(path, content):
        write_json(path, content)


def _keep_spec(path: Path, spec: omni.Spec, model: torch.nn.Module) -> None:
    try:
        if omni.load_spec(path, model) == spec:
            return
    except (FileNotFoundError, ValueError):  # not there, or of another model
        pass
    omni.save_spec(path, spec, model)


def decode(script: Path, folder: Path, arguments: List[str]) -> None:
    """Runs the host's decode.py on the checkpoint in `folder`.

    Raises:
        ValueError: it failed.
    """
    command = [sys.executable, str(script), "--exp-dir", str(folder), "--epoch", EPOCH, "--avg", "1",
               "--use-averaged-model", "0", *arguments]
    if subprocess.run(command).returncode:
        raise ValueError(f"{' '.join(command)} failed; what it said is above")


def gather(folder: Path, out: Path, sparsity: float, name: str, sets: List[str]) -> int:
    """Copies recogs, errs and wer-summary of each set to OUT/<method>/, with the sub-network's name in theirs; -> how
    many sets were found."""
    count = 0
    for test_set in sets:
        for recogs in sorted(folder.rglob(f"recogs-{test_set}[-_]*.txt")):
            count += 1
            method = "-".join(recogs.relative_to(folder).parent.parts)  # streaming_decode.py: streaming/greedy_search
            rest = recogs.stem[len(f"recogs-{test_set}-"):]
            suffix = f"{rest}-{name}"
            (out / method).mkdir(parents=True, exist_ok=True)
            for kind in ("recogs", "errs", "wer-summary"):
                for source in recogs.parent.glob(f"{kind}[-_]{test_set}[-_]{glob.escape(rest)}.txt"):
                    target = out / method / f"{kind}-{test_set}-{suffix}.txt"
                    if not target.is_file() or not filecmp.cmp(source, target, shallow=False):
                        shutil.copyfile(source, target)
            _keep(out / method / f"decode-{test_set}-{suffix}.json", {
                "name": name, "sparsity": sparsity, "test_set": test_set, "method": method, "suffix": suffix,
                "rtf": None, "loss_backend": "the recipe's",
            })
    return count


def sweep(
    checkpoint: Path, since: Path | None, sparsities: List[float], script: Path, out: Path, sets: List[str],
    arguments: List[str], trust: bool = False,
) -> None:
    """
    Raises:
        ValueError: bad input, or decode.py failed or left no recogs file of any of `sets`.
    """
    if not script.is_file():
        raise ValueError(f"{script}: no such file; want the recipe's decode.py")
    end, start = bake.load(checkpoint, trust), bake.load(since, trust) if since else None
    rows = []
    for sparsity in sparsities:
        name = f"sparsity-{sparsity:g}"
        folder = out / name
        net = bake.subnet(end, sparsity, start)
        made = {"weights": digest(net.model.state_dict()), "decode": [str(script), *arguments]}
        (out / "subnets").mkdir(parents=True, exist_ok=True)
        _keep_spec(out / "subnets" / f"{name}.json", net.uniform(sparsity), net.model)
        rows.append(row_of(end, net, sparsity, name))
        if not _same(folder / "made.json", made):
            shutil.rmtree(folder, ignore_errors=True)
            bake.save(folder / f"epoch-{EPOCH}.pt", {"model": net.model.state_dict()})
            decode(script, folder, arguments)
            write_json(folder / "made.json", made)
        if not gather(folder, out, sparsity, name, sets):
            raise ValueError(f"{folder}: {script} left no recogs-<set>-*.txt there for {', '.join(sets)}; "
                             "name its sets with --sets")
    _keep(out / "subnets" / "subnets.json", rows)


def main() -> None:
    own, rest = split_arguments(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="python -m omni.sweep", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    bake.add_arguments(parser)
    parser.add_argument("--sparsities", default="0 0.5 0.7 0.8 0.9", help="shares of zeros, 0 to below 1")
    parser.add_argument("--decode", type=Path, required=True, help="the recipe's decode.py or streaming_decode.py")
    parser.add_argument("--sets", default="test-clean test-other", help="that it decodes")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(own)
    try:
        sweep(args.checkpoint, args.since, parse(args.sparsities), args.decode, args.out, args.sets.split(), rest,
              args.trust_checkpoint)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    if importlib.util.find_spec("egs") and importlib.util.find_spec(REPORT):
        command = " ".join(["python -m omni.sweep", *sys.argv[1:]])
        raise SystemExit(subprocess.run([sys.executable, "-m", REPORT, "--exp-dir", str(args.out), "--command",
                                         command]).returncode)
    print(f"{args.out}: decoded; for the report: python -m {REPORT} --exp-dir {args.out}, from a clone of "
          "omni_sparsity")


if __name__ == "__main__":
    main()
