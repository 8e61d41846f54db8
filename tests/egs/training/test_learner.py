"""A step: what it counts, what it learns from, and how sub-networks share a batch."""

import pytest
import torch

from egs.librispeech.omni_sparsity.training.distributed import Processes
from egs.librispeech.omni_sparsity.training.learner import Learner, part_of


def batch(seed=0, utterances=6):
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.randint(60, 100, (utterances,), generator=rng)
    features = torch.randn(utterances, int(lengths.max()), 80, generator=rng) * 4 - 6
    return features, lengths, [[1 + i % 5, 7, 3] for i in range(utterances)]


@pytest.fixture
def learner(config):
    def make(**changes):
        config.loss.backend, config.omni.dense_until, config.omni.refresh_every = "native", 0.2, 1000
        config.model.dropout = 0.0
        for name, value in changes.items():
            section = config.loss if hasattr(config.loss, name) else config.omni
            setattr(section, name, value)
        made = Learner(config, Processes("native"))
        made.model.train()
        return made

    return make


def test_every_pass_is_counted(learner, monkeypatch):
    """Against the calls of the loss: with gradients and without, over how many utterances."""
    from egs.librispeech.omni_sparsity.training import learner as code

    real, seen = code.compute_loss, []

    def spy(model, features, lengths, symbols, *rest):
        seen.append((len(symbols), torch.is_grad_enabled()))
        return real(model, features, lengths, symbols, *rest)

    monkeypatch.setattr(code, "compute_loss", spy)
    for changes in ({"sampling": "single"}, {"sampling": "sandwich"}, {"sampling": "split"}, {"sampling": "each"},
                    {"sampling": "single", "distill": 0.5, "p_max": 0.0}, {"sampling": "sandwich", "distill": 0.5},
                    {"sampling": "split", "distill": 0.5}, {"sampling": "single", "distill": 0.5, "distill_every": 3}):
        made = learner(**{"distill": 0.0, "distill_every": 1, "p_max": 0.3, **changes})
        seen.clear()
        for _ in range(4):
            made.train_step([batch(), batch(1)], 0.8)
        want = sum(count / 6 * (1.0 if trains else 1 / 3) for count, trains in seen)
        assert made.passes == pytest.approx(want) and made.step == 4, changes
        teachers = sum(not trains for _, trains in seen)
        if changes == {"sampling": "sandwich", "distill": 0.5}:
            assert len(seen) == 24 and not teachers  # the largest teaches from its own pass
        if changes["sampling"] == "split":
            assert {count for count, _ in seen} == {2}
        if not changes.get("distill"):
            assert not teachers
        elif "distill_every" in changes:
            assert teachers <= 4 < len(seen)  # steps 0 and 3, two batches each


def test_a_sandwich_adds_up_its_sub_networks(learner):
    one = learner(sampling="sandwich")
    specs = one.curriculum.subnets(0, 0.8)
    one._train_batch(batch(), specs, 0, 1.0)
    together = {name: p.grad.clone() for name, p in one.model.named_parameters() if p.grad is not None}
    one.optimizer.zero_grad(set_to_none=True)
    for spec in specs:
        one._train_batch(batch(), [spec], 0, 1 / 3)
    for name, p in one.model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(p.grad, together[name], atol=1e-6), name


def test_the_teacher_gets_no_gradient_and_pulls_the_student(learner):
    made = learner(distill=1.0, sampling="single")
    lattice = made._teach(batch())
    assert not any(part.requires_grad for part in (lattice.logits, lattice.ctc)) and made.model.training
    assert all(p.grad is None for p in made.parameters)
    spec = made.net.smallest()
    with made.net.active(spec):
        with_teacher = made._losses(batch(), lattice)
        alone = made._losses(batch())
    assert with_teacher.distill > 0 == alone.distill
    assert with_teacher.value == pytest.approx(
        alone.value - alone.pruned * 0.1 + with_teacher.pruned * 0.1 + with_teacher.distill, rel=1e-4)
    with made.net.active(made.net.largest()):
        itself = made._losses(batch(), lattice)
    assert itself.distill == pytest.approx(0.0, abs=1e-3)


