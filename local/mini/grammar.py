"""Sentences of a synthetic corpus, and which of them training may hear.

Where a sentence may be used is a pure function of the seed and the sentence (`Grammar.home`):
1. every pair of fillers that can meet in a command (KITCHEN + LAMP, ANNA + AT HOME) is held out with
   the design's chance `held`, by a hash of the pair. A command with a held-out pair is never in training;
2. of the commands without one, a hash of the text gives 8 in 10 to training;
3. the rest is dev or test, by a hash of the text.
So no command of dev or test is in training or in each other, and a held-out pair is new in whatever
command it stands. `sample` draws NOVEL of the dev and test commands among those with a held-out pair, if there are any.
"""

from __future__ import annotations

import hashlib
import random
import re
from dataclasses import dataclass
from itertools import combinations

from local.mini.commands import SLOTS, TEMPLATES
from local.mini.designs import DESIGNS, Design

SPLITS = ("train", "dev", "test")
NOVEL = 0.65  # share of the dev and test commands that hold such a pair
TWO = 0.12  # share of utterances that join two commands with AND


@dataclass(frozen=True)
class Command:
    """One command: its text in capitals, and the fillers that were put into it, in order."""

    text: str
    fillers: tuple[str, ...]


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone: the same on every machine and in every process."""
    digest = hashlib.sha256("|".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def words(design: Design = DESIGNS["mini"]) -> set[str]:
    """Every word that some command of a corpus can contain."""
    found: set[str] = set()
    for line in (line for domain in design.domains for line in TEMPLATES[domain]):
        found.update(re.sub(r"\{\w+\}|[(|)]", " ", line).split())
        fillers = (filler for slot in re.findall(r"\{(\w+)\}", line) for filler in SLOTS[slot])
        found.update(word for filler in fillers for word in filler.split())
    return found | {"AND"}


class Grammar:
    """Draws commands for a split.

    Args:
        seed: decides which pairs and commands are held out, not which are drawn.
        design: what there is to draw.
    """

    def __init__(self, seed: int, design: Design = DESIGNS["mini"]):
        self.seed, self.domains, self.held = seed, design.domains, design.held

    def held_pairs(self, *commands: Command) -> list[tuple[str, str]]:
        """The pairs of fillers in `commands`, said together, that training never hears in one utterance."""
        fillers = {filler for command in commands for filler in command.fillers}
        pairs = (tuple(sorted(pair)) for pair in combinations(fillers, 2))
        return sorted(p for p in pairs if chance(self.seed, "pair", *p) < self.held)

    def home(self, command: Command) -> str:
        """The only split that may use `command`: "train", "dev" or "test"."""
        if not self.held_pairs(command) and chance(self.seed, "text", command.text) < 0.8:
            return "train"
        return "dev" if chance(self.seed, "eval", command.text) < 0.5 else "test"

    def sample(self, split: str, rng: random.Random) -> list[Command]:
        """What one utterance says: one command, sometimes two (to be joined with AND).

        Args:
            split: "train", "dev" or "test"; every command returned has it as its home.
            rng: the only source of chance.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {SPLITS}")
        while True:
            commands = [self._draw(split, rng)]
            if rng.random() < TWO:
                commands.append(self._draw(split, rng))
            # In training, a join must not bring a held-out pair together.
            if split != "train" or not self.held_pairs(*commands):
                return commands

    def _draw(self, split: str, rng: random.Random) -> Command:
        novel = self.held > 0.0 and split != "train" and rng.random() < NOVEL
        while True:
            command = self._any(rng)
            if self.home(command) == split and bool(self.held_pairs(command)) == novel:
                return command

    def _any(self, rng: random.Random) -> Command:
        line = rng.choice(TEMPLATES[rng.choice(self.domains)])
        line = re.sub(r"\(([^)]*)\)", lambda found: rng.choice(found[1].split("|")), line)
        fillers: list[str] = []

        def fill(found: re.Match) -> str:
            fillers.append(rng.choice(SLOTS[found[1]]))
            return fillers[-1]

        text = " ".join(re.sub(r"\{(\w+)\}", fill, line).split())
        return Command(text, tuple(fillers))


def sentence(commands: list[Command]) -> str:
    """The transcript of an utterance that says `commands`."""
    return " AND ".join(command.text for command in commands)
