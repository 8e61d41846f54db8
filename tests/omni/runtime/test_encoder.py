"""The encoder of the runtime, chunk by chunk, gives what the PyTorch model gives of whole utterances."""

import tracemalloc

import numpy as np
import pytest

from omni.runtime.recognizer import Recognizer
from tests.omni.runtime import small

pytestmark = pytest.mark.usefixtures("engine")

CLOSE = dict(atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("sizes", [
    {},
    {"segment_length": 1, "left_context_length": 3},
    {"segment_length": 8, "left_context_length": 5},
    {"right_context_length": 0},
    {"right_context_length": 3, "segment_length": 2},
    {"left_context_length": 0},
    {"stack": 1, "num_layers": 1},
    {"activation": "relu"},
    {"activation": "silu", "num_heads": 1, "ffn_dim": 8},
], ids=str)
@pytest.mark.parametrize("values", ["float32", "int8", "float16"])
def test_streaming_is_the_whole_utterance(tmp_path, sizes, values):
    """Shorter than a frame, than a segment, than a chunk; whole segments and chunks, a feature frame less or more."""
    path = tmp_path / "m.omni.safetensors"
    model = small.write(path, values, **sizes)
    recognizer = small.open_encoder(path)
    settings = recognizer.settings
    stack, segment, chunk = settings.stack, settings.segment_length, settings.chunk_length
    edges = [frames * stack for frames in (0, 1, segment, chunk, 2 * chunk + 1, 5 * segment)] + [40 * stack + 3]
    lengths = sorted({max(0, edge + more) for edge in edges for more in (-1, 0, 1)})
    for frames in small.features(*lengths):
        found = small.encode(recognizer, frames)[0]
        assert found.shape == (len(frames) // stack, settings.joiner_dim)
        if len(found):
            assert np.allclose(found, small.projected(model, frames), **CLOSE), len(frames)


def test_dense_weights_and_a_model_of_one_size_more(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    model = small.write(path, "int8", sparse=False, encoder_dim=40, num_heads=5, joiner_dim=17, ffn_dim=21)
    frames = small.features(203)[0]
    assert np.allclose(small.encode(small.open_encoder(path), frames)[0], small.projected(model, frames), **CLOSE)


def test_streams_of_a_batch_do_not_see_each_other(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    recognizer = small.open_encoder(path)
    utterances = small.features(203, 20, 0, 64, 3, 121, 200)
    together = small.encode(recognizer, *utterances)
    for frames, found in zip(utterances, together):
        assert np.allclose(found, small.encode(recognizer, frames)[0], **CLOSE)


def test_streams_may_begin_and_end_at_any_time(tmp_path):
    """A batch of three, then of one, of two others: the memory that batches share carries nothing over."""
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    recognizer = small.open_encoder(path)
    utterances = small.features(160, 90, 203, 51)
    streams = [recognizer.stream() for _ in utterances]
    draw = np.random.default_rng(0)
    for start in range(0, 208, 16):
        for stream, frames in zip(streams, utterances):
            stream.accept_features(frames[start : start + 16])
        recognizer.decode([stream for stream in streams if draw.random() < 0.5])
    for stream in streams:
        stream.finish()
    recognizer.decode(streams)
    for stream, frames in zip(streams, utterances):
        assert np.allclose(np.concatenate(stream.search_state), small.encode(recognizer, frames)[0], **CLOSE)


def test_nothing_grows_with_a_stream(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    recognizer = small.open_encoder(path)
    stream = recognizer.stream()
    piece = small.features(40)[0]

    def sizes():
        kept = [value for owner in (stream.encoder_state, stream._waiting) for value in _held(owner)]
        spaces = getattr(recognizer.encoder, "_spaces", recognizer.encoder._workspaces)
        return [value.shape for value in kept if isinstance(value, np.ndarray)], list(spaces)

    seen = []
    for index in range(200):
        stream.accept_features(piece)
        recognizer.decode([stream])
        if index >= 10:
            seen.append(sizes())
    assert all(one == seen[0] for one in seen) and len(seen[0][0]) >= 2


def _held(owner):
    names = owner.__slots__ if hasattr(owner, "__slots__") else vars(owner)
    return [getattr(owner, name) for name in names]


def test_no_memory_is_taken_that_is_not_given_back(tmp_path):
    """Counted by Python, all that six hundred chunks left behind; a hypothesis would, so that nothing is searched."""
    path = tmp_path / "m.omni.safetensors"
    small.write(path, num_layers=1)
    recognizer = small.open_encoder(path)
    recognizer.search.advance = lambda *_: None
    streams = [recognizer.stream() for _ in range(2)]
    piece = small.features(200)[0]

    def run(times):
        for _ in range(times):
            for stream in streams:
                stream.accept_features(piece)
            recognizer.decode(streams)

    tracemalloc.start()
    try:
        run(5)
        before = tracemalloc.get_traced_memory()[0]
        run(50)
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()


def test_batches_share_the_memory_of_the_largest(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    encoder = Recognizer(path).encoder
    large = encoder.workspace(6)
    assert np.shares_memory(encoder.workspace(2).features, large.features) and encoder.workspace(6) is large
    assert not np.shares_memory(encoder.workspace(7).features, large.features)
