"""The mini corpus as it comes out: layout, lengths, and the same bytes however it was made."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.mini.build import build
from local.mini.designs import DESIGNS
from local.mini.grammar import words
from local.mini.voices import SUBSETS
from omni.errors import UserError

ROOT = Path(__file__).parents[3]
TOY = {"seed": 7, "scale": 0.01}  # as in conftest.py


def _bytes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _transcripts(folder: Path) -> dict[str, str]:
    lines = (line for path in folder.rglob("*.trans.txt") for line in path.read_text().splitlines())
    return dict(line.split(maxsplit=1) for line in lines)


@pytest.fixture(scope="module")
def expected(toy) -> dict[str, str]:
    return _bytes(toy)


def test_layout_is_that_of_librispeech(toy):
    for subset in SUBSETS:
        assert len(list((toy / subset).iterdir())) >= 2
        for transcript in (toy / subset).rglob("*.trans.txt"):
            reader, chapter = transcript.parent.parent.name, transcript.parent.name
            assert transcript.name == f"{reader}-{chapter}.trans.txt"
            names = [line.split()[0] for line in transcript.read_text().splitlines()]
            assert names == [f"{reader}-{chapter}-{number:04d}" for number in range(len(names))]
            assert sorted(path.stem for path in transcript.parent.glob("*.flac")) == names
        assert len(list((toy / subset).glob("*/*/*.flac"))) >= 3


def test_utterances_last_1_to_6_seconds_and_do_not_clip(toy):
    for path in toy.glob("*-*/*/*/*.flac"):
        samples, rate = soundfile.read(path)
        assert rate == 16000 and samples.ndim == 1
        assert 1.0 <= len(samples) / rate <= 6.0
        assert 0.01 < np.abs(samples).max() < 0.99


def test_clean_speech_starts_and_ends_with_a_moment_of_near_silence(toy):
    for path in toy.glob("*-clean/*/*/*.flac"):
        samples, rate = soundfile.read(path)
        loud = np.abs(samples).max()
        for edge in (samples[: rate // 10], samples[-rate // 10 :]):
            assert np.sqrt(np.mean(edge**2)) < loud / 50
        inside = samples[int(0.2 * rate) : int(0.3 * rate)]
        assert np.sqrt(np.mean(inside**2)) > 0.0001


def test_other_sets_are_noisier(toy):
    def quietest(subset: str) -> float:
        floors = []
        for path in (toy / subset).rglob("*.flac"):
            samples, _ = soundfile.read(path)
            power = np.square(samples[: len(samples) // 160 * 160]).reshape(-1, 160).mean(axis=1)
            floors.append(10 * np.log10(np.percentile(power, 5) / power.max()))
        return float(np.mean(floors))

    assert quietest("test-other") > quietest("test-clean") + 10
    assert quietest("dev-other") > quietest("dev-clean") + 10


def test_texts_are_of_the_grammar_and_no_test_sentence_is_trained_on(toy):
    spoken = {subset: set(_transcripts(toy / subset).values()) for subset in SUBSETS}
    assert {word for texts in spoken.values() for text in texts for word in text.split()} <= words()
    evaluated = set.union(*(spoken[subset] for subset in SUBSETS if subset != "train-clean"))
    assert evaluated and not evaluated & spoken["train-clean"]


def test_noise_for_training(toy):
    recordings = list((toy / "noise").glob("*.flac"))
    assert len(recordings) >= 5
    for path in recordings:
        samples, rate = soundfile.read(path)
        assert rate == 16000 and len(samples) >= 10 * rate and np.abs(samples).max() < 0.99


def test_number_of_processes_changes_no_byte(toy, expected, tmp_path):
    build(tmp_path, jobs=1, **TOY)
    assert _bytes(tmp_path) == expected


def test_a_second_call_makes_nothing(toy, expected):
    assert build(toy, jobs=2, **TOY) == 0
    assert _bytes(toy) == expected


def test_goes_on_after_kill_9(expected, tmp_path):
    folder = tmp_path / "mini"
    command = [sys.executable, "-m", "local.prepare_corpus", "--download-dir", str(folder), "--nj", "2"]
    command += ["--data-dir", str(tmp_path / "data"), "--seed", str(TOY["seed"]), "--mini-scale", str(TOY["scale"])]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(folder.glob("train-clean/[0-9]*")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "SPEAKERS.TXT").exists()
    left = folder / "test-other" / ".tmp-5001-99999"  # what a killed process leaves
    left.mkdir(parents=True)
    assert build(folder, jobs=2, **TOY) > 0
    assert _bytes(folder) == expected and not left.exists()


def test_another_seed_scale_or_version_is_refused(toy, monkeypatch):
    for other in ({"seed": 8, "scale": 0.01}, {"seed": 7, "scale": 0.02}):
        with pytest.raises(UserError, match="give another --download-dir"):
            build(toy, jobs=1, **other)
    newer = dataclasses.replace(DESIGNS["mini"], version=DESIGNS["mini"].version + 1)
    monkeypatch.setitem(DESIGNS, "mini", newer)
    with pytest.raises(UserError, match="give another --download-dir"):
        build(toy, jobs=1, **TOY)


def test_a_folder_with_another_corpus_is_left_alone(libri):
    before = _bytes(libri)
    with pytest.raises(UserError, match="not ours"):
        build(libri, jobs=1, **TOY)
    assert _bytes(libri) == before


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    import errno

    from local.mini import build as module

    monkeypatch.setattr(module, "_missing", lambda *_: ([], [("x", _no_space, (tmp_path / "x",))]))
    with pytest.raises(OSError) as caught:
        build(tmp_path / "mini", jobs=1, **TOY)
    assert caught.value.errno == errno.ENOSPC


def _no_space(target: Path) -> None:
    raise OSError(28, "No space left on device", str(target))
