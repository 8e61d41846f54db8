"""The cubic schedule of gradual magnitude pruning, and a training by it."""

import pytest
import torch

import omni
from tests.omni.models import INPUTS, Mlp, build


def test_the_cubic_schedule_of_zhu_and_gupta():
    found = [omni.gradual_sparsity(step, 100, 500, 0.8) for step in (0, 100, 200, 300, 400, 500, 900)]
    assert found == pytest.approx([0.0, 0.0, 0.4625, 0.7, 0.7875, 0.8, 0.8])  # 0.8 * (1 - left ** 3), by hand
    assert omni.gradual_sparsity(300, 100, 500, 0.8, initial=0.4) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "wrong, words",
    [((1, 5, 5, 0.8), "want begin < end"), ((1, 0, 5, 1.0), "sparsity 1.0"), ((1, 0, 5, 0.8, -0.1), "sparsity -0.1")],
)
def test_no_schedule_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        omni.gradual_sparsity(*wrong)


def test_gradual_pruning_beats_pruning_at_once():
    """To the same sparsity, after the same number of steps: that is what the schedule is for."""

    def loss_after(schedule):
        model = build(Mlp)
        net = omni.Supernet(model, {"(first|second).weight": omni.Range(0.0, 0.75, "8x1")})
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        x, target = INPUTS[Mlp], torch.linspace(-1, 1, 40).view(5, 8)
        for step in range(150):
            if step % 10 == 0:
                net.refresh(exact=True)
            optimizer.zero_grad()
            with net.active(net.uniform(schedule(step))):
                (model(x) - target).square().mean().backward()
            optimizer.step()
        net.refresh(exact=True)
        net.prune_(net.uniform(0.75))
        assert omni.report(net).sparsity == pytest.approx(0.75)
        with torch.no_grad():
            return float((model(x) - target).square().mean())

    gradual = loss_after(lambda step: omni.gradual_sparsity(step, 10, 100, 0.75))
    at_once = loss_after(lambda step: 0.0)
    assert gradual < 0.5 * at_once
