"""omni.Supernet: masks, gradients, private values, and that the model is left as it was."""

import copy

import pytest
import torch
from torch import nn

import omni


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 16)
        self.norm = nn.LayerNorm(16)
        self.second = nn.Linear(16, 8)

    def forward(self, x):
        return self.second(torch.relu(self.norm(self.first(x))))


def make(private=False, **more):
    torch.manual_seed(0)
    model = Tiny()
    if private:
        more.update(private=[r"norm\..*", r".*\.bias"], bins=[0.5, 0.9])
    return model, omni.Supernet(model, {r"(first|second)\.weight": omni.Range(0.0, 0.9, "8x1")}, **more)


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_inside_weights_are_masked_and_after_they_are_bit_equal():
    model, net = make()
    before = snapshot(model)
    keys = list(model.state_dict())
    with net.active(net.uniform(0.5)):
        # first: 2 x 6 blocks, second: 1 x 16 blocks; half of them, the smaller ones, are zero
        norms = before["first.weight"].view(2, 8, 6).abs().sum(dim=1)
        masked = model.first.weight.view(2, 8, 6).abs().sum(dim=1)
        assert torch.equal(masked > 0, norms > norms.flatten().sort().values[5])
        assert int((model.second.weight.abs().sum(dim=0) == 0).sum()) == 8
        assert list(model.state_dict()) == keys
    assert same(before, model.state_dict())


def test_masks_nest():
    model, net = make()
    zeros = []
    for sparsity in (0.2, 0.5, 0.9):
        with net.active(net.uniform(sparsity)):
            zeros.append(model.first.weight == 0)
    assert all(bool((smaller <= larger).all()) for smaller, larger in zip(zeros, zeros[1:]))
    assert zeros[0].sum() < zeros[1].sum() < zeros[2].sum()


def test_restores_after_an_exception_and_can_be_entered_again():
    model, net = make(private=True)
    before, norm = snapshot(model), model.norm.weight
    with pytest.raises(ZeroDivisionError):
        with net.active(net.uniform(0.5)):
            raise ZeroDivisionError
    assert same(before, model.state_dict()) and model.norm.weight is norm
    with net.active(net.uniform(0.5)):
        pass


def test_a_second_subnetwork_inside_the_first_is_refused():
    model, net = make()
    with net.active(net.uniform(0.5)):
        with pytest.raises(RuntimeError, match="active already"):
            with net.active(net.uniform(0.1)):
                pass
        with pytest.raises(RuntimeError, match="active"):
            net.refresh()


def reference_gradients(model, masks, x):
    """Gradients of a plain model whose weights were multiplied by masks with autograd looking on."""
    plain = copy.deepcopy(model)
    effective = {name: value for name, value in plain.named_parameters()}
    weights = {name: (value * masks[name] if name in masks else value) for name, value in effective.items()}
    hidden = nn.functional.linear(x, weights["first.weight"], weights["first.bias"])
    hidden = torch.relu(nn.functional.layer_norm(hidden, (16,), weights["norm.weight"], weights["norm.bias"]))
    loss = nn.functional.linear(hidden, weights["second.weight"], weights["second.bias"]).square().sum()
    return dict(zip(effective, torch.autograd.grad(loss, list(effective.values()))))


def test_masked_gradient_is_that_of_the_product_and_dense_gradient_is_straight_through():
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    found = {}
    for gradient in ("masked", "dense"):
        model, net = make(gradient=gradient)
        with net.active(net.uniform(0.5)):
            masks = {name: (t.weight != 0).float() for name, t in net.targets.items()}
            model(x).square().sum().backward()
        want = reference_gradients(model, masks, x)
        found[gradient] = {name: value.grad for name, value in model.named_parameters()}
        for name, value in found[gradient].items():
            kept = masks.get(name, torch.ones_like(value)).bool()
            assert torch.allclose(value[kept], want[name][kept], atol=1e-5), name
    dropped = ~masks["first.weight"].bool()
    assert found["masked"]["first.weight"][dropped].abs().sum() == 0
    assert found["dense"]["first.weight"][dropped].abs().sum() > 0


def test_gradients_of_a_sandwich_add_up():
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    model, net = make()
    want = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    for spec in net.sandwich(3):
        with net.active(spec):
            masks = {name: (t.weight != 0).float() for name, t in net.targets.items()}
        for name, value in reference_gradients(model, masks, x).items():
            want[name] += value
    for spec in net.sandwich(3):
        with net.active(spec):
            model(x).square().sum().backward()
    for name, value in model.named_parameters():
        assert torch.allclose(value.grad, want[name], atol=1e-4), name


