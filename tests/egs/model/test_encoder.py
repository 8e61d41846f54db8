"""The streaming encoder: what it computes over a whole utterance is what it computes chunk by chunk."""

import copy
import functools
import io
import pickle

import pytest
import torch

from egs.librispeech.omni_sparsity.config import Model as ModelConfig
from egs.librispeech.omni_sparsity.model.encoder import StreamingEncoder


def make(**more) -> StreamingEncoder:
    torch.manual_seed(0)
    small = dict(projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=32, num_layers=3, left_context_length=8)
    return StreamingEncoder(ModelConfig(**{**small, **more})).eval()


def features(*lengths):
    torch.manual_seed(1)
    return torch.randn(len(lengths), max(lengths), 80) * 4 - 8, torch.tensor(lengths)


@pytest.mark.parametrize("segment", [4, 8])
@pytest.mark.parametrize("frames", [160, 150])
@torch.no_grad()
def test_chunks_give_what_the_whole_utterance_gives(segment, frames):
    encoder = make(segment_length=segment)
    x, lengths = features(frames)
    want, out_lengths = encoder(x, lengths)
    assert out_lengths.tolist() == [frames // 4]
    step, ahead = segment * 4, encoder.right_context_length * 4
    states, found = None, []
    for start in range(0, frames // 4 * 4, step):
        here = x[:, start : start + step + ahead]
        chunk = torch.nn.functional.pad(here, (0, 0, 0, step + ahead - here.size(1)), value=99.0)
        y, lens, states = encoder.infer(chunk, torch.tensor([here.size(1)]), states)
        found.append(y[:, : int(lens)])
    found = torch.cat(found, dim=1)
    assert found.shape == want.shape and torch.allclose(found, want, atol=1e-5)


@torch.no_grad()
def test_an_utterance_does_not_depend_on_its_batch():
    encoder = make()
    x, lengths = features(160, 103, 77)
    together, out_lengths = encoder(x, lengths)
    assert out_lengths.tolist() == [40, 25, 19]
    garbage = x.clone()
    garbage[1, 103:] = 1e3
    for index, length in enumerate(lengths.tolist()):
        alone, _ = encoder(x[index : index + 1, :length], lengths[index : index + 1])
        frames = length // 4
        assert torch.allclose(alone[0], together[index, :frames], atol=1e-5)
    assert torch.allclose(encoder(garbage, lengths)[0][1, :25], together[1, :25], atol=1e-6)


@torch.no_grad()
def test_nothing_is_seen_beyond_the_right_context():
    encoder = make()
    x, lengths = features(160)
    before, _ = encoder(x, lengths)
    x[:, 80:] += 5.0  # 25 Hz frame 20: the first frame of a segment
    after, _ = encoder(x, lengths)
    # The segment of frames 16-19 sees one frame ahead (20); the segments before see nothing of it.
    assert torch.equal(before[:, :16], after[:, :16]) and not torch.allclose(before[:, 16:20], after[:, 16:20])


@torch.no_grad()
def test_the_emformer_is_torchaudios():
    try:
        from torchaudio.models import Emformer
    except (ImportError, OSError):
        pytest.skip("torchaudio's compiled part does not load beside this torch")
    ours = make().emformer
    theirs = Emformer(16, 2, 32, 3, 4, activation="gelu", left_context_length=8, right_context_length=1,
                      weight_init_scale_strategy="depthwise").eval()
    theirs.load_state_dict(ours.state_dict())
    x, lengths = torch.randn(2, 25, 16), torch.tensor([24, 16])
    for want, have in zip(theirs(x, lengths), ours(x, lengths)):
        assert torch.equal(want, have)
    (want, _, want_states), (have, _, have_states) = (m.infer(x[:, :5], torch.tensor([5, 5])) for m in (theirs, ours))
    assert torch.equal(want, have)
    assert all(torch.equal(a, b) for w, h in zip(want_states, have_states) for a, b in zip(w, h))


@torch.no_grad()
def test_scripted_it_computes_the_same():
    """Whole utterances and streams, after a way through a file; up to rounding: torch 1.13 fuses."""
    close = functools.partial(torch.allclose, atol=1e-5)
    encoder = make()
    encoder(*features(33))  # a mask is kept
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(encoder), file)
    file.seek(0)
    scripted = torch.jit.load(file)
    for lengths in ((160, 103, 77), (33,), (4,), (57, 161)):
        x, n = features(*lengths)
        for want, have in zip(encoder(x, n), scripted(x, n)):
            assert close(want, have)
    x, _ = features(160, 160)
    states = scripted_states = None
    for start in range(0, 128, 16):
        chunk, n = x[:, start : start + 20], torch.tensor([20, 20 if start < 112 else 9])
        y, lens, states = encoder.infer(chunk, n, states)
        z, scripted_lens, scripted_states = scripted.infer(chunk, n, scripted_states)
        assert close(y, z) and torch.equal(lens, scripted_lens)
        assert all(close(a, b) for one, other in zip(states, scripted_states) for a, b in zip(one, other))


@pytest.mark.parametrize("segment, left, right", [(4, 30, 1), (8, 32, 2), (1, 0, 1), (3, 2, 4)])
def test_the_mask_is_torchaudios(segment, left, right):
    emformer = make(segment_length=segment, left_context_length=left, right_context_length=right).emformer
    for frames in (1, 2, 3, 4, 5, 8, 31, 64, 101):
        x = torch.zeros(frames, 1, 1)
        want = super(type(emformer), emformer)._gen_attention_mask(x)
        have = emformer._gen_attention_mask(x)
        assert have.dtype == torch.bool and torch.equal(want, have)
        assert emformer._gen_attention_mask(x) is have


def test_a_mask_of_inference_mode_serves_training_and_stays_out_of_the_module():
    encoder, (x, lengths) = make(), features(91)
    before = len(pickle.dumps(encoder.state_dict())), set(vars(encoder.emformer))
    with torch.inference_mode():
        want, _ = encoder(x, lengths)
    found, _ = encoder(x, lengths)
    found.sum().backward()
    assert torch.equal(found, want) and (len(pickle.dumps(encoder.state_dict())), set(vars(encoder.emformer))) == before
    assert torch.equal(copy.deepcopy(encoder)(x, lengths)[0], want)
