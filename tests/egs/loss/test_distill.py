"""What a sub-network learns from the largest network: KL against its formula, on nodes that count."""

import pytest
import torch

from egs.librispeech.omni_sparsity.loss.distill import Lattice, distillation, divergence, occupation
from egs.librispeech.omni_sparsity.loss.lattice import path_scores
from tests.egs.paths import by_hand


def logits(seed, *shape):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_is_kl_and_its_gradient_is_the_students():
    teacher, student = logits(0, 3, 5).requires_grad_(), logits(1, 3, 5).requires_grad_()
    p, q = teacher.softmax(-1), student.softmax(-1)
    found = divergence(teacher, student)
    assert torch.allclose(found, (p * (p / q).log()).sum(-1))
    assert torch.allclose(divergence(teacher, teacher), torch.zeros(3, dtype=torch.float64), atol=1e-12)
    gradient, none = torch.autograd.grad(found.sum(), (student, teacher), allow_unused=True)
    assert torch.allclose(gradient, (q - p).detach()) and none is None


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


def test_nodes_count_as_often_as_paths_go_through_them():
    ranges = torch.arange(3)[None, None].repeat(2, 4, 1)  # rows 0 to 2 in each of four frames
    often = logits(8, 2, 4, 3).softmax(-1)
    often[1, 2:] = 0.0  # the second utterance ends before the first
    teacher = Lattice(ranges, logits(4, 2, 4, 3, 6), logits(5, 2, 4, 6), often)
    student = logits(6, 2, 4, 3, 6).requires_grad_()
    frames = torch.tensor([4, 2])
    found = distillation(teacher, student, None, frames)
    each = divergence(teacher.logits, student) * often
    assert torch.allclose(found, torch.stack([each[0].sum(), each[1, :2].sum()]))
    gradient, = torch.autograd.grad(found.sum(), student)
    assert not gradient[1, 2:].any() and gradient[1, :2].any()
    ctc = logits(7, 2, 4, 6)
    with_ctc = distillation(teacher, student, ctc, frames)
    more = divergence(teacher.ctc, ctc)
    assert torch.allclose(with_ctc - found, torch.stack([more[0].sum(), more[1, :2].sum()]))


def test_a_lattice_of_some_utterances():
    lattice = Lattice(torch.arange(6).view(3, 2, 1), logits(0, 3, 2, 1, 4), logits(1, 3, 2, 4), logits(2, 3, 2, 1))
    some = lattice.rows(torch.tensor([0, 2]))
    for name in ("ranges", "logits", "ctc", "occupation"):
        assert torch.equal(getattr(some, name), getattr(lattice, name)[[0, 2]])