def test_backward_after_leaving_is_an_error_not_a_wrong_gradient():
    model, net = make()
    with net.active(net.uniform(0.5)):
        loss = model(torch.randn(5, 6)).sum()
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


def test_private_values_begin_as_the_models_and_then_live_alone():
    model, net = make(private=True)
    with torch.no_grad():
        model.norm.weight.fill_(3.0)  # training before the first sparse sub-network
    with net.active(net.uniform(0.4)):
        assert model.norm.weight.tolist() == [3.0] * 16
        model(torch.randn(5, 6)).sum().backward()
        with torch.no_grad():
            model.norm.weight.fill_(7.0)
    assert model.norm.weight.tolist() == [3.0] * 16 and model.norm.weight.grad is None
    with net.active(net.uniform(0.4)):
        assert model.norm.weight.tolist() == [7.0] * 16
    with net.active(net.uniform(0.9)):
        assert model.norm.weight.tolist() == [3.0] * 16  # the other bin
    net.prune_(net.uniform(0.4))
    assert model.norm.weight.tolist() == [7.0] * 16 and list(model.state_dict()) == list(Tiny().state_dict())


def test_pruned_model_equals_active_model_and_loads_into_a_plain_one():
    model, net = make(private=True)
    x = torch.randn(3, 6)
    with torch.no_grad(), net.active(net.uniform(0.8)):
        want = model(x)
    net.prune_(net.uniform(0.8))
    plain = Tiny()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(x), want)


def test_state_survives_a_save_and_a_load(tmp_path):
    model, net = make(private=True)
    net.fork_private()
    with torch.no_grad():
        for _, value in net.private_parameters():
            value.add_(1.0)
        model.first.weight.mul_(torch.randn_like(model.first.weight))  # ranks are now stale, and must stay so
    torch.save({"model": model.state_dict(), "omni": net.state_dict()}, tmp_path / "x.pt")
    other, other_net = make(private=True)
    state = torch.load(tmp_path / "x.pt")
    other.load_state_dict(state["model"])
    other_net.load_state_dict(state["omni"])
    net.prune_(net.uniform(0.7))
    other_net.prune_(other_net.uniform(0.7))
    assert same(model.state_dict(), other.state_dict())
    _, without = make()
    with pytest.raises(ValueError, match="other targets"):
        without.load_state_dict(state["omni"])


def test_the_model_can_be_copied_while_the_supernet_holds_it():
    model, net = make()
    with net.active(net.uniform(0.5)):
        twin = copy.deepcopy(model)
        assert same(twin.state_dict(), model.state_dict())


def test_sampling_is_a_function_of_seed_and_step():
    _, net = make()
    torch.manual_seed(5)
    first = net.random(7)
    torch.manual_seed(6)
    assert net.random(7) == first != net.random(8)
    assert net.random(7, index=1) != first
    _, other = make(seed=43)
    assert other.random(7) != first
    spec = net.random(7, low=0.3, high=0.6, spread=0.2)
    assert all(0.3 <= s <= 0.6 for s in spec.values()) and len(set(spec.values())) == 2
    largest, smallest, some = net.sandwich(7)
    assert set(largest.values()) == {0.0} and set(smallest.values()) == {0.9} and some == first


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: omni.Supernet(m, {"nothing.*": omni.Range()}), "nothing.* .* no parameter"),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range(structure="7x1")}), "first.weight: shape"),
        (lambda m: omni.Supernet(m, {r"first\.bias": omni.Range()}), "first.bias: shape"),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range(structure="8y1")}), "8y1"),
        (lambda m: omni.Range(0.0, 1.0), "high < 1"),
        (lambda m: omni.Range(-0.1, 0.5), "0 <= low"),
        (lambda m: make()[1].uniform(1.0), "sparsity 1.0"),
        (lambda m: make()[1].prune_({"first.weight": -0.1}), "first.weight: sparsity -0.1"),
        (lambda m: make()[1].prune_({"second.bias": 0.5}), "second.bias: not a weight"),
        (lambda m: make(private=True)[1].bin_of({"first.weight": 0.95, "second.weight": 0.95}), "above the last bin"),
        (
            lambda m: omni.Supernet(m, {r"first\..*": omni.Range(0, 0.5, "1x1")}, private=[r".*bias"], bins=[0.5]),
            "first.bias",
        ),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range()}, private=[".*bias"], bins=[0.9, 0.5]), "rising"),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range()}, gradient="none"), "'none'"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words.replace("8y1", "8y1")):
        call(Tiny())
