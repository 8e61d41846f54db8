"""The loss, against a transducer and a CTC written out cell by cell."""

import math

import pytest
import torch

from egs.librispeech.omni_sparsity.config import Loss as LossConfig
from egs.librispeech.omni_sparsity.config import Model as ModelConfig
from egs.librispeech.omni_sparsity.loss.transducer import compute_loss, warm_scales
from egs.librispeech.omni_sparsity.model.transducer import Transducer

TINY = ModelConfig(
    projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=16, num_layers=1, decoder_dim=16, joiner_dim=16, vocab_size=7
)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Transducer(TINY).eval()


@pytest.fixture(params=["k2", "native"])
def backend(request):
    if request.param == "k2":
        pytest.importorskip("k2", reason="k2 is not here (the modern stack has none)")
    return request.param


FEATURES = torch.randn(2, 30, 80, generator=torch.Generator().manual_seed(1)) * 4 - 6
LENGTHS = torch.tensor([30, 21])
SYMBOLS = [[3, 4, 3], [5]]


def transducer_loss(model, features, symbols, one_a_frame=False):
    """-log P(symbols | features), the sum over the whole lattice (Graves 2012, section 2.4).

    one_a_frame: a symbol, too, leads to the next frame (k2's "modified"; Tripathi et al. 2019).
    """
    with torch.no_grad():
        frames, _ = model.encoder(features[None], torch.tensor([len(features)]))
        history = model.decoder(torch.tensor([[0, *symbols]]))
        logp = model.joiner(frames[0, :, None], history[0, None]).log_softmax(-1).tolist()  # [T][U + 1][V]
    alpha = {}
    for t in range(len(logp)):
        for u in range(len(symbols) + 1):
            ways = [0.0] if t == u == 0 else []
            if t:
                ways.append(alpha[t - 1, u] + logp[t - 1][u][0])
            if u and not one_a_frame:
                ways.append(alpha[t, u - 1] + logp[t][u - 1][symbols[u - 1]])
            if u and t and one_a_frame:
                ways.append(alpha[t - 1, u - 1] + logp[t - 1][u - 1][symbols[u - 1]])
            alpha[t, u] = log_sum(ways) if ways else -math.inf
    end, u = len(logp) - 1, len(symbols)
    if one_a_frame:
        return -log_sum([alpha[end, u] + logp[end][u][0], alpha[end, u - 1] + logp[end][u - 1][symbols[u - 1]]])
    return -(alpha[end, u] + logp[end][u][0])


def log_sum(values):
    top = max(values)
    return top if top == -math.inf else top + math.log(sum(math.exp(value - top) for value in values))


@pytest.mark.parametrize("rnnt_type", ["regular", "modified"])
def test_with_a_wide_range_the_pruned_loss_is_the_whole_lattices(model, backend, rnnt_type):
    config = LossConfig(backend=backend, prune_range=4, rnnt_type=rnnt_type)
    losses = compute_loss(model, FEATURES, LENGTHS, SYMBOLS, config, 10**6)
    want = sum(transducer_loss(model, FEATURES[i, : LENGTHS[i]], SYMBOLS[i], rnnt_type == "modified") for i in range(2))
    assert losses.pruned == pytest.approx(want, rel=1e-4)
    assert losses.frames == 7 + 5 and losses.not_finite == []


def test_a_batch_is_the_sum_of_its_utterances(model, backend):
    config = LossConfig(backend=backend, prune_range=2)
    whole = compute_loss(model, FEATURES, LENGTHS, SYMBOLS, config, 0)
    parts = [compute_loss(model, FEATURES[i : i + 1, : LENGTHS[i]], LENGTHS[i : i + 1], SYMBOLS[i : i + 1], config, 0)
             for i in range(2)]
    for name in ("simple", "pruned", "ctc", "frames"):
        assert getattr(whole, name) == pytest.approx(sum(getattr(part, name) for part in parts), rel=1e-4), name
    want = whole.simple + 0.1 * whole.pruned + config.ctc_scale * whole.ctc
    assert whole.total.item() == pytest.approx(want, rel=1e-5)


LONG = torch.randn(4, 60, 80, generator=torch.Generator().manual_seed(2)) * 4 - 6
LONG_LENGTHS, LONG_SYMBOLS = torch.tensor([60, 52, 60, 40]), [[3, 4, 3], [5], [6, 1, 2, 4, 5, 6], [1, 2]]


def gradients(model, batch, config, teacher=None):
    """Losses of a batch, and the gradients of its total."""
    model.zero_grad(set_to_none=True)
    losses = compute_loss(model, *batch, config, 50, teacher)
    losses.total.backward()
    return losses, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def some(rows, features=LONG):
    return features[rows], LONG_LENGTHS[rows], [LONG_SYMBOLS[row] for row in rows]


def assert_same(found, wanted):
    losses, have = found
    assert losses.value == pytest.approx(wanted[0].value, rel=1e-5) and losses.frames == wanted[0].frames
    assert have.keys() == wanted[1].keys() and all(torch.isfinite(value).all() for value in have.values())
    for name, value in wanted[1].items():
        assert torch.allclose(have[name], value, rtol=1e-3, atol=1e-5 * float(value.abs().max()) + 1e-7), name


