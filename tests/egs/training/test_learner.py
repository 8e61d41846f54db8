"""A step: what it counts, what it learns from, and what it leaves alone."""

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity.training import loop
from egs.librispeech.omni_sparsity.training.distributed import Processes
from egs.librispeech.omni_sparsity.training.learner import Learner

SIZES = {0.0: 1.0, 0.5: 1.0, 0.9: 1.0}


def batch(seed=0, utterances=6):
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(60, 100, (utterances,), generator=rng)
    features = torch.randn(utterances, int(lengths.max()), 80, generator=rng) * 4 - 6
    return features, lengths, [[1 + i % 5, 7, 3] for i in range(utterances)]


@pytest.fixture
def learner(config):
    def make(strategy="smallest_first", distill=0.0, **settings):
        config.loss.backend, config.loss.distill, config.model.dropout = "native", distill, 0.0
        config.omni.strategy = omni.strategy_class(strategy)(**{"refresh_every": 1000, **settings})
        made = Learner(config, Processes("native"))
        made.model.train()
        return made

    return make


@pytest.mark.parametrize("strategy, distill, passes", [
    ("smallest_first", 0.0, 8), ("sandwich", 0.0, 24), ("sandwich", 0.5, 24), ("dense", 0.5, 8),
    ("largest_first", 0.5, None),
])
def test_every_pass_is_counted(learner, monkeypatch, strategy, distill, passes):
    """Against the calls of the loss: with gradients and without."""
    real, seen = loop.compute_loss, []
    monkeypatch.setattr(loop, "compute_loss", lambda *rest: seen.append(torch.is_grad_enabled()) or real(*rest))
    made = learner(strategy, distill)
    for _ in range(4):
        loop.train_step(made, [batch(), batch(1)], 0.9)
    assert made.passes == pytest.approx(sum(1.0 if trains else 1 / 3 for trains in seen)) and made.step == 4
    # a teacher ran; in a sandwich the largest teaches as it trains
    assert made.passes == passes if passes else made.passes > 8


def test_a_sandwich_adds_up_its_sub_networks(learner):
    one = learner("sandwich")
    specs = one.strategy.subnets(one.net, 0, 0.8)
    loop.add_gradients(one, specs, batch(), 0, 1.0)
    together = {name: p.grad.clone() for name, p in one.model.named_parameters() if p.grad is not None}
    one.optimizer.zero_grad(set_to_none=True)
    for spec in specs:
        loop.add_gradients(one, [spec], batch(), 0, 1 / 3)
    for name, p in one.model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(p.grad, together[name], atol=1e-6), name


def test_what_learns_in_a_step_is_told_to_the_optimizer(learner):
    """The union over the sub-networks of a step, exactly where their gradients may be other than zero."""
    made = learner("largest_first")
    net = made.net
    small, middle = ("min", net.uniform(0.9)), ("random", net.uniform(0.5))
    learns = loop.add_gradients(made, [small, middle], batch(), 0, 1.0)
    assert set(learns) == set(net.targets)
    for name in learns:
        assert torch.equal(learns[name], net.mask(name, 0.5))
        assert not net.targets[name].weight.grad[~learns[name]].any()
    assert loop.add_gradients(made, [("max", net.largest()), small], batch(), 0, 1.0) == {}  # everywhere


def test_the_teacher_gets_no_gradient_and_pulls_the_student(learner):
    made = learner("largest_first", distill=1.0)
    lattice = loop.teach(made, batch())
    assert not any(part.requires_grad for part in (lattice.logits, lattice.ctc)) and made.model.training
    assert all(p.grad is None for p in made.parameters)
    spec = made.net.smallest()
    with made.net.active(spec):
        with_teacher = loop.losses_of(made, batch(), lattice)
        alone = loop.losses_of(made, batch())
    assert with_teacher.distill > 0 == alone.distill
    assert with_teacher.value == pytest.approx(
        alone.value - alone.pruned * 0.1 + with_teacher.pruned * 0.1 + with_teacher.distill, rel=1e-4)
    with made.net.active(made.net.largest()):
        itself = loop.losses_of(made, batch(), lattice)
    assert itself.distill == pytest.approx(0.0, abs=1e-3)


def test_a_model_that_is_pruned_alone_has_no_teacher(learner):
    made = learner(distill=0.5)
    for progress in (0.3, 0.4):
        loop.train_step(made, [batch()], progress)
    assert made.passes == 2


@pytest.mark.parametrize("grow_with", [0.0, 0.25])
def test_the_others_grow_back_from_the_smallest(learner, monkeypatch, grow_with):
    made = learner(grow_until=0.5, refresh_every=1, sizes=SIZES, grow_with=grow_with)
    net, x = made.net, batch()
    loop.train_step(made, [x], 0.1)
    for progress in (0.25, 0.3, 0.4, 0.49):
        loop.train_step(made, [x], progress)
    smallest = net.smallest()
    masks = {name: net.mask(name, 0.9) for name in smallest}
    old = {name: net.targets[name].weight.detach().clone() for name in smallest}
    assert any(old[name][~masks[name]].any() for name in smallest)
    before = made.passes
    real, steps = loop.update, []
    monkeypatch.setattr(loop, "update", lambda *rest: steps.append({
        "back": all(torch.allclose(net.targets[name].weight[~masks[name]], grow_with * old[name][~masks[name]])
                    and torch.equal(net.targets[name].weight[masks[name]], old[name][masks[name]])
                    for name in smallest),
        "private": all(torch.equal(value, made.model.get_parameter(name.partition(":")[2]))
                       for name, value in net.private_parameters()),
    }) or real(*rest))
    loop.train_step(made, [x], 0.5)
    assert steps == [{"back": True, "private": True}] and made.passes == before + 1
    kept = {name: net.mask(name, 0.5) for name in smallest}
    for progress in (0.6, 0.7, 0.8):
        loop.train_step(made, [x], progress)
    assert not steps[-1]["back"] and not steps[-1]["private"]
    assert all(torch.equal(net.mask(name, 0.5), kept[name]) for name in smallest)  # within the smallest


@pytest.mark.parametrize("hold_from", [0.0, 1.0])
def test_what_the_smallest_keeps_is_trained_for_it_alone(learner, hold_from):
    made = learner(grow_until=0.5, hold_from=hold_from, refresh_every=10**6, sizes=SIZES)
    net, x, moved = made.net, batch(), {}
    loop.train_step(made, [x], 0.3)
    loop.train_step(made, [x], 0.5)  # all sizes from here on
    masks = {name: net.mask(name, 0.9) for name in net.targets}
    for _ in range(12):
        before = {name: net.targets[name].weight.detach().clone() for name in masks}
        kind = made.strategy.subnets(net, made.step, 0.6)[0][0]
        loop.train_step(made, [x], 0.6)
        change = {name: net.targets[name].weight != before[name] for name in masks}
        moved.setdefault(kind, []).append((any(bool(change[name][masks[name]].any()) for name in masks),
                                           any(bool(change[name][~masks[name]].any()) for name in masks)))
    assert set(moved["max"]) == set(moved["random"]) == {(hold_from == 1.0, True)}
    assert set(moved["min"]) == {(True, False)}
