"""Collects the results of a condition's trainings into table.json, TABLE.md, pareto.png and trainings.json.

    python -m egs.librispeech.omni_sparsity.experiments.compare --condition mini

What is not trained yet is left out and told; so a table can be made at any moment.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from omni.files import write_json, write_text
from omni.errors import UserError, cli
from egs.librispeech.omni_sparsity.report import bootstrap, results
from egs.librispeech.omni_sparsity.experiments import trainings
from egs.librispeech.omni_sparsity.experiments.condition import Condition, Job, jobs
from egs.librispeech.omni_sparsity.experiments.jobs import add_arguments, read

Row = Dict[str, Any]
Counts = np.ndarray  # (seeds, utterances, 2): errors and words of each utterance
Key = Tuple[str, str, float, str]  # system, strategy, sparsity, test set
Found = Dict[Key, Dict[int, results.Decoded]]  # by seed


def collect(condition: Condition, todo: List[Job], out: Path, reuse: Path | None = None
            ) -> Tuple[trainings.Trained, List[str]]:
    """What is there, in a folder of `out` or in the file `reuse`, and the names of the jobs that are missing."""
    kept = trainings.read(reuse, condition, todo) if reuse else {}
    trained = {job: results.collect(out / job.name) if (out / job.name / "results.json").is_file() else kept.get(job)
               for job in todo}
    return {job: of for job, of in trained.items() if of}, [job.name for job, of in trained.items() if not of]


def by_key(trained: trainings.Trained) -> Found:
    found: Found = {}
    for job, of in trained.items():
        for decoded in of:
            row = decoded.row
            found.setdefault((row["system"], _strategy(job, row), row["sparsity"], row["test_set"]), {})[job.seed] = decoded
    return found


def _strategy(job: Job, row: Row) -> str:
    return job.strategy if row["system"] == "omni" else row["system"]


def counts(decoded: Dict[int, results.Decoded], seeds: List[int]) -> Counts:
    """Errors and words of each utterance, for each seed."""
    return np.array([[[u.errors, u.ref_words] for u in decoded[seed].utterances] for seed in seeds])


def table(found: Found) -> List[Row]:
    """The rows of table.json: a mean over seeds, with intervals over utterances and seeds."""
    dense = [one.row["train_passes"] for key, by_seed in found.items() if key[0] == "dense" for one in by_seed.values()]
    rows = []
    for (system, strategy, sparsity, test_set), by_seed in sorted(found.items()):
        seeds = sorted(by_seed)
        mine = counts(by_seed, seeds)
        passes = float(np.mean([by_seed[seed].row["train_passes"] for seed in seeds]))
        low, high = bootstrap.interval_over_seeds(mine)
        row = {
            "system": system, "strategy": strategy, "sparsity": sparsity, "test_set": test_set, "seeds": seeds,
            "wer": round(bootstrap.rate(mine), 3), "ci95": [round(low, 3), round(high, 3)],
            "wer_by_seed": [by_seed[seed].row["wer"] for seed in seeds],
            "passes": round(passes, 1), "passes_ratio": round(passes / np.mean(dense), 4) if dense else None,
            "train_seconds": round(float(np.mean([by_seed[seed].row["train_seconds"] for seed in seeds])), 1),
            "size_bytes": by_seed[seeds[0]].row["bytes"],
            "rel_diff_vs_pruned": None, "rel_diff_ci95": None,
        }
        alone = "pruned" if sparsity else "dense"
        baseline = found.get((alone, alone, sparsity, test_set))
        shared = sorted(set(seeds) & set(baseline or {}))
        if system == "omni" and shared:
            ours, theirs = counts(by_seed, shared), counts(baseline, shared)
            row["rel_diff_vs_pruned"], row["rel_diff_ci95"] = difference((ours, theirs))
        rows.append(row)
    return rows


def difference(*pairs: Tuple[Counts, Counts]) -> Tuple[float, List[float]]:
    """Mean relative difference of (ours, theirs) in percent, and its interval."""
    mean = np.mean([bootstrap.rate(ours) / bootstrap.rate(theirs) - 1 for ours, theirs in pairs])
    return round(100 * float(mean), 2), [round(end, 2) for end in bootstrap.paired_difference(*pairs)]


def means(found: Found) -> List[Row]:
    """For each strategy and set the mean of the differences at all pruned sizes, over the seeds that all of them have."""
    rows = []
    for strategy, test_set in sorted({(key[1], key[3]) for key in found if key[0] == "omni"}):
        sizes = {sparsity: (found["omni", strategy, sparsity, test_set], theirs)
                 for (system, _, sparsity, of), theirs in sorted(found.items())
                 if system == "pruned" and of == test_set and ("omni", strategy, sparsity, test_set) in found}
        seeds = sorted(set.intersection(*(set(by_seed) for pair in sizes.values() for by_seed in pair))) if sizes else []
        if seeds:
            mean, ends = difference(*((counts(ours, seeds), counts(theirs, seeds)) for ours, theirs in sizes.values()))
            rows.append({"strategy": strategy, "test_set": test_set, "sparsities": list(sizes), "seeds": seeds,
                         "rel_diff_vs_pruned": mean, "rel_diff_ci95": ends})
    return rows


def totals(found: Found) -> Dict[str, Dict[str, float]]:
    """{strategy: passes and seconds that training it cost, for one seed}: pruned counts every size."""
    cost: Dict[str, Dict[str, float]] = {}
    for (system, strategy, sparsity, _), by_seed in found.items():
        if system == "oneshot":
            continue
        rows = [one.row for one in by_seed.values()]
        name = f"{strategy} {sparsity:g}" if system == "pruned" else strategy
        cost[name] = {part: float(np.mean([row[part] for row in rows])) for part in ("train_passes", "train_seconds")}
    return cost


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--command", default="tools/reproduce.sh", help="what made it, to be shown")
    args = parser.parse_args(argv)
    name, condition, seeds, out = read(args)
    trained, missing = collect(condition, list(jobs(condition, seeds, bool(args.ablations))), out, args.reuse)
    trainings.words(trained)  # of one corpus?
    found = by_key(trained)
    if not found:
        raise UserError(f"{out}: no training of condition {name} is done; tools/reproduce.sh runs them")

    from egs.librispeech.omni_sparsity.experiments import show

    whole = {"condition": name, "command": args.command, "missing": missing, "totals": totals(found),
             "rows": table(found), "means": means(found)}
    text = show.markdown(whole)
    write_json(out / "table.json", whole)
    write_text(out / "TABLE.md", text)
    trainings.write(condition, trained, out / "trainings.json")
    show.picture(whole["rows"], out / "pareto.png")
    print(text)


if __name__ == "__main__":
    main()
