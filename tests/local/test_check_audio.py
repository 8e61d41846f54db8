"""Every kind of file that a later stage could not take is seen, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from local.check_audio import LOUDEST, SHORTEST, check_all, check_audio


def _write(path: Path, samples, subtype: str = "FLOAT", rate: int = 16000) -> Path:
    soundfile.write(path, np.asarray(samples), rate, format="WAV", subtype=subtype)  # whatever the name says
    return path


def test_a_sound_file_has_no_fault(libri):
    assert [check_audio(path) for path in (libri / "LibriSpeech").rglob("*.flac")] == [None] * 6


def test_each_kind_is_named(bad):
    _, kind, path = bad
    fault = check_audio(path)
    assert (fault[0] if fault else None) == (kind if kind.startswith("audio") and kind != "audio without text" else
                                             "audio that does not decode" if kind == "text without audio" else None)


def test_a_checksum_that_does_not_match_is_seen(libri):
    """A FLAC that decodes without complaint, to other samples than were encoded."""
    path = libri / "LibriSpeech" / "dev-clean" / "2" / "10" / "2-10-0000.flac"
    content = bytearray(path.read_bytes())
    content[30] ^= 1  # within the MD5 of STREAMINFO
    path.write_bytes(content)
    assert check_audio(path) == ("audio that does not decode", "its samples do not match its checksum")
    content[26:42] = bytes(16)  # an encoder that set none
    path.write_bytes(content)
    assert check_audio(path) is None


@pytest.mark.parametrize("samples", [0, 1, 40, 79, 80, 139, 140, 153, SHORTEST - 1])
def test_what_is_too_short_is_seen(tmp_path, samples):
    kind, detail = check_audio(_write(tmp_path / "a.flac", np.full(samples, 0.1)))
    assert kind == ("audio shorter than 40 ms" if samples else "audio without samples")
    assert detail == (f"{samples} samples" if samples else "")


def test_the_shortest_passes_and_gives_features_and_an_encoder_frame_at_every_speed(tmp_path):
    from lhotse import Recording

    from egs.librispeech.omni_sparsity.data.fbank import load_samples, make_extractor

    path = _write(tmp_path / "a.wav", np.full(SHORTEST, 0.1), "PCM_16")
    assert check_audio(path) is None
    for speed in (0.9, 1.0, 1.1):
        cut = Recording.from_file(path).to_cut().perturb_speed(speed)
        features = make_extractor("lhotse").extract(load_samples(cut), 16000)
        assert len(features) >= 4 and np.isfinite(features).all()


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e300])
def test_a_sample_that_is_no_number_or_out_of_range_is_seen(tmp_path, subtype, value):
    samples = np.full(16000, 0.1)
    samples[100] = value if subtype == "DOUBLE" or abs(value) != 1e300 else np.inf
    kind, detail = check_audio(_write(tmp_path / "a.wav", samples, subtype))
    assert kind == "audio with a sample that is no number or out of range" and detail == "sample 100"


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_every_usual_format_passes(tmp_path, subtype):
    assert check_audio(_write(tmp_path / "a.wav", np.full(16000, 0.999), subtype)) is None
    if subtype in ("FLOAT", "DOUBLE"):  # scaled as 16-bit numbers: features can take it
        assert check_audio(_write(tmp_path / "b.wav", np.full(16000, 32768.0), subtype)) is None and LOUDEST > 32768


def test_processes_find_what_one_finds(libri, monkeypatch):
    import local.check_audio as module

    paths = sorted((libri / "LibriSpeech").rglob("*.flac"))
    paths[2].write_bytes(b"")
    alone = list(check_all(paths, jobs=1))
    monkeypatch.setattr(module, "_FEW", 0)
    assert list(check_all(paths, jobs=2)) == alone
    assert [place for place, fault in enumerate(alone) if fault] == [2]
