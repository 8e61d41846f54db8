"""Sound for the page: whole files as they are, parts through lhotse, and a reason where there is none."""

import gzip
import io
import json

import numpy as np
import pytest
import soundfile

from egs.librispeech.omni_sparsity.report import audio
from egs.librispeech.omni_sparsity.report.worst import Case

SET = "test-clean"
IDS = ["100-0-0000-0", "101-0-0001-0", "102-0-0002-0"]


@pytest.fixture
def corpus(tmp_path, make):
    """(data_dir, folder of FLACs) with IDS[i] at 200 + 5 i Hz."""
    _, data_dir = make.experiment(tmp_path, utterances=3, sets=(SET,), sparsities=(0.5,))
    return data_dir, tmp_path / "download" / SET


def _clips(data_dir, **options):
    found = audio.clips([Case(SET, cut_id) for cut_id in IDS], data_dir, **options)
    return [found[SET, cut_id] for cut_id in IDS]


def _cuts(data_dir):
    return data_dir / "fbank" / f"librispeech_cuts_{SET}.jsonl.gz"


def _change_first(data_dir, change):
    with gzip.open(_cuts(data_dir), "rt") as lines:
        cuts = [json.loads(line) for line in lines]
    change(cuts[0])
    with gzip.open(_cuts(data_dir), "wt") as out:
        out.writelines(json.dumps(cut) + "\n" for cut in cuts)


def test_a_whole_recording_is_its_file(corpus):
    data_dir, folder = corpus
    for cut_id, clip in zip(IDS, _clips(data_dir), strict=True):
        assert clip == audio.Clip((folder / f"{cut_id}.flac").read_bytes(), "audio/flac")


def test_a_part_of_a_recording_is_cut_out(corpus):
    data_dir, folder = corpus
    _change_first(data_dir, lambda cut: cut.update(start=0.05, duration=0.05))
    clip = _clips(data_dir)[0]
    samples, rate = soundfile.read(io.BytesIO(clip.data))
    whole, _ = soundfile.read(folder / f"{IDS[0]}.flac")
    assert clip.kind == "audio/flac" and rate == 16000
    np.testing.assert_allclose(samples, whole[800:], atol=1e-4)


def test_cuts_written_by_lhotse_are_read(tmp_path, corpus):
    """The fabricated cuts above would prove little if lhotse wrote others."""
    lhotse = pytest.importorskip("lhotse")
    data_dir, folder = corpus
    cuts = [lhotse.Recording.from_file(folder / f"{cut_id}.flac").to_cut().with_id(cut_id) for cut_id in IDS]
    lhotse.CutSet.from_cuts(cuts).to_file(_cuts(data_dir))
    assert [clip.data for clip in _clips(data_dir)] == [
        (folder / f"{cut_id}.flac").read_bytes() for cut_id in IDS
    ]


@pytest.mark.parametrize(
    "damage, reason",
    [
        (lambda data_dir, folder: _cuts(data_dir).unlink(), f"librispeech_cuts_{SET}.jsonl.gz is missing"),
        (lambda data_dir, folder: _cuts(data_dir).write_bytes(b"x"), "jsonl.gz cannot be read"),
        (lambda data_dir, folder: (folder / f"{IDS[0]}.flac").unlink(), f"{IDS[0]}.flac is missing"),
        (lambda data_dir, folder: (folder / f"{IDS[0]}.flac").write_bytes(b""), f"{IDS[0]}.flac is empty"),
        (
            lambda data_dir, folder: _change_first(data_dir, lambda c: c.update(id="x")),
            "not in librispeech_cuts",
        ),
        (lambda data_dir, folder: _change_first(data_dir, lambda c: c.pop("recording")), "no recording"),
    ],
)
def test_what_is_missing_is_said(corpus, damage, reason):
    damage(*corpus)
    clip = _clips(corpus[0])[0]
    assert not clip.data and reason in clip.missing
    assert str(corpus[0].parent) not in clip.missing  # no path of this machine in a page that is passed on


def test_a_damaged_part_is_said(corpus):
    data_dir, folder = corpus
    (folder / f"{IDS[0]}.flac").write_bytes(b"fLaC but no more")
    _change_first(data_dir, lambda cut: cut.update(start=0.05, duration=0.05))
    assert "cannot be read" in _clips(data_dir)[0].missing


def test_over_the_budget_all_become_mp3_and_then_the_last_are_left_out(corpus):
    if "MP3" not in soundfile.available_formats():
        pytest.skip("this libsndfile knows no MP3")
    data_dir, folder = corpus
    noise = np.random.default_rng(0).normal(0, 0.1, 16000)  # noise hardly compresses as FLAC
    for cut_id in IDS:
        soundfile.write(folder / f"{cut_id}.flac", noise, 16000, subtype="PCM_16")
    small = _clips(data_dir, budget=30_000)
    assert [clip.kind for clip in small] == ["audio/mpeg"] * 3
    assert sum(len(clip.data) for clip in small) <= 30_000
    assert soundfile.read(io.BytesIO(small[0].data))[1] == 16000
    few = _clips(data_dir, budget=2 * len(small[0].data))
    assert [bool(clip.data) for clip in few] == [True, True, False]
    assert "left out" in few[2].missing
    assert _clips(data_dir, budget=30_000) == small
