"""The masks that net.active gives to an optimizer: where each weight learns."""

import pytest
import torch
from torch import nn

import omni
from tests.omni.models import INPUTS, Convolutions, Mlp, build


def supernet(kind, structure, **more):
    model = build(kind)
    names = [name for name, value in model.named_parameters() if value.dim() > 1 and "depthwise" not in name]
    high = 0.5 if ":" in structure else 0.75
    return model, omni.Supernet(model, {"|".join(names): omni.Range(0.0, high, structure)}, **more)


STRUCTURES = ["4x1", "2x2", "unstructured", "2:4", "1:2"]


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("kind", [Mlp, Convolutions])
def test_they_are_the_masks_of_the_spec_and_the_gradient_is_zero_elsewhere(kind, structure):
    if kind is Mlp and structure == "2:4":
        structure = "1:2"  # six inputs
    model, net = supernet(kind, structure)
    spec = {name: 0.25 for name in list(net.targets)[:-1]}  # the last stays dense
    with net.active(spec) as learning:
        assert set(learning) == set(spec) and len(learning) == len(spec) and list(net.targets)[-1] not in learning
        inside = {name: model.get_parameter(name) != 0 for name in spec}
        model(INPUTS[kind]).square().sum().backward()
    for name, mask in learning.items():  # valid after leaving
        assert mask.dtype == torch.bool and torch.equal(mask, inside[name]) and not mask.all()
        assert torch.equal(mask, net.mask(name, 0.25))
        assert bool((model.get_parameter(name).grad[~mask] == 0).all())


@pytest.mark.parametrize("gradient", ["masked", "dense"])
@pytest.mark.parametrize("structure", ["4x1", "unstructured", "1:2"])
def test_what_is_held_does_not_learn(structure, gradient):
    model, net = supernet(Mlp, structure, gradient=gradient)
    spec, smaller = {"first.weight": 0.25}, {"first.weight": 0.5, "second.weight": 0.5}
    with net.active(spec, hold=smaller) as learning:
        model(INPUTS[Mlp]).square().sum().backward()
    want = {name: ~net.mask(name, 0.5) for name in smaller}
    if gradient == "masked":
        want["first.weight"] &= net.mask("first.weight", 0.25)
    assert {name: mask.tolist() for name, mask in learning.items()} == {n: mask.tolist() for n, mask in want.items()}
    for name, mask in learning.items():
        grad = model.get_parameter(name).grad
        assert bool((grad[~mask] == 0).all()) and bool((grad[mask] != 0).any())


def test_with_a_dense_gradient_or_no_gradient_nothing_is_masked():
    model, net = supernet(Mlp, "4x1", gradient="dense")
    with net.active(0.5) as learning:
        assert dict(learning) == {} and "first.weight" not in learning
    model, net = supernet(Mlp, "4x1")
    with net.active(0.0) as learning:
        assert len(learning) == 0
    model.first.weight.requires_grad_(False)
    with net.active(0.5) as learning:
        assert list(learning) == ["second.weight"]
        with pytest.raises(KeyError):
            learning["first.weight"]


def test_they_are_made_outside_of_inference_mode_and_of_autograd():
    _, net = supernet(Mlp, "4x1")
    with torch.inference_mode(), net.active(0.5) as learning:
        mask = learning["first.weight"]
    assert not mask.is_inference() and not mask.requires_grad and mask.shape == (16, 6)


def test_an_optimizer_that_heeds_them_leaves_the_others_weights_alone():
    """What they are for: Adam's averages move a weight on where its gradient is zero."""
    model, net = supernet(Mlp, "4x1")
    optimizer = torch.optim.Adam(model.parameters())
    with net.active(0.0):
        model(INPUTS[Mlp]).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()
    before = {name: target.weight.detach().clone() for name, target in net.targets.items()}
    with net.active(0.5) as learning:
        model(INPUTS[Mlp]).square().sum().backward()
    optimizer.step()
    for name, mask in learning.items():
        assert not torch.equal(net.targets[name].weight[~mask], before[name][~mask])
        with torch.no_grad():
            net.targets[name].weight.copy_(torch.where(mask, net.targets[name].weight, before[name]))
        assert torch.equal(net.targets[name].weight[~mask], before[name][~mask])
    assert isinstance(net.targets["first.weight"].weight, nn.Parameter)
