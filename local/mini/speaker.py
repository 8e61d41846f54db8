"""Makes everything that one speaker says: FLAC files and their transcripts, in LibriSpeech layout.

Each speaker is made in a process of its own (build.py), which is what makes the samples repeatable; see
espeak.py.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import numpy as np

from local.mini import noise, sound
from local.mini.espeak import Espeak
from local.mini.designs import DESIGNS, Design
from local.mini.grammar import Grammar, chance, sentence
from local.mini.voices import OTHER_ACCENTS, OTHER_VARIANTS, TRAIN_ACCENTS, TRAIN_VARIANTS, Speaker

SHORTEST, LONGEST = 1.0, 6.0  # seconds of an utterance; a sentence that comes out otherwise is not used
OTHER_SNR = (12.0, 25.0)  # dB of the `other` sets
NOISE_SECONDS = 60  # of each recording for training
NOISES = ("white", "fan", "wind", "hum50", "keys", "crowd1", "crowd2")


def _numbers(seed: int, *names: object) -> np.random.Generator:
    return np.random.default_rng(int(chance(seed, *names) * 2**53))


def make_speaker(speaker: Speaker, seed: int, design: Design, target: Path) -> None:
    """Writes <chapter>/<speaker>-<chapter>-<number>.flac and .trans.txt; `target` is whole or absent.

    Args:
        speaker: who, how and how much.
        seed, design: of the corpus.
        target: <download-dir>/<subset>/<speaker>.
    """
    beside = target.with_name(f".tmp-{target.name}-{os.getpid()}")
    chapter = f"{speaker.id}0"
    folder = beside / chapter
    lines = []
    try:
        folder.mkdir(parents=True)
        for number, (text, samples) in enumerate(utterances(speaker, seed, design)):
            name = f"{speaker.id}-{chapter}-{number:04d}"
            (folder / f"{name}.flac").write_bytes(sound.to_flac(samples))
            lines.append(f"{name} {text}\n")
        (folder / f"{speaker.id}-{chapter}.trans.txt").write_text("".join(lines), encoding="utf-8")
        os.rename(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        # If the target is there, a process that outlived its killed parent was first, with the same bytes.
        if not target.is_dir():
            raise


def utterances(speaker: Speaker, seed: int, design: Design = DESIGNS["mini"]):
    """Yields (transcript, float64 samples (num_samples,) at 16 kHz) until the speaker has said enough.

    Call it in a process where eSpeak NG has not run.
    """
    espeak, grammar = Espeak(), Grammar(seed, design)
    rng = random.Random(f"{seed}|speaker|{speaker.id}")
    numbers = _numbers(seed, "speaker", speaker.id)
    tone = numbers.uniform(0, 1.5)  # the microphone's own noise: its color and level stay with the speaker
    hiss_db = numbers.uniform(-72, -60)
    done, said = 0.0, set()
    while done < speaker.seconds:
        text = sentence(grammar.sample(speaker.split, rng))
        if text in said:
            continue
        samples = _speak(espeak, rng, text, speaker)
        if not SHORTEST <= len(samples) / sound.RATE <= LONGEST:
            continue
        if speaker.subset.endswith("other"):
            samples = _disturb(espeak, rng, numbers, samples, grammar, speaker)
        samples = sound.to_level(samples, float(np.clip(numbers.normal(-24, 2.5), -31, -18)))
        samples = samples + 10 ** (hiss_db / 20) * noise.colored(numbers, len(samples), tone)
        yield text, samples * min(1.0, 0.95 / np.abs(samples).max())
        said.add(text)
        done += len(samples) / sound.RATE


def _speak(espeak: Espeak, rng: random.Random, text: str, who: Speaker) -> np.ndarray:
    """`text` in the voice of `who`, a little other in pitch and rate every time, trimmed, at 16 kHz."""
    pitch = who.pitch + rng.randint(-5, 5)
    rate = round(who.rate * rng.uniform(0.92, 1.08))
    spoken = sound.to_16k(espeak.say(text, who.voice, pitch, rate, who.pitch_range), espeak.rate)
    return sound.trim(spoken, before=rng.uniform(0.1, 0.3), after=rng.uniform(0.3, 0.5))


def _voices_around(espeak: Espeak, rng: random.Random, grammar: Grammar, split: str, cast: list[str]) -> list:
    """What three to five people say at once."""
    around = []
    for _ in range(rng.randint(3, 5)):
        text = sentence(grammar.sample(split, rng))
        talk = espeak.say(text, rng.choice(cast), rng.randint(30, 70), rng.randint(150, 200), 50)
        around.append(sound.trim(sound.to_16k(talk, espeak.rate), 0.0, rng.uniform(0.1, 0.5)))
    return around


def _disturb(espeak, rng, numbers, samples: np.ndarray, grammar: Grammar, speaker: Speaker) -> np.ndarray:
    """A room (every second time) and a noise: of kinds or from voices that training's recordings lack."""
    if rng.random() < 0.5:
        samples = noise.in_room(samples, noise.room(numbers))
    kind = rng.choice(["pink", "brown", "hum60", "engine", "clatter", "babble"])
    length = len(samples)
    if kind == "babble":
        cast = [f"{accent}+{v}" for accent in OTHER_ACCENTS for v in OTHER_VARIANTS[speaker.subset]]
        disturbance = noise.babble(numbers, length, _voices_around(espeak, rng, grammar, speaker.split, cast))
    elif kind in ("pink", "brown"):
        disturbance = noise.colored(numbers, length, 1.0 if kind == "pink" else 1.8)
    elif kind == "hum60":
        disturbance = noise.hum(numbers, length, 60)
    elif kind == "engine":
        disturbance = noise.engine(numbers, length)
    else:
        disturbance = noise.clatter(numbers, length)
    return noise.with_noise(samples, disturbance, rng.uniform(*OTHER_SNR))


def make_noise(kind: str, seed: int, scale: float, design: Design, target: Path) -> None:
    """Writes one noise recording for training to `target`, whole or not at all.

    Args:
        kind: one of NOISES.
        scale: 1.0 gives NOISE_SECONDS, less gives less, but 10 seconds at least.
    """
    from omni.files import atomic

    rng, numbers = random.Random(f"{seed}|noise|{kind}"), _numbers(seed, "noise", kind)
    length = int(max(10.0, NOISE_SECONDS * min(scale, 1.0)) * sound.RATE)
    if kind == "white":
        samples = noise.colored(numbers, length, 0.0)
    elif kind == "fan":
        samples = noise.colored(numbers, length, 0.6) + 0.3 * noise.hum(numbers, length, 31)
    elif kind == "wind":
        samples = noise.wind(numbers, length)
    elif kind == "hum50":
        samples = noise.hum(numbers, length, 50)
    elif kind == "keys":
        samples = noise.clatter(numbers, length)
    else:
        cast = [f"{accent}+{variant}" for accent in TRAIN_ACCENTS for variant in TRAIN_VARIANTS]
        samples = noise.babble(numbers, length, _voices_around(Espeak(), rng, Grammar(seed, design), "train", cast))
    samples = sound.to_level(samples, -26)
    with atomic(target) as beside:
        beside.write_bytes(sound.to_flac(samples))
