"""The file that ships: what was packed comes back without torch, small, and anything else is one clear line."""

import json
import random
import struct
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import omni
from omni.ship import container, shipped

from .test_coding import entropy


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = nn.Linear(48, 64), nn.Linear(64, 48)
        self.words = nn.Embedding(30, 48)
        self.mix = nn.Conv1d(48, 48, 3, groups=12)
        self.norm = nn.BatchNorm1d(48)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = omni.Supernet(
        Net(), {r"up\.weight": omni.Range(0.0, 0.9, "8x1"), r"down\.weight": omni.Range(0.0, 0.9, "4x2")})
    net.prune_(net.uniform(0.75))
    return net


@pytest.fixture
def packed(net, tmp_path):
    omni.pack(net, file=tmp_path / "net.omni.safetensors", about={"kind": "a test", "numbers": [1, 2]})
    return tmp_path / "net.omni.safetensors"


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("values, close", [("float32", 0.0), ("float16", 5e-4), ("int8", 5e-3)])
def test_the_state_dict_comes_back(net, tmp_path, values, close, coded):
    path = tmp_path / "net.omni.safetensors"
    assert omni.pack(net, file=path, values=values, coded=coded) is None
    found, wanted = omni.load(path).state_dict(), net.model.state_dict()
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        assert found[name].shape == value.shape and found[name].dtype == value.dtype, name
        bound = 0.0 if value.dim() < 2 else close * float(value.abs().max())  # norms, biases, counts: as they are
        assert float((found[name] - value).abs().max()) <= bound, name
    assert all(torch.equal(found[name] == 0, wanted[name] == 0) for name in net.targets if values != "int8")
    fresh = Net()
    fresh.load_state_dict(found)


def test_zeros_are_left_out_and_the_rest_is_in_the_order_of_the_kernels(net, packed):
    file = omni.load(packed)
    for name, (rows, columns) in (("up.weight", (8, 1)), ("down.weight", (4, 2))):
        weight, whole = file.weights[name], file.weights[name].dense()
        assert weight.blocks == (rows, columns) and weight.kept.mean() == pytest.approx(0.25, abs=0.01)
        blocks = [whole[rows * i:rows * (i + 1), columns * j:columns * (j + 1)]
                  for i, j in zip(*np.nonzero(weight.kept))]  # group by group, by rising column
        scales = [weight.scale[rows * i:rows * (i + 1)].astype(np.float32) for i in np.nonzero(weight.kept)[0]]
        for block, scale, values in zip(blocks, scales, weight.values):
            assert np.array_equal(block, (values * scale).T)  # column by column, the rows of each together
    assert file.weights["words.weight"].kept is None and file.about == {
        "kind": "a test", "numbers": [1, 2], "values": "int8"}


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.7, 0.9])
def test_size_is_near_the_entropy(tmp_path, sparsity):
    """The whole file is at most 1.05 times the entropy of its int8 values and masks, and what is stored as it is."""
    model = nn.Sequential(*[nn.Linear(512, 512) for _ in range(4)])
    net = omni.Supernet(model, omni.Range(0.0, 0.9))
    net.prune_(net.uniform(sparsity))
    path = tmp_path / "net.omni.safetensors"
    omni.pack(net, file=path)
    file, least = omni.load(path), 0.0
    for weight in file.weights.values():
        least += entropy(weight.values) * weight.values.size / 8 + weight.scale.nbytes
        if weight.kept is not None:
            least += entropy(weight.kept) * weight.kept.size / 8
    assert len(file.weights) == 4 and (sparsity == 0) == all(weight.kept is None for weight in file.weights.values())
    least += sum(value.nbytes for value in file.plain.values())
    assert least < path.stat().st_size <= 1.05 * least


def test_uncoded_values_lie_in_the_file(net, tmp_path):
    path = tmp_path / "net.omni.safetensors"
    omni.pack(net, file=path, coded=False)
    for array in [*omni.load(path).plain.values(), *(weight.values for weight in omni.load(path).weights.values())]:
        while isinstance(array.base, np.ndarray) and not isinstance(array, np.memmap):
            array = array.base
        assert isinstance(array, np.memmap) and not array.flags.writeable


def test_loading_imports_no_torch(packed):
    code = f"import sys, omni; omni.load({str(packed)!r}).arrays(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("arguments, says", [
    ({"file": "net.safetensors"}, "want a name that ends in .omni.safetensors"),
    ({"values": "int4"}, "values 'int4': want one of int8, float16, float32"),
    ({"about": {"weights": 1}}, "'weights' is no key of the caller's"),
    ({"about": {"sha256": 1}}, "'sha256' is no key"),
])
def test_a_wrong_argument_is_named_and_nothing_is_written(net, tmp_path, arguments, says):
    arguments = {"file": "net.omni.safetensors", **arguments}
    with pytest.raises(ValueError, match=says):
        omni.pack(net, **{**arguments, "file": tmp_path / arguments["file"]})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("state, values, says", [
    ({"w": torch.full((2, 2), float("nan"))}, "int8", "w: NaN or infinity"),
    ({"w": torch.full((2, 2), float("inf"))}, "float32", "w: NaN or infinity"),
    ({"w": torch.full((2, 2), 1e6)}, "float16", "w: a value beyond the range of float16"),
    ({"w": torch.ones(2, 2), "w.values": torch.ones(1)}, "int8", "w.values: two weights would have that name"),
])
def test_a_value_that_cannot_be_packed_is_named(tmp_path, state, values, says):
    with pytest.raises(ValueError, match=says):
        omni.pack(state, {}, file=tmp_path / "x.omni.safetensors", values=values)
    assert not list(tmp_path.iterdir())


