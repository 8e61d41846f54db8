"""Every kind of bad corpus is seen, and nothing else is."""

from __future__ import annotations

from local.check_audio import chapters, check_all, check_chapter, check_flac


def test_a_sound_corpus_has_no_problem(libri):
    folders = chapters(libri / "LibriSpeech" / "train-clean-100")
    assert [folder.name for folder in folders] == ["10"]
    chapter = check_chapter(folders[0])
    assert not chapter.problems
    assert chapter.good == [("1-10-0000 TURN ON THE LAMP", 8000), ("1-10-0001 TURN ON THE LAMP", 8100)]


def test_each_kind_is_named_with_its_file_and_the_rest_is_kept(bad):
    _, kind, path = bad
    chapter = check_chapter(path.parent)
    assert [problem.kind for problem in chapter.problems][:1] == [kind]
    problem = chapter.problems[0]
    assert problem.utterance == path.stem and path.stem in str(problem)
    assert problem.file in (path, path.with_name("1-10.trans.txt"))
    assert [line.split()[0] for line, _ in chapter.good] == ["1-10-0001"]


def test_a_checksum_that_does_not_match_is_seen(libri):
    """A FLAC that decodes without complaint, to other samples than were encoded."""
    path = libri / "LibriSpeech" / "dev-clean" / "2" / "10" / "2-10-0000.flac"
    content = bytearray(path.read_bytes())
    content[30] ^= 1  # within the MD5 of STREAMINFO
    path.write_bytes(content)
    samples, problem = check_flac(path)
    assert samples == 0 and "checksum" in str(problem)
    content[26:42] = bytes(16)  # an encoder that set none
    path.write_bytes(content)
    assert check_flac(path) == (8000, None)


def test_transcripts_with_windows_endings_and_blank_lines_are_read(libri):
    folder = libri / "LibriSpeech" / "dev-clean" / "2" / "10"
    folder.joinpath("2-10.trans.txt").write_bytes(b"2-10-0000  STOP\r\n\r\n2-10-0001 GO  ON\r\n")
    chapter = check_chapter(folder)
    assert not chapter.problems
    assert [line for line, _ in chapter.good] == ["2-10-0000 STOP", "2-10-0001 GO ON"]


def test_a_transcript_that_is_not_utf8_is_named(libri):
    folder = libri / "LibriSpeech" / "dev-clean" / "2" / "10"
    folder.joinpath("2-10.trans.txt").write_bytes(b"2-10-0000 CAF\xc9\n2-10-0001 TEA\n")
    chapter = check_chapter(folder)
    assert [problem.kind for problem in chapter.problems] == ["transcript that is not UTF-8"]
    assert len(chapter.good) == 1


def test_hidden_folders_are_passed_over(libri):
    subset = libri / "LibriSpeech" / "dev-clean"
    (subset / "2").rename(subset / ".tmp-2")
    assert chapters(subset) == []


def test_processes_find_what_one_finds(libri, monkeypatch):
    import local.check_audio as module

    folders = [folder for subset in sorted((libri / "LibriSpeech").iterdir()) for folder in chapters(subset)]
    alone = list(check_all(folders, jobs=1))
    monkeypatch.setattr(module, "_FEW", 0)
    assert list(check_all(folders, jobs=2)) == alone and len(alone) == 3
