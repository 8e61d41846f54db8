"""The corpora that can be synthesised: what is said in each, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from local.mini.commands import TEMPLATES


@dataclass(frozen=True)
class Design:
    """
    Args:
        name: of the corpus, as for run.sh --corpus.
        domains: of the commands, keys of TEMPLATES.
        train_seconds: speech in train-clean, about; but each voice says one command at least.
        eval_seconds: speech in each dev and test set, about.
        held: chance that a pair of fillers is held out of training, for dev and test to combine anew.
        version: raise it with any change of what is synthesised: a corpus of another version is not continued.
    """

    name: str
    domains: tuple[str, ...]
    train_seconds: int
    eval_seconds: int
    held: float
    version: int


# `codes` is to compare trainings with. Any word may follow any other, so that its errors are those of hearing: which
# words a model guesses from their neighbours, in combinations that it never saw, differs from one training to the next
# by more than trainings differ. One or two commands of each voice: few enough for a whole training to take minutes.
DESIGNS = {design.name: design for design in (
    Design("mini", tuple(name for name in TEMPLATES if name != "codes"), 28800, 1270, 0.2, 1),
    Design("codes", ("codes",), 700, 2400, 0.0, 3),
)}  # fmt: skip
