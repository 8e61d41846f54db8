"""The optimizer, against singular values that torch computes and against torch's own AdamW."""

import copy

import pytest
import torch
from torch import nn

from egs.librispeech.omni_sparsity.config import Train as TrainConfig
from egs.librispeech.omni_sparsity.training.optim import Schedule, make_optimizer, orthogonal


@pytest.mark.parametrize("shape", [(3, 16, 48), (1, 48, 16), (2, 24, 24)])
def test_orthogonal_keeps_the_singular_vectors_and_makes_the_values_one(shape):
    rank = min(shape[1:])
    u = torch.linalg.qr(torch.randn(shape[0], shape[1], rank))[0]
    v = torch.linalg.qr(torch.randn(shape[0], shape[2], rank))[0]
    x = 7.0 * (u * torch.logspace(0, -2, rank)) @ v.transpose(1, 2)
    found = u.transpose(1, 2) @ orthogonal(x) @ v  # diagonal, if the vectors stayed
    values = torch.diagonal(found, dim1=1, dim2=2)
    assert values.min() > 0.7 and values.max() < 1.3
    assert (found - torch.diag_embed(values)).abs().max() < 0.01


def test_orthogonal_of_nothing_is_nothing():
    assert torch.equal(orthogonal(torch.zeros(2, 8, 16)), torch.zeros(2, 8, 16))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8))


def train(net, optimizer, steps, **options):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(torch.randn(64, 8, generator=generator)) ** 2).sum().backward()
        optimizer.step(**options)
    return [p.detach().clone() for p in net.parameters()]


def test_only_the_matrices_given_are_treated_otherwise_than_by_adamw():
    config = TrainConfig(weight_decay=0.1)
    ours, theirs = network(), network()
    after = train(ours, make_optimizer(ours.parameters(), config, [ours[0].weight]), 1)
    groups = [{"params": [theirs[0].weight, theirs[2].weight], "weight_decay": 0.1},
              {"params": [theirs[0].bias, theirs[2].bias], "weight_decay": 0.0}]
    want = train(theirs, torch.optim.AdamW(groups, lr=config.base_lr, betas=(0.9, 0.98)), 1)
    assert [torch.equal(a, b) for a, b in zip(after, want)] == [False, True, True, True]
    step = (network()[0].weight * (1 - config.base_lr * 0.1) - after[0]) / config.base_lr
    assert step.norm().item() == pytest.approx(0.2 * 16**0.5 * 8**0.5, rel=0.2)  # the size that AdamW's steps have
    plain = network()
    adamw = make_optimizer(plain.parameters(), TrainConfig(weight_decay=0.1, optimizer="adamw"), [plain[0].weight])
    assert all(torch.equal(a, b) for a, b in zip(train(plain, adamw, 1), want))


def test_a_resumed_optimizer_goes_on_as_an_unbroken_one():
    config = TrainConfig()
    net = network()
    optimizer = make_optimizer(net.parameters(), config, [net[0].weight, net[2].weight])
    train(net, optimizer, 3)
    state, weights = copy.deepcopy(optimizer.state_dict()), copy.deepcopy(net.state_dict())
    unbroken = train(net, optimizer, 2)
    net = network()
    net.load_state_dict(weights)
    optimizer = make_optimizer(net.parameters(), config, [net[0].weight, net[2].weight])
    optimizer.load_state_dict(state)
    assert all(torch.equal(a, b) for a, b in zip(train(net, optimizer, 2), unbroken))


def test_the_learning_rate_rises_and_falls_by_progress():
    net = network()
    optimizer = make_optimizer(net.parameters(), TrainConfig(), [net[0].weight])
    schedule = Schedule(optimizer, TrainConfig(base_lr=1.0, warm_up=0.1))
    rates = [schedule.set_progress(progress) for progress in (0.0, 0.05, 0.1, 0.5, 1.0)]
    assert rates[0] < 0.02 and rates[1] < rates[2] == 1.0 > rates[3] > rates[4] == pytest.approx(0.02)
    assert {group["lr"] for group in optimizer.param_groups} == {rates[4]}


def test_what_did_not_learn_does_not_move():
    net = network()
    weight, config = net[0].weight, TrainConfig(weight_decay=0.1)
    optimizer = make_optimizer(net.parameters(), config, [weight])
    train(net, optimizer, 3)  # there is momentum now
    before, half = weight.detach().clone(), torch.arange(16)[:, None].expand(16, 8) < 8
    momentum = optimizer.state[weight]["momentum_buffer"].clone()
    handle = weight.register_hook(lambda gradient: gradient * half)
    train(net, optimizer, 1, learns={weight: half})
    handle.remove()
    assert torch.equal(weight[8:], before[8:]) and not torch.isclose(weight[:8], before[:8]).any()
    moved = optimizer.state[weight]["momentum_buffer"] != momentum
    assert moved[:8].all() and not moved[8:].any()
    # The step is that of a network which has these rows alone.
    update = before[:8] * (1 - config.base_lr * 0.1) - weight[:8]
    assert update.norm().item() == pytest.approx(config.base_lr * 0.2 * 16**0.5 * 8**0.5, rel=0.2)


@pytest.mark.parametrize("learns", [None, 5])
def test_a_weight_decays_where_it_learns_whatever_its_gradient(learns):
    """A gradient that happens to be zero is none of a mask: what tells is the mask."""
    after = []
    for decay in (0.0, 0.5):
        net = network()
        weight, before = net[0].weight, net[0].weight.detach().clone()
        optimizer = make_optimizer(net.parameters(), TrainConfig(weight_decay=decay), [weight])
        where = torch.arange(16)[:, None].expand(16, 8) < (learns or 16)
        weight.grad = torch.zeros_like(weight)
        optimizer.step({weight: where} if learns else {})
        after.append(weight.detach().clone())
    assert torch.equal(after[0], before)
    assert torch.allclose(after[1], torch.where(where, before * (1 - 1e-3 * 0.5), before), rtol=1e-6, atol=0)
    assert not torch.equal(after[1][0], before[0])
