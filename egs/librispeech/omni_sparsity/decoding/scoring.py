"""Word errors, and the three files in which icefall keeps them.

    suffix = "epoch-30-avg-5-sparsity-0.5"
    score = scoring.save_results("exp/mini/greedy_search", "test-clean", suffix, results)
    logging.info("[test-clean] %s", score)

writes, for results = [(cut_id, reference words, hypothesis words)]:

    recogs-test-clean-<suffix>.txt       reference and hypothesis of every utterance, sorted by id
    errs-test-clean-<suffix>.txt         %WER, every utterance's alignment, counts per word pair and per word
    wer-summary-test-clean-<suffix>.txt  one line: the decoding method and its WER

The formats are those of icefall's `store_transcripts` and `write_error_stats` (icefall/utils.py).
Alignment: `kaldialign.align`, all edits cost 1.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import kaldialign

from omni.files import write_text
from omni.errors import UserError

Words = Sequence[str]
Result = tuple[str, Words, Words]  # (cut id, reference words, hypothesis words)
Pair = tuple[str, str]  # (reference word, hypothesis word); GAP on one side for an insertion or a deletion

GAP = ""  # no word is empty, so no word can be mistaken for it
GAP_SHOWN = "*"  # what icefall prints for it


@dataclass(frozen=True)
class Score:
    """Word errors of one test set.

    Attributes:
      insertions, deletions, substitutions: counted on kaldialign's alignment.
      ref_words: number of reference words.
      utterances: the same of each utterance, where it is known.
    """

    insertions: int
    deletions: int
    substitutions: int
    ref_words: int
    utterances: tuple[Score, ...] = field(default=(), compare=False, repr=False)

    @property
    def errors(self) -> int:
        return self.insertions + self.deletions + self.substitutions

    @property
    def correct(self) -> int:
        return self.ref_words - self.deletions - self.substitutions

    @property
    def wer(self) -> float:
        """Word error rate in percent, not rounded; above 100 where there are more errors than words."""
        return 100.0 * self.errors / self.ref_words

    def as_dict(self) -> dict[str, float | int]:
        """The keys of results.json; `wer` in percent with two decimals."""
        return {
            "wer": round(self.wer, 2),
            "ins": self.insertions,
            "del": self.deletions,
            "sub": self.substitutions,
            "ref_words": self.ref_words,
        }

    def by_utterance(self) -> str:
        """As text, short: `ins,del,sub` of each; `counted` reads it."""
        return " ".join(f"{u.insertions},{u.deletions},{u.substitutions}" for u in self.utterances)

    def __str__(self) -> str:
        return (
            f"%WER {self.wer:.2f}% [{self.errors} / {self.ref_words}, {self.insertions} ins, "
            f"{self.deletions} del, {self.substitutions} sub ]"
        )


def align(ref: Words, hyp: Words) -> list[Pair]:
    """The cheapest alignment of two word sequences, GAP where one side has no word."""
    return kaldialign.align(list(ref), list(hyp), GAP)


def count(pairs: Sequence[Pair]) -> Score:
    """The errors of one utterance."""
    insertions = sum(ref == GAP for ref, _ in pairs)
    deletions = sum(hyp == GAP for _, hyp in pairs)
    wrong = sum(ref != hyp for ref, hyp in pairs)
    return Score(insertions, deletions, wrong - insertions - deletions, len(pairs) - insertions)


def total(scores: Iterable[Score]) -> Score:
    """Of a whole set."""
    scores = tuple(scores)
    numbers = ((s.insertions, s.deletions, s.substitutions, s.ref_words) for s in scores)
    return Score(*map(sum, zip(*numbers)), utterances=scores) if scores else Score(0, 0, 0, 0)


def counted(text: str, results: Sequence[Result]) -> list[Score] | None:
    """The counts of each utterance from `Score.by_utterance`, so that nothing is aligned twice.

    Returns:
      None where the counts cannot be of these words.
    """
    try:
        counts = [tuple(map(int, of.split(","))) for of in text.split()]
        scores = [Score(*numbers, len(ref)) for numbers, (_, ref, _) in zip(counts, results, strict=True)]
    except (AttributeError, TypeError, ValueError):
        return None
    fit = (s.insertions - s.deletions == len(hyp) - len(ref) and s.deletions + s.substitutions <= len(ref)
           and (s.errors > 0) == (list(ref) != list(hyp)) for s, (_, ref, hyp) in zip(scores, results))
    return scores if all(fit) else None


def save_results(
    out_dir: str | Path, test_set: str, suffix: str, results: Iterable[Result], method: str | None = None
) -> Score:
    """Writes recogs-, errs- and wer-summary-<test_set>-<suffix>.txt under `out_dir`.

    The recogs file comes last: where it is, the other two are.

    Args:
      out_dir: e.g. exp/mini/greedy_search.
      test_set: e.g. test-clean.
      suffix: what tells this decoding from others, e.g. epoch-30-avg-5-sparsity-0.5.
      results: (cut id, reference words, hypothesis words), in any order.
      method: the name in wer-summary; by default that of `out_dir`.
    Returns:
      The counts over the whole set, and in `utterances` those of each in the order of the recogs file.
    Raises:
      UserError: the references of the whole set hold no word, so there is no error rate.
      ValueError: an id occurs twice, a word is empty or is one string where a list of words is wanted.
    """
    out_dir = Path(out_dir)
    results = list(results)
    score = write_errs(out_dir / f"errs-{test_set}-{suffix}.txt", results)
    write_wer_summary(out_dir / f"wer-summary-{test_set}-{suffix}.txt", {method or out_dir.name: score})
    write_recogs(out_dir / f"recogs-{test_set}-{suffix}.txt", results)
    return score


def write_recogs(path: str | Path, results: Iterable[Result]) -> None:
    """Writes two lines an utterance, sorted by id: `ID:<tab>ref=['A', 'B']` and `ID:<tab>hyp=['A', 'C']`."""
    lines = []
    for cut_id, ref, hyp in _checked(path, results):
        lines += [f"{cut_id}:\tref={ref}\n", f"{cut_id}:\thyp={hyp}\n"]
    write_text(path, "".join(lines))


def read_recogs(path: str | Path) -> list[tuple[str, list[str], list[str]]]:
    """Reads what `write_recogs` or icefall wrote.

    Returns:
      (cut id, reference words, hypothesis words) of each utterance, in the file's order.
    Raises:
      UserError: the file is missing, or a line is not of that format.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path} is missing: stage 5 (decode) makes it")
    sides: dict[str, dict[str, list[str]]] = {}
    with open(path, encoding="utf-8") as file:  # not splitlines(): U+2028 in an id ends no line
        lines = [line.removesuffix("\n") for line in file]
    for number, line in enumerate(lines, 1):
        # Words are written by repr(), which escapes tabs: the first ":<tab>" of a line ends the id.
        cut_id, tab, rest = line.partition(":\t")
        side, equals, words = rest.partition("=")
        if side.startswith("timestamp_"):  # icefall's recogs with time stamps
            continue
        try:
            value = ast.literal_eval(words)
            good = bool(tab and equals) and side in ("ref", "hyp") and isinstance(value, list)
        except (SyntaxError, ValueError):
            good = False
        if not good or side in sides.setdefault(cut_id, {}):
            raise UserError(
                f"{path}: line {number} is not `ID:<tab>ref=[...]` or `ID:<tab>hyp=[...]` of a new "
                f"utterance: delete the file and run stage 5 (decode) again"
            )
        sides[cut_id][side] = [str(word) for word in value]
    for cut_id, found in sides.items():
        if len(found) != 2:
            raise UserError(
                f"{path}: {cut_id} has no `{'hyp' if 'ref' in found else 'ref'}=` line: "
                f"delete the file and run stage 5 (decode) again"
            )
    return [(cut_id, found["ref"], found["hyp"]) for cut_id, found in sides.items()]


