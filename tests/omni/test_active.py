"""net.active on every kind of module and under everything that torch wraps around a step: exact values and gradients.

The reference is always a plain model of the same class that was given the masked weights: its gradient is that of the
product weight * mask times the mask, and the straight-through gradient as it is.
"""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import omni
from tests.omni.models import INPUTS, Attention, Convolutions, Mlp, Reader, Recurrent, Tied, build

TIED = {"output.weight": "embedding.weight", "other.weight": "one.weight"}
KINDS = [Mlp, Convolutions, Recurrent, Attention, Reader, Tied]


def supernet(kind, **more):
    model = build(kind)
    names = [name for name, value in model.named_parameters() if value.dim() > 1 and "bias" not in name]
    return model, omni.Supernet(model, {"|".join(names): omni.Range(0.0, 0.75, "4x1")}, **more)


def masks_of(net, spec):
    """{name: mask} by definition: the smallest sums of magnitudes go, of four output features at one input."""
    masks = {}
    for name, sparsity in spec.items():
        weight = net.targets[name].weight.detach()
        sums = weight.reshape(weight.shape[0] // 4, 4, -1).abs().sum(dim=1)
        count = round(sparsity * sums.numel())
        edge = sums.flatten().sort().values[count]
        masks[name] = (sums >= edge).float().repeat_interleave(4, dim=0).view(weight.shape)
        assert int((masks[name] == 0).sum()) == 4 * count > 0
    return masks


def plain(model, masks):
    """A model of the same class that never saw omni, with masked weights."""
    reference = type(model)()
    state = {name: value * masks.get(name, 1.0) for name, value in model.state_dict().items()}
    tied = {name: state[first] for name, first in TIED.items() if name in state}
    reference.load_state_dict({**state, **tied})
    return reference


def gradients(model):
    return {name: value.grad for name, value in model.named_parameters()}


def assert_close(found, want):
    assert found.keys() == want.keys()
    for name in want:
        assert torch.allclose(found[name], want[name], atol=1e-5, rtol=1e-4), name


@pytest.mark.parametrize("gradient", ["masked", "dense"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_active_model_computes_and_learns_as_a_plain_model_with_masked_weights(kind, gradient):
    model, net = supernet(kind, gradient=gradient)
    x, spec, before = INPUTS[kind], net.uniform(0.5), copy.deepcopy(model.state_dict())
    masks = masks_of(net, spec)
    reference = plain(model, masks)
    want = reference(x)
    with torch.no_grad():
        assert not torch.allclose(want, model(x), atol=1e-3)  # the masks matter
    with net.active(spec):
        found = model(x)
        found.square().sum().backward()
    want.square().sum().backward()
    assert torch.allclose(found, want, atol=1e-6)
    wanted = gradients(reference)
    if gradient == "masked":
        wanted.update({name: wanted[name] * mask for name, mask in masks.items()})
        assert all(bool((model.get_parameter(name).grad[mask == 0] == 0).all()) for name, mask in masks.items())
    assert_close(gradients(model), wanted)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("gradient", ["masked", "dense"])
@pytest.mark.parametrize("sparsity", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_held_sub_network_keeps_gets_no_gradient_and_all_else_the_same(kind, sparsity, gradient):
    model, net = supernet(kind, gradient=gradient)
    spec, smaller = net.uniform(sparsity), net.uniform(0.75)
    with net.active(spec):
        model(INPUTS[kind]).square().sum().backward()
    free = {name: value.clone() for name, value in gradients(model).items()}
    model.zero_grad()
    with net.active(spec, hold=smaller):
        model(INPUTS[kind]).square().sum().backward()
    held = {name: mask.bool() for name, mask in masks_of(net, smaller).items()}
    assert any(free[name][kept].any() and free[name][~kept].any() for name, kept in held.items())
    assert_close(gradients(model), {**free, **{name: free[name].masked_fill(kept, 0.0) for name, kept in held.items()}})
    model.zero_grad()
    with net.active(spec):
        model(INPUTS[kind]).square().sum().backward()
    assert_close(gradients(model), free)  # held no longer


def test_a_held_sub_network_that_cannot_be_is_refused():
    model, net = supernet(KINDS[0])
    with pytest.raises(ValueError, match="nothing: not a weight"):
        with net.active(net.largest(), hold={"nothing": 0.5}):
            pass


def test_a_gradient_that_autograd_gives_to_two_parameters_is_masked_in_one():
    model = nn.ParameterDict({"masked": nn.Parameter(torch.randn(8, 4)), "other": nn.Parameter(torch.randn(8, 4))})
    net = omni.Supernet(model, {"masked": omni.Range()})
    with net.active(net.uniform(0.5)):
        (model["masked"] + model["other"]).sum().backward()
    assert int(model["masked"].grad.sum()) == 16 and int(model["other"].grad.sum()) == 32


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing_computes_the_same_subnetwork_again(reentrant):
    model, net = supernet(Mlp)
    x, spec = INPUTS[Mlp].clone().requires_grad_(), net.uniform(0.5)
    results = []
    for call in (model, lambda x: checkpoint(model, x, use_reentrant=reentrant)):
        model.zero_grad(set_to_none=True)
        with net.active(spec):
            call(x).square().sum().backward()
        results.append(gradients(model))
    assert_close(*results)


def test_two_subnetworks_in_one_autocast_region_do_not_share_half_precision_weights():
    model = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 8))  # torch 1.13 has no LayerNorm under autocast of the CPU
    net = omni.Supernet(model, omni.Range(0.0, 0.75))
    x, found, want = INPUTS[Mlp], [], []
    specs = (net.largest(), net.uniform(0.5), net.uniform(0.75))
    for spec in specs:
        with net.active(spec), torch.autocast("cpu", torch.bfloat16):
            want.append(model(x).detach())
    with torch.autocast("cpu", torch.bfloat16):
        for spec in reversed(specs):
            model(x)  # leaves half-precision copies of the dense weights
            with net.active(spec):
                found.insert(0, model(x).detach())
        found.append(model(x).detach())
    assert all(torch.equal(a, b) for a, b in zip(found, want + [want[0]]))
    assert not torch.equal(want[0], want[1]) and not torch.equal(want[1], want[2])


def test_it_works_inside_inference_mode_and_then_in_training():
    model, net = supernet(Recurrent)
    spec = net.uniform(0.5)
    before = copy.deepcopy(model.state_dict())
    want = plain(model, masks_of(net, spec))(INPUTS[Recurrent])
    with torch.inference_mode():
        net.refresh()
        with net.active(spec):
            assert torch.allclose(model(INPUTS[Recurrent]), want, atol=1e-6)
    with net.active(spec):
        model(INPUTS[Recurrent]).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_model_that_moved_or_changed_its_type_since_is_masked_and_restored():
    model, net = supernet(Convolutions)
    with net.active(net.uniform(0.5)):
        pass
    model.double()
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(1 + 2**-40)  # what a copy of single precision would lose
    model.plane.to(memory_format=torch.channels_last)
    before = copy.deepcopy(model.state_dict())
    masks = masks_of(net, net.uniform(0.5))
    with net.active(net.uniform(0.5)):
        for name, mask in masks.items():
            assert torch.equal(model.get_parameter(name), before[name] * mask), name
        model(INPUTS[Convolutions].double()).sum().backward()
        assert bool((model.plane.weight.grad[masks["plane.weight"] == 0] == 0).all())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.plane.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_step_inside_is_an_error_not_a_lost_update():
    model, net = supernet(Mlp)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(RuntimeError, match="first.weight: changed while .* step the optimizer after leaving"):
        with net.active(net.uniform(0.5)):
            model(INPUTS[Mlp]).sum().backward()
            optimizer.step()
    assert torch.equal(model.first.weight, before["first.weight"])
    with net.active(net.uniform(0.5)):  # it can go on
        pass
    optimizer.step()


def test_the_dense_values_are_never_written_to():
    model, net = supernet(Mlp)
    place, view = model.first.weight.data_ptr(), model.first.weight.detach()
    before = view.clone()
    for _ in range(2):
        with net.active(net.uniform(0.5)):
            assert model.first.weight.data_ptr() != place and int((model.first.weight == 0).sum()) == 48
            assert torch.equal(view, before)
        assert model.first.weight.data_ptr() == place and torch.equal(model.first.weight, before)


def test_a_move_inside_is_an_error():
    model, net = supernet(Mlp)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(RuntimeError, match="first.weight: changed while"):
        with net.active(net.uniform(0.5)):
            model.double()
    assert torch.equal(model.first.weight, before["first.weight"])


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_copied_supernet_masks_its_own_model(twin_of):
    model = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 8))
    net = omni.Supernet(model, omni.Range(), private=[".*bias"], bins=[0.9])
    x = INPUTS[Mlp]
    with net.active(net.uniform(0.5)):
        want = net.model(x)
    twin = twin_of(net)
    with twin.active(twin.uniform(0.5)):
        assert torch.equal(twin.model(x), want)
        assert int((net.model[0].weight == 0).sum()) == 0
        assert twin.model[0].bias is not net.model[0].bias
    assert len(pickle.dumps(twin)) <= len(pickle.dumps(twin_of(net)))  # the dense copies do not go along
    for use in (copy.deepcopy, pickle.dumps):
        with net.active(net.uniform(0.5)), pytest.raises(RuntimeError, match="before the supernet is copied or pickl"):
            use(net)


