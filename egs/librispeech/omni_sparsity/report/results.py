"""The rows of results.json, collected from what stages 4 and 5 wrote."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egs.librispeech.omni_sparsity.decoding import scoring
from omni.errors import UserError
from egs.librispeech.omni_sparsity.report import bootstrap
from egs.librispeech.omni_sparsity.subnets.index import read_index
from egs.librispeech.omni_sparsity.subnets.subnet import Subnet, upgraded

_DECODE_KEYS = ("sparsity", "test_set", "method", "suffix", "rtf", "loss_backend")

Row = dict[str, Any]


@dataclass(frozen=True)
class Utterance:
    """One decoded utterance: its words, and how many errors they have."""

    cut_id: str
    ref: list[str]
    hyp: list[str]
    errors: int

    @property
    def ref_words(self) -> int:
        return len(self.ref)

    @functools.cached_property
    def pairs(self) -> list[scoring.Pair]:
        """(reference word, hypothesis word), scoring.GAP where there is none; aligned when first asked for."""
        return scoring.align(self.ref, self.hyp)


@dataclass(frozen=True)
class Decoded:
    """A row of results.json and the utterances behind it."""

    row: Row
    utterances: list[Utterance]


def collect(exp_dir: Path) -> list[Decoded]:
    """Reads subnets/subnets.json and, of every decoding method, the decode-*.json and recogs-*.txt files.

    Decodings of a sub-network that subnets.json does not list, or of another checkpoint than its rows name, are
    left out: they belong to an earlier run.

    Returns:
      One entry for each sub-network x test set x method, sorted by sparsity, name, test set, method.
    Raises:
      UserError: a file is missing or broken; the message names it and the stage that makes it.
    """
    subnets = {subnet.name: subnet for subnet in read_index(exp_dir)}
    records, other_runs = _read_decode_records(exp_dir, subnets)
    _check_complete(exp_dir, subnets, records, other_runs)
    decoded = []
    for key in sorted(records, key=lambda key: (subnets[key[0]].sparsity, *key)):
        path, record = records[key]
        recogs = path.with_name(f"recogs-{record['test_set']}-{record['suffix']}.txt")
        scored = scoring.read_recogs(recogs)
        score = scoring.total(_counts(path, record, scored))
        if score.ref_words == 0:
            raise UserError(f"{recogs} holds no reference word: delete it and run stage 5 (decode) again")
        utterances = [Utterance(cut_id, ref, hyp, counts.errors)
                      for (cut_id, ref, hyp), counts in zip(scored, score.utterances)]
        decoded.append(Decoded(_row(subnets[key[0]], record, score), utterances))
    _check_same_references(decoded)
    return decoded


def _counts(path: Path, record: Row, scored: list) -> list[scoring.Score]:
    """Of each utterance, as stage 5 wrote them down, or aligned here: icefall's decode.py writes none."""
    if "errors" not in record:
        return [scoring.count(scoring.align(ref, hyp)) for _, ref, hyp in scored]
    counts = scoring.counted(record["errors"], scored)
    if counts is None:
        raise UserError(f"{path} counts the errors of other words than its recogs file holds: delete it and run "
                        "stage 5 (decode) again")
    return counts


def _row(subnet: Subnet, record: Row, score: scoring.Score) -> Row:
    """One row with the keys of results.json, in their order."""
    low, high = bootstrap.interval([u.errors for u in score.utterances], [u.ref_words for u in score.utterances])
    return {
        "name": subnet.name,
        "system": subnet.system,
        "sparsity": subnet.sparsity,
        "measured_sparsity": subnet.measured_sparsity,
        "spec": subnet.spec,
        "file": subnet.file,
        "bytes": subnet.bytes,
        "precision": subnet.precision,
        "params_total": subnet.params_total,
        "params_nonzero": subnet.params_nonzero,
        "test_set": record["test_set"],
        "method": record["method"],
        **score.as_dict(),
        "ci95": [round(low, 2), round(high, 2)],
        "rtf": record["rtf"],
        "loss_backend": record["loss_backend"],
        "train_passes": subnet.train_passes,
        "train_seconds": subnet.train_seconds,
    }


