"""What makes a weight worth keeping."""

import pytest
import torch
from torch import nn

import omni
from omni.criteria import importance


def test_values_to_the_letter():
    weight = nn.Parameter(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
    assert importance("l1", "w", weight).tolist() == [[1.0, 2.0], [0.0, 3.0]]
    assert importance("l2", "w", weight).tolist() == [[1.0, 4.0], [0.0, 9.0]]
    assert importance(lambda name, w: (w + len(name)).t(), "w", weight).is_contiguous()


def test_squares_of_half_precision_do_not_vanish():
    weight = nn.Parameter(torch.tensor([[1e-4, 2e-4]], dtype=torch.float16))
    assert 0 < importance("l2", "w", weight)[0, 0] < importance("l2", "w", weight)[0, 1]


def test_a_function_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"w: criterion gave shape \(2,\), want \(2, 2\)"):
        importance(lambda name, weight: weight[0], "w", nn.Parameter(torch.ones(2, 2)))


def test_a_function_is_told_which_weight():
    told = []
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net = omni.Supernet(model, omni.Range(), criterion=lambda name, weight: told.append(name) or weight.abs())
    net.global_ranking(0.5)
    net.refresh()
    assert told == ["0.weight", "1.weight"] * 3
