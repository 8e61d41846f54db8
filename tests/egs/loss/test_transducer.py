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


def test_an_utterance_that_is_not_finite_is_left_out_and_the_rest_learns(model, backend):
    features = FEATURES.clone()
    features[1, 3] = float("nan")
    losses = compute_loss(model, features, LENGTHS, SYMBOLS, LossConfig(backend=backend), 0)
    alone = compute_loss(model, FEATURES[:1], LENGTHS[:1], SYMBOLS[:1], LossConfig(backend=backend), 0)
    assert losses.not_finite == [1] and losses.frames == 7
    assert losses.total.item() == pytest.approx(alone.total.item(), rel=1e-4)


def test_context_noise_is_for_training_alone(model):
    clean, noisy = LossConfig(), LossConfig(context_noise=0.9)
    both = [compute_loss(model, FEATURES, LENGTHS, SYMBOLS, config, 0).total.item() for config in (clean, noisy)]
    assert both[0] == both[1]
    model.train()
    model.encoder.eval()
    both = [compute_loss(model, FEATURES, LENGTHS, SYMBOLS, config, 0).total.item() for config in (clean, noisy)]
    assert both[0] != both[1]


def test_every_part_gets_a_gradient(model, backend):
    compute_loss(model, FEATURES, LENGTHS, SYMBOLS, LossConfig(backend=backend), 100).total.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    without = Transducer(TINY)
    compute_loss(without, FEATURES, LENGTHS, SYMBOLS, LossConfig(backend=backend, ctc_scale=0.0), 100).total.backward()
    assert without.ctc_output[1].weight.grad is None


def test_scales_warm_up():
    config = LossConfig(warm_step=100, simple_loss_scale=0.5)
    assert warm_scales(0, config) == pytest.approx((1.0, 0.1))
    assert warm_scales(50, config) == pytest.approx((0.75, 0.55))
    assert warm_scales(500, config) == pytest.approx((0.5, 1.0))
