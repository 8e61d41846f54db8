"""Greedy and beam search against what the PyTorch model finds, written plainly."""

import math

import numpy as np
import pytest
import torch

from egs.librispeech.omni_sparsity.decoding.methods import greedy_search
from omni.runtime import search
from omni.runtime.recognizer import Recognizer
from tests.omni.runtime import small

LENGTHS = (203, 20, 5, 64, 161, 121, 480)


def _decoded(path, utterances, method="greedy", **options):
    recognizer = Recognizer(path, method, **options)
    streams = [recognizer.stream() for _ in utterances]
    for stream, frames in zip(streams, utterances):
        stream.accept_features(frames)
        stream.finish()
    recognizer.decode(streams)
    return streams


@pytest.fixture(params=[0, 1, 2])
def made(tmp_path, request):
    path = tmp_path / "m.omni.safetensors"
    return path, small.write(path, "int8" if request.param == 2 else "float32", seed=request.param)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("penalty", [0.0, 1.5])
def test_greedy_is_that_of_the_recipe(made, penalty):
    path, model = made
    utterances = small.features(*LENGTHS)
    streams = _decoded(path, utterances, blank_penalty=penalty)
    for stream, frames in zip(streams, utterances):
        y, lengths = model.encoder(torch.from_numpy(frames)[None], torch.tensor([len(frames)]))
        assert stream.tokens == greedy_search.search(model, y, lengths, penalty)[0]
    assert sum(len(stream.tokens) for stream in streams) > 20


@torch.no_grad()
def _plain_beam(model, frames, size, penalty):
    """Modified beam search over a whole utterance, by its definition; -> {symbols: log-probability}."""
    beam = {(): 0.0}
    for frame in torch.from_numpy(small.forward(model, frames)):
        rows = []
        for symbols, before in beam.items():
            context = torch.tensor([([-1, 0] + list(symbols))[-2:]])
            logits = model.joiner(frame, model.decoder(context, need_pad=False)[0, 0]).double()
            logits[0] -= penalty
            rows += [(before + score, symbols, symbol)
                     for symbol, score in enumerate(torch.log_softmax(logits, 0).tolist())]
        beam = {}
        for score, symbols, symbol in sorted(rows, key=lambda row: -row[0])[:size]:
            symbols = symbols + (symbol,) if symbol else symbols
            beam[symbols] = score if symbols not in beam else float(np.logaddexp(beam[symbols], score))
    return beam


@pytest.mark.parametrize("size, penalty", [(2, 0.0), (4, 0.0), (4, 1.0), (9, 0.5), (100, 0.0)])
def test_beam_is_the_definition(tmp_path, size, penalty):
    path = tmp_path / "m.omni.safetensors"
    model = small.write(path, num_layers=1)
    utterances = small.features(40, *([] if size == 100 else [57, 90]))
    streams = _decoded(path, utterances, "beam", beam=size, blank_penalty=penalty)
    for stream, frames in zip(streams, utterances):
        wanted = _plain_beam(model, frames, size, penalty)
        best = max(wanted, key=lambda symbols: wanted[symbols] / (len(symbols) + 2))
        assert stream.tokens == list(best)
        state = stream.search_state
        found = {(*state.tokens, *rest): score for rest, (score, _) in state.beam.items()}
        assert found.keys() == wanted.keys()
        assert all(math.isclose(found[symbols], wanted[symbols], abs_tol=1e-3) for symbols in wanted)


@pytest.mark.parametrize("settled, wanted", [([], [5]), ([7] * 8, [7] * 8)])
def test_the_best_is_so_for_its_length(tmp_path, settled, wanted):
    """-4 / 2 < -5 / 3, but -4 / 10 > -5 / 11: two symbols of context and those that are settled count."""
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    made = Recognizer(path, "beam").search
    state = made.start()
    state.tokens, state.frames = list(settled), list(range(len(settled)))
    state.beam = {(): (-4.0, ()), (5,): (-5.0, (9,))}
    assert made.best(state)[0] == wanted


def test_a_beam_finds_more_than_greedy(tmp_path):
    """Otherwise the tests above would not tell one from the other."""
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    utterances = small.features(*LENGTHS)
    found = [[stream.tokens for stream in _decoded(path, utterances, *asked)] for asked in ((), ("beam",))]
    assert found[0] != found[1]


@pytest.mark.usefixtures("engine")
def test_a_beam_of_one_is_greedy(made):
    path, _ = made
    utterances = small.features(*LENGTHS)
    for one, other in zip(_decoded(path, utterances), _decoded(path, utterances, "beam", beam=1)):
        assert one.tokens == other.tokens and one.timestamps == other.timestamps


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("method", search.names())
def test_time_stamps_are_the_frames_of_the_tokens(tmp_path, method):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    for stream, length in zip(_decoded(path, small.features(*LENGTHS), method), LENGTHS):
        times = stream.timestamps
        assert len(times) == len(stream.tokens)
        assert all(a < b for a, b in zip(times, times[1:]))  # at most one symbol a frame
        assert all(0 <= time < length / 100 and round(time * 100) % 4 == 0 for time in times)


@pytest.mark.usefixtures("engine")
def test_the_time_of_a_greedy_token_does_not_depend_on_what_follows(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    frames = small.features(480)[0]
    whole, half = (_decoded(path, [part])[0] for part in (frames, frames[:240]))
    early = [time for time in whole.timestamps if time < 2.2]  # the last chunk saw another right context
    assert early and early == half.timestamps[: len(early)]


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("method", search.names())
def test_a_batch_is_each_alone(tmp_path, method):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    utterances = small.features(*LENGTHS)
    for stream, frames in zip(_decoded(path, utterances, method), utterances):
        assert stream.tokens == _decoded(path, [frames], method)[0].tokens


def test_what_all_hypotheses_share_leaves_the_beam(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    recognizer = Recognizer(path, "beam")
    stream = recognizer.stream()
    longest = 0
    for piece in np.array_split(small.features(6000)[0], 100):
        stream.accept_features(piece)
        recognizer.decode([stream])
        longest = max(longest, *map(len, stream.search_state.beam))
    assert len(stream.tokens) > 4 * longest


@pytest.mark.parametrize("asked, says", [
    (dict(method="fast"), "method 'fast': want one of beam, greedy"),
    (dict(method="greedy", beam=4), "method greedy has no option beam; it has none"),
    (dict(method="beam", width=4), "method beam has no option width; it has beam"),
    (dict(method="beam", beam=0), "beam 0: want a whole number from 1 on"),
    (dict(method="greedy", blank_penalty=float("nan")), "blank_penalty nan"),
])
def test_what_is_asked_for_in_vain_is_named(tmp_path, asked, says):
    path = tmp_path / "m.omni.safetensors"
    small.write(path)
    with pytest.raises(ValueError, match=says):
        Recognizer(path, **asked)
