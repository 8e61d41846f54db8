"""A corpus in LibriSpeech's layout: which folders count, and what its lists say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from local.corpora.librispeech import LibriSpeech
from local.corpus import Problem, Settings, Utterance
from local.layout import chapters, find_subsets, read_chapter
from omni.errors import UserError


def _names(subsets: list[Path]) -> list[str]:
    return [path.name for path in subsets]


def _subsets(folder: Path, full_libri: bool = False) -> list[Path]:
    return LibriSpeech(Settings(folder, full_libri=full_libri)).subsets()


def test_either_the_folder_or_its_child_holds_the_subsets(libri):
    expected = ["dev-clean", "test-clean", "train-clean-100"]
    assert _names(find_subsets(libri)) == _names(find_subsets(libri / "LibriSpeech")) == expected
    assert _names(_subsets(libri)) == expected  # a partial corpus


def test_what_is_no_subset_is_passed_over(libri):
    (libri / "LibriSpeech" / "test-empty").mkdir()
    (libri / "LibriSpeech" / "noise").mkdir()
    (libri / "LibriSpeech" / "train.txt").write_text("")
    assert len(find_subsets(libri)) == 3


@pytest.mark.parametrize("kind", ["train", "dev", "test"])
def test_a_corpus_without_a_set_is_refused(libri, kind):
    (gone,) = (libri / "LibriSpeech").glob(f"{kind}*")
    gone.rename(libri / "elsewhere")
    with pytest.raises(UserError, match=f"no {kind} set"):
        _subsets(libri)


@pytest.mark.parametrize("make", [lambda d: (d / "x").mkdir(parents=True), lambda d: d.write_text("a file")])
def test_what_is_not_librispeech_is_refused(tmp_path, make):
    make(tmp_path / "d")
    with pytest.raises(UserError, match="not in LibriSpeech layout"):
        _subsets(tmp_path / "d")


def test_100_hours_are_taken_of_960_unless_asked(libri):
    root = libri / "LibriSpeech"
    (root / "train-clean-360").symlink_to(root / "train-clean-100")
    assert "train-clean-360" not in _names(_subsets(libri))
    assert "train-clean-360" in _names(_subsets(libri, full_libri=True))
    (root / "train-clean-100").rename(root / "train-other-500")
    (root / "train-clean-360").unlink()
    assert "train-other-500" in _names(_subsets(libri))


def test_fingerprint_sees_every_change(libri):
    corpus = LibriSpeech(Settings(libri))
    seen = {corpus.fingerprint()}
    assert seen == {corpus.fingerprint()}
    file = next((libri / "LibriSpeech" / "test-clean").rglob("*.flac"))
    file.write_bytes(file.read_bytes()[:-1])
    seen.add(corpus.fingerprint())
    file.unlink()
    seen.add(corpus.fingerprint())
    (libri / "noise").mkdir()
    (libri / "noise" / "a.wav").write_bytes(b"1")
    seen.add(corpus.fingerprint())
    assert len(seen) == 4


def test_hidden_folders_are_passed_over(libri):
    subset = libri / "LibriSpeech" / "dev-clean"
    assert [folder.name for folder in chapters(subset)] == ["10"]
    (subset / "2").rename(subset / ".tmp-2")
    assert chapters(subset) == []


def _read(libri: Path, content: bytes) -> list[Utterance | Problem]:
    folder = libri / "LibriSpeech" / "dev-clean" / "2" / "10"
    (folder / "2-10.trans.txt").write_bytes(content)
    return list(read_chapter(folder.parents[1], folder))


def _texts(items) -> list[str]:
    assert all(isinstance(item, Utterance) for item in items), items
    return [item.text for item in items]


def test_an_utterance_says_where_it_is_from(libri):
    first, _ = _read(libri, b"2-10-0000 STOP\n2-10-0001 GO ON\n")
    folder = libri / "LibriSpeech" / "dev-clean" / "2" / "10"
    audio, transcript = folder / "2-10-0000.flac", folder / "2-10.trans.txt"
    assert first == Utterance("dev-clean", "2-10-0000", audio, "STOP", "2", transcript)


@pytest.mark.parametrize("content", [
    b"2-10-0000  STOP\r\n\r\n2-10-0001 GO  ON\r\n",  # Windows
    b"2-10-0000  STOP\r2-10-0001 GO  ON\r",  # old Macs
    b"\xef\xbb\xbf2-10-0000  STOP\n2-10-0001 GO  ON",  # a mark, no line end
    b"2-10-0000\tSTOP\n\xef\xbb\xbf2-10-0001 GO  ON\n",  # two files put together
    "2-10-0000  STOP\r\n2-10-0001 GO  ON\r\n".encode("utf-16"),
])
def test_transcripts_as_other_systems_write_them_are_read(libri, content):
    assert [words.split() for words in _texts(_read(libri, content))] == [["STOP"], ["GO", "ON"]]


@pytest.mark.parametrize("blank", ["\u2028", "\u2029", "\u0085", "\v", "\f", "\x1c", "\x1d", "\x1e", "\u00a0"])
def test_what_python_takes_for_a_line_end_is_a_blank(libri, blank):
    items = _read(libri, f"2-10-0000 GO{blank} ON{blank}AND ON\n2-10-0001 STOP\n".encode())
    assert [words.split() for words in _texts(items)] == [["GO", "ON", "AND", "ON"], ["STOP"]]


def test_what_the_lists_have_wrong_is_a_problem_and_the_rest_is_there(libri):
    items = _read(libri, b"2-10-0001 ONE\n2-10-0007 GONE\n2-10-0008 A\n2-10-0008 B\n")
    folder = libri / "LibriSpeech" / "dev-clean" / "2" / "10"
    found = [item if isinstance(item, Utterance) else (item.kind, item.utterance, item.file.name) for item in items]
    assert found[:2] == [
        ("utterance with two transcripts", "2-10-0008", "2-10.trans.txt"),
        ("audio without text", "2-10-0000", "2-10-0000.flac"),
    ]
    assert dataclasses.astuple(found[2])[1] == "2-10-0001"
    assert found[3:] == [("text without audio", "2-10-0007", "2-10-0007.flac")]