def write_wer_summary(path: str | Path, scores: Mapping[str, Score]) -> None:
    """Writes `settings<tab>WER` and a line for each setting, the best first."""
    best_first = sorted(scores.items(), key=lambda item: (item[1].wer, item[0]))
    write_text(path, "settings\tWER\n" + "".join(f"{name}\t{score.wer:.2f}\n" for name, score in best_first))


def write_errs(path: str | Path, results: Iterable[Result]) -> Score:
    """Writes icefall's error statistics of one test set; see the module's docstring.

    Returns:
      The counts over the whole set.
    Raises:
      UserError: the references hold no word.
    """
    results = _checked(path, results)
    aligned = [(cut_id, align(ref, hyp)) for cut_id, ref, hyp in results]
    score = total(count(pairs) for _, pairs in aligned)
    if score.ref_words == 0:
        raise UserError(
            f"{path}: {len(results)} utterances hold no reference word, so there is no word error rate"
        )
    lines = [
        f"%WER = {score.wer:.2f}",
        f"Errors: {score.insertions} insertions, {score.deletions} deletions, "
        f"{score.substitutions} substitutions, over {score.ref_words} reference words "
        f"({score.correct} correct)",
        "Search below for sections starting with PER-UTT DETAILS:, SUBSTITUTIONS:, DELETIONS:, INSERTIONS:, "
        "PER-WORD STATS:",
        "",
        "PER-UTT DETAILS: corr or (ref->hyp)  ",  # the two spaces are icefall's
    ]
    lines += [f"{cut_id}:\t{_details(pairs)}" for cut_id, pairs in aligned]
    lines += _counts([pair for _, pairs in aligned for pair in pairs])
    write_text(path, "\n".join(lines) + "\n")
    return score


