"""The utterances that went most wrong, to be read and listened to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from egs.librispeech.omni_sparsity.report.results import Decoded, Utterance
from egs.librispeech.omni_sparsity.report.table import is_test

WORST = 10


@dataclass
class Case:
    """An utterance that is among the worst at one choice (sub-network and decoding method) at least.

    Attributes:
      ranks: {index into the choices: 1 for the worst}, only where it is among the worst.
      at: the utterance as each choice heard it, by the same index.
    """

    test_set: str
    cut_id: str
    ranks: dict[int, int] = field(default_factory=dict)
    at: dict[int, Utterance] = field(default_factory=dict)


def choices(decoded: Sequence[Decoded]) -> list[tuple[str, str]]:
    """What a reader can choose between: (name of a sub-network, decoding method), in the order of the rows."""
    places = {(entry.row["sparsity"], entry.row["name"], entry.row["method"]) for entry in decoded}
    return [(name, method) for _, name, method in sorted(places)]


def worst(decoded: Sequence[Decoded], count: int = WORST) -> list[Case]:
    """For each choice the `count` utterances of the test sets with the most errors.

    Ties: the higher error rate first, then by test set and id. Utterances without an error are never listed.

    Returns:
      Each utterance once, those of the best rank first.
    """
    scored = [entry for entry in decoded if is_test(entry.row["test_set"])] or list(decoded)
    cases: dict[tuple[str, str], Case] = {}
    for index, choice in enumerate(choices(decoded)):
        found = [
            (entry.row["test_set"], utterance)
            for entry in scored
            if (entry.row["name"], entry.row["method"]) == choice
            for utterance in entry.utterances
            if utterance.errors
        ]
        found.sort(key=lambda item: (-item[1].errors, item[1].ref_words, item[0], item[1].cut_id))
        for rank, (test_set, utterance) in enumerate(found[:count], 1):
            case = cases.setdefault((test_set, utterance.cut_id), Case(test_set, utterance.cut_id))
            case.ranks[index] = rank
    for index, choice in enumerate(choices(decoded)):
        for entry in scored:
            if (entry.row["name"], entry.row["method"]) != choice:
                continue
            for utterance in entry.utterances:
                case = cases.get((entry.row["test_set"], utterance.cut_id))
                if case:
                    case.at[index] = utterance
    return sorted(
        cases.values(),
        key=lambda case: (min(case.ranks.values()), min(case.ranks), case.test_set, case.cut_id),
    )
