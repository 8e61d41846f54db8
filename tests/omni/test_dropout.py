"""Dropout that follows the active sub-network."""

import pytest
import torch
from torch import nn

import omni
from omni.dropout import AdaptiveDropout


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 16)
        self.dropout = nn.Dropout(0.4)
        self.plane = nn.Dropout2d(0.2)
        self.attention = nn.MultiheadAttention(16, 2, dropout=0.1)
        self.lstm = nn.LSTM(16, 8, num_layers=2, dropout=0.3)
        self.none = nn.Dropout(0.0)


def probabilities(model):
    return [model.dropout.p, model.plane.p, model.attention.dropout, model.lstm.dropout, model.none.p]


OWN = [0.4, 0.2, 0.1, 0.3, 0.0]


@pytest.mark.parametrize(
    "formula, scale",
    [("none", 1.0), ("linear", 0.25), ("sqrt", 0.5), ("dense", 0.0), (lambda p, density: p * density**2, 0.0625)],
)
def test_probabilities_follow_the_formula_and_come_back(formula, scale):
    model = Net()
    net = omni.Supernet(model, {"linear.weight": omni.Range(0.0, 0.75, "8x1")}, dropout=formula)
    with net.active(net.uniform(0.75)):
        assert probabilities(model) == pytest.approx([p * scale for p in OWN])
    with net.active(net.largest()):
        assert probabilities(model) == OWN
    with pytest.raises(KeyError), net.active(net.smallest()):
        raise KeyError
    assert probabilities(model) == OWN


def test_density_is_that_of_all_targeted_weights():
    model, seen = Net(), []
    net = omni.Supernet(
        model, {"linear.weight|attention.in_proj_weight": omni.Range(0.0, 0.9, "8x1")},
        dropout=lambda p, density: seen.append(density) or p,
    )
    with net.active({"linear.weight": 0.5}):
        pass
    size = 8 * 16
    assert seen[0] == pytest.approx(1 - 0.5 * size / (size + 48 * 16))


def test_what_is_dropped_is_really_less():
    model = Net().train()
    net = omni.Supernet(model, {"linear.weight": omni.Range(0.0, 0.75, "8x1")}, dropout="linear")
    ones = torch.ones(100_000)
    torch.manual_seed(0)
    with net.active(net.uniform(0.75)):
        assert float((model.dropout(ones) == 0).float().mean()) == pytest.approx(0.1, abs=0.01)
    assert float((model.dropout(ones) == 0).float().mean()) == pytest.approx(0.4, abs=0.01)


def test_a_wrong_formula_is_named_and_leaves_no_trace():
    with pytest.raises(ValueError, match="dropout 'cubic': want 'none', 'linear', 'sqrt', 'dense' or a function"):
        AdaptiveDropout(Net(), "cubic")
    model = Net()
    before = model.linear.weight.detach().clone()
    net = omni.Supernet(model, {"linear.weight": omni.Range(0.0, 0.75, "8x1")}, dropout=lambda p, density: p + 0.7)
    with pytest.raises(ValueError, match="dropout 0.4 at density 0.25: the formula gives 1.1, no probability"):
        with net.active(net.smallest()):
            pass
    assert probabilities(model) == OWN and torch.equal(model.linear.weight, before)
