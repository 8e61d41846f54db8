"""report.html stands alone, escapes what it shows, and tells errors without colour."""

import base64
import json
import re
from html.parser import HTMLParser

import pytest

from egs.librispeech.omni_sparsity.report import audio, page, results, table, worst

_VOID = {"meta", "input", "br"}


class _Checker(HTMLParser):
    """Collects addresses and texts; fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.tags, self.text, self.ids = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action")]
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def standard(whole):
    """(HTML, what was found in it, the cases) of a whole experiment."""
    return _page(whole, ["./run.sh --set 'a<b'"])


def _page(experiment, commands=("./run.sh",)):
    exp_dir, data_dir = experiment
    decoded = results.collect(exp_dir)
    cases = worst.worst(decoded)
    html = page.report_html("mini", decoded, cases, audio.clips(cases, data_dir), commands)
    checker = _Checker()
    checker.feed(html)
    assert checker.open == []
    return html, checker, cases


def test_needs_no_other_file(standard):
    html, checker, _ = standard
    assert all(address.startswith(("data:audio/", "data:text/csv;", "#")) for address in checker.addresses)
    assert not re.search(r"https?://|@import|url\((?!#)|<link|<iframe", html)
    assert len(checker.ids) == len(set(checker.ids))
    assert len(html) < 10_000_000


def test_holds_picture_tables_and_command(standard, whole):
    html, checker, _ = standard
    tags = [tag for tag, _ in checker.tags]
    assert tags.count("svg") == 2 and tags.count("table") == 3
    text = " ".join("".join(checker.text).split())
    assert "Number of model parameters: 1234567, i.e., 1.23 M" in text
    assert "./run.sh --set 'a<b'" in text
    row = results.collect(whole[0])[2].row
    assert row["test_set"] == "test-clean" and row["sparsity"] == 0.0
    low, high = row["ci95"]
    assert f">{row['wer']:.2f} <small>{low:.2f}\N{EN DASH}{high:.2f}</small></td>" in html


def test_the_script_has_what_it_works_with(standard, whole):
    """Values to sort by and hide by, rows to compare, the CSV."""
    html, checker, _ = standard
    rows = [entry.row for entry in results.collect(whole[0])]
    boxes = [of["value"] for tag, of in checker.tags if tag == "input" and of.get("class") == "set"]
    assert boxes == ["dev-clean", "dev-other", "test-clean", "test-other"]
    cells = [of for tag, of in checker.tags if tag == "td" and "data-set" in of]
    assert sorted((of["data-set"], float(of["data-value"])) for of in cells) == sorted(
        (row["test_set"], row["wer"]) for row in rows)
    assert all("insertions" in of["title"] for of in cells)
    data = json.loads(re.search(r'id="rows">(.*?)</script>', html).group(1))
    assert [(row["name"], row["test_set"], row["wer"]) for row in data] == [
        (row["name"], row["test_set"], row["wer"]) for row in rows]
    link = next(of for tag, of in checker.tags if tag == "a")
    assert base64.b64decode(link["href"].split(",")[1]).decode() == table.comma_separated(rows)
    assert link["download"] == "mini.csv"


def test_differences_to_the_dense_model_are_shown(standard, whole):
    rows = {(e.row["name"], e.row["test_set"]): e.row for e in results.collect(whole[0])}
    change = 100 * (rows["sparsity-0.9", "test-clean"]["wer"] / rows["sparsity-0", "test-clean"]["wer"] - 1)
    assert change > 1 and f"<small>+{change:.0f}%</small></td>" in standard[0]


def test_every_case_has_its_sound_once(standard):
    html, checker, cases = standard
    players = [attributes["src"] for tag, attributes in checker.tags if tag == "audio"]
    assert len(players) == len(cases) > 5
    kind, data = players[0].split(",", 1)
    assert kind == "data:audio/flac;base64" and base64.b64decode(data)[:4] == b"fLaC"


def test_missing_sound_is_said(tmp_path, make):
    html, checker, cases = _page(make.experiment(tmp_path, audio=False))
    assert "audio" not in [tag for tag, _ in checker.tags]
    assert len(re.findall(r"No audio: librispeech_cuts_test-\w+\.jsonl\.gz is missing\.", html)) == len(cases)


def test_text_is_escaped(tmp_path, make):
    exp_dir, data_dir = make.experiment(tmp_path, sets=(), sparsities=(0.5,))
    odd = ["<unk>", "R&B", '"', "</script><script>alert(1)</script>"]
    make.decoding(exp_dir, "test-clean", 0.5, [("<b>id</b>", odd, ["<unk>", "<i>", "X"])])
    html, checker, _ = _page((exp_dir, data_dir))
    assert "<unk>" not in html and "&lt;unk&gt;" in html
    assert "<b>id" not in html and "&lt;b&gt;id&lt;/b&gt;" in html
    assert html.count("<script>") == 1
    assert "R&amp;B" in html


def test_errors_are_told_by_signs_as_well_as_by_colour(tmp_path, make):
    exp_dir, data_dir = make.experiment(tmp_path, sets=(), sparsities=(0.5,))
    make.decoding(exp_dir, "test-clean", 0.5, [("a", "OPEN THE BIG DOOR".split(), "OPEN A DOOR NOW".split())])
    html, checker, _ = _page((exp_dir, data_dir))
    line = re.search(r'<p class="line".*?</p>', html).group(0)
    assert re.sub("<[^>]*>", "", line) == (
        "no. 1 at sparsity 0.5: 3 errors in 4 words OPEN [THE &rarr; A] [&minus;BIG] DOOR [+NOW]"
    )
    assert line.count("<del>") == 2 and line.count("<ins>") == 2


def test_drop_down_offers_each_sparsity_and_ranks_belong_to_it(standard):
    _, checker, cases = standard
    options = [attributes["value"] for tag, attributes in checker.tags if tag == "option"]  # page.js makes the others
    assert options == ["0", "1", "2", "3", "4"]
    shown = [attributes for tag, attributes in checker.tags if tag == "li"]
    assert shown == [
        {"class": "case", **{f"data-rank-{index}": str(rank) for index, rank in sorted(case.ranks.items())}}
        for case in cases
    ]


def test_no_error_at_all(tmp_path, make):
    exp_dir, data_dir = make.experiment(tmp_path, sets=(), sparsities=(0.5,))
    make.decoding(exp_dir, "test-clean", 0.5, [("a", ["A"], ["A"])])
    html, checker, cases = _page((exp_dir, data_dir))
    assert cases == [] and '<p id="none">No utterance has an error.</p>' in html


@pytest.mark.parametrize("scheme", ["light dark", "prefers-color-scheme: dark", "max-width"])
def test_style_serves_dark_rooms_and_phones(standard, scheme):
    assert scheme in standard[0]
