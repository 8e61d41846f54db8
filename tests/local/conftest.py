"""Corpora for the tests of stage 0."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import numpy as np
import pytest
import soundfile

TOY = {"seed": 7, "scale": 0.01}


@pytest.fixture(scope="session")
def toy(tmp_path_factory) -> Path:
    """A mini corpus of a few minutes, whole; not to be changed."""
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    from local.mini.build import build

    folder = tmp_path_factory.mktemp("toy") / "mini"
    build(folder, jobs=2, **TOY)
    return folder


@pytest.fixture
def libri(tmp_path) -> Path:
    """A folder whose LibriSpeech/ has train, dev and test sets of two short utterances each, by noise;
    free to change."""
    root = tmp_path / "download" / "LibriSpeech"
    for number, subset in enumerate(("train-clean-100", "dev-clean", "test-clean"), start=1):
        chapter = root / subset / f"{number}" / "10"
        chapter.mkdir(parents=True)
        lines = []
        for index in range(2):
            name = f"{number}-10-{index:04d}"
            samples = np.random.default_rng(index).uniform(-0.1, 0.1, 8000 + 100 * index)
            soundfile.write(chapter / f"{name}.flac", samples, 16000)
            lines.append(f"{name} TURN ON THE LAMP\n")
        (chapter / f"{number}-10.trans.txt").write_text("".join(lines))
    return root.parent


def _rewrite(path: Path, rate: int = 16000, channels: int = 1) -> None:
    soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, (8000, channels)), rate)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(content)


def _float(path: Path, value: float, samples: int = 8000) -> None:
    sound = np.full(samples, 0.1)
    sound[-1] = value
    soundfile.write(path, sound, 16000, format="WAV", subtype="FLOAT")  # whatever its name says


def _text(path: Path, line: str) -> None:
    transcript = path.with_name("1-10.trans.txt")
    lines = transcript.read_text().splitlines()
    lines[0] = line
    transcript.write_text("\n".join(filter(None, lines)) + "\n", encoding="latin-1" if "\xc9" in line else "utf-8")


# kind as it is named to the user -> what makes the first utterance of train-clean-100 so
BAD: dict[str, list[Callable[[Path], None]]] = {
    "audio that does not decode": [_truncate, _flip, lambda path: path.write_bytes(b""),
                                   lambda path: path.write_bytes(b"<html>not found</html>")],
    "audio that is not 16 kHz": [lambda path: _rewrite(path, rate=8000)],
    "audio that is not mono": [lambda path: _rewrite(path, channels=2)],
    "audio shorter than 40 ms": [lambda path: _float(path, 0.1, 1), lambda path: _float(path, 0.1, 153)],
    "audio with a sample that is no number or out of range": [
        lambda path: _float(path, np.nan), lambda path: _float(path, -np.inf), lambda path: _float(path, 1e20)],
    "empty transcript": [lambda path: _text(path, path.stem), lambda path: _text(path, path.stem + "   "),
                         lambda path: _text(path, path.stem + " \u200b")],
    "transcript that is not UTF-8": [lambda path: _text(path, path.stem + " CAF\xc9")],
    "transcript with a reserved symbol": [lambda path: _text(path, path.stem + " GO <blk> ON")],
    "text without audio": [lambda path: path.unlink()],
    "audio without text": [lambda path: _text(path, "")],
    "utterance with two transcripts": [lambda path: _text(path, f"{path.stem} ONE\n{path.stem} TWO")],
}  # fmt: skip


@pytest.fixture(params=[(kind, spoil) for kind, ways in BAD.items() for spoil in ways],
                ids=[f"{kind} {n}" for kind, ways in BAD.items() for n in range(len(ways))])  # fmt: skip
def bad(request, libri) -> tuple[Path, str, Path]:
    """`libri` with one bad utterance: its folder, the kind, and the file of the utterance."""
    kind, spoil = request.param
    path = libri / "LibriSpeech" / "train-clean-100" / "1" / "10" / "1-10-0000.flac"
    spoil(path)
    return libri, kind, path