def _details(pairs: Sequence[Pair]) -> str:
    """One utterance as text: correct words plain, neighbouring errors as one `(ref words->hyp words)`."""
    parts: list[str] = []
    ref_run: list[str] = []
    hyp_run: list[str] = []

    def close_run() -> None:
        if ref_run or hyp_run:
            parts.append(f"({' '.join(ref_run) or GAP_SHOWN}->{' '.join(hyp_run) or GAP_SHOWN})")
            ref_run.clear()
            hyp_run.clear()

    for ref, hyp in pairs:
        if ref == hyp:
            close_run()
            parts.append(ref)
            continue
        if ref != GAP:
            ref_run.append(ref)
        if hyp != GAP:
            hyp_run.append(hyp)
    close_run()
    return " ".join(parts)


def _counts(pairs: Sequence[Pair]) -> list[str]:
    """The four sections of counts, the most frequent first (ties: words backwards, as icefall sorts)."""
    right = Counter(ref for ref, hyp in pairs if ref == hyp)
    wrong = Counter((ref, hyp) for ref, hyp in pairs if ref != hyp)
    subs = {pair: n for pair, n in wrong.items() if GAP not in pair}
    dels = {ref: n for (ref, hyp), n in wrong.items() if hyp == GAP}
    ins = {hyp: n for (ref, hyp), n in wrong.items() if ref == GAP}

    def most_frequent(counts: Mapping) -> list:
        return sorted(((n, key) for key, n in counts.items()), reverse=True)

    lines = ["", "SUBSTITUTIONS: count ref -> hyp"]
    lines += [f"{n}   {ref} -> {hyp}" for n, (ref, hyp) in most_frequent(subs)]
    lines += ["", "DELETIONS: count ref"]
    lines += [f"{n}   {ref}" for n, ref in most_frequent(dels)]
    lines += ["", "INSERTIONS: count hyp"]
    lines += [f"{n}   {hyp}" for n, hyp in most_frequent(ins)]

    as_ref, as_hyp = Counter(), Counter()  # how often a word was replaced by, or stood for, another
    for (ref, hyp), n in subs.items():
        as_ref[ref] += n
        as_hyp[hyp] += n
    lines += ["", "PER-WORD STATS: word  corr tot_errs count_in_ref count_in_hyp"]
    words = set(right) | set(as_ref) | set(as_hyp) | set(dels) | set(ins)
    errors = {word: as_ref[word] + as_hyp[word] + ins.get(word, 0) + dels.get(word, 0) for word in words}
    for total, word in most_frequent(errors):
        in_ref = right[word] + as_ref[word] + dels.get(word, 0)
        in_hyp = right[word] + as_hyp[word] + ins.get(word, 0)
        lines.append(f"{word}   {right[word]} {total} {in_ref} {in_hyp}")
    return lines


def _checked(path: str | Path, results: Iterable[Result]) -> list[tuple[str, list[str], list[str]]]:
    """`results` as lists, sorted by id. Raises ValueError for what would quietly make a wrong count."""
    checked: dict[str, tuple[str, list[str], list[str]]] = {}
    for cut_id, ref, hyp in results:
        if cut_id in checked:
            raise ValueError(f"{path}: utterance {cut_id} was decoded twice")
        for words in (ref, hyp):
            if isinstance(words, str) or not all(isinstance(word, str) and word for word in words):
                raise ValueError(f"{path}: {cut_id}: a list of non-empty words is wanted, not {words!r}")
        checked[cut_id] = (cut_id, list(ref), list(hyp))
    return sorted(checked.values())
