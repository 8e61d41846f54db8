"""Stage 0's manifests: whole, as lhotse wants them, and refused or thinned by the stated rule."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import CutSet, load_manifest, validate_recordings_and_supervisions

from local.compute_fbank import compute_fbank
from local.mini.voices import SUBSETS
from local.prepare_corpus import main

REAL = Path(__file__).parents[3] / "shared" / "speech"


def _load(data: Path, subset: str):
    manifests = data / "manifests"
    recordings = load_manifest(manifests / f"librispeech_recordings_{subset}.jsonl.gz")
    supervisions = load_manifest(manifests / f"librispeech_supervisions_{subset}.jsonl.gz")
    validate_recordings_and_supervisions(recordings, supervisions, read_data=True)
    return recordings, supervisions


def _run(corpus: str, download: Path, data: Path, *more: str) -> None:
    main(["--corpus", corpus, "--download-dir", str(download), "--data-dir", str(data), "--nj", "1", *more])


def _refused(capsys, *arguments) -> str:
    with pytest.raises(SystemExit) as caught:
        _run(*arguments)
    error = capsys.readouterr().err
    assert caught.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1, error
    return error


TOY = ("--seed", "7", "--mini-scale", "0.01")  # as in conftest.py


def test_mini_becomes_manifests_and_a_table(toy, tmp_path, capsys):
    _run("mini", toy, tmp_path, *TOY)
    table = capsys.readouterr().out
    for subset in SUBSETS:
        recordings, supervisions = _load(tmp_path, subset)
        cuts = CutSet.from_manifests(recordings=recordings, supervisions=supervisions)
        assert len(cuts) == len(list((toy / subset).rglob("*.flac"))) > 0
        assert all(cut.sampling_rate == 16000 and cut.supervisions[0].text.isupper() for cut in cuts)
        row = next(line.split() for line in table.splitlines() if line.startswith(subset + " "))
        assert int(row[1]) == len({s.speaker for s in supervisions}) and int(row[2]) == len(supervisions)


def test_speakers_are_in_one_subset_only(toy, tmp_path):
    _run("mini", toy, tmp_path, *TOY)
    seen: dict[str, str] = {}
    for subset in SUBSETS:
        for supervision in _load(tmp_path, subset)[1]:
            assert seen.setdefault(supervision.speaker, subset) == subset


def test_bad_is_refused_in_one_line_and_nothing_written(bad, tmp_path, capsys):
    download, kind, path = bad
    error = _refused(capsys, "librispeech", download, tmp_path / "data")
    assert kind in error and path.stem in error and "--skip-bad 1" in error
    assert not (tmp_path / "data" / "manifests").exists()


def test_bad_is_left_out_and_named_when_asked(bad, tmp_path, capsys):
    download, kind, path = bad
    _run("librispeech", download, tmp_path / "data", "--skip-bad", "1")
    assert "1 utterances are bad and left out" in capsys.readouterr().out
    left_out = (tmp_path / "data" / "manifests" / "left_out.txt").read_text()
    assert left_out.count("\n") == 1 and left_out.startswith(path.stem) and kind in left_out
    recordings, supervisions = _load(tmp_path / "data", "train-clean-100")
    assert [s.id for s in supervisions] == ["1-10-0001"] == [r.id for r in recordings]


def test_a_subset_with_nothing_left_is_refused(libri, tmp_path, capsys):
    for path in (libri / "LibriSpeech" / "test-clean").rglob("*.flac"):
        path.write_bytes(b"")
    error = _refused(capsys, "librispeech", libri, tmp_path / "data", "--skip-bad", "1")
    assert "nothing is left" in error and "test-clean" in error
    for path in (libri / "LibriSpeech" / "test-clean" / "3" / "10").iterdir():
        path.unlink() if path.suffix == ".flac" else path.write_text("\n")
    assert "test-clean has no utterance" in _refused(capsys, "librispeech", libri, tmp_path / "data")


def test_one_name_in_two_subsets_is_refused(libri, tmp_path, capsys):
    root = libri / "LibriSpeech"
    (root / "dev-clean" / "1").symlink_to(root / "train-clean-100" / "1")
    assert "same name" in _refused(capsys, "librispeech", libri, tmp_path / "data")


def test_a_chapter_in_the_wrong_folder_is_refused(libri, tmp_path, capsys):
    reader = libri / "LibriSpeech" / "dev-clean" / "2"
    (reader / "10").rename(reader / "11")
    assert "folder of another name" in _refused(capsys, "librispeech", libri, tmp_path / "data")


def test_a_second_call_writes_nothing_and_a_changed_corpus_is_looked_at_again(libri, tmp_path, capsys):
    _run("librispeech", libri, tmp_path / "data")
    first = capsys.readouterr().out
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "manifests").iterdir()}
    _run("librispeech", libri, tmp_path / "data")
    assert capsys.readouterr().out == first
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "data" / "manifests").iterdir()}
    path = next((libri / "LibriSpeech" / "train-clean-100").rglob("*.flac"))
    path.write_bytes(path.read_bytes()[:100])
    assert "does not decode" in _refused(capsys, "librispeech", libri, tmp_path / "data")


def test_manifests_of_a_subset_that_is_gone_go_too(libri, tmp_path):
    root = libri / "LibriSpeech"
    extra = root / "test-other"
    (root / "test-clean").rename(extra)
    _run("librispeech", libri, tmp_path / "data")
    extra.rename(root / "test-clean")
    _run("librispeech", libri, tmp_path / "data")
    names = sorted(path.name for path in (tmp_path / "data" / "manifests").glob("librispeech_supervisions_*"))
    assert names == [
        f"librispeech_supervisions_{s}.jsonl.gz" for s in ("dev-clean", "test-clean", "train-clean-100")
    ]


def test_a_killed_call_is_done_again(libri, tmp_path):
    _run("librispeech", libri, tmp_path / "data")
    gone = tmp_path / "data" / "manifests" / "librispeech_recordings_dev-clean.jsonl.gz"
    gone.unlink()
    _run("librispeech", libri, tmp_path / "data")
    assert gone.is_file()


@pytest.mark.parametrize("ways", [("TURN ON\u2028THE LAMP", "\u2028"), ("TURN\x0bON THE\x0cLAMP", "\x0b"),
                                  ("ＴＵＲＮ ＯＮ ＴＨＥ ＬＡＭＰ", "Ｔ")])
def test_texts_are_written_in_the_one_form(libri, tmp_path, ways):
    said, odd = ways
    transcript = libri / "LibriSpeech" / "test-clean" / "3" / "10" / "3-10.trans.txt"
    transcript.write_text(f"\ufeff3-10-0000 {said}\r\n3-10-0001 CAFE\u0301", encoding="utf-8", newline="")
    assert odd in transcript.read_text(encoding="utf-8")
    _run("librispeech", libri, tmp_path / "data")
    assert [s.text for s in _load(tmp_path / "data", "test-clean")[1]] == ["TURN ON THE LAMP", "CAFÉ"]


def _noise(libri, name: str, value: float = 0.1) -> Path:
    path = libri / "noise" / name
    path.parent.mkdir(exist_ok=True)
    soundfile.write(path, np.r_[np.full(40000, 0.1), value], 16000, subtype="FLOAT")
    return path


def test_noise_is_in_a_manifest_of_its_own_and_goes_with_it(libri, tmp_path):
    _noise(libri, "rain.wav"), _noise(libri, ".tmp-wind.wav")  # left by a killed synthesis
    _run("librispeech", libri, tmp_path / "data")
    manifest = tmp_path / "data" / "manifests" / "noise_recordings.jsonl.gz"
    assert [recording.id for recording in load_manifest(manifest)] == ["noise-rain"]
    (libri / "noise" / "rain.wav").unlink()
    _run("librispeech", libri, tmp_path / "data")
    assert not manifest.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_noise_is_named_and_left_out_when_asked(libri, tmp_path, capsys, value):
    _noise(libri, "rain.wav")
    path = _noise(libri, "wind.wav", value)
    error = _refused(capsys, "librispeech", libri, tmp_path / "data")
    assert f"first: {path}: audio with a sample that is no number" in error
    _run("librispeech", libri, tmp_path / "data", "--skip-bad", "1")
    assert "1 utterances are bad and left out" in capsys.readouterr().out
    manifest = tmp_path / "data" / "manifests" / "noise_recordings.jsonl.gz"
    assert [recording.id for recording in load_manifest(manifest)] == ["noise-rain"]
    assert "noise-wind\t" in (manifest.parent / "left_out.txt").read_text()


def test_noise_of_one_name_and_noise_that_is_no_audio_are_bad(libri, tmp_path, capsys):
    path = _noise(libri, "rain.wav")
    (libri / "LibriSpeech" / "noise").mkdir()
    shutil.copy(path, libri / "LibriSpeech" / "noise")
    (libri / "noise" / "text.wav").write_text("text")
    error = _refused(capsys, "librispeech", libri, tmp_path / "data")
    assert "1 noise of the same name elsewhere" in error and "1 audio that does not decode" in error


@pytest.mark.parametrize("samples, value", [(153, 0.1), (8000, np.nan)])
def test_what_stage_0_lets_pass_or_leaves_out_stage_1_takes(libri, tmp_path, samples, value):
    """In training, where a copy at 1.1 times the speed is made."""
    path = libri / "LibriSpeech" / "train-clean-100" / "1" / "10" / "1-10-0000.flac"
    soundfile.write(path, np.r_[np.full(samples - 1, 0.1), value], 16000, format="WAV", subtype="FLOAT")
    _run("librispeech", libri, tmp_path / "data", "--skip-bad", "1")
    soundfile.write(path.with_name("1-10-0001.flac"), np.full(640, 0.1), 16000)  # the shortest that passes
    _run("librispeech", libri, tmp_path / "data", "--skip-bad", "1")
    compute_fbank(tmp_path / "data", nj=1)
    cuts = CutSet.from_file(tmp_path / "data" / "fbank" / "librispeech_cuts_train-clean-100.jsonl.gz")
    assert [cut.id for cut in cuts] == ["1-10-0001", "1-10-0001_sp0.9", "1-10-0001_sp1.1"]
    assert [cut.num_frames for cut in cuts] == [4, 4, 4]


def test_an_unknown_corpus_is_refused(libri, tmp_path, capsys):
    assert "mini_librispeech" in _refused(capsys, "timit", libri, tmp_path / "data")


@pytest.mark.parametrize("option, value", [
    ("--nj", "0"), ("--mini-scale", "0"), ("--mini-scale", "-1"), ("--mini-scale", "1000"), ("--mini-scale", "nan")])
def test_a_value_out_of_range_is_refused(option, value, tmp_path, capsys):
    assert f"{option} {value}" in _refused(capsys, "mini", tmp_path / "mini", tmp_path / "data", option, value)
    assert not (tmp_path / "mini").exists() and not (tmp_path / "data").exists()


def test_real_speech(tmp_path, capsys):
    if not (REAL / "LibriSpeech").is_dir():
        pytest.skip("real LibriSpeech speech (../shared/speech) is not here")
    _run("librispeech", REAL, tmp_path)
    table = capsys.readouterr().out
    training = REAL / "LibriSpeech" / "train-clean-100"  # how much of it lies here differs
    counts = [str(len(list(training.glob("*")))), str(len(list(training.rglob("*.flac"))))]
    assert ["train-clean-100", *counts] in [line.split()[:3] for line in table.splitlines()]
    recordings, supervisions = _load(tmp_path, "test-clean")
    assert len(supervisions) == 67 and len({s.speaker for s in supervisions}) == 20
    assert sum(r.duration for r in recordings) / 60 == pytest.approx(7.4, abs=0.1)
