"""What a corpus is to the recipe: the class that each file of local/corpora/ fills in. docs/corpora.md: an example."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator

from omni.errors import UserError

KINDS = ("train", "dev", "test")  # how the names of subsets begin; one of each is needed


@dataclass(frozen=True)
class Settings:
    """Options of run.sh that a corpus may want.

    Args:
        folder: --download-dir, where the corpus lies or is to lie.
        seed, mini_scale: of a synthetic corpus; 1.0 is its whole size.
        full_libri: LibriSpeech's 960 hours.
        nj: processes.
    """

    folder: Path
    seed: int = 42
    mini_scale: float = 1.0
    full_libri: bool = False
    nj: int = 2


@dataclass(frozen=True)
class Utterance:
    """One recording and what is said in it.

    Args:
        subset: such as "train-clean-100"; how it begins, train, dev or test, says what it is for.
        id: unique in the corpus.
        audio: a file of 16 kHz, one channel.
        text: as it is written in the corpus; stage 0 gives it the form that it needs.
        speaker: empty where it is not known.
        transcript: the file that the text is from, for messages.
    """

    subset: str
    id: str
    audio: Path
    text: str
    speaker: str = ""
    transcript: Path | None = None
    language: str = "English"


@dataclass(frozen=True)
class Problem:
    """Something wrong with a corpus.

    Args:
        kind: short and the same for all of a kind, such as "empty transcript".
        utterance: the id, which is left out with --skip-bad 1.
        file: the file to look at.
        detail: more about this one; may be empty.
        subset: where it belongs; empty for noise.
    """

    kind: str
    utterance: str
    file: Path
    detail: str = ""
    subset: str = ""

    def __str__(self) -> str:
        return f"{self.file}: {self.kind}" + (f" ({self.detail})" if self.detail else "")


class Corpus(ABC):
    """A corpus. Only `config` and `utterances` must be said; stage 0 checks every file and text, writes the manifests.

    Attributes:
        config: the configuration to train with unless --config gives another: a name in the recipe's conf/, or a .yaml
            file beside the corpus's own.
        options: the fields of Settings, beside `folder`, that change the data; stage 0 is done anew for others.
    """

    config: str
    options: tuple[str, ...] = ()

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.folder = settings.folder

    @classmethod
    def name(cls) -> str:
        """As for run.sh --corpus; that of its file."""
        return cls.__module__.rpartition(".")[2]

    def obtain(self) -> None:
        """Downloads or synthesises what `folder` lacks. This one only looks whether there is anything.

        Raises:
            UserError: it is not there.
        """
        if not self.folder.is_dir() or not any(self.folder.iterdir()):
            raise UserError(f"{self.folder} holds no {self.name()} corpus: give --download-dir the folder that does")

    @abstractmethod
    def utterances(self) -> Iterator[Utterance | Problem]:
        """Everything that is said in the corpus, and what is wrong with its lists; audio is not opened here."""

    def noise(self) -> list[Path]:
        """Recordings (16 kHz, one channel) to mix into training speech: noise/ in `folder` or its LibriSpeech/."""
        found = []
        for folder in (self.folder, self.folder / "LibriSpeech"):
            for pattern in ("**/[!.]*.flac", "**/[!.]*.wav"):  # not what a killed synthesis left: .tmp-*
                found += sorted((folder / "noise").glob(pattern))
        return found

    def files(self) -> Iterable[Path]:
        """Folders whose files decide the manifests."""
        return [self.folder]

    def fingerprint(self) -> str:
        """A digest that changes when a file beneath `files()` or a noise comes, goes, or changes in size or time."""
        digest = hashlib.sha256()
        for top in self.files():
            for folder, children, _ in os.walk(top, followlinks=True):
                children.sort()
                for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                    if entry.is_file() and entry.name != ".lock":
                        _add(digest, os.path.relpath(entry.path, top.parent), entry.stat())
        for path in self.noise():
            _add(digest, os.path.relpath(path, self.folder.parent), path.stat())
        return digest.hexdigest()


def _add(digest, name: str, state: os.stat_result) -> None:
    digest.update(f"{name}\0{state.st_size}\0{state.st_mtime_ns}\n".encode(errors="surrogateescape"))


def from_manifests(subset: str, recordings, supervisions) -> Iterator[Utterance]:
    """The utterances of lhotse's manifests, for a corpus that has a recipe there: lhotse.recipes.prepare_<corpus>().

    Raises:
        UserError: a recording is not one file, or a text is of a part of one.
    """
    by_id = {recording.id: recording for recording in recordings}
    for said in supervisions:
        recording = by_id.get(said.recording_id)
        if recording is None or len(recording.sources) != 1 or recording.sources[0].type != "file":
            raise UserError(f"{subset}: the recording {said.recording_id} of {said.id} is not one file")
        if said.start > 0 or abs(said.duration - recording.duration) > 0.01:
            raise UserError(f"{subset}: {said.id} is a part of {said.recording_id}; give each utterance its own file")
        yield Utterance(subset, said.id, Path(recording.sources[0].source), said.text or "", said.speaker or "",
                        language=said.language or "English")


def need_each_kind(subsets: Iterable[str], where: Path) -> None:
    """Raises UserError if no subset is for training, development or testing."""
    names = sorted(subsets)
    for kind in KINDS:
        if not any(name.startswith(kind) for name in names):
            raise UserError(
                f"{where} has {', '.join(names) or 'no subset'} but no {kind} set: one each of train*, dev* and test* "
                "is needed"
            )
