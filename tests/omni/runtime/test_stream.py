"""What goes into a stream, in which pieces, and what is refused."""

import numpy as np
import pytest
import torch

from egs.librispeech.omni_sparsity.data.fbank import make_extractor
from egs.librispeech.omni_sparsity.decoding.methods import greedy_search
from omni.runtime.recognizer import Recognizer
from tests.omni.runtime import small

WHY = "needs kaldi-native-fbank, the runtime's features: pip install kaldi-native-fbank soxr"


@pytest.fixture
def made(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    return path, small.write(path)


def _samples(count, seed=0):
    """Bursts of noise of many levels, so that features differ from frame to frame."""
    draw = np.random.default_rng(seed)
    levels = np.repeat(10 ** draw.uniform(-4, -1, -(-count // 800)), 800)[:count]
    return (levels * draw.standard_normal(count)).astype(np.float32)


def _run(recognizer, samples, sizes=(), rate=16000):
    pytest.importorskip("kaldi_native_fbank", reason=WHY)
    stream, at = recognizer.stream(), 0
    for size in sizes:
        stream.accept(samples[at : at + size], rate)
        recognizer.decode([stream])
        at += size
    stream.accept(samples[at:], rate)
    stream.finish()
    recognizer.decode([stream])
    return stream


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_any_split_of_the_samples_gives_the_same(made, method):
    recognizer = Recognizer(made[0], method)
    samples = _samples(80037)
    wanted = _run(recognizer, samples)
    assert len(wanted.tokens) > 5
    draw = np.random.default_rng(0)
    for sizes in ([1600] * 40, [1, 0, 159, 20000], draw.integers(0, 9000, 12).tolist()):
        found = _run(recognizer, samples, sizes)
        assert (found.tokens, found.timestamps) == (wanted.tokens, wanted.timestamps)


@pytest.mark.parametrize("samples", [80, 1000, 3200, 16000, 47999])
def test_from_samples_to_tokens_it_is_the_recipe(made, samples):
    path, model = made
    samples = _samples(samples)
    found = _run(Recognizer(path), samples)
    frames = torch.from_numpy(make_extractor("lhotse").extract(samples[None], 16000)) if len(samples) > 139 else None
    if frames is None or len(frames) < 4:
        assert found.tokens == []
    else:
        y, lengths = model.encoder(frames[None], torch.tensor([len(frames)]))
        assert found.tokens == greedy_search.search(model, y, lengths)[0]


def test_int16_says_what_float32_says(made):
    recognizer = Recognizer(made[0])
    whole = np.rint(_samples(48000) * 32768).clip(-32768, 32767).astype(np.int16)
    assert _run(recognizer, whole).tokens == _run(recognizer, whole / 32768).tokens


def test_another_rate_is_resampled(made):
    pytest.importorskip("soxr", reason=WHY)
    recognizer = Recognizer(made[0])
    samples = _samples(24000)
    wanted = _run(recognizer, samples, rate=8000)
    assert _run(recognizer, samples, [100] * 70, rate=8000).tokens == wanted.tokens
    assert len(wanted.timestamps) and 1.5 < max(wanted.timestamps) < 3


def test_text_comes_as_the_stream_goes(made):
    recognizer = Recognizer(made[0])
    stream, seen = recognizer.stream(), []
    for frames in np.array_split(small.features(480)[0], 30):
        stream.accept_features(frames)
        recognizer.decode([stream])
        seen.append(stream.tokens)
    stream.finish()
    recognizer.decode([stream])
    assert seen[0] == [] and len({len(tokens) for tokens in seen}) > 3
    assert all(stream.tokens[: len(tokens)] == tokens for tokens in seen)
    assert stream.text == recognizer.pieces().decode(stream.tokens) != ""


def test_a_stream_is_ready_when_a_whole_chunk_waits(made):
    recognizer = Recognizer(made[0])
    settings = recognizer.settings
    chunk = settings.chunk_length * settings.stack
    stream, frames = recognizer.stream(), small.features(chunk)[0]
    stream.accept_features(frames[:-1])
    assert not stream.ready
    recognizer.decode([stream])
    stream.accept_features(frames[-1:])
    assert stream.ready
    recognizer.decode([stream, recognizer.stream()])
    assert not stream.ready
    stream.finish()
    assert stream.ready  # the right context is a segment of its own now
    recognizer.decode([stream])
    assert not stream.ready
    recognizer.decode([])


def test_a_chunk_ends_in_zeros(made):
    settings = Recognizer(made[0]).settings
    stream, frames = Recognizer(made[0]).stream(), small.features(6)[0]
    out = np.full((settings.chunk_length * settings.stack, settings.bins), np.nan, np.float32)
    stream.accept_features(frames)
    assert stream.take(out) == 1
    assert np.array_equal(out[:4], frames[:4]) and not out[4:].any()  # two feature frames are no encoder frame


def test_a_stream_named_twice_goes_forward_once(made):
    recognizer = Recognizer(made[0])
    found = []
    for times in (1, 2):
        stream = recognizer.stream()
        stream.accept_features(small.features(203)[0])
        recognizer.decode([stream] * times)
        found.append(stream.tokens)
    assert found[0] == found[1] != []


def test_streams_of_another_recognizer_are_refused(made):
    with pytest.raises(ValueError, match="a stream of another recognizer"):
        Recognizer(made[0]).decode([Recognizer(made[0]).stream()])


def test_nothing_said_is_no_text(made):
    recognizer = Recognizer(made[0])
    for samples in (None, np.zeros(0, np.float32)):
        stream = recognizer.stream()
        if samples is not None:
            pytest.importorskip("kaldi_native_fbank", reason=WHY)
            stream.accept(samples)
        stream.finish()
        stream.finish()
        recognizer.decode([stream])
        assert (stream.text, stream.tokens, stream.timestamps) == ("", [], [])


def test_what_a_stream_cannot_take(made):
    pytest.importorskip("kaldi_native_fbank", reason=WHY)
    recognizer = Recognizer(made[0])
    good, frames = np.zeros(160, np.float32), np.zeros((4, 80), np.float32)
    stream = recognizer.stream()
    stream.accept(good)
    with pytest.raises(ValueError, match="samples at 8000 Hz in a stream of samples at 16000 Hz: take a new one"):
        stream.accept(good, 8000)
    with pytest.raises(ValueError, match="features in a stream of samples at 16000 Hz"):
        stream.accept_features(frames)
    with pytest.raises(ValueError, match="want one channel"):
        stream.accept(np.zeros((160, 2), np.float32))
    stream.accept(good)  # what was refused left it as it was
    stream.finish()
    for refused in (lambda: stream.accept(good), lambda: stream.accept_features(frames)):
        with pytest.raises(ValueError, match="the stream is finished: take a new one"):
            refused()
    other = recognizer.stream()
    other.accept_features(frames)
    with pytest.raises(ValueError, match="samples at 16000 Hz in a stream of features"):
        other.accept(good)


@pytest.mark.parametrize("module, package", [("kaldi_native_fbank", "kaldi-native-fbank"), ("soxr", "soxr")])
def test_what_is_not_installed_is_named(made, monkeypatch, module, package):
    import sys

    if module == "soxr":
        pytest.importorskip("kaldi_native_fbank", reason=WHY)
    monkeypatch.setitem(sys.modules, module, None)  # makes the import fail
    with pytest.raises(ImportError, match=f"pip install {package}$"):
        Recognizer(made[0]).stream().accept(np.zeros(160, np.float32), 8000)
