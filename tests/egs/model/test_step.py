"""The transducer as functions of flat tensors computes what the model computes."""

import pytest
import torch

from egs.librispeech.omni_sparsity.config import Model as ModelConfig
from egs.librispeech.omni_sparsity.model.step import NOT_THERE, DecoderStep, EncoderStep, JoinerStep
from egs.librispeech.omni_sparsity.model.transducer import Transducer


def make(**more) -> Transducer:
    torch.manual_seed(0)
    small = dict(projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=32, num_layers=3, left_context_length=8,
                 decoder_dim=12, joiner_dim=20, vocab_size=30)
    return Transducer(ModelConfig(**{**small, **more})).eval()


def padded(lengths, chunk):
    """(B, T, 80) random features with lhotse's padding behind the end of each, and a chunk of it behind all."""
    torch.manual_seed(1)
    x = torch.randn(len(lengths), max(lengths) + chunk, 80) * 4 - 8
    for row, length in zip(x, lengths):
        row[length:] = -100.0
    return x


def run(step, x, frames, begun=None):
    """-> (B, encoder frames, joiner_dim) of all chunks that begin within `frames`. begun: feature frames that each
    stream is said to have behind it."""
    attention, convolution = step.states(len(x))
    processed = torch.zeros(len(x), dtype=torch.int64) if begun is None else begun
    out = []
    for start in range(0, frames, step.shift):
        y, attention, convolution = step(x[:, start : start + step.chunk], attention, convolution, processed + start)
        out.append(y)
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("stack", [4, 8])
@pytest.mark.parametrize("left", [0, 3, 8, 30])
@pytest.mark.parametrize("right", [0, 1, 2])
@torch.no_grad()
def test_chunk_by_chunk_it_is_the_encoder(stack, left, right):
    """Streams of a batch that end at different places, before and after the left context is full."""
    model = make(stack=stack, left_context_length=left, right_context_length=right)
    step, lengths = EncoderStep(model), [38 * stack, 21 * stack + 3, 2 * stack]
    x = padded(lengths, step.chunk)
    found, states, there = run(step, x, max(lengths)), None, torch.tensor(lengths)
    for index, start in enumerate(range(0, max(lengths), step.shift)):
        here = (there - start).clamp(0, step.chunk)
        y, frames, states = model.encoder.infer(x[:, start : start + step.chunk], here, states)
        wanted = model.joiner.encoder_proj(y)
        have = found[:, index * step.segment : (index + 1) * step.segment]
        for row, count in enumerate(frames.tolist()):
            assert torch.allclose(have[row, :count], wanted[row, :count], atol=1e-5)


@torch.no_grad()
def test_a_stream_may_be_further_than_its_neighbour():
    step = EncoderStep(make())
    x = padded([150, 150], step.chunk)
    one, other = run(step, x[:1], 150), run(step, x[1:], 150)
    half = step.shift * 3
    attention, convolution = step.states(2)
    for start in range(0, half, step.shift):  # the second stream alone, and then the first beside it from its beginning
        _, attention[:, :, 1:], convolution[:, :, 1:] = step(
            x[1:, start : start + step.chunk], attention[:, :, 1:], convolution[:, :, 1:], torch.tensor([start]))
    both = torch.cat([x[:1, : step.chunk], x[1:, half : half + step.chunk]])
    y, _, _ = step(both, attention, convolution, torch.tensor([0, half]))
    assert torch.allclose(y[0], one[0, : step.segment], atol=1e-5)
    begin = half // step.stack
    assert torch.allclose(y[1], other[0, begin : begin + step.segment], atol=1e-5)


@torch.no_grad()
def test_what_is_not_there_yet_is_not_seen():
    """So that a program may count from 0 again, as sherpa-onnx does after an endpoint, and keep the caches."""
    step = EncoderStep(make())
    x, (attention, convolution) = padded([80], step.chunk)[:, : step.chunk], step.states(1)
    for processed, same in ((0, True), (step.shift, False)):
        clean, dirty = (step(x, cache, convolution, torch.tensor([processed]))[0]
                        for cache in (attention, attention + 3.0))
        assert torch.allclose(clean, dirty, atol=1e-6) == same


def test_no_log_mel_energy_is_taken_for_padding():
    assert -100.0 < NOT_THERE < torch.log(torch.tensor(torch.finfo(torch.float32).eps))


@torch.no_grad()
def test_predictor_and_joiner():
    model = make()
    history = torch.tensor([[-1, 0], [0, 5], [7, 29]])
    decoder_out, frame = DecoderStep(model)(history), torch.randn(3, 16)
    logits = JoinerStep(model)(model.joiner.encoder_proj(frame), decoder_out)
    assert decoder_out.shape == (3, 20)
    assert torch.allclose(logits, model.joiner(frame, model.decoder(history, need_pad=False)[:, 0]), atol=1e-6)
