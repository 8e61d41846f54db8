"""omni.Supernet: masks, rankings, sandwiches, checkpoints, and that the model is left as it was."""

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import omni
from tests.omni.models import Convolutions, Mlp, Recurrent, Tied, build


def make(private=False, structure="8x1", **more):
    model = build(Mlp)
    if private:
        more.update(private=[r"norm\..*", r".*\.bias"], bins=[0.5, 0.9])
    return model, omni.Supernet(model, {r"(first|second)\.weight": omni.Range(0.0, 0.9, structure)}, **more)


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


def test_pruned_model_equals_active_model_and_loads_into_a_plain_one():
    model, net = make(private=True)
    x = torch.randn(3, 6)
    with torch.no_grad(), net.active(net.uniform(0.8)):
        want = model(x)
    net.prune_(net.uniform(0.8))
    plain = Mlp()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(plain(x), want)


@pytest.mark.parametrize("left", [0.3, 1.0])
def test_what_is_pruned_may_only_fade(left):
    model, net = make(private=True)
    before = snapshot(model)
    net.prune_(net.uniform(0.8), left=left)
    for name, target in net.targets.items():
        kept = net.mask(name, 0.8)
        assert torch.equal(target.weight[kept], before[name][kept]) and not kept.all()
        assert torch.allclose(target.weight[~kept], left * before[name][~kept])
    with pytest.raises(ValueError, match="left 1.5: want a share"):
        net.prune_(net.uniform(0.8), left=1.5)


def test_state_survives_a_save_and_a_load(tmp_path):
    model, net = make(private=True)
    with net.active(net.uniform(0.5)):  # from here on private values live alone
        pass
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
    _, of_other_blocks = make(private=True, structure="4x1")
    for refuses, why in ((without, "other private parameters"), (of_other_blocks, "other targets or structures")):
        with pytest.raises(ValueError, match=why):
            refuses.load_state_dict(state["omni"])


def test_a_checkpoint_of_before_the_buckets_is_read():
    """Ranks were an int32 permutation then, what an exact ranking is now."""
    model, net = make()
    norms = {name: target.weight.view(-1, 8, target.weight.shape[1]).abs().sum(dim=1)
             for name, target in net.targets.items()}
    old = {name: norm.flatten().argsort().argsort().view_as(norm).to(torch.int32) for name, norm in norms.items()}
    net.load_state_dict({"ranks": old, "private": {}, "forked": True})
    net.prune_(net.uniform(0.5))
    for name, norm in norms.items():
        kept = model.get_parameter(name).view(-1, 8, norm.shape[1]).abs().sum(dim=1) > 0
        assert torch.equal(kept, norm >= norm.flatten().sort().values[norm.numel() // 2])


def zeros(net):
    return {name: target.weight == 0 for name, target in net.targets.items()}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([Mlp, Convolutions, Recurrent, Tied]),
    st.sampled_from(["4x1", "2x2", "unstructured", "1:2", "2:4"]),
    st.sampled_from(["l1", "l2"]), st.integers(0, 5), st.integers(0, 10**9), st.booleans(),
)
def test_any_spec_is_met_to_a_block_nests_restores_and_is_drawn_again(kind, structure, criterion, seed, step, exact):
    allowed = omni.Range(0.0, 0.5 if ":" in structure else 0.9, structure)

    def supernet():
        model = build(kind)
        net = omni.Supernet(model, allowed, seed=seed, criterion=criterion)
        net.refresh(exact)
        return model, net

    def drawn(net, step):
        return [net.random(step, 1, spread=0.1), net.random(step, rank=1, layerwise=True)]

    model, net = supernet()
    before, found = snapshot(model), []
    specs = drawn(net, step)
    for spec in specs:
        with net.active(spec):
            found.append(zeros(net))
            for name, target in net.targets.items():
                lost, unit = int(found[-1][name].sum()), target.structure.unit
                assert lost % unit == 0 and abs(lost - spec[name] * target.weight.numel()) <= 0.5 * unit + 1e-6
        assert same(before, model.state_dict())
    for name in net.targets:
        dense, sparse = sorted((0, 1), key=lambda index: specs[index][name])
        assert bool((found[dense][name] <= found[sparse][name]).all())
    other, again = supernet()
    assert drawn(again, step) == specs
    with net.active(specs[0]):
        again.prune_(specs[0])
        assert same(model.state_dict(), other.state_dict())


def test_ranks_of_8x1_blocks_cost_a_quarter_of_a_byte_a_weight():
    net = omni.Supernet(nn.Linear(512, 1024), omni.Range())
    codes = net.state_dict()["ranks"]["weight"]
    assert codes.numel() * codes.element_size() == 512 * 1024 / 4


def test_an_exact_ranking_drops_the_smallest_of_many():
    torch.manual_seed(0)
    model = nn.Linear(128, 128, bias=False)
    net = omni.Supernet(model, omni.Range(structure="unstructured"))
    want = model.weight.abs() > model.weight.abs().flatten().sort().values[8000 - 1]
    with net.active({"weight": 7996 / 16384}):
        assert int((want & (model.weight == 0)).sum()) <= 8  # buckets of 8: what is near the edge may go too soon
    net.refresh(exact=True)
    with net.active({"weight": 8000 / 16384}):
        assert torch.equal(want, model.weight != 0)


def test_the_criterion_decides_what_goes():
    def lost(criterion):
        model = nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[3.0, 2.0, 5.0, 6.0], [0.0, 2.0, 5.0, 6.0]]))
            model.weight.grad = torch.tensor([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 0.0, 1.0]])
        net = omni.Supernet(model, omni.Range(0.0, 0.5, "2x1"), criterion=criterion)
        net.prune_({"weight": 0.25})
        return int((model.weight[0] == 0).nonzero())

    assert lost("l1") == 0  # 3 + 0 < 2 + 2
    assert lost("l2") == 1  # 9 + 0 > 4 + 4
    assert lost(lambda name, weight: (weight * weight.grad).abs()) == 2
    assert lost(lambda name, weight: (torch.tensor([1.0, 1.0, 1.0, 0.0]) + (name == "none")).expand(2, 4)) == 3


