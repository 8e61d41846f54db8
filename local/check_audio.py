"""Checks a corpus in LibriSpeech layout: every transcript has its sound, every sound its transcript, and
every FLAC decodes to what it promises. Needs soundfile only; a chapter is a unit of work for a process."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

from local.progress import progress

RATE = 16000
_FEW = 2000  # utterances that one process checks in less time than more processes take to start


@dataclass(frozen=True)
class Problem:
    """Something wrong with the corpus.

    Args:
        kind: short and the same for all of a kind, such as "empty transcript".
        utterance: the id, which is left out with --skip-bad 1.
        file: the file to look at.
        detail: more about this one; may be empty.
    """

    kind: str
    utterance: str
    file: Path
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


@dataclass
class Chapter:
    """What was found in one folder <subset>/<speaker>/<chapter>.

    Args:
        good: line of the transcript ("<id> <TEXT>") and number of samples, of every sound utterance.
        problems: all others.
    """

    good: list[tuple[str, int]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def chapters(subset: Path) -> list[Path]:
    """The folders beneath `subset` that hold transcripts or FLAC files, sorted; hidden ones do not count."""
    found = []
    for folder, children, files in os.walk(subset, followlinks=True):
        children[:] = [child for child in children if not child.startswith(".")]
        if any(name.endswith((".trans.txt", ".flac")) for name in files):
            found.append(Path(folder))
    return sorted(found)


def check_chapter(folder: Path) -> Chapter:
    """Reads the transcripts of `folder` and decodes its FLAC files wholly."""
    result = Chapter()
    lines: dict[str, str] = {}
    for transcript in sorted(folder.glob("*.trans.txt")):
        _read_transcript(transcript, lines, result.problems)
    texts = set(lines) | {problem.utterance for problem in result.problems}
    sounds = {path.stem: path for path in folder.glob("*.flac") if not path.name.startswith(".")}
    for name, path in sorted(sounds.items()):
        if name not in texts:
            result.problems.append(Problem("audio without text", name, path))
    for name, line in lines.items():
        path = sounds.get(name)
        if path is None:
            result.problems.append(Problem("text without audio", name, folder / f"{name}.flac"))
            continue
        samples, problem = check_flac(path)
        if problem is None:
            result.good.append((line, samples))
        else:
            result.problems.append(problem)
    return result


def _read_transcript(transcript: Path, lines: dict[str, str], problems: list[Problem]) -> None:
    """Adds the lines of one .trans.txt to `lines` by utterance; what cannot be used goes to `problems`."""
    text = transcript.read_bytes().decode("utf-8", errors="replace")
    for line in filter(None, map(str.strip, text.splitlines())):
        name, *words = line.split()
        if not words:
            problems.append(Problem("empty transcript", name, transcript, name))
        elif "\ufffd" in line:
            problems.append(Problem("transcript that is not UTF-8", name, transcript, name))
        elif name in lines:
            problems.append(Problem("utterance with two transcripts", name, transcript, name))
        else:
            lines[name] = f"{name} {' '.join(words)}"
    for problem in problems:
        lines.pop(problem.utterance, None)


def check_flac(path: Path) -> tuple[int, Problem | None]:
    """Decodes one file from end to end.

    Returns:
        Number of samples, and what is wrong, or None.
    """
    import soundfile

    name = path.stem
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, promised = file.samplerate, file.channels, file.frames
            if rate != RATE:
                return 0, Problem("audio that is not 16 kHz", name, path, f"{rate} Hz")
            if channels != 1:
                return 0, Problem("audio that is not mono", name, path, f"{channels} channels")
            samples = file.read(dtype="int16")
            sixteen_bits = file.subtype == "PCM_16"
    except (soundfile.SoundFileError, OSError) as error:
        reason = "an empty file" if path.stat().st_size == 0 else str(error).strip().rstrip(".")
        return 0, Problem("audio that does not decode", name, path, reason)
    if len(samples) == 0:
        return 0, Problem("audio without samples", name, path)
    if len(samples) != promised:
        return 0, Problem("audio that does not decode", name, path, f"{len(samples)} of {promised} samples")
    with open(path, "rb") as file:
        head = file.read(42)
    # In STREAMINFO, FLAC's first block: the MD5 of the samples, or zeros where the encoder set none.
    checksum = head[26:42] if head[:4] == b"fLaC" and sixteen_bits else b""
    if any(checksum) and hashlib.md5(samples.tobytes()).digest() != checksum:
        return 0, Problem("audio that does not decode", name, path, "its samples do not match its checksum")
    return len(samples), None


def check_all(folders: list[Path], jobs: int) -> Iterator[Chapter]:
    """Checks every chapter folder, `jobs` at a time; yields results in the order of `folders`."""
    utterances = sum(1 for folder in folders for _ in folder.glob("*.flac"))
    if jobs == 1 or utterances < _FEW:
        yield from progress(map(check_chapter, folders), total=len(folders), what="chapters checked")
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["local.check_audio", "soundfile"])
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        results = pool.map(check_chapter, folders, chunksize=4)
        yield from progress(results, total=len(folders), what="chapters checked")
