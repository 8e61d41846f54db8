"""Word errors counted by hand, and icefall's three files to the letter."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egs.librispeech.omni_sparsity.decoding import scoring
from omni.errors import UserError

# SIR deleted, EDISON substituted, two words inserted at the end, and an utterance without errors.
RESULTS = [
    ("84-2-0001", "FOR THE FIRST DAY SIR I THINK".split(), "FOR THE FIRST DAY I THINK".split()),
    ("84-1-0000", "THE ASSOCIATION OF EDISON".split(), "THE ASSOCIATION OF ADDISON".split()),
    ("84-3-0000", ["STOP"], ["STOP", "THE", "THE"]),
    ("84-4-0000", ["DON'T", "GO"], ["DON'T", "GO"]),
]

RECOGS = """\
84-1-0000:\tref=['THE', 'ASSOCIATION', 'OF', 'EDISON']
84-1-0000:\thyp=['THE', 'ASSOCIATION', 'OF', 'ADDISON']
84-2-0001:\tref=['FOR', 'THE', 'FIRST', 'DAY', 'SIR', 'I', 'THINK']
84-2-0001:\thyp=['FOR', 'THE', 'FIRST', 'DAY', 'I', 'THINK']
84-3-0000:\tref=['STOP']
84-3-0000:\thyp=['STOP', 'THE', 'THE']
84-4-0000:\tref=["DON'T", 'GO']
84-4-0000:\thyp=["DON'T", 'GO']
"""

ERRS = """\
%WER = 28.57
Errors: 2 insertions, 1 deletions, 1 substitutions, over 14 reference words (12 correct)
Search below for sections starting with PER-UTT DETAILS:, SUBSTITUTIONS:, DELETIONS:, INSERTIONS:, \
PER-WORD STATS:

PER-UTT DETAILS: corr or (ref->hyp)\x20\x20
84-1-0000:\tTHE ASSOCIATION OF (EDISON->ADDISON)
84-2-0001:\tFOR THE FIRST DAY (SIR->*) I THINK
84-3-0000:\tSTOP (*->THE THE)
84-4-0000:\tDON'T GO

SUBSTITUTIONS: count ref -> hyp
1   EDISON -> ADDISON

DELETIONS: count ref
1   SIR

INSERTIONS: count hyp
2   THE

PER-WORD STATS: word  corr tot_errs count_in_ref count_in_hyp
THE   2 2 2 4
SIR   0 1 1 0
EDISON   0 1 1 0
ADDISON   0 1 0 1
THINK   1 0 1 1
STOP   1 0 1 1
OF   1 0 1 1
I   1 0 1 1
GO   1 0 1 1
FOR   1 0 1 1
FIRST   1 0 1 1
DON'T   1 0 1 1
DAY   1 0 1 1
ASSOCIATION   1 0 1 1
"""


def test_save_results_writes_icefalls_three_files(tmp_path):
    out = tmp_path / "greedy_search"
    score = scoring.save_results(out, "test-clean", "epoch-2-avg-1-sparsity-0.5", RESULTS)
    assert score == scoring.Score(insertions=2, deletions=1, substitutions=1, ref_words=14)
    assert (out / "recogs-test-clean-epoch-2-avg-1-sparsity-0.5.txt").read_text() == RECOGS
    assert (out / "errs-test-clean-epoch-2-avg-1-sparsity-0.5.txt").read_text() == ERRS
    summary = (out / "wer-summary-test-clean-epoch-2-avg-1-sparsity-0.5.txt").read_text()
    assert summary == "settings\tWER\ngreedy_search\t28.57\n"
    assert len(list(out.iterdir())) == 3


def test_score_as_dict_and_as_text():
    score = scoring.Score(insertions=178, deletions=137, substitutions=1295, ref_words=52576)
    assert score.as_dict() == {"wer": 3.06, "ins": 178, "del": 137, "sub": 1295, "ref_words": 52576}
    assert str(score) == "%WER 3.06% [1610 / 52576, 178 ins, 137 del, 1295 sub ]"
    assert score.correct == 52576 - 137 - 1295


@pytest.mark.parametrize(
    "ref, hyp, pairs",
    [
        # A gap is as dear as a substitution, so shifting by one word costs two gaps, not three substitutions.
        ("A B C", "B C D", [("A", ""), ("B", "B"), ("C", "C"), ("", "D")]),
        # Two gaps and two substitutions cost the same: kaldialign takes the way with a match.
        ("A B", "B C", [("A", ""), ("B", "B"), ("", "C")]),
        # Where the extra word could stand before or after the wrong one, kaldialign puts the gap behind.
        ("A B C", "X C", [("A", "X"), ("B", ""), ("C", "C")]),
        ("", "A", [("", "A")]),
        ("A", "", [("A", "")]),
        ("", "", []),
    ],
)
def test_alignment_is_kaldialigns(ref, hyp, pairs):
    assert scoring.align(ref.split(), hyp.split()) == pairs


def test_a_star_is_a_word_like_others(tmp_path):
    """icefall's own mark for a gap may be in a text: it must not be counted as a gap."""
    score = scoring.write_errs(tmp_path / "errs.txt", [("a", ["*", "B"], ["B", "*"])])
    assert (score.insertions, score.deletions, score.substitutions, score.ref_words) == (1, 1, 0, 2)


