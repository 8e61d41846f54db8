"""The runtime's features are those that the model was trained with, whatever pieces the samples come in."""

import numpy as np
import pytest

from egs.librispeech.omni_sparsity.data.fbank import make_extractor
from omni.runtime.features import Backlog, Fbank, as_features, as_rate, as_samples
from tests.egs.data.test_fbank import AT_MOST, ON_AVERAGE, SPEECH
from tests.omni.runtime.small import FEATURES

WHY = "needs kaldi-native-fbank, the runtime's features: pip install kaldi-native-fbank soxr"


def _noise(samples, level=0.1, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def _fbank(rate=16000):
    pytest.importorskip("kaldi_native_fbank", reason=WHY)
    return Fbank(FEATURES, rate)


def _whole(samples, *sizes, rate=16000):
    """Features of samples that come in pieces of `sizes`, then the rest."""
    if rate != 16000:
        pytest.importorskip("soxr", reason=WHY)
    fbank, at, found = _fbank(rate), 0, []
    for size in (*sizes, len(samples)):
        found.append(fbank.accept(samples[at : at + size]))
        at += size
    return np.concatenate([*found, fbank.finish()])


def _assert_lhotses(samples):
    found, wanted = _whole(samples), make_extractor("lhotse").extract(samples[None], 16000)
    assert found.shape == wanted.shape == ((len(samples) + 80) // 160, 80)
    assert np.abs(found - wanted).max() < AT_MOST
    assert np.abs(found - wanted).mean() < ON_AVERAGE


@pytest.mark.parametrize("level", [0.3, 1e-2, 1e-4, 0.0])
def test_they_are_lhotses(level):
    _assert_lhotses(_noise(48000, level))


@pytest.mark.parametrize("samples", [140, 240, 399, 400, 401, 8000, 8037, 8079, 8080, 8081, 8159])
def test_their_edges_are_lhotses(samples):
    _assert_lhotses(_noise(samples))


def test_they_are_lhotses_of_speech():
    soundfile = pytest.importorskip("soundfile")
    files = sorted(SPEECH.glob("test-*/*/*/*.flac"))[:10]
    if not files:
        pytest.skip("real LibriSpeech speech (../shared/speech) is not here")
    for path in files:
        _assert_lhotses(soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize("rate", [16000, 8000, 11025, 44100, 48000])
def test_any_split_gives_the_same(rate):
    samples = _noise(2 * rate)
    wanted = _whole(samples, rate=rate)
    assert len(wanted) == 200
    draw = np.random.default_rng(0)
    for sizes in ([160] * 20, [1] * 50, [0, 7, 0, 4001], draw.integers(0, 3000, 12).tolist()):
        assert np.array_equal(_whole(samples, *sizes, rate=rate), wanted)


@pytest.mark.parametrize("rate", [8000, 24000, 44100, 48000])
def test_another_rate_is_heard_at_the_same_pitch(rate):
    """A tone: the same bin is the loudest."""
    def tone(at):
        return (0.1 * np.sin(2 * np.pi * 1000 * np.arange(at) / at)).astype(np.float32)
    found, wanted = _whole(tone(rate), rate=rate), _whole(tone(16000))
    assert found.shape == wanted.shape
    assert (found.argmax(axis=1) == wanted.argmax(axis=1))[5:-5].all()
    assert np.abs(found.max(axis=1) - wanted.max(axis=1))[5:-5].max() < 0.1


@pytest.mark.parametrize("samples", [0, 1, 79, 80, 139])
def test_too_short_for_lhotse_is_still_no_error(samples):
    found = _whole(_noise(samples))
    assert found.shape == ((samples + 80) // 160, 80) and np.isfinite(found).all()


def test_the_extractor_keeps_no_frames():
    """What it has given away it must have dropped: kaldi-native-fbank says so when asked for it."""
    fbank = _fbank()
    fbank.accept(_noise(16000))
    with pytest.raises((RuntimeError, IndexError, ValueError)):
        fbank._online.get_frame(0)


def test_int16_and_float64_are_the_same_samples():
    whole = np.array([-32768, -1, 0, 1, 32767], np.int16)
    for given in (whole, whole / 32768, (whole / 32768).astype(np.float32)):
        found = as_samples(given)
        assert found.dtype == np.float32 and np.array_equal(found * 32768, whole)
    assert as_samples(np.zeros(0, np.float32)).shape == (0,)
    assert as_samples(np.arange(8, dtype=np.int16)[::2]).flags.c_contiguous


@pytest.mark.parametrize("samples, says", [
    (np.zeros((2, 8), np.float32), r"shape \(2, 8\): want one channel"),
    (np.float32(0), r"shape \(\): want one channel"),
    (np.array([0, np.nan], np.float32), "NaN or infinity"),
    (np.array([0, -np.inf]), "NaN or infinity"),
    (np.array([0, 1000], np.float32), "samples up to 1000: .*divide int16 by 32768"),
    (np.array([0, 1000]), "samples of int64: want int16"),
    (np.array([True]), "samples of bool"),
    (["a"], "samples of <U1"),
    ([[1.0, 2.0], [3.0]], "want an array of numbers"),
])
def test_other_samples_are_refused(samples, says):
    with pytest.raises(ValueError, match=says):
        as_samples(samples)


@pytest.mark.parametrize("rate", [0, -16000, 8000.5, 10**7, True, float("nan"), float("inf"), "16000", None])
def test_other_rates_are_refused(rate):
    with pytest.raises(ValueError, match="sampling rate"):
        as_rate(rate)


@pytest.mark.parametrize("frames, says", [
    (np.zeros((3, 40)), r"shape \(3, 40\): want \(T, 80\)"),
    (np.zeros(80), r"shape \(80,\)"),
    (np.full((1, 80), np.nan), "NaN or infinity"),
    ([[1, 2], [3]], "features"),
])
def test_other_features_are_refused(frames, says):
    with pytest.raises(ValueError, match=says):
        as_features(frames, 80)


def test_the_backlog_is_a_queue_that_forgets():
    backlog, frames, taken = Backlog(3), np.arange(30000, dtype=np.float32).reshape(-1, 3), []
    draw, at, largest = np.random.default_rng(0), 0, 0
    while sum(map(len, taken)) < len(frames):
        size = int(draw.integers(0, 40))
        backlog.push(frames[at : at + size])
        at += size
        size = int(draw.integers(0, 40))
        taken.append(backlog.view(size).copy())
        assert len(taken[-1]) == min(size, len(backlog))
        backlog.drop(size)
        largest = max(largest, len(backlog._buffer))
    assert np.array_equal(np.concatenate(taken), frames)
    assert largest < len(frames) / 4


def test_the_backlog_gives_back_what_a_long_wait_took():
    backlog = Backlog(3)
    backlog.push(np.zeros((5000, 3), np.float32))
    backlog.drop(4990)
    for _ in range(2000):
        backlog.push(np.zeros((10, 3), np.float32))
        backlog.drop(10)
    assert len(backlog._buffer) < 200
