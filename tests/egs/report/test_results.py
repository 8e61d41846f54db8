"""The rows of results.json, and one clear line for each way in which an experiment may be incomplete."""

import json
import shutil
from pathlib import Path

import pytest

from omni.errors import UserError
from egs.librispeech.omni_sparsity.decoding import scoring
from egs.librispeech.omni_sparsity.report import plot, results, table

RESULTS = Path(results.__file__).parents[1] / "results"
SETS = ("dev-clean", "dev-other", "test-clean", "test-other")

KEYS = (
    "name system sparsity measured_sparsity spec file bytes precision params_total params_nonzero test_set method"
    " wer ins del sub ref_words ci95 rtf loss_backend train_passes train_seconds"
).split()


def _rewrite(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def _error(exp_dir):
    with pytest.raises(UserError) as error:
        results.collect(exp_dir)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_row_for_each_sparsity_and_set(whole):
    rows = [entry.row for entry in results.collect(whole[0])]
    assert len(rows) == 5 * 4
    assert all(list(row) == KEYS for row in rows)
    places = [(row["sparsity"], row["test_set"]) for row in rows]
    assert places == sorted(places)
    assert places[0] == (0.0, "dev-clean") and places[-1] == (0.9, "test-other")


def test_the_values_of_a_row(tmp_path, make):
    exp_dir, _ = make.experiment(tmp_path, sets=(), sparsities=(0.5,))
    # 2 insertions, 1 deletion, 1 substitution in 8 words; both utterances have 2 errors in 4 words.
    decoded = [("b", "A B C D".split(), "A X B C D Y".split()), ("a", "A B C D".split(), "A E C".split())]
    make.decoding(exp_dir, "test-clean", 0.5, decoded)
    (entry,) = results.collect(exp_dir)
    assert entry.row == {
        "name": "sparsity-0.5",
        "system": "omni",
        "sparsity": 0.5,
        "measured_sparsity": 0.499,
        "spec": "subnets/sparsity-0.5.json",
        "file": "subnets/sparsity-0.5.omni.safetensors",
        "bytes": 2740000,
        "precision": "float32",
        "params_total": 1234567,
        "params_nonzero": 684567,
        "test_set": "test-clean",
        "method": "greedy_search",
        "wer": 50.0,
        "ins": 2,
        "del": 1,
        "sub": 1,
        "ref_words": 8,
        "ci95": [50.0, 50.0],
        "rtf": 0.0125,
        "loss_backend": "k2 1.23.4",
        "train_passes": 6000,
        "train_seconds": 612.5,
    }
    assert [(u.cut_id, u.errors, u.ref_words) for u in entry.utterances] == [("a", 2, 4), ("b", 2, 4)]


def test_a_baseline_names_its_system(experiment):
    def change(rows):
        rows[0]["system"] = "dense"

    _rewrite(experiment[0] / "subnets" / "subnets.json", change)
    systems = {entry.row["sparsity"]: entry.row["system"] for entry in results.collect(experiment[0])}
    assert systems == {0.0: "dense", 0.5: "omni", 0.7: "omni", 0.8: "omni", 0.9: "omni"}


def test_decodings_of_earlier_runs_are_left_out(experiment, make):
    exp_dir, _ = experiment
    before = [entry.row for entry in results.collect(exp_dir)]
    make.decoding(exp_dir, "test-clean", 0.5, [("a", ["A"], ["B"])], prefix="epoch-9-avg-1", checkpoint="old")
    make.decoding(exp_dir, "test-clean", 0.6, [("a", ["A"], ["B"])])
    assert [entry.row for entry in results.collect(exp_dir)] == before


def test_a_sparsity_is_found_again_despite_floating_point(tmp_path, make):
    exp_dir, _ = make.experiment(tmp_path, sets=(), sparsities=(0.3,))
    make.decoding(exp_dir, "test-clean", 0.1 + 0.2, [("a", ["A"], ["A"])])
    assert [entry.row["sparsity"] for entry in results.collect(exp_dir)] == [0.3]


def test_two_names_for_one_result_count_once_and_two_results_are_refused(experiment, make):
    exp_dir, _ = experiment
    before = results.collect(exp_dir)
    entry = next(e for e in before if (e.row["sparsity"], e.row["test_set"]) == (0.5, "test-clean"))
    same = [(u.cut_id, u.ref, u.hyp) for u in entry.utterances]
    make.decoding(exp_dir, "test-clean", 0.5, same, prefix="epoch-30-avg-9")
    assert [e.row for e in results.collect(exp_dir)] == [e.row for e in before]
    make.decoding(exp_dir, "test-clean", 0.5, [("a", ["A"], ["B"])], prefix="epoch-30-avg-9")
    assert "epoch-30-avg-9" in _error(exp_dir)


def test_missing_subnets_names_stage_4(experiment):
    (experiment[0] / "subnets" / "subnets.json").unlink()
    message = _error(experiment[0])
    assert "subnets/subnets.json is missing" in message and "stage 4" in message


def test_a_sparsity_that_was_not_decoded_names_stage_5(experiment):
    exp_dir, _ = experiment
    for path in exp_dir.glob("greedy_search/decode-*-sparsity-0.7.json"):
        path.unlink()
    message = _error(exp_dir)
    assert "greedy_search/decode-dev-clean-*-sparsity-0.7.json and 3 more missing" in message
    assert "stage 5" in message and "--decoding-method greedy_search" in message


def test_missing_recogs_names_the_file(experiment):
    exp_dir, _ = experiment
    name = "recogs-test-other-epoch-30-avg-5-sparsity-0.9.txt"
    (exp_dir / "greedy_search" / name).unlink()
    message = _error(exp_dir)
    assert name in message and "stage 5" in message


def test_nothing_decoded_names_stage_5(tmp_path, make):
    exp_dir, _ = make.experiment(tmp_path, sets=())
    make.decoding(exp_dir, "test-clean", 0.5, [("a", ["A"], ["A"])], checkpoint="old")
    message = _error(exp_dir)
    assert "stage 5" in message and "1 decodings there are of another checkpoint" in message


@pytest.mark.parametrize(
    "text, says",
    [
        ("[]", "lists no sub-network"),
        ("{}", "holds a dict"),
        ("[{", "is not JSON"),
        ('[{"sparsity": 0.5}]', "row 1 lacks measured_sparsity"),
        ("[3]", "row 1 lacks name"),
    ],
)
def test_broken_subnets_json(experiment, text, says):
    (experiment[0] / "subnets" / "subnets.json").write_text(text)
    message = _error(experiment[0])
    assert says in message and "stage 4" in message


def test_a_sparsity_listed_twice(experiment):
    _rewrite(experiment[0] / "subnets" / "subnets.json", lambda rows: rows.append(rows[1]))
    assert "sparsity-0.5 is there twice" in _error(experiment[0])


def test_a_decode_record_without_a_field(experiment):
    path = experiment[0] / "greedy_search" / "decode-test-clean-epoch-30-avg-5-sparsity-0.5.json"
    _rewrite(path, lambda record: record.pop("rtf"))
    message = _error(experiment[0])
    assert path.name in message and "lacks rtf" in message


def test_a_sub_network_of_any_name_is_a_row_like_others(experiment, make):
    exp_dir, _ = experiment
    _rewrite(exp_dir / "subnets" / "subnets.json", lambda rows: rows.append(
        {**rows[2], "name": "0.6MB", "origin": "searched", "file": "subnets/0.6MB.omni.safetensors",
         "checkpoint": "f00d"}))
    assert "decode-dev-clean-*-0.6MB.json and 3 more missing" in _error(exp_dir)
    before = {(e.row["name"], e.row["test_set"]): e for e in results.collect(_without_last(exp_dir))}
    for test_set in SETS:
        words = [(u.cut_id, u.ref, u.ref) for u in before["sparsity-0.7", test_set].utterances]
        make.decoding(exp_dir, test_set, 0.7, words, checkpoint="f00d", name="0.6MB")
    rows = [entry.row for entry in results.collect(exp_dir)]
    assert [row["name"] for row in rows[8:16]] == ["0.6MB"] * 4 + ["sparsity-0.7"] * 4 and len(rows) == 24
    wanted = {"wer": 0.0, "sparsity": 0.7, "file": "subnets/0.6MB.omni.safetensors"}
    assert all({key: row[key] for key in wanted} == wanted for row in rows[8:12])
    assert [row for row in rows if row["name"] != "0.6MB"] == [entry.row for entry in before.values()]


def _without_last(exp_dir):
    """A copy of the experiment that does not list its last sub-network."""
    copy = Path(shutil.copytree(exp_dir, exp_dir.with_name("copy"), dirs_exist_ok=True))
    _rewrite(copy / "subnets" / "subnets.json", lambda rows: rows.pop())
    return copy


def test_experiments_of_before_sub_networks_had_names_are_read(experiment):
    exp_dir, _ = experiment
    before = [entry.row for entry in results.collect(exp_dir)]

    def older(row):
        row.pop("name")
        if "bytes" in row:
            row["size_bytes"] = row.pop("bytes")
        row.pop("errors", None)

    _rewrite(exp_dir / "subnets" / "subnets.json", lambda rows: [older(row) for row in rows])
    for path in exp_dir.glob("*/decode-*.json"):
        _rewrite(path, older)
    assert [entry.row for entry in results.collect(exp_dir)] == before


def test_committed_results_have_todays_keys():
    rows = json.loads((RESULTS / "mini-run/results.json").read_text())
    assert len(rows) == 20 and {row["name"] for row in rows} == {f"sparsity-{s:g}" for s in (0, 0.5, 0.7, 0.8, 0.9)}
    assert all(set(KEYS) <= set(row) and row["bytes"] > 10**5 for row in rows)
    assert len(plot.png(rows)) > 20_000 and len(table.tables(rows)) == 2


def test_what_stage_5_counted_is_not_aligned_again(experiment, monkeypatch):
    expected = [[(u.cut_id, u.errors, sum(r != h for r, h in u.pairs)) for u in e.utterances]
                for e in results.collect(experiment[0])]
    assert all(counted == aligned for entry in expected for _, counted, aligned in entry)
    monkeypatch.setattr(scoring, "align", lambda ref, hyp: pytest.fail("aligned"))
    assert [[u.errors for u in e.utterances] for e in results.collect(experiment[0])] == [
        [counted for _, counted, _ in entry] for entry in expected]


@pytest.mark.parametrize("errors", ["", "x", "0,0,0", "1,0,0 " * 12, 3, "9,9,0 " + "0,0,0 " * 11])
def test_counts_of_other_words_are_refused(experiment, errors):
    path = experiment[0] / "greedy_search" / "decode-test-clean-epoch-30-avg-5-sparsity-0.5.json"
    _rewrite(path, lambda record: record.update(errors=errors))
    message = _error(experiment[0])
    assert path.name in message and "other words" in message


def test_other_utterances_at_one_sparsity_are_refused(experiment, make):
    make.decoding(experiment[0], "test-clean", 0.9, [("new", ["A"], ["A"])])
    message = _error(experiment[0])
    assert "test-clean" in message and "sparsity-0.9" in message and "other utterances" in message