def test_neighbouring_errors_are_one_bracket(tmp_path):
    scoring.write_errs(tmp_path / "errs.txt", [("a", "TURN ON THE LIGHT".split(), "TURN OFF LIGHT".split())])
    assert "a:\tTURN (ON THE->OFF) LIGHT\n" in (tmp_path / "errs.txt").read_text()


def test_more_errors_than_words(tmp_path):
    score = scoring.write_errs(tmp_path / "errs.txt", [("a", ["GO"], ["A", "B", "C"])])
    assert score.wer == 300.0
    assert (tmp_path / "errs.txt").read_text().startswith("%WER = 300.00\n")


def test_summary_puts_the_best_first(tmp_path):
    scores = {"worse": scoring.Score(0, 0, 4, 100), "better": scoring.Score(0, 1, 0, 100)}
    scoring.write_wer_summary(tmp_path / "s.txt", scores)
    assert (tmp_path / "s.txt").read_text() == "settings\tWER\nbetter\t1.00\nworse\t4.00\n"


WORD = st.text(st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(WORD, max_size=5), st.lists(WORD, max_size=5)), max_size=5))
def test_recogs_round_trip(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "recogs.txt"
    results = [(f"id-{i}", ref, hyp) for i, (ref, hyp) in enumerate(texts)]
    scoring.write_recogs(path, results)
    assert scoring.read_recogs(path) == results


def test_reads_icefalls_time_stamps(tmp_path):
    (tmp_path / "r.txt").write_text("a:\tref=['X']\na:\thyp=[]\na:\ttimestamp_hyp=[0.120]\n")
    assert scoring.read_recogs(tmp_path / "r.txt") == [("a", ["X"], [])]


@pytest.mark.parametrize(
    "text, says",
    [
        ("a:\tref=['X']\n", "a has no `hyp=` line"),
        ("a:\tref=['X']\na:\thyp=['X'", "line 2"),
        ("a:\tref=['X']\na:\tref=['X']\n", "line 2"),
        ("nonsense\n", "line 1"),
        ("a:\thyp=__import__('os')\n", "line 1"),
    ],
)
def test_a_broken_recogs_file_is_named(tmp_path, text, says):
    (tmp_path / "recogs.txt").write_text(text)
    with pytest.raises(UserError) as error:
        scoring.read_recogs(tmp_path / "recogs.txt")
    assert says in str(error.value) and "recogs.txt" in str(error.value)


def test_a_missing_recogs_file_names_its_stage(tmp_path):
    with pytest.raises(UserError, match="stage 5"):
        scoring.read_recogs(tmp_path / "recogs.txt")


def test_no_reference_word_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match="no reference word"):
        scoring.save_results(tmp_path / "greedy_search", "test-clean", "x", [("a", [], ["B"])])
    assert list(tmp_path.rglob("*.txt")) == []


@pytest.mark.parametrize(
    "results",
    [
        [("a", ["X"], ["X"]), ("a", ["X"], ["X"])],
        [("a", "X Y", ["X"])],
        [("a", ["X", ""], ["X"])],
    ],
)
def test_wrong_calls_are_refused(tmp_path, results):
    with pytest.raises(ValueError):
        scoring.save_results(tmp_path, "test-clean", "x", results)
    assert list(tmp_path.iterdir()) == []


def test_counts_of_each_utterance_are_kept_as_text(tmp_path):
    score = scoring.save_results(tmp_path / "greedy_search", "test-clean", "x", RESULTS)
    assert score.by_utterance() == "0,0,1 0,1,0 2,0,0 0,0,0"  # in the order of the ids
    assert scoring.total(score.utterances) == score
    results = scoring.read_recogs(tmp_path / "greedy_search/recogs-test-clean-x.txt")
    assert scoring.counted(score.by_utterance(), results) == list(score.utterances)
    for other in ("0,0,1 0,1,0 2,0,0", "0,0,0 0,1,0 2,0,0 0,0,0", "0,0,1 0,1,0 2,0,0 0,0,1", "0,0,1 0,1,0 1,0,0 0,0,0"):
        assert scoring.counted(other, results) is None


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_what_only_python_takes_for_an_end_of_line_is_none(tmp_path, odd):
    results = [(f"a{odd}b", [f"ON{odd}E"], [])]
    scoring.write_recogs(tmp_path / "recogs.txt", results)
    assert scoring.read_recogs(tmp_path / "recogs.txt") == results
