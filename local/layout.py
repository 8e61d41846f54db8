"""A corpus in LibriSpeech's layout: <subset>/<speaker>/<chapter>/ with .flac files and a .trans.txt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

from local import text
from local.corpus import KINDS, Corpus, Problem, Utterance, need_each_kind
from omni.errors import UserError


class LibriSpeechLayout(Corpus):
    """The subsets lie in the folder itself or in its child LibriSpeech/."""

    def subsets(self) -> list[Path]:
        """The folders of the subsets, sorted by name; at least one each of train, dev and test.

        Raises:
            UserError: the folder is no LibriSpeech, or lacks a set.
        """
        found = find_subsets(self.folder)
        if not found:
            raise UserError(
                f"{self.folder} is not in LibriSpeech layout: neither it nor its LibriSpeech/ has a folder "
                "such as train-clean-100/<speaker>/<chapter>/ with .flac and .trans.txt files; give "
                "--download-dir the right one"
            )
        need_each_kind((path.name for path in found), found[0].parent)
        return found

    def files(self) -> list[Path]:
        return self.subsets()

    def utterances(self) -> Iterator[Utterance | Problem]:
        for subset in self.subsets():
            empty = True
            for folder in chapters(subset):
                for item in read_chapter(subset, folder):
                    empty = False
                    yield item
            if empty:
                raise UserError(f"{subset} has no utterance: its transcripts are empty")


def find_subsets(folder: Path) -> list[Path]:
    """The subsets (train*, dev*, test* with speaker/chapter/ beneath) of `folder` or its child LibriSpeech/."""
    for root in (folder, folder / "LibriSpeech"):
        if root.is_dir():
            named = (path for path in sorted(root.iterdir()) if path.name.startswith(KINDS))
            subsets = [path for path in named if _is_subset(path)]
            if subsets:
                return subsets
    return []


def _is_subset(path: Path) -> bool:
    if not path.is_dir():
        return False
    return any(next(path.glob(f"*/*/{pattern}"), None) for pattern in ("*.trans.txt", "*.flac"))


def chapters(subset: Path) -> list[Path]:
    """The folders beneath `subset` that hold transcripts or FLAC files, sorted; hidden ones do not count."""
    found = []
    for folder, children, files in os.walk(subset, followlinks=True):
        children[:] = [child for child in children if not child.startswith(".")]
        if any(name.endswith((".trans.txt", ".flac")) for name in files):
            found.append(Path(folder))
    return sorted(found)


def read_chapter(subset: Path, folder: Path) -> Iterator[Utterance | Problem]:
    """The utterances of `folder` in the order of their transcripts; what has only a text, only a sound, or two
    texts."""
    said: dict[str, tuple[str, Path]] = {}
    twice: dict[str, Path] = {}
    for transcript in sorted(folder.glob("*.trans.txt")):
        for line in text.lines(text.read(transcript)):
            if not line.strip():
                continue
            name, *words = line.split(maxsplit=1)
            if name in said:
                twice[name] = transcript
            said[name] = (words[0] if words else "", transcript)
    sounds = {path.stem: path for path in folder.glob("*.flac") if not path.name.startswith(".")}

    def problem(kind: str, name: str, file: Path, detail: str = "") -> Problem:
        return Problem(kind, name, file, detail, subset.name)

    for name, transcript in twice.items():
        yield problem("utterance with two transcripts", name, transcript, name)
    for name in sorted(sounds.keys() - said.keys()):
        yield problem("audio without text", name, sounds[name])
    for name, (words, transcript) in said.items():
        if name in twice:
            continue
        if name not in sounds:
            yield problem("text without audio", name, folder / f"{name}.flac")
        elif subset.joinpath(*name.split("-")[:-1]) != folder:  # where other tools look for the sound of a-b-c
            yield problem("utterance in a folder of another name", name, sounds[name])
        else:
            yield Utterance(subset.name, name, sounds[name], words, name.partition("-")[0], transcript)
