"""Who speaks in a synthetic corpus, and in which subset.

A voice is an eSpeak NG accent and variant with a pitch and a rate. dev-clean and test-clean have voices
that training never heard but whose kind it knows: half of them a known variant with another accent, pitch
and rate, half a variant of their own. dev-other and test-other have variants of their own throughout, and
every third speaker an accent that training never heard.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from local.mini.designs import DESIGNS, Design

TRAIN_ACCENTS = ("en", "en-us", "en-gb-x-rp", "en-us-nyc", "en-gb-x-gbclan")
OTHER_ACCENTS = ("en-gb-scotland", "en-029", "en-gb-x-gbcwmd")

# Left out: robots, whispers, and variants that hardly differ from another one.
TRAIN_VARIANTS = (
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Henrique Hugo Lee Mario Michael Mike Nguyen Reed "
    "RicishayMax adam anika announcer aunty belinda benjamin boris caleb david edward f1 f2 f4 grandma "
    "gustave ian john klatt2 linda m1 m2 m3 m5 m7 michel miguel norbert quincy rob steph travis victor"
).split()
CLEAN_VARIANTS = {
    "dev-clean": "f3 m4 mike2 Gene2 pablo max".split(),
    "test-clean": "shelby robert steph2 m8 klatt4 marcelo".split(),
}
OTHER_VARIANTS = {
    "dev-other": (
        "f5 m6 klatt3 sandro iven3 edward2 RicishayMax2 pedro Storm steph3 antonio kaukovalta"
    ).split(),
    "test-other": (
        "zac grandpa klatt6 klatt5 iven4 ed RicishayMax3 paul Jacky Marco AnxiousAndy iven"
    ).split(),
}

SUBSETS = ("train-clean", "dev-clean", "dev-other", "test-clean", "test-other")
_SPEAKERS = {subset: 294 if subset == "train-clean" else 12 for subset in SUBSETS}


@dataclass(frozen=True)
class Speaker:
    """One voice and how much it says.

    Args:
        id: number, as in LibriSpeech; the thousands tell the subset.
        subset: folder, such as "test-other".
        voice: eSpeak NG accent+variant.
        pitch: 0 to 99.
        rate: words per minute.
        pitch_range: 0 to 99.
        seconds: speech to make, at least.
    """

    id: int
    subset: str
    voice: str
    pitch: int
    rate: int
    pitch_range: int
    seconds: float

    @property
    def split(self) -> str:
        """Which sentences it says: "train", "dev" or "test"."""
        return self.subset.split("-")[0]


def _cast(subset: str, index: int) -> tuple[str, str]:
    """Accent and variant of the `index`-th speaker of `subset`.

    No pair of one subset comes in another. In training each comes twice, with pitches and rates of their own.
    """
    if subset == "train-clean":
        lap, variant = divmod(index, len(TRAIN_VARIANTS))
        return TRAIN_ACCENTS[(variant + 2 * (lap % 3)) % 5], TRAIN_VARIANTS[variant]  # of 5 accents: +0, +2, +4
    if subset.endswith("other"):
        third, rest = divmod(index, 3)
        accent = OTHER_ACCENTS[third % 3] if rest == 0 else TRAIN_ACCENTS[index % 5]
        return accent, OTHER_VARIANTS[subset][index]
    half = index // 2
    if index % 2:
        return TRAIN_ACCENTS[half % 5], CLEAN_VARIANTS[subset][half]
    variant = 8 * half + (4 if subset == "test-clean" else 0)
    return TRAIN_ACCENTS[(variant + (3 if subset == "test-clean" else 1)) % 5], TRAIN_VARIANTS[variant]


def speakers(seed: int, scale: float, design: Design = DESIGNS["mini"]) -> list[Speaker]:
    """All speakers of the corpus.

    Args:
        seed: decides pitches and rates.
        scale: 1.0 is the whole corpus; 0.02 a toy of about seven minutes (`mini`) with the same folders.

    Returns:
        Speakers in order of subset and number.
    """
    cast = []
    for number, subset in enumerate(SUBSETS, start=1):
        count = max(4 if subset == "train-clean" else 2, math.ceil(_SPEAKERS[subset] * min(scale, 1.0)))
        for index in range(count):
            accent, variant = _cast(subset, index)
            rng = random.Random(f"{seed}|voice|{subset}|{index}")
            wider = 10 if subset == "train-clean" else 0  # so that no voice of a test lies at the edge of the known
            cast.append(
                Speaker(
                    id=number * 1000 + index + 1,
                    subset=subset,
                    voice=f"{accent}+{variant}",
                    pitch=rng.randint(30 - wider, 70 + wider),
                    rate=rng.randint(110 - wider, 155 + wider),
                    pitch_range=rng.randint(25, 75),
                    seconds=(design.train_seconds if subset == "train-clean" else design.eval_seconds) * scale / count,
                )
            )
    return cast
