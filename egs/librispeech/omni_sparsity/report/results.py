"""The rows of results.json, collected from what stages 4 and 5 wrote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egs.librispeech.omni_sparsity.decoding import scoring
from omni.errors import UserError
from egs.librispeech.omni_sparsity.report import bootstrap

_SUBNET_KEYS = (
    "sparsity",
    "measured_sparsity",
    "spec",
    "params_total",
    "params_nonzero",
    "size_bytes",
    "train_passes",
    "train_seconds",
)
_DECODE_KEYS = ("sparsity", "test_set", "method", "suffix", "rtf", "loss_backend")

Row = dict[str, Any]


@dataclass(frozen=True)
class Utterance:
    """One decoded utterance. `pairs`: (reference word, hypothesis word), scoring.GAP where there is none."""

    cut_id: str
    pairs: list[scoring.Pair]

    @property
    def errors(self) -> int:
        return sum(ref != hyp for ref, hyp in self.pairs)

    @property
    def ref_words(self) -> int:
        return sum(ref != scoring.GAP for ref, _ in self.pairs)


@dataclass(frozen=True)
class Decoded:
    """A row of results.json and the utterances behind it."""

    row: Row
    utterances: list[Utterance]


def collect(exp_dir: Path) -> list[Decoded]:
    """Reads subnets/subnets.json and, of every decoding method, the decode-*.json and recogs-*.txt files.

    Decodings at a sparsity that subnets.json does not list, or of another checkpoint than its rows name, are
    left out: they belong to an earlier run.

    Returns:
      One entry for each sparsity x test set x method, sorted by sparsity, test set, method.
    Raises:
      UserError: a file is missing or broken; the message names it and the stage that makes it.
    """
    subnets = _read_subnets(exp_dir / "subnets" / "subnets.json")
    records, other_runs = _read_decode_records(exp_dir, subnets)
    _check_complete(exp_dir, subnets, records, other_runs)
    decoded = []
    for key in sorted(records):
        path, record = records[key]
        recogs = path.with_name(f"recogs-{record['test_set']}-{record['suffix']}.txt")
        utterances = [
            Utterance(cut_id, scoring.align(ref, hyp)) for cut_id, ref, hyp in scoring.read_recogs(recogs)
        ]
        score = scoring.score_pairs(utterance.pairs for utterance in utterances)
        if score.ref_words == 0:
            raise UserError(f"{recogs} holds no reference word: delete it and run stage 5 (decode) again")
        decoded.append(Decoded(_row(subnets[key[0]], record, score, utterances), utterances))
    _check_same_references(decoded)
    return decoded


def _row(subnet: Row, record: Row, score: scoring.Score, utterances: list[Utterance]) -> Row:
    """One row with the keys of results.json, in their order."""
    low, high = bootstrap.interval([u.errors for u in utterances], [u.ref_words for u in utterances])
    return {
        # Every row is a sub-network of one supernet; a baseline's subnets.json names its own system.
        "system": subnet.get("system", "omni"),
        **{key: subnet[key] for key in _SUBNET_KEYS[:6]},
        "test_set": record["test_set"],
        "method": record["method"],
        **score.as_dict(),
        "ci95": [round(low, 2), round(high, 2)],
        "rtf": record["rtf"],
        "loss_backend": record["loss_backend"],
        "train_passes": subnet["train_passes"],
        "train_seconds": subnet["train_seconds"],
    }


def _key(sparsity: float) -> float:
    """A sparsity to look up by: 0.30000000000000004 is 0.3."""
    return round(float(sparsity), 6)


def _read_subnets(path: Path) -> dict[float, Row]:
    if not path.is_file():
        raise UserError(f"{path} is missing: stage 4 (subnets) makes it")
    rows = _load(path, list, "stage 4 (subnets)")
    if not rows:
        raise UserError(f"{path} lists no sub-network: run stage 4 (subnets) again")
    subnets: dict[float, Row] = {}
    for number, row in enumerate(rows, 1):
        _check_keys(row, _SUBNET_KEYS, f"{path}: row {number}", "stage 4 (subnets)")
        if _key(row["sparsity"]) in subnets:
            raise UserError(f"{path}: sparsity {row['sparsity']} is there twice: run stage 4 (subnets) again")
        subnets[_key(row["sparsity"])] = row
    return subnets


def _read_decode_records(
    exp_dir: Path, subnets: dict[float, Row]
) -> tuple[dict[tuple[float, str, str], tuple[Path, Row]], int]:
    """{(sparsity, test set, method): (path, record)} of these sub-networks, and how many belong to others."""
    records: dict[tuple[float, str, str], tuple[Path, Row]] = {}
    other_runs = 0
    for path in sorted(exp_dir.glob("*/decode-*.json")):
        record = _load(path, dict, "stage 5 (decode)")
        _check_keys(record, _DECODE_KEYS, str(path), "stage 5 (decode)")
        subnet = subnets.get(_key(record["sparsity"]))
        if subnet is None or (
            "checkpoint" in subnet and record.get("checkpoint", subnet["checkpoint"]) != subnet["checkpoint"]
        ):
            other_runs += 1
            continue
        key = (_key(record["sparsity"]), record["test_set"], record["method"])
        if key in records and not _same_recogs(records[key], (path, record)):
            raise UserError(
                f"{records[key][0]} and {path.name} are two decodings of the same model, sparsity and test "
                f"set with different results: delete the one that does not count"
            )
        records.setdefault(key, (path, record))
    return records, other_runs


def _same_recogs(one: tuple[Path, Row], other: tuple[Path, Row]) -> bool:
    """Whether two decodings ended in the same words, e.g. where `--avg 5` and `--avg 9` gave one model."""
    files = [
        path.with_name(f"recogs-{record['test_set']}-{record['suffix']}.txt") for path, record in (one, other)
    ]
    return all(file.is_file() for file in files) and files[0].read_bytes() == files[1].read_bytes()


def _check_complete(exp_dir: Path, subnets: dict[float, Row], records: dict, other_runs: int) -> None:
    """Every sub-network must be decoded on every set on which any is, for each method."""
    aside = f" ({other_runs} decodings there are of another checkpoint or sparsity)" if other_runs else ""
    if not records:
        raise UserError(
            f"{exp_dir} holds no decoding (<method>/decode-<set>-<suffix>.json) of the sub-networks in "
            f"subnets/subnets.json{aside}: stage 5 (decode) makes them"
        )
    columns = sorted({(method, test_set) for _, test_set, method in records})
    missing = [
        (sparsity, test_set, method)
        for sparsity in sorted(subnets)
        for method, test_set in columns
        if (sparsity, test_set, method) not in records
    ]
    if missing:
        sparsity, test_set, method = missing[0]
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{exp_dir / method}/decode-{test_set}-*.json of sparsity {sparsity:g}{more} missing{aside}: "
            f"stage 5 (decode) makes them"
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
                f"{row['test_set']} was decoded on other utterances at sparsity {row['sparsity']:g} "
                f"({row['method']}) than at {first['sparsity']:g} ({first['method']}): delete the older "
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