def test_a_model_copied_or_pickled_inside_is_the_plain_subnetwork():
    model = nn.Sequential(nn.Linear(6, 16), nn.Linear(16, 8))
    net = omni.Supernet(model, omni.Range())
    with net.active(net.uniform(0.5)):
        want = model(INPUTS[Mlp])
        twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for twin in twins:
        assert torch.equal(twin(INPUTS[Mlp]), want)
        twin(INPUTS[Mlp]).sum().backward()  # no mask of ours is left in it
        assert int((twin[1].weight == 0).sum()) > 0 and int((twin[1].weight.grad == 0).sum()) == 0


def test_compiled_once_for_all_masks():
    if not hasattr(torch, "compile"):
        pytest.skip("this torch (1.13) has no torch.compile")
    model, net = supernet(Mlp)
    x, graphs = INPUTS[Mlp], []

    def count(graph, _):
        graphs.append(graph)
        return graph.forward

    for backend in (count, "aot_eager"):
        torch._dynamo.reset()
        compiled = torch.compile(model, backend=backend)
        for spec in (net.uniform(0.25), net.uniform(0.5), net.random(1), net.smallest()):
            results = []
            for call in (model, compiled):
                model.zero_grad(set_to_none=True)
                with net.active(spec):
                    out = call(x)
                    out.square().sum().backward()
                results.append((out.detach(), gradients(model)))
            (want, wanted), (found, got) = results
            assert torch.allclose(found, want, atol=1e-6)
            assert_close(got, wanted)
    assert len(graphs) == 1
