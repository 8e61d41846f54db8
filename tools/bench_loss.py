"""The native transducer loss against k2's: time and memory of the same shapes, in turn within one process.

    python -m tools.bench_loss [--threads 2] [--repeats 25] [--out loss.json]

Forward and backward of each part as the training calls them. Shapes: a batch of conf/mini-long.yaml and one of
conf/librispeech-100h.yaml. Memory is by how much a part lets the process grow at its peak, each in a process of its own
(Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict

import torch

from egs.librispeech.omni_sparsity.loss.backend import loss_backend
from omni.files import write_json
from omni.errors import UserError, cli

SHAPES = {  # batch, symbols, encoder frames, vocabulary, joiner dimension, prune range, topology
    "mini": (7, 16, 75, 200, 128, 8, "modified"),
    "mini, regular": (7, 16, 75, 200, 128, 5, "regular"),
    "librispeech": (8, 60, 350, 500, 512, 5, "regular"),
}
PARTS = ("smoothed", "pruning", "pruned")


def parts(backend: str, shape: str) -> Dict[str, Callable[[], Any]]:
    """Each part of the loss as a call: forward and backward, on the same random numbers for every backend."""
    rnnt, _ = loss_backend(backend)
    batch, symbols, frames, vocab, dim, width, rnnt_type = SHAPES[shape]
    torch.manual_seed(0)
    am, lm = torch.randn(batch, frames, vocab), torch.randn(batch, symbols + 1, vocab)
    left, right = torch.randn(batch, frames, dim), torch.randn(batch, symbols + 1, dim)
    y = torch.randint(1, vocab, (batch, symbols))
    boundary = torch.tensor([[0, 0, symbols, frames]] * batch)
    common = {"symbols": y, "termination_symbol": 0, "boundary": boundary, "rnnt_type": rnnt_type}
    native, _ = loss_backend("native")
    _, taken = native.rnnt_loss_smoothed(lm=lm, am=am, return_grad=True, **common)
    ranges = native.get_rnnt_prune_ranges(*taken, boundary, width)
    logits = torch.randn(*ranges.shape, vocab)

    def smoothed() -> None:
        loss, taken = rnnt.rnnt_loss_smoothed(
            lm=lm.requires_grad_(), am=am.requires_grad_(), lm_only_scale=0.25, am_only_scale=0.0, reduction="sum",
            return_grad=True, **common,
        )
        rnnt.get_rnnt_prune_ranges(*taken, boundary, width)
        loss.backward()

    def pruning() -> None:
        a, b = rnnt.do_rnnt_pruning(am=left.requires_grad_(), lm=right.requires_grad_(), ranges=ranges)
        (a + b).sum().backward()

    def pruned() -> None:
        rnnt.rnnt_loss_pruned(logits=logits.requires_grad_(), ranges=ranges, reduction="sum", **common).backward()

    return {"smoothed": smoothed, "pruning": pruning, "pruned": pruned}


def time_all(shape: str, repeats: int) -> Dict[str, Dict[str, float]]:
    """{backend: {part: median milliseconds}}."""
    calls = {backend: parts(backend, shape) for backend in ("k2", "native")}
    seconds: Dict[tuple, list] = {}
    for _ in range(repeats + 2):
        for part in PARTS:
            for backend in calls:
                began = time.perf_counter()
                calls[backend][part]()
                seconds.setdefault((backend, part), []).append(time.perf_counter() - began)
    return {backend: {part: round(1000 * statistics.median(seconds[backend, part][2:]), 3) for part in PARTS}
            for backend in calls}


def peak_of(backend: str, shape: str, part: str, threads: int) -> float:
    """MB by which the call lets a new process grow."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench_loss", "--peak", backend, shape, part, "--threads", str(threads)],
        capture_output=True, text=True, check=True,
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},  # else memory freed before serves, and hides what is new
    )
    return json.loads(done.stdout)


def print_peak(backend: str, shape: str, part: str) -> None:
    call = parts(backend, shape)[part]
    parts(backend, "mini")[part]()  # loads what is loaded once
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    call()
    print(json.dumps(round((_kilobytes("VmHWM") - before) / 1000, 1)))


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name + ":"))


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.threads < 1 or args.repeats < 1:
        raise UserError(f"--threads {args.threads} --repeats {args.repeats}: want at least 1")
    torch.set_num_threads(args.threads)
    if args.peak:
        print_peak(*args.peak)
        return
    loss_backend("k2")  # says so at once where it is missing
    found = {}
    print(f"{'shape':<15} {'part':<9} {'k2, ms':>8} {'native, ms':>11} {'ratio':>6} {'k2, MB':>8} {'native, MB':>11}")
    for shape in SHAPES:
        times = time_all(shape, args.repeats)
        rows = {}
        for part in PARTS:
            memory = {backend: peak_of(backend, shape, part, args.threads) for backend in times}
            rows[part] = {"ms": {backend: times[backend][part] for backend in times}, "peak_mb": memory}
            k2_ms, native_ms = times["k2"][part], times["native"][part]
            print(f"{shape:<15} {part:<9} {k2_ms:8.2f} {native_ms:11.2f} {native_ms / k2_ms:6.2f} "
                  f"{memory['k2']:8.1f} {memory['native']:11.1f}")
        k2_ms, native_ms = (sum(times[backend].values()) for backend in ("k2", "native"))
        print(f"{shape:<15} {'all':<9} {k2_ms:8.2f} {native_ms:11.2f} {native_ms / k2_ms:6.2f}")
        found[shape] = {"parts": rows, "ratio": round(native_ms / k2_ms, 3)}
    if args.out:
        write_json(args.out, {"torch": torch.__version__, "threads": args.threads, "repeats": args.repeats,
                              "shapes": found})


if __name__ == "__main__":
    main()