def _header(data):
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + size]), data[8 + size:]


def _whole(header, tensors):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def _signed(data):
    """With digests that fit: what somebody who knows the format could write."""
    header, tensors = _header(data)
    kinds = {"U8": np.uint8, "I8": np.int8, "F16": np.float16, "F32": np.float32, "I64": np.int64}
    arrays = {}
    for name, said in header.items():
        if name != "__metadata__":
            first, last = said["data_offsets"]
            arrays[name] = np.frombuffer(tensors[first:last], kinds[said["dtype"]]).reshape(said["shape"])
    texts = header["__metadata__"]
    texts["sha256"] = container.digest_of_tensors(arrays)
    texts["sha256_header"] = container.digest_of_texts(texts)
    return _whole(header, tensors)


def _refused(path):
    with pytest.raises(ValueError) as error:
        omni.load(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


@pytest.mark.parametrize("change, says", [
    (lambda d: d[:100], "not a whole safetensors file"),
    (lambda d: d[:-1], "not a whole safetensors file"),
    (lambda d: b"", "not a whole safetensors file"),
    (lambda d: d + b"x", "not a whole safetensors file"),
    (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "changed since it was written"),
    (lambda d: d.replace(b'"numbers":"[1,2]"', b'"numbers":"[1,3]"'), "changed since it was written"),
    (lambda d: d.replace(b'"omni_version":"1"', b'"omni_version":"2"'), "of version 2, this omni reads up to 1"),
    (lambda d: d.replace(b'"omni_version":"1"', b'"omni_versiom":"1"'), "not one that omni wrote"),
])
def test_other_files_are_one_line(packed, change, says):
    data = packed.read_bytes()
    assert change(data) != data
    packed.write_bytes(change(data))
    assert says in _refused(packed)


@pytest.mark.parametrize("change, says", [
    (lambda w: w.update({"up.weight": {"shape": [64, 48]}}), "up.weight: blocks without a mask, or a mask without"),
    (lambda w: w.update({"words.weight": {"shape": [30, 48], "blocks": [2, 1]}}), "words.weight: blocks without"),
    (lambda w: w["up.weight"].update(shape=[64, 47]), "up.weight: "),
    (lambda w: w["up.weight"].update(shape=[2**30, 2**30]), "up.weight: a shape of"),
    (lambda w: w["up.weight"].update(shape=[64, 2**29]), "up.weight: "),
    (lambda w: w["up.weight"].update(shape="64"), "up.weight: a shape or blocks of '64'"),
    (lambda w: w["up.weight"].update(shape=[64, -48]), "a shape or blocks of"),
    (lambda w: w["up.weight"].update(blocks=[0, 1]), "a shape or blocks of"),
    (lambda w: w["up.weight"].update(blocks=[7, 1]), "no whole number of blocks of"),
    (lambda w: w["up.weight"].update(blocks=[8, 1, 1]), "no whole number of blocks of"),
    (lambda w: w["words.weight"].update(shape=[30, 49]), "words.weight: 1440 values, want 1470"),
    (lambda w: w["words.weight"].update(shape=[29, 48]), "words.weight: scales of float16 [30] for 29 outputs"),
    (lambda w: w.update({"none": {"shape": [1, 1]}}), "none: its values are missing"),
    (lambda w: w.update({"up.weight": 3}), "up.weight: nothing is said of its shape"),
])
def test_a_header_that_lies_is_one_line_though_its_digests_fit(packed, change, says):
    header, tensors = _header(packed.read_bytes())
    weights = json.loads(header["__metadata__"]["weights"])
    change(weights)
    header["__metadata__"]["weights"] = json.dumps(weights)
    packed.write_bytes(_signed(_whole(header, tensors)))
    assert says in _refused(packed)


def test_three_hundred_mutations_of_the_header_are_one_line_or_load(packed):
    """Bytes of the header are changed, half of the time with digests that fit then: no crash, no read past the end."""
    data, draw = packed.read_bytes(), random.Random(0)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    refused = 0
    for number in range(300):
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 8))):
            changed[draw.randrange(end)] = draw.choice((draw.randrange(256), *b'0123456789{}[]":,-e'))
        if number % 2:
            try:
                changed = _signed(bytes(changed))
            except Exception:
                pass  # no longer a header
        packed.write_bytes(changed)
        try:
            omni.load(packed).arrays()
        except ValueError as error:
            assert str(error).startswith(f"{packed}: ") and "\n" not in str(error), changed[:end]
            refused += 1
    assert 200 < refused < 300  # a changed letter in the name of a weight is another name


def test_no_file_is_one_line(tmp_path):
    assert "no such file" in _refused(tmp_path / "none.omni.safetensors")
    with pytest.raises(ValueError, match="of kind None, want 'x'"):
        omni.pack({"w": torch.ones(2, 2)}, {}, file=tmp_path / "w.omni.safetensors")
        shipped.load(tmp_path / "w.omni.safetensors", "x")


def test_what_is_added_to_the_header_leaves_the_tensors(packed):
    before = omni.load(packed)
    container.rewrite(packed, {"results": {"a": 1}})
    after = omni.load(packed)
    assert after.about == {**before.about, "results": {"a": 1}} and after.sha256 == before.sha256
    container.rewrite(packed, {"results": {"a": 2}})
    assert omni.load(packed).about["results"] == {"a": 2}
