"""Where noise comes from, and what it is like."""

import numpy as np
import pytest
import soundfile
from lhotse import Recording, RecordingSet

from local.fbank_noise import COLOURS, coloured_noise, generate, noise_to_store, windows
from omni.errors import UserError


def _write(path, seconds, rate=16000, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


def _slope(noise: np.ndarray, low: float, high: float) -> float:
    """dB an octave between two frequencies, from power averaged over half an octave around each."""
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / 16000)
    at = [power[(frequency > f / 1.2) & (frequency < f * 1.2)].mean() for f in (low, high)]
    return 10 * np.log10(at[1] / at[0]) / np.log2(high / low)


@pytest.mark.parametrize("colour, expected", [("white", 0), ("pink", -3), ("brown", -6), ("speech", -9)])
def test_colours_fall_as_their_names_say(colour, expected):
    noise = coloured_noise(colour, 20, seed=1)
    assert noise.shape == (320000,) and noise.dtype == np.float32
    assert np.abs(noise).max() == pytest.approx(0.5)
    assert _slope(noise, 1000, 4000) == pytest.approx(expected, abs=0.7)


def test_same_seed_same_noise():
    assert np.array_equal(coloured_noise("pink", 1, seed=3), coloured_noise("pink", 1, seed=3))
    assert not np.array_equal(coloured_noise("pink", 1, seed=3), coloured_noise("pink", 1, seed=4))


def test_generated_files_are_the_same_bytes_each_time(tmp_path):
    first, second = generate(tmp_path / "a"), generate(tmp_path / "b")
    assert [path.stem for path in first] == list(COLOURS)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert len({path.read_bytes() for path in first}) == len(COLOURS)


def test_windows_are_ten_seconds_and_a_short_rest_is_told(tmp_path, caplog):
    caplog.set_level("INFO")
    recordings = [
        Recording.from_file(_write(tmp_path / f"{name}.wav", seconds), recording_id=name)
        for name, seconds in (("a", 21.5), ("b", 13.0), ("c", 4.0))
    ]
    cuts = windows(recordings)
    assert [(cut.id, cut.duration) for cut in cuts] == [
        ("a-0", 10.0), ("a-1", 10.0), ("b-0", 10.0), ("b-1", 3.0), ("c-0", 4.0),
    ]
    assert "1.5 s in all" in caplog.text
    with pytest.raises(UserError, match="no recording of at least 2 s"):
        windows([Recording.from_file(_write(tmp_path / "d.wav", 1.0))])


def _manifest(data_dir, name, files):
    manifests = data_dir / "manifests"
    manifests.mkdir(parents=True, exist_ok=True)
    recordings = [Recording.from_file(path, recording_id=f"noise-{path.stem}") for path in files]
    RecordingSet.from_recordings(recordings).to_file(manifests / name)


def test_noise_of_the_corpus_is_taken_in_its_order(tmp_path):
    files = [_write(tmp_path / "street.flac", 12.0), _write(tmp_path / "rain.wav", 5.0)]
    _manifest(tmp_path / "data", "noise_recordings.jsonl.gz", files)
    wanted = noise_to_store(tmp_path / "data")
    assert [cut.id for cut in wanted.cuts()] == ["noise-street-0", "noise-street-1", "noise-rain-0"]
    assert not (tmp_path / "data" / "noise").exists()


def test_musan_manifests_are_taken(tmp_path):
    manifests = tmp_path / "data" / "manifests"
    manifests.mkdir(parents=True)
    files = [_write(tmp_path / f"{name}.wav", 10.0) for name in ("music-1", "music-0")]
    recordings = [Recording.from_file(path) for path in files]
    RecordingSet.from_recordings(recordings).to_file(manifests / "musan_recordings_music.jsonl.gz")
    wanted = noise_to_store(tmp_path / "data")
    assert [cut.id for cut in wanted.cuts()] == ["music-0-0", "music-1-0"]


def test_without_any_noise_four_minutes_are_generated(tmp_path):
    wanted = noise_to_store(tmp_path / "data")
    assert not (tmp_path / "data").exists()  # asking costs nothing
    cuts = wanted.cuts()
    assert sum(cut.duration for cut in cuts) == 240
    assert {cut.recording.id for cut in cuts} == {f"noise-{colour}" for colour in COLOURS}


def test_what_it_is_made_from_changes_with_the_noise(tmp_path):
    made_from = [noise_to_store(tmp_path / "data").made_from]
    for seconds in (3.0, 4.0, 4.0):
        _manifest(tmp_path / "data", "noise_recordings.jsonl.gz", [_write(tmp_path / "a.wav", seconds)])
        made_from.append(noise_to_store(tmp_path / "data").made_from)
    assert made_from[0] != made_from[1] != made_from[2] == made_from[3]


@pytest.mark.parametrize("rate, channels", [(8000, 1), (16000, 2)])
def test_noise_of_another_format_is_refused(tmp_path, rate, channels):
    _manifest(tmp_path / "data", "musan_recordings_music.jsonl.gz", [_write(tmp_path / "a.wav", 3.0, rate, channels)])
    with pytest.raises(UserError, match=rf"a\.wav: {rate} Hz, {channels} channel"):
        noise_to_store(tmp_path / "data").cuts()


def test_equal_names_are_refused(tmp_path):
    for name in ("noise_recordings.jsonl.gz", "musan_recordings_music.jsonl.gz"):
        _manifest(tmp_path / "data", name, [_write(tmp_path / "a.wav", 3.0)])
    with pytest.raises(UserError, match="two recordings are called noise-a"):
        noise_to_store(tmp_path / "data").cuts()
