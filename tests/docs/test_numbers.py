"""Every comparison that README.md and RESULTS.md tell is in a committed table."""

import json
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_stack
ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs/librispeech/omni_sparsity"
TABLES = {path.parent.name: json.loads(path.read_text()) for path in sorted((RECIPE / "results").glob("*/table.json"))}
DIFFERENCE = r"[+-]\d+\.\d% \[[+-]\d+\.\d, [+-]\d+\.\d\]"


def differences(table):
    """{as documents tell it: words that it may earn}"""
    found = {}
    for row in [*table["rows"], *table["means"]]:
        if row["rel_diff_vs_pruned"] is not None:
            low, high = row["rel_diff_ci95"]
            found.setdefault(f"{row['rel_diff_vs_pruned']:+.1f}% [{low:+.1f}, {high:+.1f}]", set()).add(row["claim"])
    return found


def sections():
    """(title, text) of README's table and of each section of RESULTS.md."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    yield "README", readme
    for part in (RECIPE / "RESULTS.md").read_text(encoding="utf-8").split("\n## ")[1:]:
        yield part.splitlines()[0], part


@pytest.mark.parametrize("title, text", list(sections()), ids=[title for title, _ in sections()])
def test_differences_are_in_a_table_with_their_word(title, text):
    there = {}
    for table in TABLES.values():
        for told, words in differences(table).items():
            there.setdefault(told, set()).update(words)
    for line in text.splitlines():
        for told, word in re.findall(rf"({DIFFERENCE})(?:(?:,| \|) (better|worse|undecided)\b)?", line):
            assert told in there, f"{title}: {told} is in no results/*/table.json"
            assert not word or word in there[told], f"{title}: {told} is {' or '.join(there[told])}, not {word}"


@pytest.mark.parametrize("heading, name", [
    ("codes: five sizes", "codes-equal-total"), ("codes: the paper's", "codes"), ("mini: the paper's", "mini")])
def test_a_table_of_results_is_the_committed_one(heading, name):
    text = next(text for title, text in sections() if title.startswith(heading))
    rows = {(row["system"], row["name"], row["test_set"]): row for row in TABLES[name]["rows"]
            if row["system"] == row["strategy"]}
    told = [[cell.strip() for cell in line.strip("|").split("|")]
            for line in text.splitlines() if re.match(r"\| 0", line)]
    assert [float(cells[0]) for cells in told] == [0.0, 0.5, 0.7, 0.8, 0.9]
    for cells in told:
        for place, test_set in ((2, "test-other"), (6, "test-clean")):
            alone, called = "pruned" if float(cells[0]) else "dense", f"sparsity-{cells[0]}"
            omni, own = rows["omni", called, test_set], rows[alone, called, test_set]
            assert cells[1] == f"{omni['bytes'] / 1e6:.2f}"
            assert cells[place : place + 2] == [f"{own['wer']:.2f}", f"{omni['wer']:.2f}"]
            assert cells[place + 3] == omni["claim"]


@pytest.mark.parametrize("name", TABLES)
def test_a_committed_table_says_how_its_intervals_were_had(name):
    for row in TABLES[name]["rows"]:
        assert row["comparison"] == TABLES[name]["comparison"] in ("paper", "equal_total")
        assert row["interval"] == ("t-seeds" if len(row["seeds"]) > 1 else "bootstrap-utterances")
        assert (row["claim"] is None) == (row["rel_diff_vs_pruned"] is None)


def test_results_are_short():
    assert len((RECIPE / "RESULTS.md").read_text(encoding="utf-8").splitlines()) <= 120
