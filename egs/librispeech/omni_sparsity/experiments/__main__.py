"""Trains all systems of a condition and compares them; tools/reproduce.sh calls it with the right Python.

    tools/reproduce.sh [--corpus mini] [--budget 2] [--seeds "1 2 3"] [--sparsities "0.5 0.9"] [--specs "FILE ..."]
        [--only omni] [--parallel 2] [--ablations 0] [--reuse FILE] [--plan] [--stack S]

Every training is a call of run.sh with a folder of its own: what is done is passed over, what was stopped goes on.
A table of what is done is written whenever one ends. `--parallel N` runs N of them side by side with a share of the
cores each (what one writes then goes to <its folder>/run.log): on few cores that takes less time in all than one after
the other, as small models do not fill several cores.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Dict, List

from omni.errors import UserError, cli
from egs.librispeech.omni_sparsity.experiments.compare import reused
from egs.librispeech.omni_sparsity.experiments.condition import RECIPE, Condition, Job
from egs.librispeech.omni_sparsity.experiments.jobs import add_arguments, command, only, read

ROOT = Path(__file__).resolve().parents[4]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_job(condition: Condition, job: Job, out: Path, parallel: int) -> None:
    """
    Raises:
        UserError: the training ended with an error.
    """
    words = [*command(condition, job, out), "--python", sys.executable]
    environment = dict(os.environ)
    log = None
    if parallel > 1:
        environment["OMP_NUM_THREADS"] = str(max(1, cores() // parallel))
        (out / job.name).mkdir(parents=True, exist_ok=True)
        log = open(out / job.name / "run.log", "a", encoding="utf-8")
    code = subprocess.run(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log).returncode
    if log:
        log.close()
    if code:
        where = f" ({out / job.name}/run.log)" if parallel > 1 else ""
        raise UserError(f"{job.name} ended with exit code {code}{where}; tools/reproduce.sh goes on from there")


def plans(condition: Condition, todo: List[Job]) -> Dict[str, Dict[str, Any]]:
    """{job: what `tools.plan` says of its training on one device like this machine's}, from a few steps measured here.

    They are of the corpus where stages 1 and 2 have made it, else of noise as long as LibriSpeech's utterances: those
    fill batches of 20 s, such as mini's, badly, and the estimate is too high.
    """
    from egs.librispeech.omni_sparsity.config import load_config
    from egs.librispeech.omni_sparsity.experiments import plan
    from egs.librispeech.omni_sparsity.training import bench

    path = ROOT / RECIPE / "conf" / condition.config
    loss = bench.losses_here()[0]
    config, data_dir = load_config(path), ROOT / "data" / condition.corpus
    there = (data_dir / f"lang_bpe_{config.model.vocab_size}").is_dir()
    variants = [(loss, kind) for kind in bench.KINDS]
    print(f"measuring training steps here ({' and '.join(bench.KINDS)}, loss {loss}, on "
          + (f"data/{condition.corpus}" if there else "noise, as the corpus is not made yet")
          + "); minutes for a large model; nothing is trained", file=sys.stderr, flush=True)
    measured = bench.measure(plan.measurable(config), data_dir if there else None, 5, 0.75, variants)
    found = {job.name: plan.plan(load_config(path, list(job.settings)), measured, condition.hours, 1, 0.0, loss)
             for job in todo}
    print(f"measured here: {measured['device']}, torch {measured['torch']}, loss {loss}, {measured['threads']} threads")
    return found


def compare(argv: List[str]) -> str:
    """The table of what is done; each time in a process of its own, as it reads thousands of alignments."""
    words = [sys.executable, "-m", "egs.librispeech.omni_sparsity.experiments.compare", *argv]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise UserError(done.stderr.strip().removeprefix("error: "))
    return done.stdout


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="tools/reproduce.sh", description=__doc__, allow_abbrev=False,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", default="", metavar="SYSTEM", help="train these alone: dense, pruned, omni, or an "
                        "ablation's name, one or more; the table is of all that is there (default: all)")
    parser.add_argument("--parallel", type=int, default=1, help="trainings side by side (default 1)")
    parser.add_argument("--stack", default="auto", help="k2 | modern | auto (default); tools/reproduce.sh sees to it")
    parser.add_argument("--plan", action="store_true",
                        help="print the trainings and what time and disk they take; run none")
    args = parser.parse_args(argv)
    if args.parallel < 1:
        raise UserError(f"--parallel {args.parallel}: want at least 1")
    asked = read(args)
    condition, out, todo = asked.condition, asked.out, only(asked.todo, args.only)
    if args.reuse:
        kept = reused(asked, args.reuse)
        kept = [job for job in todo if job in kept]
        print(f"{len(kept)} of {len(todo)} trainings are in {args.reuse} with the same settings")
        todo = [job for job in todo if job not in kept]
    if args.plan:
        found = plans(condition, todo) if todo else {}
        hours = {job: found[job.name]["dense_hours" if job.system == "dense" else "hours"] for job in todo}
        for job in todo:
            print(f"{hours[job]:8.2f} h  {shlex.join(command(condition, job, out))}")
        disk = sum(one["disk_bytes"] for one in found.values()) / 1e9
        print(f"{len(todo)} trainings, about {sum(hours.values()):.1f} device hours in all (decoding not counted), "
              f"{disk:.1f} GB of checkpoints (docs/running.md says which may go)")
        return
    called = shlex.join(["tools/reproduce.sh", *(sys.argv[1:] if argv is None else argv)])
    table = ["--condition", args.condition, "--budget", str(args.budget), "--seeds", " ".join(map(str, asked.seeds))]
    table += ["--sparsities", " ".join(map(str, asked.sparsities)), "--out", str(out)]
    table += ["--specs", " ".join(dict.fromkeys(spec for job in asked.todo for spec in job.specs))]
    table += ["--ablations", str(args.ablations), "--command", called]
    table += ["--reuse", str(args.reuse)] if args.reuse else []
    with ThreadPoolExecutor(args.parallel) as pool:
        waiting = {pool.submit(run_job, condition, job, out, args.parallel): job for job in todo}
        left = set(waiting)
        try:
            while left:
                # Those that ended while a table was made share the next: a long list that is done is passed over
                # sooner.
                ended, left = wait(left, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                compare(table)
                names = ", ".join(sorted(waiting[future].name for future in ended))
                print(f"== {len(todo) - len(left)} of {len(todo)} done: {names}", flush=True)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    print(compare(table))


if __name__ == "__main__":
    main()
