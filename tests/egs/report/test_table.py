"""Tables to the letter."""

import csv
import io

from egs.librispeech.omni_sparsity.report import results, table


def _rows(tmp_path, make):
    """Known error rates: every utterance of a set has the same errors, so the intervals are points."""
    exp_dir, _ = make.experiment(tmp_path, sets=(), sparsities=(0.0, 0.5))
    ref = "A B C D".split()
    for test_set, sparsity, hyp in (
        ("dev-clean", 0.0, ref),
        ("dev-clean", 0.5, ref),
        ("test-clean", 0.0, ref),
        ("test-clean", 0.5, ref[:3]),
        ("test-other", 0.0, ["X", *ref[1:]]),
        ("test-other", 0.5, [*ref, *ref]),
    ):
        make.decoding(exp_dir, test_set, sparsity, [("a", ref, hyp), ("b", ref, hyp)])
    return [entry.row for entry in results.collect(exp_dir)]


RESULTS_MD = """\
# WER against model size: mini

Number of model parameters: 1234567, i.e., 1.23 M

One trained model; every line below is a part of it, cut out without re-training. Word error rate in \
percent, with the 95% interval of a bootstrap over utterances (10,000 resamples). Size: the file that ships, \
1 MB = 1,000,000 bytes. Real-time factor: seconds of work for a second of audio, the mean over the \
sets. Loss: k2 1.23.4.

## WER on the test sets, greedy_search

| sub-network | sparsity | non-zero parameters | size, MB | real-time factor | test-clean | test-other |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| sparsity-0 | 0 | 1,234,567 | 4.94 | 0.013 | 0.00 [0.00, 0.00] | 25.00 [25.00, 25.00] |
| sparsity-0.5 | 0.5 | 684,567 | 2.74 | 0.013 | 25.00 [25.00, 25.00] | 100.00 [100.00, 100.00] |

## WER on the dev sets, greedy_search

| sub-network | sparsity | non-zero parameters | size, MB | real-time factor | dev-clean |
| ---: | ---: | ---: | ---: | ---: | ---: |
| sparsity-0 | 0 | 1,234,567 | 4.94 | 0.013 | 0.00 [0.00, 0.00] |
| sparsity-0.5 | 0.5 | 684,567 | 2.74 | 0.013 | 0.00 [0.00, 0.00] |

![Word error rate against model size](pareto.png)

Beside this file: report.html, the worst utterances to read and hear; results.json, every number.

## Commands

    ./run.sh --corpus mini
"""

PLAIN = """\
WER on the test sets, greedy_search
 sub-network  sparsity  non-zero parameters  size, MB  real-time factor            test-clean               test-other
  sparsity-0         0            1,234,567      4.94             0.013     0.00 [0.00, 0.00]     25.00 [25.00, 25.00]
sparsity-0.5       0.5              684,567      2.74             0.013  25.00 [25.00, 25.00]  100.00 [100.00, 100.00]\
"""


def test_results_md_to_the_letter(tmp_path, make):
    assert table.results_md("mini", _rows(tmp_path, make), ["./run.sh --corpus mini"]) == RESULTS_MD


def test_plain_table_to_the_letter(tmp_path, make):
    assert table.plain(table.tables(_rows(tmp_path, make))[0]) == PLAIN


def test_each_method_has_its_tables(tmp_path, make):
    rows = _rows(tmp_path, make)
    rows += [{**row, "method": "beam_search"} for row in rows if row["test_set"] == "test-clean"]
    titles = [each.title for each in table.tables(rows)]
    assert titles == [
        "WER on the test sets, beam_search",
        "WER on the test sets, greedy_search",
        "WER on the dev sets, greedy_search",
    ]
    assert table.tables(rows)[0].header[5:] == ["test-clean"]


def test_differences_are_to_the_dense_model_and_none_where_it_makes_no_error(tmp_path, make):
    rows = _rows(tmp_path, make)
    assert table.differences(rows) == {("sparsity-0.5", "test-other", "greedy_search"): 300.0}
    assert table.differences([row for row in rows if row["sparsity"]]) == {}


def test_every_row_and_key_as_csv(tmp_path, make):
    rows = _rows(tmp_path, make)
    lines = list(csv.DictReader(io.StringIO(table.comma_separated(rows))))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows):
        assert (line["name"], line["test_set"], line["wer"]) == (row["name"], row["test_set"], str(row["wer"]))
        assert [line["ci95_low"], line["ci95_high"]] == [str(end) for end in row["ci95"]]
    assert [line["wer_above_dense_percent"] for line in lines if line["test_set"] == "test-other"] == ["", "300.0"]


def test_a_speed_that_nobody_measured_is_left_empty(tmp_path, make):
    rows = [{**row, "rtf": None} for row in _rows(tmp_path, make)]
    assert table.tables(rows)[0].body[0][4] == ""