def test_one_ranking_over_all_weights():
    model = nn.Sequential(nn.Linear(4, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(4, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]))
        model[1].weight.copy_(torch.tensor([[1.5, 2.5], [3.5, 4.5]]))
        model[2].weight.copy_(torch.tensor([[0.1, 0.1, 9.0, 0.2]]))
    net = omni.Supernet(model, {
        r"0\.weight": omni.Range(0.0, 0.75, "2x1"), r"1\.weight": omni.Range(0.0, 0.5, "unstructured"),
        r"2\.weight": omni.Range(0.0, 0.5, "2:4"),
    })
    # in order, weight: worth of a block (values): 2: 0.1 (2), 0: 1 (2), 1: 1.5 (1), 0: 2 (2), 1: 2.5 (1), 0: 3 (2)
    for budget, want in ((0, (0, 0, 0)), (2, (0, 0, 0.5)), (5, (0.25, 0.25, 0.5)), (6, (0.25, 0.25, 0.5)),
                         (7, (0.5, 0.25, 0.5)), (8, (0.5, 0.5, 0.5)), (10, (0.75, 0.5, 0.5)), (15, (0.75, 0.5, 0.5))):
        spec = net.global_ranking(budget / 16)
        assert tuple(spec.values()) == want
        with net.active(spec):
            assert sum(int(found.sum()) for found in zeros(net).values()) == min(10, budget - (budget == 6))


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.99), st.floats(0, 0.99), st.sampled_from([Mlp, Convolutions, Recurrent]))
def test_a_global_ranking_meets_its_budget_to_a_block_and_nests(one, other, kind):
    net = omni.Supernet(build(kind), omni.Range(0.1, 0.8, "4x1"))
    total = sum(target.weight.numel() for target in net.targets.values())
    low, high = (
        sum(target.structure.dropped(target.weight.shape, end) * 4 for target in net.targets.values())
        for end in (0.1, 0.8)
    )
    found = []
    for sparsity in sorted((one, other)):
        with net.active(net.global_ranking(sparsity)):
            found.append(zeros(net))
        lost = sum(int(zero.sum()) for zero in found[-1].values())
        assert 0 <= min(max(round(sparsity * total), low), high) - lost < 4
    assert all(bool((found[0][name] <= found[1][name]).all()) for name in net.targets)


