"""omni.pack: lossless, and smaller."""

import io

import pytest
import torch
from torch import nn

import omni


def saved_bytes(value) -> int:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.tell()


@pytest.mark.parametrize("structure", ["8x1", "unstructured", "4x2", "1:16"])
def test_round_trip_is_bit_exact_and_small(structure):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(80, 128), nn.Linear(128, 40))
    net = omni.Supernet(model, {r".*weight": omni.Range(0.0, 0.9, structure)})
    net.prune_(net.uniform(0.9))
    blocks = {name: target.blocks for name, target in net.targets.items()}
    packed = omni.pack(model.state_dict(), blocks)
    back = omni.unpack(packed)
    assert back.keys() == model.state_dict().keys()
    assert all(torch.equal(back[name], value) for name, value in model.state_dict().items())
    assert saved_bytes(packed) < 0.35 * saved_bytes(model.state_dict())


def test_another_memory_format_is_packed_too():
    weight = torch.randn(8, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    weight[:, 1:] = 0
    packed = omni.pack({"weight": weight}, {"weight": omni.Blocks(8, 1)})
    assert packed["sparse"]["weight"]["kept"].shape == (9, 8)
    assert torch.equal(omni.unpack(packed)["weight"], weight)


def test_a_dense_weight_stays_plain():
    state = {"weight": torch.ones(8, 3)}
    assert list(omni.pack(state, {"weight": omni.Blocks(8, 1)})["plain"]) == ["weight"]


def test_something_else_is_refused():
    with pytest.raises(ValueError, match="omni_pack"):
        omni.unpack({"weight": torch.ones(1)})
