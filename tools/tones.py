"""A corpus of tones in LibriSpeech's layout, far easier than speech, so that trainings of other projects' recipes can
be checked on two cores.

Usage: python tools/tones.py FOLDER [--utterances 1500]

A word is four chords out of six; many words share chords and differ in their order, so that there is something for an
encoder to put together. Speakers differ in pitch and tempo, the -other sets have more noise.
"""

from __future__ import annotations

import argparse
import random
from itertools import product
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import soundfile

RATE = 16000
WORDS = (
    "ALFA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL", "INDIA", "JULIETT", "KILO", "LIMA", "MIKE",
    "NOVEMBER", "OSCAR", "PAPA", "QUEBEC", "ROMEO", "SIERRA", "TANGO", "UNIFORM", "VICTOR", "WHISKEY", "XRAY", "YANKEE",
    "ZULU", "ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE",
)
CHORDS = tuple((300 + 90 * n, 1100 + 260 * ((3 * n) % 8), 3300 + 350 * ((5 * n) % 8)) for n in range(6))  # Hz
NOISE = {"train-clean-100": (0.0, 0.04), "dev-clean": (0.01, 0.01), "dev-other": (0.03, 0.03),
         "test-clean": (0.01, 0.01), "test-other": (0.03, 0.03)}  # from and to, beside tones of 0.1


def codes() -> Dict[str, Tuple[int, ...]]:
    """{word: its four chords}: none twice in a row, so that four are heard."""
    every = [code for code in product(range(len(CHORDS)), repeat=4) if all(a != b for a, b in zip(code, code[1:]))]
    return dict(zip(WORDS, random.Random(0).sample(every, len(WORDS))))


def utterance(words: List[Tuple[int, ...]], pitch: float, tempo: float, noise: float,
              draw: random.Random) -> np.ndarray:
    """Samples of these words, given by their chords: float32, (seconds * RATE,)."""
    parts = [np.zeros(int(0.15 * RATE))]
    for word in words:
        for chord in word:
            length = int(draw.uniform(0.07, 0.1) * tempo * RATE)
            time = np.arange(length) / RATE
            sound = sum(np.sin(2 * np.pi * pitch * hertz * time) / (1 + i) for i, hertz in enumerate(CHORDS[chord]))
            parts.append(0.1 * sound * np.hanning(length) ** 0.3)
        parts.append(np.zeros(int(draw.uniform(0.02, 0.12) * RATE)))
    whole = np.concatenate(parts)
    return (whole + noise * np.random.RandomState(draw.randrange(2**31)).randn(len(whole))).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--utterances", type=int, default=1500, help="for training; a tenth in each other set")
    args = parser.parse_args()
    chords = codes()
    for place, (name, noise) in enumerate(NOISE.items()):
        draw = random.Random(place)
        count = args.utterances if name.startswith("train") else args.utterances // 10
        for number in range(0, count, 50):
            speaker = 1000 * (place + 1) + number // 50
            pitch, tempo = draw.uniform(0.85, 1.2), draw.uniform(0.8, 1.3)
            chapter = args.folder / "LibriSpeech" / name / str(speaker) / "1"
            chapter.mkdir(parents=True, exist_ok=True)
            lines = []
            for index in range(min(50, count - number)):
                words = draw.choices(WORDS, k=draw.randint(3, 7))
                samples = utterance([chords[word] for word in words], pitch, tempo, draw.uniform(*noise), draw)
                soundfile.write(chapter / f"{speaker}-1-{index:04d}.flac", samples, RATE)
                lines.append(f"{speaker}-1-{index:04d} {' '.join(words)}\n")
            (chapter / f"{speaker}-1.trans.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