def test_masked_weights_are_neither_ranked_nor_pruned():
    model, net = make()
    with net.active(net.uniform(0.5)):
        for use in (net.refresh, lambda: net.global_ranking(0.5), lambda: net.prune_(net.uniform(0.5))):
            with pytest.raises(RuntimeError, match="active already: leave it before"):
                use()


def test_weights_that_are_no_numbers_are_named_and_the_old_ranks_stay():
    model, net = make()
    want = {name: codes.clone() for name, codes in net.state_dict()["ranks"].items()}
    with torch.no_grad():
        model.second.weight[0, 0] = float("nan")
        model.first.weight.mul_(torch.randn_like(model.first.weight))
    with pytest.raises(ValueError, match="second.weight: scores are negative or not numbers"):
        net.refresh()
    assert same(net.state_dict()["ranks"], want)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda m: make()[1].uniform(1.0), "sparsity 1.0"),
        (lambda m: make()[1].prune_({"first.weight": -0.1}), "first.weight: sparsity -0.1"),
        (lambda m: make()[1].prune_({"second.bias": 0.5}), "second.bias: not a weight"),
        (lambda m: make(private=True)[1].bin_of({"first.weight": 0.95, "second.weight": 0.95}), "above the last bin"),
        (
            lambda m: omni.Supernet(m, {r"first\..*": omni.Range(0, 0.5, "1x1")}, private=[r".*bias"], bins=[0.5]),
            "first.bias",
        ),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range()}, private=[".*bias"], bins=[0.9, 0.5]), "rising"),
        (lambda m: omni.Supernet(m, {r"first\.weight": omni.Range()}, gradient="none"), "gradient 'none'"),
        (lambda m: omni.Supernet(m, omni.Range(), criterion="l3"), "criterion 'l3'"),
        (lambda m: omni.Supernet(m, omni.Range(), criterion=lambda name, w: w), "first.weight: scores are negative"),
        (
            lambda m: omni.Supernet(m, omni.Range(), criterion=lambda name, w: w.abs().sum(dim=0)),
            r"first.weight: criterion gave shape \(6,\), want \(16, 6\)",
        ),
        (
            lambda m: omni.Supernet(m, {r"second\.weight": omni.Range(0, 0.5, "2:4")}).prune_({"second.weight": 0.6}),
            "second.weight: sparsity 0.6, structure '2:4' goes to 0.5",
        ),
        (lambda m: make()[1].global_ranking(1.0), "sparsity 1.0"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call(build(Mlp))


def test_exact_ranking_drops_the_least_of_many_and_the_other_about_the_least():
    model = nn.Linear(400, 100, bias=False)
    net = omni.Supernet(model, omni.Range(0.0, 0.9, "unstructured"))
    least = model.weight.abs() < model.weight.abs().flatten().sort().values[20_000]  # half of 40,000
    net.refresh(exact=True)
    assert torch.equal(net.mask("weight", 0.5), ~least)
    net.refresh()
    wrong = int((net.mask("weight", 0.5) == least).sum())
    assert 0 < wrong < 40
    omni.prune_(model, {"weight": 0.5}, "unstructured")
    assert torch.equal(model.weight == 0, least)


def test_a_pickled_supernet_does_not_carry_the_memory_that_it_masks_in():
    net = omni.Supernet(nn.Linear(64, 64), omni.Range())
    before = len(pickle.dumps(net))
    with net.active(net.uniform(0.5)):
        pass
    assert len(pickle.dumps(net)) == before


def test_a_pruned_model_scripts_as_one_that_never_met_omni():
    model, net = make()
    with net.active(net.uniform(0.5)):
        model(torch.randn(3, 6)).sum().backward()  # hooks were on the weights, and are gone
    net.prune_(net.uniform(0.5))
    x = torch.randn(3, 6)
    assert torch.equal(torch.jit.script(model)(x), model(x))
