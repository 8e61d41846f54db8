"""The native loss is k2's: numbers, gradients and pruning ranges, in both topologies, also at the edges."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egs.librispeech.omni_sparsity.loss import native as native_loss

k2 = pytest.importorskip("k2", reason="k2 is not here (the modern stack has none): nothing to compare with")
TYPES = ("regular", "modified")


def boundaries(symbols, frames):
    zeros = torch.zeros_like(symbols)
    return torch.stack([zeros, zeros, symbols, frames], dim=1)


def drawn(seed, shape, rnnt_type, dtype=torch.float32):
    """am (B, T, V), lm (B, S + 1, V), symbols (B, S), boundary (B, 4) with unequal lengths, the first one whole.

    Utterances without symbols occur, and of one frame; in the regular topology those of fewer frames than symbols.
    """
    batch, symbols, frames, vocab = shape
    frames = max(symbols, frames)  # k2 wants it of the whole batch (tests/egs/test_lattice.py does without)
    least = symbols if rnnt_type == "modified" else 1  # at most one symbol a frame
    rng = torch.Generator().manual_seed(seed)
    am = 3 * torch.randn(batch, frames, vocab, generator=rng, dtype=dtype)
    lm = 3 * torch.randn(batch, symbols + 1, vocab, generator=rng, dtype=dtype)
    y = torch.randint(1, vocab, (batch, symbols), generator=rng)
    s_end = torch.randint(0, symbols + 1, (batch,), generator=rng)
    t_end = torch.randint(least, frames + 1, (batch,), generator=rng)
    s_end[0], t_end[0] = symbols, frames
    return am.requires_grad_(), lm.requires_grad_(), y, boundaries(s_end, t_end)


def both(call, *leaves):
    """[value, gradient of each leaf, ...] of call(module) for k2 and for the native loss."""
    found = []
    for module in (k2, native_loss):
        loss, rest = call(module)
        gradients = torch.autograd.grad(loss.sum(), leaves)
        found.append([loss.detach(), *gradients, *rest])
    return found


def assert_close(want, have, tolerance):
    for a, b in zip(want, have):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance), float((a - b).abs().max())


shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 25), st.sampled_from([2, 5, 500]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), shapes, st.sampled_from(TYPES), st.sampled_from([(0.25, 0.0), (0.1, 0.2), (0.0, 0.0)]),
       st.sampled_from([0.0, 0.03]))
def test_the_smoothed_loss_is_that_of_k2(seed, shape, rnnt_type, scales, delay_penalty):
    am, lm, y, boundary = drawn(seed, shape, rnnt_type)

    def call(module):
        return module.rnnt_loss_smoothed(
            lm=lm, am=am, symbols=y, termination_symbol=0, lm_only_scale=scales[0], am_only_scale=scales[1],
            boundary=boundary, rnnt_type=rnnt_type, delay_penalty=delay_penalty, reduction="none", return_grad=True,
        )

    assert_close(*both(call, am, lm), 1e-4)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), shapes, st.sampled_from(TYPES), st.integers(2, 6), st.sampled_from([0.0, 0.03]))
def test_the_pruned_loss_is_that_of_k2(seed, shape, rnnt_type, width, delay_penalty):
    am, lm, y, boundary = drawn(seed, shape, rnnt_type)
    _, taken = k2.rnnt_loss_smoothed(lm, am, y, 0, boundary=boundary, rnnt_type=rnnt_type, return_grad=True)
    ranges = k2.get_rnnt_prune_ranges(*taken, boundary, width)
    rng = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(*ranges.shape, shape[-1], generator=rng)).requires_grad_()

    def call(module):
        return module.rnnt_loss_pruned(
            logits=logits, symbols=y, ranges=ranges, termination_symbol=0, boundary=boundary, rnnt_type=rnnt_type,
            delay_penalty=delay_penalty, reduction="none",
        ), ()

    (want_loss, want_grad), (have_loss, have_grad) = both(call, logits)
    # The ranges of an utterance with few frames may leave it no path: an infinite loss, from which nothing is learnt.
    # (k2 gives a gradient there too.)
    path = torch.isfinite(want_loss)
    assert torch.equal(path, torch.isfinite(have_loss)) and not have_grad[~path].any()
    assert_close([want_loss[path], want_grad[path]], [have_loss[path], have_grad[path]], 1e-4)
    for module in (k2, native_loss):
        a, b = module.do_rnnt_pruning(am=am, lm=lm, ranges=ranges)
        assert torch.equal(a, am[:, :, None].expand_as(a))
        assert torch.equal(b, torch.stack([lm[i][ranges[i]] for i in range(len(y))]))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), shapes, st.sampled_from(TYPES), st.integers(2, 6))
def test_ranges_are_those_of_k2(seed, shape, rnnt_type, width):
    am, lm, y, boundary = drawn(seed, shape, rnnt_type, torch.float64)
    _, taken = k2.rnnt_loss_smoothed(lm, am, y, 0, boundary=boundary, rnnt_type=rnnt_type, return_grad=True)
    # In multiples of a power of two sums are exact in any order, so windows that are equally good stay so for both.
    taken = [torch.round(part * 2**20) / 2**20 for part in taken]
    want, have = (module.get_rnnt_prune_ranges(*taken, boundary, width) for module in (k2, native_loss))
    assert torch.equal(want, have)
    steps = have[..., 0].diff(dim=1)
    assert not have[:, 0, 0].any() and bool((steps >= 0).all())
    assert bool((steps < (2 if rnnt_type == "modified" else max(2, have.shape[2]))).all())


@pytest.mark.parametrize("rnnt_type", TYPES)
def test_a_long_utterance_is_as_exact_as_in_double_precision(rnnt_type):
    am, lm, y, boundary = drawn(3, (2, 60, 300, 500), rnnt_type)
    double = [x.detach().double().requires_grad_() for x in (am, lm)]
    arguments = dict(symbols=y, termination_symbol=0, boundary=boundary, rnnt_type=rnnt_type, reduction="none")
    have = native_loss.rnnt_loss_smoothed(lm=lm, am=am, **arguments)
    want = k2.rnnt_loss_smoothed(lm=double[1], am=double[0], **arguments)
    assert_close([want.float(), *(g.float() for g in torch.autograd.grad(want.sum(), double))],
                 [have, *torch.autograd.grad(have.sum(), (am, lm))], 1e-4)


@pytest.mark.parametrize("rnnt_type", TYPES)
def test_edges(rnnt_type):
    """One frame, no symbol in one utterance, and more symbols than frames."""
    am, lm, y, _ = drawn(1, (3, 1, 1, 4), rnnt_type)
    boundary = boundaries(torch.tensor([1, 0, 1]), torch.tensor([1, 1, 1]))
    call = lambda module: (module.rnnt_loss_smoothed(  # noqa: E731
        lm=lm, am=am, symbols=y, termination_symbol=0, boundary=boundary, rnnt_type=rnnt_type, reduction="none"), ())
    assert_close(*both(call, am, lm), 1e-5)
