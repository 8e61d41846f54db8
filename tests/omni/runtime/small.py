"""Small models with random weights as they ship, and what is asked of them."""

import dataclasses
import functools
import io

import numpy as np
import sentencepiece as spm
import torch

import omni
from egs.librispeech.omni_sparsity.config import Model
from egs.librispeech.omni_sparsity.data.fbank import DESCRIPTION
from egs.librispeech.omni_sparsity.model.frontend import FEATURE_MEAN, FEATURE_STD
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets.formats import safetensors as storage
from omni.runtime.recognizer import Recognizer

VOCAB = 16
WORDS = "ON NO NOT TON TOO ONTO NOON TOOT NOTE TONE ONE TEN NET"
FEATURES = {**DESCRIPTION, "mean": FEATURE_MEAN, "std": FEATURE_STD}
SIZES = dict(stack=4, projection_dim=8, encoder_dim=32, num_heads=4, ffn_dim=48, num_layers=3, segment_length=4,
             left_context_length=8, right_context_length=1, decoder_dim=16, joiner_dim=24, vocab_size=VOCAB)


@functools.lru_cache(maxsize=None)
def bpe() -> bytes:
    """A BPE model of VOCAB pieces; blank is its first."""
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS] * 3), model_writer=model, vocab_size=VOCAB,
        user_defined_symbols=["<blk>", "<sos/eos>"], unk_id=2, bos_id=-1, eos_id=-1, minloglevel=2)
    return model.getvalue()


def write(path, values="float32", seed=0, sparse=True, about=(), **sizes):
    """Writes a random model whose matrices lost about half of their 8x1 blocks; -> it, as the file has it."""
    torch.manual_seed(seed)
    config = Model(**{**SIZES, **sizes})
    model = Transducer(config)
    blocks = {}
    for name, value in model.state_dict().items():
        if value.dim() == 1:
            value += 0.2 * torch.randn(value.shape)
        if sparse and "emformer" in name and value.dim() == 2:
            value *= (torch.rand(value.size(0) // 8, 1, value.size(1)) < 0.5).expand(-1, 8, -1).reshape(value.shape)
            blocks[name] = omni.Blocks(8, 1)
    model.joiner.output_linear.weight.data *= 8  # symbols of a clear first rank
    model.joiner.output_linear.bias.data[0] += 4  # and blank is among them often
    storage.write(path, dataclasses.asdict(config), shipped(model.state_dict()), blocks, values,
                  {"features": FEATURES, **dict(about)}, bpe())
    return storage.read(path)


def features(*lengths, seed=1):
    """(T, 80) of each length."""
    draw = np.random.default_rng(seed)
    return [(4 * draw.standard_normal((length, 80)) - 6).astype(np.float32) for length in lengths]


@torch.no_grad()
def forward(model, frames):
    """(T, 80) -> the PyTorch model's encoder output (T // stack, D)."""
    y, lengths = model.encoder(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
    return y[0, : int(lengths)].numpy()


class Outputs:
    """A search that keeps what it is given, for the encoder's output: the joiner's projection of it."""

    def start(self):
        return []

    def advance(self, frames, counts, states):
        for state, given, count in zip(states, frames, counts):
            state.append(given[:count].copy())

    def best(self, state):
        return [], []




def open_encoder(path) -> Recognizer:
    made = Recognizer(path)
    made.search = Outputs()
    return made


def encode(made, *utterances) -> list:
    """(T, 80) each -> the projected encoder output (T // stack, joiner_dim) of each, as streams of one batch.

    Args:
        made: of `open_encoder`.
    """
    streams = [made.stream() for _ in utterances]
    for stream, frames in zip(streams, utterances):
        stream.accept_features(frames)
        stream.finish()
    made.decode(streams)
    return [np.concatenate([*stream.search_state, np.zeros((0, made.settings.joiner_dim), np.float32)])
            for stream in streams]


@torch.no_grad()
def projected(model, frames):
    """What `encode` gives, by the PyTorch model."""
    return model.joiner.encoder_proj(torch.from_numpy(forward(model, frames))).numpy()