@pytest.mark.parametrize("rnnt_type", ["regular", "modified"])
@pytest.mark.parametrize("bad", [[1], [2], [0, 3], [0, 1, 2]])  # 2 is the longest, in frames and in symbols
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_gradients_are_those_of_a_batch_without_what_is_not_finite(model, backend, rnnt_type, bad, value):
    config = LossConfig(backend=backend, rnnt_type=rnnt_type, warm_step=100)
    features = LONG.clone()
    features[bad, 7:9, 3] = value
    left = [row for row in range(4) if row not in bad]
    found = gradients(model, (features, LONG_LENGTHS, LONG_SYMBOLS), config)
    assert found[0].not_finite == bad
    assert_same(found, gradients(model, some(left), config))


def test_a_loss_that_alone_is_infinite(model, backend):
    """At most one symbol a frame, and more symbols than frames: no path."""
    config = LossConfig(backend=backend, rnnt_type="modified", ctc_scale=0.0)
    lengths, symbols = torch.tensor([60, 8, 60, 40]), [*LONG_SYMBOLS[:1], [5, 1, 2, 3], *LONG_SYMBOLS[2:]]
    found = gradients(model, (LONG, lengths, symbols), config)
    assert found[0].not_finite == [1]
    assert_same(found, gradients(model, some([0, 2, 3]), config))


def test_a_batch_that_is_not_finite_at_all_teaches_nothing(model, backend):
    losses, found = gradients(model, (LONG * float("nan"), LONG_LENGTHS, LONG_SYMBOLS), LossConfig(backend=backend))
    assert losses.not_finite == [0, 1, 2, 3] and losses.frames == 0 and losses.value == 0.0 and not found


def test_without_gradients_nothing_is_computed_anew(model, backend, monkeypatch):
    calls, real = [], model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda *args: calls.append(1) or real(*args))
    features = LONG.clone()
    features[2] = float("nan")
    config = LossConfig(backend=backend)
    with torch.no_grad():
        losses = compute_loss(model, features, LONG_LENGTHS, LONG_SYMBOLS, config, 50)
        want = compute_loss(model, *some([0, 1, 3]), config, 50)
    assert len(calls) == 2 and losses.not_finite == [2]
    assert losses.value == pytest.approx(want.value, rel=1e-5) == losses.total.item()
    compute_loss(model, *some([0, 1]), config, 50)
    assert len(calls) == 3


def test_students_of_a_batch_that_is_not_finite(model, backend):
    """The teacher's lattice is of the whole batch; an utterance without a loss of either of them is left out."""
    config = LossConfig(backend=backend, distill=0.5)
    features = LONG.clone()
    features[1, 5] = float("nan")
    torch.manual_seed(5)
    teacher = Transducer(TINY)
    lattice = compute_loss(teacher, features, LONG_LENGTHS, LONG_SYMBOLS, config, 50, keep=True).lattice
    assert len(lattice.logits) == 4
    want = gradients(model, some([0, 2, 3]), config, lattice.rows(torch.tensor([0, 2, 3])))
    for student in (features, LONG):
        found = gradients(model, (student, LONG_LENGTHS, LONG_SYMBOLS), config, lattice)
        assert found[0].not_finite == [1] and found[0].distill > 0
        assert_same(found, want)


def test_a_student_learns_from_the_ctc_head_where_it_is_trained(model, backend):
    for scale, learns in ((0.2, True), (0.0, False)):
        config = LossConfig(backend=backend, distill=1.0, ctc_scale=scale)
        torch.manual_seed(5)
        lattice = compute_loss(Transducer(TINY), LONG, LONG_LENGTHS, LONG_SYMBOLS, config, 50, keep=True).lattice
        _, found = gradients(model, (LONG, LONG_LENGTHS, LONG_SYMBOLS), config, lattice)
        assert ("ctc_output.1.weight" in found) == learns
        if learns:
            other = lattice.rows(torch.arange(4))
            other.ctc = other.ctc.flip(0)
            _, changed = gradients(model, (LONG, LONG_LENGTHS, LONG_SYMBOLS), config, other)
            assert not torch.allclose(changed["ctc_output.1.weight"], found["ctc_output.1.weight"])


def test_every_part_gets_a_gradient(model, backend):
    compute_loss(model, FEATURES, LENGTHS, SYMBOLS, LossConfig(backend=backend), 100).total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    without = Transducer(TINY)
    compute_loss(without, FEATURES, LENGTHS, SYMBOLS, LossConfig(backend=backend, ctc_scale=0.0), 100).total.backward()
    assert without.ctc_output[1].weight.grad is None


def test_scales_warm_up():
    config = LossConfig(warm_step=100)
    assert warm_scales(0, config) == pytest.approx((1.0, 0.1))
    assert warm_scales(50, config) == pytest.approx((0.75, 0.55))
    assert warm_scales(500, config) == pytest.approx((0.5, 1.0))
