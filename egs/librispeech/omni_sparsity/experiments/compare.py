"""Collects the results of a condition's trainings into table.json, TABLE.md, pareto.png and trainings.json.

    python -m egs.librispeech.omni_sparsity.experiments.compare --condition mini
    python -m egs.librispeech.omni_sparsity.experiments.compare --condition codes --reuse codes/trainings.json \\
        --against codes-0.25x/trainings.json --against-budget 0.25 --out DIR

What is not trained yet is left out and told; so a table can be made at any moment. Two questions can be asked of the
same trainings: "paper", models of their own with the whole budget each, and with `--against` "equal_total", models of
their own that share about one budget among them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from omni.files import write_json, write_text
from omni.errors import UserError, cli
from egs.librispeech.omni_sparsity.report import bootstrap, results
from egs.librispeech.omni_sparsity.experiments import statistics, trainings
from egs.librispeech.omni_sparsity.experiments.condition import Job, jobs
from egs.librispeech.omni_sparsity.experiments.jobs import Asked, add_arguments, load, read, scaled

Row = Dict[str, Any]
Counts = np.ndarray  # (seeds, utterances, 2): errors and words of each utterance
Key = Tuple[str, str, str, str]  # system, strategy, name of the sub-network, test set
Found = Dict[Key, Dict[int, results.Decoded]]  # by seed
PAPER, EQUAL_TOTAL = "paper", "equal_total"


def collect(asked: Asked, reuse: Path | None = None) -> Tuple[trainings.Trained, List[str]]:
    """What is there, in a folder of `asked.out` or in the file `reuse`, and the names of the jobs that are missing."""
    kept = reused(asked, reuse) if reuse else {}
    trained = {}
    for job in asked.todo:
        folder = asked.out / job.name
        done = (folder / "results.json").is_file()
        trained[job] = _wanted(results.collect(folder), job) if done else kept.get(job)
    return {job: of for job, of in trained.items() if of}, [job.name for job, of in trained.items() if not of]


def reused(asked: Asked, path: Path) -> trainings.Trained:
    """Those of `asked.todo` that are in a trainings.json with the same settings and all sub-networks asked for."""
    whole = jobs(asked.condition, asked.seeds)  # a file holds all sizes of the condition, also where some are asked for
    there = {job.name: of for job, of in trainings.read(path, asked.condition, list(whole)).items()}
    found = {job: _wanted(there.get(job.name, []), job) for job in asked.todo}
    return {job: of for job, of in found.items() if set(job.subnets) <= {one.row["name"] for one in of}}


def _wanted(decoded: List[results.Decoded], job: Job) -> List[results.Decoded]:
    return [one for one in decoded if job.wants(one.row["name"])]


def by_key(trained: trainings.Trained) -> Found:
    """What stands in one row of the table, by seed; what has the same name, set and seed is compared.

    Raises:
        UserError: two results for one place: by two decoding methods, or of own models that were cut by one spec.
    """
    found: Found = {}
    place: Dict[Tuple[Key, int], str] = {}
    for job, of in trained.items():
        for decoded in of:
            row = decoded.row
            key = (row["system"], _strategy(job, row), row["name"], row["test_set"])
            where = f"{job.name} ({row['method']})"
            if place.setdefault((key, job.seed), where) != where:
                raise UserError(f"{row['name']} on {row['test_set']} is in {place[key, job.seed]} and in {where}: keep "
                                "one to be compared; the other's spec file, or its folder of decodings, may go")
            found.setdefault(key, {})[job.seed] = decoded
    return found


def _in_order(found: Found) -> List[Tuple[Key, Dict[int, results.Decoded]]]:
    """By system and strategy, the densest first."""
    def place(item):
        (system, strategy, name, test_set), by_seed = item
        return system, strategy, _first(by_seed)["sparsity"], name, test_set

    return sorted(found.items(), key=place)


def _first(by_seed: Dict[int, results.Decoded]) -> Row:
    return by_seed[min(by_seed)].row


def _strategy(job: Job, row: Row) -> str:
    return job.strategy if row["system"] == "omni" else row["system"]


def counts(decoded: Dict[int, results.Decoded], seeds: List[int]) -> Counts:
    """Errors and words of each utterance, for each seed."""
    return np.array([[[u.errors, u.ref_words] for u in decoded[seed].utterances] for seed in seeds])


def table(found: Found, comparison: str = PAPER) -> List[Row]:
    """The rows of table.json: means over seeds with a t-interval; of one seed with an interval over utterances."""
    dense = [one.row["train_passes"] for key, by_seed in found.items() if key[0] == "dense" for one in by_seed.values()]
    rows = []
    for (system, strategy, name, test_set), by_seed in _in_order(found):
        seeds = sorted(by_seed)
        mine = counts(by_seed, seeds)
        passes = float(np.mean([by_seed[seed].row["train_passes"] for seed in seeds]))
        row = {
            "name": name, "system": system, "strategy": strategy, "sparsity": _first(by_seed)["sparsity"],
            "test_set": test_set, "seeds": seeds, "comparison": comparison, **rate(mine),
            "wer_by_seed": [by_seed[seed].row["wer"] for seed in seeds],
            "passes": round(passes, 1), "passes_ratio": round(passes / np.mean(dense), 4) if dense else None,
            "train_seconds": round(float(np.mean([by_seed[seed].row["train_seconds"] for seed in seeds])), 1),
            "bytes": _first(by_seed)["bytes"], **NO_DIFFERENCE,
        }
        if system == "omni":
            row.update(difference((by_seed, own(found, name, test_set))))
        rows.append(row)
    return rows


def own(found: Found, name: str, test_set: str) -> Dict[int, results.Decoded]:
    """The model that was trained for the sub-network of that name alone, by seed."""
    return next((found[system, system, name, test_set] for system in ("pruned", "dense")
                 if (system, system, name, test_set) in found), {})


def rate(mine: Counts) -> Row:
    """Word error rate, the mean over seeds, and its interval in percent."""
    by_seed = [bootstrap.rate(one) for one in mine]
    low, high = bootstrap.interval(*mine[0].T) if len(mine) == 1 else statistics.t_interval(by_seed)
    return {"wer": round(bootstrap.rate(mine), 3), "ci95": [round(max(0.0, low), 3), round(high, 3)],
            "interval": _interval(by_seed)}


NO_DIFFERENCE: Row = {"rel_diff_vs_pruned": None, "rel_diff_ci95": None, "rel_diff_ci95_utterances": None,
                      "rel_diff_seeds": [], "rel_diff_interval": None, "claim": None}


def difference(*pairs: Tuple[Dict[int, results.Decoded], Dict[int, results.Decoded]]) -> Row:
    """Of (ours, theirs) by seed: mean relative difference over pairs and the seeds that all have, in percent.

    `rel_diff_ci95` is a t-interval over seeds, on the utterances that were decoded; of one seed it is the paired
    bootstrap over utterances, which `rel_diff_ci95_utterances` is of any number. A claim wants both on one side of 0.
    """
    seeds = sorted(set.intersection(*(set(by_seed) for pair in pairs for by_seed in pair)))
    counted = [(counts(ours, seeds), counts(theirs, seeds)) for ours, theirs in pairs]
    if not seeds or not all(theirs[..., 0].sum(axis=1).all() for _, theirs in counted):
        return NO_DIFFERENCE  # nothing is a share of no errors
    by_seed = bootstrap.relative_differences(*counted)[0].tolist()
    utterances = bootstrap.paired_difference(*counted)
    ends = statistics.t_interval(by_seed) if len(seeds) > 1 else utterances
    return {"rel_diff_vs_pruned": round(float(np.mean(by_seed)), 2), "rel_diff_ci95": [round(end, 2) for end in ends],
            "rel_diff_ci95_utterances": [round(end, 2) for end in utterances], "rel_diff_seeds": seeds,
            "rel_diff_interval": _interval(seeds), "claim": statistics.claim(ends, utterances)}


def _interval(seeds: List[Any]) -> str:
    return "t-seeds" if len(seeds) > 1 else "bootstrap-utterances"


def means(found: Found, comparison: str = PAPER) -> List[Row]:
    """For each strategy and set the mean of the differences at all pruned sizes, over the seeds that all have."""
    rows = []
    for strategy, test_set in sorted({(key[1], key[3]) for key in found if key[0] == "omni"}):
        sizes = {name: (found["omni", strategy, name, test_set], theirs)
                 for (system, _, name, of), theirs in _in_order(found)
                 if system == "pruned" and of == test_set and ("omni", strategy, name, test_set) in found}
        told = difference(*sizes.values()) if sizes else NO_DIFFERENCE
        if told["rel_diff_seeds"]:
            rows.append({"strategy": strategy, "test_set": test_set, "names": list(sizes),
                         "comparison": comparison, "seeds": told["rel_diff_seeds"], **told})
    return rows


def totals(trained: trainings.Trained) -> Dict[str, Dict[str, float]]:
    """{strategy: passes and seconds that training it cost, for one seed}: pruned counts every size."""
    rows: Dict[str, List[Row]] = {}
    for job, of in trained.items():
        name = f"{job.strategy} {job.sparsities[0]:g}" if job.system == "pruned" else job.strategy
        rows.setdefault(name, []).append(of[0].row)
    return {name: {part: float(np.mean([row[part] for row in of])) for part in ("train_passes", "train_seconds")}
            for name, of in rows.items()}


def against(condition_name: str, path: Path, budget: float, asked: Asked, trained: trainings.Trained
            ) -> trainings.Trained:
    """`trained` with the models of their own of a trainings.json of another budget in place of its own.

    Raises:
        UserError: it holds none of them with that budget's settings.
    """
    other = scaled(load(condition_name), budget)
    todo = [job for job in jobs(other, asked.seeds, ablations=False) if job.system != "omni"]
    theirs = trainings.read(path, other, todo)
    if not theirs:
        raise UserError(f"--against {path}: no model of its own in it has the settings of condition {condition_name} "
                        f"at --against-budget {budget:g}")
    compared = {name for job in asked.todo for name in job.subnets}
    theirs = {job: [one for one in of if one.row["name"] in compared] for job, of in theirs.items()}
    theirs = {job: of for job, of in theirs.items() if of}
    return {**{job: of for job, of in trained.items() if job.system == "omni"}, **theirs}


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--command", help="what made it, to be shown (default: this call)")
    parser.add_argument("--against", type=Path, metavar="FILE", help="models of their own of another budget: a "
                        "trainings.json of the same condition; no trainings.json is written then")
    parser.add_argument("--against-budget", type=float, metavar="B", help="the --budget that FILE was made with")
    args = parser.parse_args(argv)
    if (args.against is None) != (args.against_budget is None):
        raise UserError("--against FILE and --against-budget B go together: say what budget the file was made with")
    asked = read(args)
    trained, missing = collect(asked, args.reuse)
    comparison, name = PAPER, asked.name
    if args.against:
        if args.out is None:
            raise UserError("--against wants --out, a folder of its own: the trainings' folder has the paper's table")
        trained = against(args.condition, args.against, args.against_budget, asked, trained)
        missing = [job.name for job in asked.todo if job.system == "omni" and job not in trained]
        comparison, name = EQUAL_TOTAL, f"{asked.name} against {args.condition}-{args.against_budget:g}x"
    trainings.words(trained)  # of one corpus?
    found = by_key(trained)
    if not found:
        raise UserError(f"{asked.out}: no training of condition {asked.name} is done; tools/reproduce.sh runs them")

    from egs.librispeech.omni_sparsity.experiments import show

    words = ["python", "-m", f"{__package__}.compare", *(sys.argv[1:] if argv is None else argv)]
    called = args.command or shlex.join(words)
    whole = {"condition": name, "command": called, "comparison": comparison, "missing": missing,
             "totals": totals(trained), "rows": table(found, comparison), "means": means(found, comparison)}
    text = show.markdown(whole)
    write_json(asked.out / "table.json", whole)
    write_text(asked.out / "TABLE.md", text)
    if not args.against:
        trainings.write(asked.condition, trained, asked.out / "trainings.json")
    show.picture(whole["rows"], asked.out / "pareto.png")
    print(text)


if __name__ == "__main__":
    main()
