"""trainings.json: of each training what a comparison needs, for use where the training itself is not (`--reuse`).

    {"defaults": {setting: value}, "sets": {test set: [words of each utterance]},
     "trainings": {name: {"settings": {setting: value, where it is not the default},
                          "rows": [{...a row of results.json, "errors": [of each utterance]}]}}}
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

from egs.librispeech.omni_sparsity.config import Config, load_config
from omni.files import write_text
from omni.errors import UserError
from egs.librispeech.omni_sparsity.recorded import Flat, Record, changes, defaults, differences, flat
from egs.librispeech.omni_sparsity.report.results import Decoded
from egs.librispeech.omni_sparsity.subnets.subnet import upgraded
from egs.librispeech.omni_sparsity.experiments.condition import RECIPE, Condition, Job

Trained = Dict[Job, List[Decoded]]


@dataclass(frozen=True)
class Counted:
    """An utterance of which only the numbers are known."""

    errors: int
    ref_words: int


def settings_of(condition: Condition, job: Job) -> Record:
    """Every setting that counts for a training or its decoding, wherever that setting stands."""
    config = load_config(RECIPE / "conf" / condition.config, list(job.settings))
    of_job = {"corpus": condition.corpus, "options": list(condition.options), "sparsities": list(job.sparsities)}
    decoding = flat({"decode": dataclasses.asdict(config.decode)})
    return changes({**flat(config.shaping()), **decoding, **of_job}, _defaults(config))


def _defaults(config: Config) -> Flat:
    decoding = flat({"decode": dataclasses.asdict(Config().decode)})
    return {**defaults(config), **decoding, "corpus": "", "options": [], "sparsities": []}


def words(trained: Trained) -> Dict[str, List[int]]:
    """{test set: words of each utterance}.

    Raises:
        UserError: trainings were decoded on different utterances.
    """
    found: Dict[str, List[int]] = {}
    for job, decoded in trained.items():
        for one in decoded:
            mine = [utterance.ref_words for utterance in one.utterances]
            if found.setdefault(one.row["test_set"], mine) != mine:
                raise UserError(f"{job.name}: {one.row['test_set']} is of other utterances than with "
                                f"{next(iter(trained)).name}; decode both on the same corpus")
    return found


def write(condition: Condition, trained: Trained, path: Path) -> None:
    """Says all of `trained` in a file, a line for each row."""
    lines = []
    for job, decoded in sorted(trained.items(), key=lambda item: item[0].name):
        rows = [json.dumps({**one.row, "errors": [u.errors for u in one.utterances]}, separators=(",", ":"))
                for one in decoded]
        settings = json.dumps(settings_of(condition, job)["settings"], separators=(",", ":"))
        lines.append(f'"{job.name}": {{"settings": {settings}, "rows": [\n'
                     + ",\n".join(rows) + "]}")
    sets = json.dumps(words(trained), separators=(",", ":"))
    every = {name: value for job in trained for name, value in settings_of(condition, job)["defaults"].items()}
    there = json.dumps(every, separators=(",", ":"))
    write_text(path, f'{{"defaults": {there},\n"sets": {sets},\n"trainings": {{\n' + ",\n".join(lines) + "}}\n")


def read(path: Path, condition: Condition, jobs: List[Job]) -> Trained:
    """Those of `jobs` that are in the file with the same settings.

    Raises:
        UserError: no such file, or not one that `write` made.
    """
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        sets, there, of_then = whole["sets"], whole["trainings"], whole["defaults"]
        return {job: [_decoded(row, sets) for row in there[job.name]["rows"]] for job in jobs
                if job.name in there and not differences(
                    {"settings": there[job.name]["settings"], "defaults": of_then}, settings_of(condition, job))}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; --reuse wants a trainings.json that tools/reproduce.sh wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not a trainings.json of tools/reproduce.sh ({error!r})") from None


def _decoded(row: Dict[str, Any], sets: Dict[str, List[int]]) -> Decoded:
    of, errors = sets[row["test_set"]], row["errors"]
    if len(of) != len(errors):
        raise ValueError(f"{row['test_set']}: {len(errors)} utterances of {len(of)}")
    kept = {name: value for name, value in upgraded(row).items() if name != "errors"}
    return Decoded(kept, list(map(Counted, errors, of)))
