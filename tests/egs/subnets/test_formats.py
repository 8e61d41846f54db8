"""A sub-network's file is taken whole or not at all, and runs nothing."""

import copy
import dataclasses
import sys

import pytest
import sentencepiece as spm
import torch

import omni
from egs.librispeech.omni_sparsity import registry
from egs.librispeech.omni_sparsity.config import Model
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets import formats
from egs.librispeech.omni_sparsity.subnets.formats import load_subnet
from egs.librispeech.omni_sparsity.subnets.formats import safetensors as storage
from egs.librispeech.omni_sparsity.subnets.tokens import without_normalizer
from omni.errors import UserError
from omni.ship import container

SMALL = Model(encoder_dim=32, num_heads=4, ffn_dim=64, num_layers=1, vocab_size=20, decoder_dim=16, joiner_dim=16,
              projection_dim=8)
SETTINGS = dataclasses.asdict(SMALL)


@pytest.fixture
def whole(tmp_path):
    """(file, the model in it)."""
    model = Transducer(SMALL).eval()
    path = tmp_path / "s.omni.safetensors"
    storage.write(path, SETTINGS, shipped(model.state_dict()), {}, "float32", {"name": "s"}, b"tokens")
    return path, model


def _refused(path, digest=None):
    with pytest.raises(UserError) as error:
        load_subnet(path, digest)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_the_model_comes_back(whole):
    path, model = whole
    found = load_subnet(path, storage.digest_of(storage.load(path)))
    assert not found.training
    wanted = shipped(model.state_dict())
    assert all(torch.equal(wanted[name], value) for name, value in shipped(found.state_dict()).items())
    inside = storage.load(path)
    assert inside.plain["bpe"].tobytes() == b"tokens" and inside.about["model"] == SETTINGS
    assert storage.parameters(inside) == {name: value.numel() for name, value in wanted.items()}


@pytest.mark.parametrize("change, says", [
    (lambda state: state.pop("decoder.embedding.weight"), "weight decoder.embedding.weight is missing"),
    (lambda state: state.clear(), "more) is missing"),
    (lambda state: state.update(zzz=torch.ones(1)), "weight zzz is none of this model's"),
    (lambda state: state.update({"ctc_output.1.bias": torch.ones(20)}), "weight ctc_output.1.bias is none"),
    (lambda state: state.update({"decoder.embedding.weight": torch.ones(3, 3)}), "another shape"),
])
def test_weights_that_are_missing_or_too_many_are_named(whole, change, says):
    path, model = whole
    state = shipped(model.state_dict())
    change(state)
    storage.write(path, SETTINGS, state, {}, "int8", {}, b"")
    assert says in _refused(path)


@pytest.mark.parametrize("change, says", [
    (lambda s: s.pop("num_layers"), "setting of the model num_layers is missing"),
    (lambda s: s.update(newer=1), "setting of the model newer is none"),
    (lambda s: s.update(num_layers="x"), "its settings make no model"),
])
def test_settings_that_make_no_model_are_named(whole, change, says):
    path, model = whole
    settings = dict(SETTINGS)
    change(settings)
    storage.write(path, settings, shipped(model.state_dict()), {}, "int8", {}, b"")
    assert says in _refused(path)


def test_files_of_others_are_refused(tmp_path, whole):
    path = tmp_path / "other.omni.safetensors"
    omni.pack({"w": torch.ones(2, 2)}, {}, file=path)
    assert "of kind None, want 'emformer-transducer'" in _refused(path)
    container.rewrite(whole[0], {"model": 3})
    assert "its header has no model" in _refused(whole[0])
    path.write_bytes(b"x" * 100)
    assert "not a whole safetensors file" in _refused(path)
    assert "no such file; stage 4" in _refused(tmp_path / "absent.omni.safetensors")


def test_overwritten_bytes_and_another_file_are_noticed(whole):
    path, _ = whole
    data = bytearray(path.read_bytes())
    at = len(data) * 2 // 3
    data[at:at + 64] = b"\x11" * 64
    assert "not the file that subnets.json lists (0000" in _refused(path, "0" * 16)
    path.write_bytes(data)
    assert "changed since it was written" in _refused(path)
    path.write_bytes(data[:at])
    assert "not a whole safetensors file" in _refused(path)


def test_what_is_noted_leaves_the_model_alone(whole):
    path, model = whole
    before = storage.load(path)
    storage.note(path, {"results": {"greedy_search": {"test-clean": 7.93}}})
    after = storage.load(path)
    assert after.about == {**before.about, "results": {"greedy_search": {"test-clean": 7.93}}}
    assert after.sha256 == before.sha256
    noted = path.stat().st_mtime_ns
    storage.note(path, {"results": {"greedy_search": {"test-clean": 7.93}}})
    assert path.stat().st_mtime_ns == noted


def test_a_format_is_a_file_and_another_is_one_line(tmp_path):
    assert registry.names(formats) == ["safetensors"]
    assert f"{tmp_path / 's.zip'}: format zip: want one of safetensors" in _refused(tmp_path / "s.zip")


def test_a_pruned_model_comes_back_with_its_zeros(tmp_path):
    model = Transducer(SMALL).eval()
    dense = copy.deepcopy(model)
    net = omni.Supernet(model, {r"encoder\.emformer\..*pos_ff\.1\.weight": omni.Range(0.0, 0.9, "8x1")})
    net.prune_(net.uniform(0.9))
    blocks = {name: target.blocks for name, target in net.targets.items()}
    files = [tmp_path / f"{name}.omni.safetensors" for name in ("sparse", "dense")]
    storage.write(files[0], SETTINGS, shipped(model.state_dict()), blocks, "float32", {}, b"")
    storage.write(files[1], SETTINGS, shipped(dense.state_dict()), blocks, "float32", {}, b"")
    found = load_subnet(files[0]).state_dict()
    assert blocks and all(torch.equal(found[name], value) for name, value in shipped(model.state_dict()).items())
    assert files[0].stat().st_size < files[1].stat().st_size


def test_the_bpe_model_that_ships_is_small_and_decodes_the_same(data_dir, tmp_path):
    path = data_dir / "lang_bpe_20/bpe.model"
    small = spm.SentencePieceProcessor(model_proto=without_normalizer(path))
    whole = spm.SentencePieceProcessor(model_file=str(path))
    ids = whole.encode("LAMP ON RED DOOR")
    assert small.encode("LAMP ON RED DOOR") == ids and small.decode(ids) == whole.decode(ids) == "LAMP ON RED DOOR"
    assert len(without_normalizer(path)) < 5000 < path.stat().st_size
    (tmp_path / "bpe.model").write_bytes(b"\xff\xff")
    with pytest.raises(UserError, match="bpe.model: not a model of sentencepiece's"):
        without_normalizer(tmp_path / "bpe.model")
    with pytest.raises(UserError, match="none.model: not there; stage 2"):
        without_normalizer(tmp_path / "none.model")


def test_the_index_is_read_without_torch():
    import subprocess

    code = ("import sys, egs.librispeech.omni_sparsity.subnets.index, egs.librispeech.omni_sparsity.subnets.formats; "
            "print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
