"""What a file may hold, and what of it is refused."""

import sys

import numpy as np
import pytest

import omni
from omni.runtime import layers
from omni.runtime.recognizer import Recognizer
from omni.ship.shipped import load, write
from tests.omni.runtime import small

INT8 = 1  # OMNI_INT8 of csrc/kernels.h


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "m.omni.safetensors"
    small.write(made)
    return made


def _changed(path, state=None, about=None, blocks=None):
    """The file again, with another state or header."""
    shipped = load(path)
    arrays, said = shipped.arrays(), {key: value for key, value in shipped.about.items() if key != "values"}
    if state:
        state(arrays)
    if about:
        about(said)
    write(path, arrays, blocks or {}, "float32", said)
    return path


def _refused(path, says):
    with pytest.raises(ValueError, match=says) as error:
        Recognizer(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("change, says", [
    (lambda about: about.update(kind="zipformer"), "of kind 'zipformer', want 'emformer-transducer'"),
    (lambda about: about.pop("kind"), "of kind None"),
    (lambda about: about.pop("model"), "its header lacks model or features"),
    (lambda about: about.update(features=[]), "its header lacks model or features"),
    (lambda about: about["model"].update(num_layers="3"), "setting num_layers '3'"),
    (lambda about: about["model"].update(num_layers=0), "setting num_layers 0"),
    (lambda about: about["model"].pop("stack"), "setting stack None"),
    (lambda about: about["model"].update(activation="tanh"), "setting activation 'tanh'"),
    (lambda about: about["model"].update(activation=[]), r"setting activation \[\]"),
    (lambda about: about["model"].update(memory=4), "setting memory is none that this runtime knows"),
    (lambda about: about["model"].update(num_heads=3), "multiples of num_heads 3"),
    (lambda about: about["model"].update(encoder_dim=64), r"is \(8, 80\)|its settings want"),
    (lambda about: about["features"].update(type="whisper"), "features of type 'whisper', this runtime computes"),
    (lambda about: about["features"].update(sampling_rate=8000), "features of sampling_rate 8000"),
    (lambda about: about["features"].update(std=0), "setting std 0"),
    (lambda about: about["features"].pop("mean"), "setting mean None"),
    (lambda about: about["features"].pop("preemphasis"), "features of preemphasis None"),
    (lambda about: about["features"].update(low_freq="20"), "features of low_freq '20'"),
    (lambda about: about.update(decode={"blank_penalty": "1"}), "decode.blank_penalty '1': want a number"),
    (lambda about: about.update(decode=3), "decode.blank_penalty 3: want a number"),
])
def test_a_header_of_another_model_is_refused(path, change, says):
    _refused(_changed(path, about=change), says)


@pytest.mark.parametrize("change, says", [
    (lambda state: state.pop("encoder.frontend.norm.bias"), "weight encoder.frontend.norm.bias is missing"),
    (lambda state: state.pop("decoder.embedding.weight"), "weight decoder.embedding.weight is missing"),
    (lambda state: state.pop("bpe"), "weight bpe is missing"),
    (lambda state: state.update(more=np.zeros(3, np.float32)), "weight more is none of this model's"),
    (lambda state: state.update({"joiner.output_linear.bias": np.zeros(3, np.float32)}),
     r"joiner.output_linear.bias is \(3,\), its settings want \(16,\)"),
])
def test_weights_of_another_model_are_refused(path, change, says):
    _refused(_changed(path, state=change), says)


def test_files_that_are_none_are_refused(path, tmp_path):
    _refused(tmp_path / "none.omni.safetensors", "no such file")
    path.write_bytes(path.read_bytes()[:-5])
    _refused(path, "not a whole safetensors file")


@pytest.mark.parametrize("bpe, says", [
    (b"no model", "its tensor bpe is no sentencepiece model"), (b"", "its tensor bpe is no sentencepiece model")])
def test_a_bpe_that_is_none_is_refused_when_text_is_asked_for(path, bpe, says):
    _changed(path, state=lambda state: state.update(bpe=np.frombuffer(bpe, np.uint8)))
    stream = Recognizer(path).stream()
    with pytest.raises(ValueError, match=says):
        stream.text


def test_a_bpe_of_other_pieces_is_refused(path):
    small.write(path, vocab_size=small.VOCAB + 1)
    with pytest.raises(ValueError, match="its bpe has 16 pieces, the model 17"):
        Recognizer(path).stream().text


def test_without_sentencepiece_tokens_come_and_text_is_refused(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    stream = Recognizer(path).stream()
    assert stream.tokens == []
    with pytest.raises(ImportError, match="pip install sentencepiece"):
        stream.text


def test_the_blank_penalty_is_the_files_unless_another_is_asked_for(path):
    def tokens(*asked, **more):
        recognizer = Recognizer(path, *asked, **more)
        stream = recognizer.stream()
        stream.accept_features(small.features(480)[0])
        recognizer.decode([stream])
        return stream.tokens

    without = tokens()
    _changed(path, about=lambda about: about.update(decode={"blank_penalty": 3.0}))
    assert len(tokens()) > len(without)
    assert tokens(blank_penalty=0.0) == without


def test_int8_stays_int8_and_what_is_not_coded_stays_in_the_file(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    name = "encoder.emformer.emformer_layers.0.pos_ff.1.weight"
    small.write(path, "int8")
    for weight in load(path).weights.values():
        if weight.blocks or len(weight.shape) == 2:
            assert layers.matrix(weight, None).struct.type == INT8
    small.write(path, "float32")
    shipped = load(path)
    about = {key: value for key, value in shipped.about.items() if key != "values"}
    blocks = {key: weight.blocks for key, weight in shipped.weights.items() if weight.blocks}
    uncoded = tmp_path / "uncoded.omni.safetensors"
    write(uncoded, shipped.arrays(), blocks, "int8", about, coded=False)
    for made in (path, uncoded):  # what is not coded is mapped, and used where it lies
        weight = load(made).weights[name]
        assert weight.blocks == (8, 1) and not weight.values.flags.owndata
        assert layers.matrix(weight, None).struct.values == weight.values.__array_interface__["data"][0]
    frames = small.features(203)[0]
    coded = tmp_path / "coded.omni.safetensors"
    write(coded, shipped.arrays(), blocks, "int8", about)
    assert np.array_equal(*(small.encode(small.open_encoder(made), frames)[0] for made in (coded, uncoded)))


def test_blocks_of_other_shapes(tmp_path, path):
    """4x1, 16x1 and 1x4: what the fast loops do not take gives the same."""
    frames = small.features(203)[0]
    name = "encoder.emformer.emformer_layers.0.pos_ff.1.weight"
    state = load(path).arrays()
    for rows, columns in ((4, 1), (16, 1), (1, 4)):
        weight = state[name].reshape(48 // rows, rows, 32 // columns, columns).copy()
        weight[::2, :, 1::2] = 0
        dense, sparse = tmp_path / "dense.omni.safetensors", tmp_path / "sparse.omni.safetensors"
        for made, blocks in ((dense, {}), (sparse, {name: (rows, columns)})):
            about = {key: value for key, value in load(path).about.items() if key != "values"}
            write(made, {**state, name: weight.reshape(48, 32)}, blocks, "int8", about)
        assert load(sparse).weights[name].blocks == (rows, columns) and load(dense).weights[name].blocks is None
        found = [small.encode(small.open_encoder(made), frames)[0] for made in (dense, sparse)]
        assert np.allclose(*found, atol=1e-5)


def test_an_embedding_may_be_sparse(path, tmp_path):
    about = {key: value for key, value in load(path).about.items() if key != "values"}
    state = load(path).arrays()
    state["decoder.embedding.weight"][:8, ::2] = 0
    found = []
    for blocks in ({}, {"decoder.embedding.weight": (8, 1)}):
        made = tmp_path / "e.omni.safetensors"
        write(made, state, blocks, "int8", about)
        contexts = np.array([[-1, 0], [3, 15], [7, 8]])
        found.append(Recognizer(made).predictor.apply(contexts))
    assert np.allclose(*found) and np.abs(found[0]).max() > 0


def test_omni_load_reads_what_the_recognizer_reads(path):
    said = omni.load(path, "emformer-transducer").about["model"]
    assert said == {**small.SIZES, "activation": "gelu", "dropout": 0.1}
