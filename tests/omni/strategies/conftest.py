"""A supernet that can be followed by hand: one weight of ten values, 1 to 10, and a bias with values of its own."""

import pytest
import torch

import omni


@pytest.fixture
def make():
    def made(high=0.9, bins=(0.5, 0.9), seed=42):
        model = torch.nn.Linear(10, 1)
        with torch.no_grad():
            model.weight.copy_(torch.arange(1.0, 11.0))
            model.bias.zero_()
        ranges = {"weight": omni.Range(0.0, high, "unstructured")}
        return omni.Supernet(model, ranges, seed=seed, private=["bias"] if bins else [], bins=list(bins))

    return made


@pytest.fixture
def net(make):
    return make()


@pytest.fixture
def kept():
    """Which of the ten values a sub-network keeps, by their places from 1."""

    def places(net, sparsity):
        return (net.mask("weight", sparsity)[0].nonzero().flatten() + 1).tolist()

    return places


@pytest.fixture
def trained():
    """(kind, sparsity) of what trains at one step: one weight, so one sparsity."""

    def at(strategy, net, progress, step=3):
        return [(kind, pytest.approx(spec["weight"])) for kind, spec in strategy.subnets(net, step, progress)]

    return at
