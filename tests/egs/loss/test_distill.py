"""What a sub-network learns from the largest network: divergences against their formulas, on nodes that count."""

import pytest
import torch

from egs.librispeech.omni_sparsity.config import Loss as LossConfig
from egs.librispeech.omni_sparsity.loss.distill import Lattice, distillation, divergence, occupation
from egs.librispeech.omni_sparsity.loss.lattice import path_scores
from tests.egs.paths import by_hand


def logits(seed, *shape):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alpha(p, q, a):
    return (q * ((p / q) ** a - 1)).sum(-1) / (a * (a - 1))


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_kl_is_kl(temperature):
    teacher, student = logits(0, 3, 5), logits(1, 3, 5)
    p, q = ((x / temperature).softmax(-1) for x in (teacher, student))
    want = temperature**2 * (p * (p / q).log()).sum(-1)
    config = LossConfig(distill_temperature=temperature)
    assert torch.allclose(divergence(teacher, student, config), want)
    assert torch.allclose(divergence(teacher, teacher, config), torch.zeros(3, dtype=torch.float64), atol=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_alpha_is_the_larger_one_with_its_gradient(temperature):
    teacher, student = logits(2, 40, 5), logits(3, 40, 5).requires_grad_()
    config = LossConfig(divergence="alpha", distill_temperature=temperature, distill_clip=100.0)
    found = divergence(teacher, student, config)
    p, q = ((x / temperature).softmax(-1) for x in (teacher, student))
    over, under = alpha(p, q, -1.0), (p * (p / q).log()).sum(-1)
    assert 5 < int((over > under).sum()) < 35  # both occur
    want = temperature**2 * torch.maximum(over, under)
    assert torch.allclose(found, want)
    have, expected = (torch.autograd.grad(x.sum(), student)[0] for x in (found, want))
    assert torch.allclose(have, expected)


def test_alpha_is_bounded_by_its_clip():
    teacher, student = torch.tensor([[60.0, 0.0]]), torch.tensor([[-60.0, 60.0]]).requires_grad_()
    found = divergence(teacher, student, LossConfig(divergence="alpha", distill_clip=1.6))
    gradient, = torch.autograd.grad(found.sum(), student)
    assert torch.isfinite(found).all() and gradient.abs().max() < 5.1


@pytest.mark.parametrize("regular", [True, False])
def test_occupation_is_how_often_paths_go_through_a_node(regular):
    symbols, frames = 3, 4
    px, py = logits(8, 1, symbols, frames + regular), logits(9, 1, symbols + 1, frames)
    if regular:
        px[:, :, -1] = -float("inf")  # as in the losses: no symbol behind the last frame
    _, px_grad, py_grad = path_scores(px, py)
    *_, visits = by_hand(px[0], py[0])
    ranges = torch.tensor([[[0, 1], [1, 2], [1, 2], [2, 3]]])
    found = occupation(px_grad, py_grad, ranges)
    assert torch.allclose(found[0], visits.T.gather(1, ranges[0]))


@pytest.mark.parametrize("divergence_name", ["kl", "alpha"])
def test_nodes_count_as_often_as_paths_go_through_them(divergence_name):
    config = LossConfig(divergence=divergence_name)
    ranges = torch.arange(3)[None, None].repeat(2, 4, 1)  # rows 0 to 2 in each of four frames
    often = logits(8, 2, 4, 3).softmax(-1)
    often[1, 2:] = 0.0  # the second utterance ends before the first
    teacher = Lattice(ranges, logits(4, 2, 4, 3, 6), logits(5, 2, 4, 6), often)
    student = logits(6, 2, 4, 3, 6).requires_grad_()
    frames = torch.tensor([4, 2])
    found = distillation(teacher, student, None, frames, config)
    each = divergence(teacher.logits, student, config) * often
    assert torch.allclose(found, torch.stack([each[0].sum(), each[1, :2].sum()]))
    gradient, = torch.autograd.grad(found.sum(), student)
    assert not gradient[1, 2:].any() and gradient[1, :2].any()
    ctc = logits(7, 2, 4, 6)
    with_ctc = distillation(teacher, student, ctc, frames, config)
    more = divergence(teacher.ctc, ctc, config)
    assert torch.allclose(with_ctc - found, torch.stack([more[0].sum(), more[1, :2].sum()]))
