"""The step and the greedy search in C against those of numpy, over models of every kind."""

import itertools

import numpy as np
import pytest

from omni import runtime
from omni.runtime.compiled import CompiledEncoder, CompiledGreedy
from omni.runtime.encoder import Encoder
from omni.runtime.recognizer import Recognizer

from tests.omni.runtime import small


def _both(path):
    """The recognizer in C, then by numpy, of the same file."""
    before = runtime.isa()
    found = [Recognizer(path)]
    runtime.use("numpy")
    found.append(Recognizer(path))
    runtime.use(before)
    assert isinstance(found[0].encoder, CompiledEncoder) and type(found[1].encoder) is Encoder
    return found


@pytest.mark.parametrize("sizes", [
    {}, {"activation": "relu"}, {"activation": "silu", "left_context_length": 0}, {"right_context_length": 0},
    {"segment_length": 1, "left_context_length": 5}, {"segment_length": 8, "left_context_length": 3}, {"stack": 1},
    {"num_heads": 1, "encoder_dim": 40, "ffn_dim": 8}, {"right_context_length": 3, "num_layers": 1},
], ids=str)
@pytest.mark.parametrize("values", ["int8", "float32"])
def test_steps_of_several_streams_are_those_of_numpy(compiled, tmp_path, sizes, values):
    small.write(tmp_path / "m.omni.safetensors", values, **sizes)
    draw = np.random.default_rng(0)
    recognizers = _both(tmp_path / "m.omni.safetensors")
    settings = recognizers[0].settings
    states = [[recognizer.encoder.state() for _ in range(3)] for recognizer in recognizers]
    spaces = [recognizer.encoder.workspace(3) for recognizer in recognizers]
    for chunk in range(9):
        features = (4 * draw.standard_normal(spaces[0].features.shape) - 6).astype(np.float32)
        lengths = [settings.chunk_length] * 3 if chunk < 8 else [1, settings.chunk_length, settings.segment_length]
        outputs = []
        for recognizer, space, state in zip(recognizers, spaces, states):
            space.features[...] = features
            outputs.append(recognizer.encoder.step(space, lengths, state).copy())
        for stream, length in enumerate(lengths):
            np.testing.assert_allclose(*(out[stream, :length] for out in outputs), rtol=0, atol=2e-4)


@pytest.mark.parametrize("values", ["int8", "float16", "float32"])
def test_greedy_search_says_what_numpy_says(compiled, tmp_path, values):
    small.write(tmp_path / "m.omni.safetensors", values)
    recognizers = _both(tmp_path / "m.omni.safetensors")
    assert isinstance(recognizers[0].search._compiled, CompiledGreedy) and recognizers[1].search._compiled is None
    draw, spoke = np.random.default_rng(0), 0
    states = [[recognizer.search.start() for _ in range(3)] for recognizer in recognizers]
    for counts in itertools.islice(itertools.product((1, 4, 0), repeat=3), 1, 20):
        if not max(counts):
            continue
        frames = draw.standard_normal((3, 4, recognizers[0].settings.joiner_dim)).astype(np.float32)
        for recognizer, state in zip(recognizers, states):
            recognizer.search.advance(frames, counts, state)
    for one, other in zip(*states):
        assert (one.tokens, one.frames, one.time) == (other.tokens, other.frames, other.time)
        assert np.array_equal(one.context, other.context)
        np.testing.assert_allclose(one.history, other.history, atol=1e-4)
        spoke += len(one.tokens)
    assert spoke > 10


def test_the_penalty_is_of_blank(compiled, tmp_path):
    small.write(tmp_path / "m.omni.safetensors")
    lengths = []
    for penalty in (-1e6, 0.0, 1e6):
        recognizer = Recognizer(tmp_path / "m.omni.safetensors", blank_penalty=penalty)
        stream = recognizer.stream()
        stream.accept_features(small.features(203)[0])
        stream.finish()
        recognizer.decode([stream])
        lengths.append(len(stream.tokens))
    assert lengths[0] == 0 < lengths[1] < lengths[2] == 203 // 4
