"""omni.pack: lossless, and smaller; omni.unpack: the very state, or an error that names the weight."""

import copy
import io

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

import omni


def saved_bytes(value) -> int:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.tell()


def pruned():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.BatchNorm1d(32), nn.Linear(32, 16))
    net = omni.Supernet(model, {"0.weight": omni.Range(0.0, 0.8), "2.weight": omni.Range(0.0, 0.8, "2x2")})
    net.prune_(0.8)
    return model, net


STATE = pruned()[0].state_dict()
PACKED = omni.pack(pruned()[1])


@pytest.mark.parametrize("structure", ["8x1", "unstructured", "4x2", "1:16"])
def test_round_trip_is_bit_exact_and_small(structure):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(80, 128), nn.Linear(128, 40))
    net = omni.Supernet(model, {r".*weight": omni.Range(0.0, 0.9, structure)})
    net.prune_(net.uniform(0.9))
    packed = omni.pack(model.state_dict(), {name: target.blocks for name, target in net.targets.items()})
    back = omni.unpack(packed)
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in model.state_dict().items())
    assert saved_bytes(packed) < 0.35 * saved_bytes(model.state_dict())
    for blocks in (net.targets, net.blocks):
        assert same(omni.unpack(omni.pack(model.state_dict(), blocks)), back)
    assert same(omni.unpack(omni.pack(net)), back) and same(omni.unpack(omni.pack(model)), back)
    if structure in ("unstructured", "1:16"):  # a bit for each value
        assert packed["sparse"]["0.weight"]["bits"].numel() == 128 * 80 // 8
    assert omni.pack(net)["sparse"].keys() == packed["sparse"].keys() == {"0.weight", "1.weight"}


def same(one, other):
    return one.keys() == other.keys() and all(
        value.dtype == other[name].dtype and torch.equal(value, other[name]) for name, value in one.items()
    )


def test_another_memory_format_is_packed_too():
    weight = torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    weight[:, 1:] = 0
    packed = omni.pack({"weight": weight}, {"weight": omni.Blocks(8, 1)})
    assert packed["sparse"]["weight"]["kept"].shape == (9, 8)
    assert torch.equal(omni.unpack(packed)["weight"], weight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64, torch.int8])
def test_other_types_come_back(dtype):
    weight = torch.arange(-32, 32).view(8, 8).to(dtype) * (torch.arange(8) > 5)
    state = {"weight": weight, "empty": torch.ones(0), "one": torch.tensor(3)}
    packed = omni.pack(state, {"weight": omni.Blocks(8, 1)})
    assert list(packed["sparse"]) == ["weight"]
    back = omni.unpack(packed)
    assert back["weight"].dtype == dtype and torch.equal(back["weight"], weight) and back["one"] == 3


def test_a_dense_weight_stays_plain():
    state = {"weight": torch.ones(8, 3)}
    assert list(omni.pack(state, {"weight": omni.Blocks(8, 1)})["plain"]) == ["weight"]


def test_a_tied_weight_is_sparse_under_each_of_its_names():
    model = nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16))
    model[1].weight = model[0].weight
    net = omni.Supernet(model, omni.Range())
    net.prune_(0.5)
    assert list(omni.pack(net)["sparse"]) == ["0.weight", "1.weight"]


def test_a_supernet_is_packed_as_what_it_is_now():
    model, net = nn.Linear(8, 16), None
    net = omni.Supernet(model, omni.Range())
    with net.active(0.5):
        inside, want = omni.unpack(omni.pack(net)), model.weight.detach().clone()
    assert torch.equal(inside["weight"], want) and int((want == 0).sum()) == 64
    assert torch.equal(omni.unpack(omni.pack(net))["weight"], model.weight)


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda: omni.pack({"w": torch.ones(8, 8)}), TypeError, r"pack\(dict\) needs the blocks of its weights"),
        (lambda: omni.pack([1]), TypeError, "needs the blocks"),
        (lambda: omni.pack([1], {}), TypeError, "want a state dict"),
        (lambda: omni.pack({"w": torch.ones(8, 8)}, {"w": "8x1"}), TypeError, "w: want omni.Blocks, not '8x1'"),
        (lambda: omni.pack({"w": 1.0}, {}), TypeError, "w is no tensor but float"),
        (lambda: omni.pack({"w": torch.ones(9, 8)}, {"w": omni.Blocks(8, 1)}), ValueError, r"w: shape \(9, 8\)"),
        (lambda: omni.unpack({"weight": torch.ones(1)}), ValueError, "omni_pack"),
        (lambda: omni.unpack([1]), ValueError, "omni_pack"),
        (lambda: omni.unpack({"omni_pack": 3}), ValueError, "version 2"),
    ],
)
def test_something_else_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_file_of_the_first_version_is_read_and_what_cannot_be_is_refused():
    old = {key: value for key, value in copy.deepcopy(PACKED).items() if key != "sums"}
    old["omni_pack"] = 1
    assert same(omni.unpack(old), STATE)
    old["sparse"]["0.weight"]["kept"] = old["sparse"]["0.weight"]["kept"][:1]
    with pytest.raises(ValueError, match=r"0.weight: damaged, kept is \(1, 8\) for 13 blocks of 8"):
        omni.unpack(old)


def entry(name, part, change):
    def damage(packed):
        packed["sparse"][name][part] = change(packed["sparse"][name][part])
    return damage