def _read_decode_records(
    exp_dir: Path, subnets: dict[str, Subnet]
) -> tuple[dict[tuple[str, str, str], tuple[Path, Row]], int]:
    """{(name, test set, method): (path, record)} of these sub-networks, and how many belong to others."""
    records: dict[tuple[str, str, str], tuple[Path, Row]] = {}
    other_runs = 0
    for path in sorted(exp_dir.glob("*/decode-*.json")):
        record = _load(path, dict, "stage 5 (decode)")
        _check_keys(record, _DECODE_KEYS, str(path), "stage 5 (decode)")
        name = upgraded(record)["name"]
        subnet = subnets.get(name)
        if subnet is None or (
            subnet.checkpoint is not None and record.get("checkpoint", subnet.checkpoint) != subnet.checkpoint
        ):
            other_runs += 1
            continue
        key = (name, record["test_set"], record["method"])
        if key in records and not _same_recogs(records[key], (path, record)):
            raise UserError(
                f"{records[key][0]} and {path.name} are two decodings of the same sub-network and test set with "
                f"different results: delete the one that does not count"
            )
        records.setdefault(key, (path, record))
    return records, other_runs


def _same_recogs(one: tuple[Path, Row], other: tuple[Path, Row]) -> bool:
    """Whether two decodings ended in the same words, e.g. where `--avg 5` and `--avg 9` gave one model."""
    files = [
        path.with_name(f"recogs-{record['test_set']}-{record['suffix']}.txt") for path, record in (one, other)
    ]
    return all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes()


def _check_complete(exp_dir: Path, subnets: dict[str, Subnet], records: dict, other_runs: int) -> None:
    """Every sub-network must be decoded on every set on which any is, for each method."""
    aside = f" ({other_runs} decodings there are of another checkpoint or sub-network)" if other_runs else ""
    if not records:
        raise UserError(
            f"{exp_dir} holds no decoding (<method>/decode-<set>-<suffix>.json) of the sub-networks in "
            f"subnets/subnets.json{aside}: stage 5 (decode) makes them"
        )
    columns = sorted({(method, test_set) for _, test_set, method in records})
    missing = [
        (name, test_set, method)
        for name in subnets
        for method, test_set in columns
        if (name, test_set, method) not in records
    ]
    if missing:
        name, test_set, method = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{exp_dir / method}/decode-{test_set}-*-{name}.json{more} missing{aside}: stage 5 (decode) makes them "
            f"(--decoding-method {method})"
        )


def _check_same_references(decoded: list[Decoded]) -> None:
    """Rates of one test set can be compared only over the same utterances with the same number of words."""
    seen: dict[str, tuple[Row, list[tuple[str, int]]]] = {}
    for entry in decoded:
        row = entry.row
        references = [(utterance.cut_id, utterance.ref_words) for utterance in entry.utterances]
        first, expected = seen.setdefault(row["test_set"], (row, references))
        if references != expected:
            raise UserError(
                f"{row['test_set']} was decoded on other utterances with {row['name']} "
                f"({row['method']}) than with {first['name']} ({first['method']}): delete the older "
                f"decode-{row['test_set']}-*.json and run stage 5 (decode) again"
            )


def _load(path: Path, kind: type, stage: str) -> Any:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise UserError(f"{path} is not JSON ({error}): delete it and run {stage} again") from error
    if not isinstance(value, kind):
        raise UserError(
            f"{path} holds a {type(value).__name__}, not a {kind.__name__}: delete it and run {stage} again"
        )
    return value


def _check_keys(row: Any, keys: tuple[str, ...], where: str, stage: str) -> None:
    missing = [key for key in keys if not isinstance(row, dict) or key not in row]
    if missing:
        raise UserError(f"{where} lacks {', '.join(missing)}: run {stage} again")
