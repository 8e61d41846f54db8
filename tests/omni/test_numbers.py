"""One number where a spec is wanted, and what else newcomers give."""

import warnings

import pytest
import torch
from torch import nn

import omni
from tests.omni.models import INPUTS, Mlp, build


def supernet(**more):
    model = build(Mlp)
    return model, omni.Supernet(model, {"(first|second).weight": omni.Range(0.25, 0.75, "8x1")}, **more)


def zeros(model):
    return [int((model.get_parameter(name) == 0).sum()) for name in ("first.weight", "second.weight")]


def test_a_number_is_the_uniform_spec_of_it():
    model, net = supernet(private=[r"norm\..*"], bins=[0.4, 0.8])
    with net.active(0.5, hold=0.75) as learning:
        assert zeros(model) == [48, 64] and list(learning) == ["first.weight", "second.weight"]
        want = {name: net.mask(name, 0.5) & ~net.mask(name, 0.75) for name in learning}
    assert all(torch.equal(learning[name], mask) for name, mask in want.items())
    assert net.bin_of(0.5) == 1 and net.bin_of(0.25) == 0
    net.refresh(exact=True, within=0.5)
    net.carry_private(0.25, 0.5)
    assert omni.compare(0.5, 0.75, net).overlap == pytest.approx(0.5)
    net.prune_(0.5)
    assert zeros(model) == [48, 64]


def test_prune_takes_one_sparsity_for_all_default_weights():
    model, other = build(Mlp), build(Mlp)
    omni.prune_(model, 0.75)
    omni.prune_(other, {"first.weight": 0.75, "second.weight": 0.75})
    assert zeros(model) == zeros(other) == [72, 96]
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in model.state_dict().items())
    omni.prune_(model, 0)
    omni.prune_(other, 0.5, "1:2")
    assert zeros(model) == [72, 96]


@pytest.mark.parametrize(
    "call, error, words",
    [
        (lambda m, net: net.active(0.8).__enter__(), ValueError, "0.8: no weight can have it; the nearest is 0.75"),
        (lambda m, net: net.prune_(0), ValueError, "sparsity 0: no weight can have it; the nearest is 0.25"),
        (lambda m, net: net.prune_(1.5), ValueError, "sparsity 1.5: want 0 <= sparsity < 1"),
        (lambda m, net: net.prune_(float("nan")), ValueError, "sparsity nan"),
        (lambda m, net: net.prune_(True), TypeError, "True: want a spec, .* or one sparsity for all weights"),
        (lambda m, net: net.prune_(None), TypeError, "None: want a spec"),
        (lambda m, net: net.active(net.single(0)).__enter__(), TypeError, r"single and pick give \(kind, spec\)"),
        (lambda m, net: net.active(0.5, hold="much").__enter__(), TypeError, "'much': want a spec"),
        (lambda m, net: net.prune_({"first.weight": "0.5"}), ValueError, "first.weight: sparsity '0.5'"),
        (lambda m, net: omni.prune_(m, 1.0), ValueError, "want 0 <= low <= high < 1"),
        (lambda m, net: omni.prune_(m, 0.8, "2:4"), ValueError, "structure '2:4' goes to 0.5"),
        (lambda m, net: omni.prune_(m, [0.5]), TypeError, r"\[0.5\]: want a spec"),
        (lambda m, net: omni.compare(0.5, 0.7), TypeError, r"compare\(a, b, net\)"),
        (lambda m, net: omni.report(0.5), TypeError, "report of float: want a Supernet"),
        (lambda m, net: omni.report(net, omni.Range()), TypeError, "takes no config"),
        (lambda m, net: omni.report({"a": 1}), TypeError, "a is no tensor but int"),
        (lambda m, net: omni.report(nn.LayerNorm(3)), ValueError, "no weight of LayerNorm to prune"),
    ],
)
def test_what_cannot_be_is_one_clear_line_and_changes_nothing(call, error, words):
    model, net = supernet()
    with pytest.raises(error, match=words) as raised:
        call(model, net)
    assert "\n" not in str(raised.value) and zeros(model) == [0, 0]


def test_a_model_a_state_and_a_packed_file_are_reported_on(tmp_path):
    model, net = supernet()
    net.prune_(0.5)
    want = omni.report(net)
    torch.save(omni.pack(net), tmp_path / "small.pt")
    packed = omni.load_pt(tmp_path / "small.pt")
    plain = Mlp()
    plain.load_state_dict(omni.unpack(packed))
    for found in (model, plain, model.state_dict(), packed, omni.unpack(packed)):
        found = omni.report(found)
        assert {row.name: row for row in found.rows} == {row.name: row for row in want.rows}
        assert found.sparsity == 0.5
    assert omni.report(model, omni.Range(structure="unstructured")).sparsity == 0.5
    assert omni.report(model, {"first.weight": omni.Range()}).rows[0].nonzero == 48
    assert omni.report({"bias": torch.zeros(3)}).sparsity == 0.0  # no weight at all


def test_what_python_shows():
    model, net = supernet()
    assert repr(net) == "Supernet(Mlp, 2 weights, sparsity 0.25 to 0.75, 8x1)"
    with net.active(0.5):
        assert repr(net) == "Supernet(Mlp, 2 weights, sparsity 0.25 to 0.75, 8x1, active at 0.5)"
    shown = repr(omni.report(net))
    assert shown == str(omni.report(net)) and "targeted weights: sparsity 0.0000" in shown
    assert "overlap" in repr(omni.compare({}, {}))


def train(net, model, values, steps=4, each=1):
    optimizer = torch.optim.SGD(values, 0.01)
    for _ in range(steps):
        for _ in range(each):
            with net.active(0.5):
                model(INPUTS[Mlp]).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("each", [1, 3])
def test_private_values_that_no_optimizer_has_are_told_of_once(each):
    model, net = supernet(private=[r"norm\..*"], bins=[0.8])
    with pytest.warns(UserWarning, match="private parameters have gradients, but no optimizer") as told:
        train(net, model, model.parameters(), each=each)
    assert len(told) == 1 and told[0].filename == __file__
    model, net = supernet(private=[r"norm\..*"], bins=[0.8])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(net, model, [*model.parameters(), *(value for _, value in net.private_parameters())], each=each)
        for _ in range(5):  # an evaluation
            with torch.no_grad(), net.active(0.5):
                model(INPUTS[Mlp])


def test_fine_tuning_inside_active_keeps_the_zeros():
    model, net = supernet()
    net.prune_(0.5)
    zero = {name: target.weight == 0 for name, target in net.targets.items()}
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    for _ in range(3):
        with net.active(0.5):
            model(INPUTS[Mlp]).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert all(torch.equal(target.weight == 0, zero[name]) for name, target in net.targets.items())
    model(INPUTS[Mlp]).square().sum().backward()
    optimizer.step()
    assert zeros(model) == [0, 0]  # outside they come back


def test_a_gradient_of_one_layer_alone_needs_no_weight_and_comes_after_leaving():
    """The one backward after leaving that torch does not refuse, as docs/omni.md says."""
    model = nn.Linear(16, 8, bias=False)
    net = omni.Supernet(model, omni.Range())
    with net.active(0.5):
        loss = model(torch.randn(4, 16)).square().sum()
    loss.backward()
    assert int((model.weight.grad == 0).sum()) == 0
