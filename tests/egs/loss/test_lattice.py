"""Sums over a lattice, against all its paths counted one by one."""

import math

import pytest
import torch

from egs.librispeech.omni_sparsity.loss.lattice import path_scores
from tests.egs.paths import by_hand

TYPES = ("regular", "modified")


@pytest.mark.parametrize("rnnt_type, symbols, frames", [
    *((rnnt_type, *shape) for rnnt_type in TYPES for shape in ((0, 1), (1, 1), (2, 4), (3, 5))),
    ("regular", 3, 1), ("regular", 4, 2),  # modified: no path, the next test
])
def test_every_path_counts_once(rnnt_type, symbols, frames):
    rng = torch.Generator().manual_seed(symbols)
    px = torch.randn(symbols, frames + (rnnt_type == "regular"), generator=rng, dtype=torch.float64)
    py = torch.randn(symbols + 1, frames, generator=rng, dtype=torch.float64)
    # Beside a longer one, in a batch: what lies behind its own end must not count.
    px_wide = torch.randn(2, symbols + 2, px.shape[1] + 3, dtype=torch.float64)
    py_wide = torch.randn(2, symbols + 3, frames + 3, dtype=torch.float64)
    px_wide[0, :symbols, : px.shape[1]], py_wide[0, : symbols + 1, :frames] = px, py
    if rnnt_type == "regular":
        px_wide[0, :, frames + 1 :] = -math.inf
    px_wide.requires_grad_(), py_wide.requires_grad_()
    boundary = torch.tensor([[0, 0, symbols, frames], [0, 0, symbols + 2, frames + 3]])
    scores, *taken = path_scores(px_wide, py_wide, boundary)
    score, *want, _ = by_hand(px, py)
    assert scores[0].item() == pytest.approx(score, rel=1e-9)
    gradients = torch.autograd.grad(scores[0], (px_wide, py_wide))
    for found, gradient, expected in zip(taken, gradients, want):
        assert torch.equal(found[0], gradient[0]) and not gradient[1].any()
        rows, columns = expected.shape
        assert torch.allclose(found[0, :rows, :columns], expected, atol=1e-9)
        assert found[0].sum().item() == pytest.approx(expected.sum().item())  # nothing elsewhere


def test_more_symbols_than_frames():
    regular = path_scores(torch.zeros(1, 3, 3), torch.zeros(1, 4, 2))[0]
    assert regular.item() == pytest.approx(math.log(10.0))  # 5 choose 2 paths of weight 1
    # At most one symbol a frame: no path, and no gradient that is not a number.
    scores, taken_x, taken_y = path_scores(torch.zeros(1, 3, 2), torch.zeros(1, 4, 2))
    assert scores.item() == -math.inf and not taken_x.any() and not taken_y.any()


def test_a_path_that_begins_elsewhere_is_refused():
    with pytest.raises(ValueError, match="begin at"):
        path_scores(torch.zeros(1, 1, 2), torch.zeros(1, 2, 2), torch.tensor([[0, 1, 1, 2]]))