WHOLE = [  # damage, the weight or part that is named
    (entry("0.weight", "kept", lambda kept: kept[:1]), "0.weight"),  # would be broadcast
    (entry("0.weight", "kept", lambda kept: kept[:-1]), "0.weight"),
    (entry("0.weight", "kept", lambda kept: torch.cat([kept, kept[:1]])), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.flip(0)), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.double()), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.flatten()), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.tolist()), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.to("meta")), "0.weight"),
    (entry("0.weight", "kept", lambda kept: kept.to_sparse()), "0.weight"),
    (entry("0.weight", "shape", lambda shape: shape[::-1]), "0.weight"),
    (entry("0.weight", "shape", lambda shape: [*shape, 1]), "0.weight"),
    (entry("0.weight", "shape", lambda shape: shape[:1]), "0.weight"),
    (entry("0.weight", "shape", lambda shape: None), "0.weight"),
    (entry("0.weight", "shape", lambda shape: [32, -16]), "0.weight"),
    (entry("0.weight", "shape", lambda shape: [2**40, 2**40]), "0.weight"),
    (entry("0.weight", "shape", lambda shape: [32.0, 16.0]), "0.weight"),
    (entry("0.weight", "bits", lambda bits: bits[:1]), "0.weight"),
    (entry("0.weight", "bits", lambda bits: torch.cat([bits, bits])), "0.weight"),
    (entry("0.weight", "bits", lambda bits: bits.flip(0)), "0.weight"),
    (entry("0.weight", "bits", lambda bits: bits.int()), "0.weight"),
    (entry("0.weight", "bits", lambda bits: None), "0.weight"),
    (entry("2.weight", "blocks", lambda blocks: (4, 1)), "2.weight"),
    (entry("2.weight", "blocks", lambda blocks: (3, 1)), "2.weight"),
    (entry("2.weight", "blocks", lambda blocks: (1,)), "2.weight"),
    (entry("2.weight", "blocks", lambda blocks: "2x2"), "2.weight"),
    (entry("2.weight", "blocks", lambda blocks: (2**63, 2**63)), "2.weight"),
    (lambda packed: packed.pop("sparse"), "'sparse'"),
    (lambda packed: packed.pop("plain"), "'plain'"),
    (lambda packed: packed.pop("sums"), "'sums'"),
    (lambda packed: packed.update(sparse=[1]), "'sparse'"),
    (lambda packed: packed["sparse"].update({"0.weight": None}), "0.weight"),
    (lambda packed: packed["sparse"].pop("2.weight"), "2.weight"),
    (lambda packed: packed["plain"].pop("0.bias"), "0.bias"),
    (lambda packed: packed["plain"].update({"0.bias": [1.0]}), "0.bias"),
    (lambda packed: packed["plain"].update({"0.bias": torch.zeros(32)}), "0.bias"),
    (lambda packed: packed["plain"].update({"0.weight": torch.zeros(32, 16)}), "0.weight"),
    (lambda packed: packed["plain"].update({"another": torch.zeros(1)}), "another"),
    (lambda packed: packed["plain"].update({1: torch.zeros(1)}), "'plain'"),
]


@pytest.mark.parametrize("number", range(len(WHOLE)))
def test_damage_is_refused_and_the_weight_named(number):
    damage, named = WHOLE[number]
    packed = copy.deepcopy(PACKED)
    damage(packed)
    with pytest.raises(ValueError, match=named):
        omni.unpack(packed)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2**70), st.floats(), st.text(max_size=3), st.just([]), st.just({}),
    st.lists(st.integers(-1, 64), max_size=4), st.just(torch.ones(3)), st.just(torch.ones(2, 3)),
    st.just(torch.ones(())), st.just(torch.ones(16, dtype=torch.uint8)), st.just(torch.zeros(0, 8)),
    st.just(torch.ones(2, 8, dtype=torch.complex64)),
    st.just(nn.Parameter(torch.ones(13, 8))), st.just(torch.ones(8, device="meta")),
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_damaged_gives_an_error_or_the_very_state(data):
    packed = copy.deepcopy(PACKED)
    for _ in range(data.draw(st.integers(1, 2))):
        place = packed  # walk down to something
        while True:
            if not isinstance(place, dict) or not place:
                break
            key = data.draw(st.sampled_from(list(place)))
            child = place[key]
            if not isinstance(child, dict) or not data.draw(st.integers(0, 3)):
                break
            place = child
        assume(isinstance(place, dict) and place)
        kind = data.draw(st.sampled_from(["drop", "odd", "rename", "bit", "cut", "turn"]))
        old = place.pop(key)
        if kind == "odd":
            place[key] = data.draw(ODD)
        elif kind == "rename":
            place[data.draw(st.sampled_from([f"{key}x", "0.bias", "kept", 3]))] = old
        elif isinstance(old, torch.Tensor) and kind == "bit" and old.numel():
            flat = old.contiguous().clone().view(-1)
            raw = flat.view(torch.uint8)
            raw[data.draw(st.integers(0, raw.numel() - 1))] ^= 1 << data.draw(st.integers(0, 7))
            place[key] = flat.view(old.shape)
        elif isinstance(old, torch.Tensor) and kind == "cut" and old.dim():
            place[key] = old[: data.draw(st.integers(0, len(old)))]
        elif isinstance(old, torch.Tensor) and kind == "turn":
            place[key] = old.transpose(0, -1) if old.dim() > 1 else old.reshape(-1, 1)
        elif isinstance(old, (list, tuple)) and kind == "turn":
            place[key] = old[::-1]
        elif isinstance(old, int) and kind == "bit":
            place[key] = old ^ 1 << data.draw(st.integers(0, 31))
    try:
        found = omni.unpack(packed)
    except ValueError as error:
        assert str(error)
        return
    # One weight and its checksum, both gone, are a smaller model and no damage; all that is there is right.
    assert all(torch.equal(value, STATE[name]) for name, value in found.items())
    assert len(STATE) - len(found) <= 1