def test_parts_share_a_batch_out():
    features, lengths, symbols = batch()
    parts = [part_of((features, lengths, symbols), number, 3) for number in range(3)]
    assert sorted(i for part in parts for i in part[1].tolist()) == sorted(lengths.tolist())
    assert torch.equal(parts[1][0][0], features[1]) and parts[1][2][0] == symbols[1]


def test_a_batch_of_fewer_utterances_than_sub_networks(learner):
    made = learner(sampling="split", distill=0.5)
    made.train_step([batch(utterances=1)], 0.8)
    assert made.passes == 1.0 and made.step == 1  # the largest alone, which has no teacher


def test_each_batch_of_a_step_has_a_sub_network_of_its_own(learner):
    made = learner(sampling="each", p_max=0.0, p_min=0.0)
    specs = [made.curriculum.subnets(5, 0.8, place) for place in range(4)]
    assert len({str(spec) for spec in specs}) == 4 and specs == [made.curriculum.subnets(5, 0.8, p) for p in range(4)]
    same = learner(sampling="single", p_max=0.0, p_min=0.0)
    assert len({str(same.curriculum.subnets(5, 0.8, place)) for place in range(4)}) == 1


@pytest.mark.parametrize("grow_with", [0.0, 0.25])
def test_the_others_grow_back_from_the_smallest(learner, grow_with):
    made = learner(first="smallest", growth="cubic", grow_from=0.0, grow_until=0.5, rank="kept", refresh_every=1,
                   sizes={0.0: 1.0, 0.5: 1.0, 0.9: 1.0}, freeze_at=1.0, grow_with=grow_with)
    net, x = made.net, batch()
    made.train_step([x], 0.1)
    for progress in (0.25, 0.3, 0.4, 0.49):
        made.train_step([x], progress)
    smallest = net.smallest()
    masks = {name: net.mask(name, 0.9) for name in smallest}
    old = {name: net.targets[name].weight.detach().clone() for name in smallest}
    assert any(old[name][~masks[name]].any() for name in smallest)
    before = made.passes
    real, steps = made._update, []
    made._update = lambda: steps.append({
        "back": all(torch.allclose(net.targets[name].weight[~masks[name]], grow_with * old[name][~masks[name]])
                    and torch.equal(net.targets[name].weight[masks[name]], old[name][masks[name]]) for name in smallest),
        "private": all(torch.equal(value, made.model.get_parameter(name.partition(":")[2]))
                       for name, value in net.private_parameters()),
    }) or real()
    made.train_step([x], 0.5)
    assert steps == [{"back": True, "private": True}] and made.passes == before + 1
    kept = {name: net.mask(name, 0.5) for name in smallest}
    for progress in (0.6, 0.7, 0.8):
        made.train_step([x], progress)
    assert not steps[-1]["back"] and not steps[-1]["private"]
    assert all(torch.equal(net.mask(name, 0.5), kept[name]) for name in smallest)  # within the smallest


@pytest.mark.parametrize("hold_from", [0.0, 1.0])
def test_what_the_smallest_keeps_is_trained_for_it_alone(learner, config, hold_from):
    config.train.sparse_momentum = True
    made = learner(first="smallest", grow_until=0.5, rank="kept", freeze_at=1.0, hold_from=hold_from, refresh_every=10**6,
                   sizes={0.0: 1.0, 0.5: 1.0, 0.9: 1.0})
    net, x, moved = made.net, batch(), {}
    made.train_step([x], 0.3)
    made.train_step([x], 0.5)  # all sizes from here on
    masks = {name: net.mask(name, 0.9) for name in net.targets}
    for _ in range(12):
        before = {name: net.targets[name].weight.detach().clone() for name in masks}
        kind = made.curriculum.subnets(made.step, 0.6)[0][0]
        made.train_step([x], 0.6)
        change = {name: net.targets[name].weight != before[name] for name in masks}
        moved.setdefault(kind, []).append((any(bool(change[name][masks[name]].any()) for name in masks),
                                           any(bool(change[name][~masks[name]].any()) for name in masks)))
    assert set(moved["max"]) == set(moved["random"]) == {(hold_from == 1.0, True)}
    assert set(moved["min"]) == {(True, False)}


def test_a_model_that_is_pruned_alone_has_no_teacher(learner):
    made = learner(first="smallest", grow_until=0.5, distill=0.5)
    for progress in (0.3, 0.4):
        made.train_step([batch()], progress)
    assert made.passes == 2
