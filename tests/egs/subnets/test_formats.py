"""A sub-network's file is taken whole or not at all, and runs nothing."""

import copy
import dataclasses
import hashlib
import sys

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity import registry
from egs.librispeech.omni_sparsity.config import Model
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets import formats
from egs.librispeech.omni_sparsity.subnets.formats import load_subnet, pt
from omni.errors import UserError
from omni.loading import load_pt

SMALL = Model(encoder_dim=32, num_heads=4, ffn_dim=64, num_layers=1, vocab_size=20, decoder_dim=16, joiner_dim=16,
              projection_dim=8)


@pytest.fixture
def whole(tmp_path):
    """(file, the model in it)."""
    model = Transducer(SMALL).eval()
    pt.write(tmp_path / "s.pt", dataclasses.asdict(SMALL), shipped(model.state_dict()), {})
    return tmp_path / "s.pt", model


def _refused(path, digest=None):
    with pytest.raises(UserError) as error:
        load_subnet(path, digest)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    return str(error.value)


def test_the_model_comes_back(whole):
    path, model = whole
    found = load_subnet(path, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    assert not found.training
    wanted = shipped(model.state_dict())
    assert all(torch.equal(wanted[name], value) for name, value in shipped(found.state_dict()).items())


@pytest.mark.parametrize("change, says", [
    (lambda state: state.pop("decoder.embedding.weight"), "weight decoder.embedding.weight is missing"),
    (lambda state: state.clear(), "more) is missing"),
    (lambda state: state.update(zzz=torch.ones(1)), "weight zzz is none of this model's"),
    (lambda state: state.update({"ctc_output.1.bias": torch.ones(20)}), "weight ctc_output.1.bias is none"),
    (lambda state: state.update({"decoder.embedding.weight": torch.ones(3, 3)}), "another shape"),
])
def test_weights_that_are_missing_or_too_many_are_named(whole, change, says):
    path, _ = whole
    content = load_pt(path)
    state = omni.unpack(content["weights"])
    change(state)
    torch.save({**content, "weights": omni.pack(state, {})}, path)
    assert says in _refused(path)


@pytest.mark.parametrize("change, says", [
    (lambda c: c["weights"]["plain"].pop("decoder.embedding.weight"), "decoder.embedding.weight: damaged"),
    (lambda c: c["weights"]["plain"].update({"decoder.embedding.weight": "x"}), "decoder.embedding.weight: damaged"),
    (lambda c: c["config"].pop("num_layers"), "setting of the model num_layers is missing"),
    (lambda c: c["config"].update(newer=1), "setting of the model newer is none"),
    (lambda c: c["config"].update(num_layers="x"), "its settings make no model"),
    (lambda c: c["weights"].pop("sparse"), "not a sub-network of stage 4"),
    (lambda c: c.pop("config"), "not a sub-network of stage 4"),
    (lambda c: c.update(config=3), "not a sub-network of stage 4"),
])
def test_what_is_damaged_in_a_whole_file_is_named(whole, change, says):
    path, _ = whole
    content = load_pt(path)
    change(content)
    torch.save(content, path)
    assert says in _refused(path)


@pytest.mark.parametrize("content", [[1], {}, {"model": {}}, 3, None, torch.ones(2)])
def test_other_files_of_torch_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "s.pt")
    assert "not a sub-network of stage 4" in _refused(tmp_path / "s.pt")


@pytest.mark.parametrize("data", [b"", b"x" * 100])
def test_no_file_of_torch_at_all(tmp_path, data):
    (tmp_path / "s.pt").write_bytes(data)
    assert "not a sub-network of stage 4" in _refused(tmp_path / "s.pt")
    assert "no such file; stage 4" in _refused(tmp_path / "absent.pt")


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_overwritten_bytes_are_noticed_with_and_without_a_digest(whole, share):
    path, _ = whole
    data = bytearray(path.read_bytes())
    digest = hashlib.sha256(data).hexdigest()[:16]
    at = int(len(data) * share)
    data[at:at + 64] = b"\x11" * 64
    path.write_bytes(data)
    assert "damaged" in _refused(path)
    assert f"not the file that subnets.json lists ({digest})" in _refused(path, digest)
    path.write_bytes(data[:at])
    assert "not a sub-network" in _refused(path)


def test_another_whole_file_is_not_the_one_that_is_listed(whole):
    assert "not the file that subnets.json lists" in _refused(whole[0], "0" * 16)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_is_run_that_a_file_asks_for(whole, tmp_path):
    path, _ = whole
    content = torch.load(path)
    content["config"] = Malicious(tmp_path / "proof")
    torch.save(content, path)
    _refused(path)
    assert not (tmp_path / "proof").exists()
    Malicious(tmp_path / "proof").__reduce__()[0](tmp_path / "proof", "w").close()  # what it would have done
    assert (tmp_path / "proof").exists()


def test_a_format_is_a_file_and_another_is_one_line(tmp_path):
    assert registry.names(formats) == ["pt"]
    assert f"{tmp_path / 's.zip'}: format zip: want one of pt" in _refused(tmp_path / "s.zip")


def test_a_pruned_model_comes_back_with_its_zeros(tmp_path):
    model = Transducer(SMALL).eval()
    net = omni.Supernet(model, {r"encoder\.emformer\..*pos_ff\.1\.weight": omni.Range(0.0, 0.9, "8x1")})
    net.prune_(net.uniform(0.9))
    blocks = {name: target.blocks for name, target in net.targets.items()}
    pt.write(tmp_path / "s.pt", dataclasses.asdict(SMALL), shipped(model.state_dict()), blocks)
    dense = copy.deepcopy(model)
    pt.write(tmp_path / "d.pt", dataclasses.asdict(SMALL), shipped(dense.state_dict()), {})
    found = load_subnet(tmp_path / "s.pt").state_dict()
    assert blocks and all(torch.equal(found[name], value) for name, value in shipped(model.state_dict()).items())
    assert (tmp_path / "s.pt").stat().st_size < (tmp_path / "d.pt").stat().st_size


def test_the_index_is_read_without_torch():
    import subprocess

    code = ("import sys, egs.librispeech.omni_sparsity.subnets.index, egs.librispeech.omni_sparsity.subnets.formats; "
            "print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
