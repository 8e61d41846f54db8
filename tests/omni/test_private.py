"""Private values: begin as the model's, live alone, act wherever a parameter is held, and are taken back."""

import pytest
import torch

import omni
from tests.omni.models import INPUTS, Mlp, Recurrent, Tied, build


def test_private_values_begin_as_the_models_and_then_live_alone():
    model = build(Mlp)
    net = omni.Supernet(model, omni.Range(), private=[r"norm\..*", r".*\.bias"], bins=[0.5, 0.9])
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
    assert model.norm.weight.tolist() == [7.0] * 16 and list(model.state_dict()) == list(Mlp().state_dict())


def test_an_evaluation_before_the_first_training_changes_nothing():
    """Else a validation on one process of several would tear them apart, and freeze values long before they are
    used."""
    model = build(Mlp)
    net = omni.Supernet(model, omni.Range(), private=[r"norm\..*"], bins=[0.9])
    with torch.no_grad():
        with net.active(net.uniform(0.5)):
            model.norm.weight.fill_(2.0)  # unforked: this is the model's own
        model.norm.weight.fill_(3.0)
    assert net.state_dict()["forked"] is False
    with net.active(net.uniform(0.5)):
        assert model.norm.weight.tolist() == [3.0] * 16
    assert net.state_dict()["forked"] is True
    with torch.no_grad():
        model.norm.weight.fill_(4.0)
        with net.active(net.uniform(0.5)):
            assert model.norm.weight.tolist() == [3.0] * 16


@pytest.mark.parametrize("kind, name", [(Recurrent, "lstm.bias_ih_l0"), (Tied, "one.bias")])
def test_private_values_act_in_flat_weights_and_under_every_name(kind, name):
    model, x = build(kind), INPUTS[kind]
    net = omni.Supernet(model, omni.Range(0.0, 0.9, "4x1"), private=[name.replace(".", r"\.")], bins=[0.9])
    with net.active(net.uniform(0.5)):  # from here on private values live alone
        pass
    (_, value), = net.private_parameters()
    with torch.no_grad():
        value.add_(1.0)
    spec, plain = net.uniform(0.5), model.get_parameter(name)
    with net.active(spec):
        found = model(x)
        found.sum().backward()
    assert plain.grad is None and value.grad is not None and model.get_parameter(name) is plain
    with torch.no_grad():
        dense = model(x)
    net.prune_(spec)
    reference = kind()
    reference.load_state_dict(model.state_dict())
    assert torch.equal(reference.get_parameter(name), value)
    assert torch.allclose(found, reference(x), atol=1e-6) and not torch.allclose(found, dense, atol=1e-3)


def test_a_private_value_stands_in_for_a_parameter_of_two_modules():
    one, other = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    other.bias = one.bias
    net = omni.Supernet(torch.nn.Sequential(one, other), omni.Range(), private=[r"0\.bias"], bins=[0.9])
    (_, value), = net.private_parameters()
    with net.active(net.uniform(0.5)):
        assert one.bias is value and other.bias is value
    assert one.bias is other.bias is not value


def test_the_models_own_values_are_back_after_an_exception():
    model = build(Recurrent)
    net = omni.Supernet(model, omni.Range(0.0, 0.9, "4x1"), private=[r"lstm\.bias.*"], bins=[0.9])
    before = [id(value) for value in model.lstm._flat_weights]
    with pytest.raises(ZeroDivisionError), net.active(net.uniform(0.5)):
        assert [id(value) for value in model.lstm._flat_weights] != before
        raise ZeroDivisionError
    assert [id(value) for value in model.lstm._flat_weights] == before
    assert model.lstm.bias_ih_l0 is model.lstm._flat_weights[2]


def test_bins_hold_the_mean_sparsities_up_to_their_edge():
    net = omni.Supernet(build(Mlp), omni.Range(), private=[".*bias"], bins=[0.5, 0.9])
    assert [net.bin_of(net.uniform(sparsity)) for sparsity in (0.0, 0.01, 0.5, 0.51, 0.9)] == [None, 0, 0, 1, 1]
    assert net.bins == (0.5, 0.9)
    assert [name for name, _ in net.private_parameters()] == [
        f"{edge}:{name}.bias" for edge in (0.5, 0.9) for name in ("first", "norm", "second")
    ]


@pytest.mark.parametrize(
    "private, bins, words",
    [
        ([".*bias"], [0.9, 0.5], "rising"), ([".*bias"], [], "rising"), ([], [0.9], "rising"),
        (["biases"], [0.9], "'biases' matches no"),
        ([r"first\.weight"], [0.9], "first.weight: both masked and private"),
    ],
)
def test_what_does_not_fit_is_named(private, bins, words):
    with pytest.raises(ValueError, match=words):
        omni.Supernet(build(Mlp), omni.Range(), private=private, bins=bins)


def test_a_sub_network_that_grows_sparser_carries_its_values_into_the_next_bin():
    model = build(Mlp)
    net = omni.Supernet(model, omni.Range(), private=[r"norm\..*"], bins=[0.5, 0.9])
    half, nine = net.uniform(0.4), net.uniform(0.9)
    net.carry_private(half, nine)  # nothing to carry yet
    with net.active(half), torch.no_grad():
        pass
    values = dict(net.private_parameters())
    with torch.no_grad():
        values["0.5:norm.weight"].fill_(2.0)
    net.carry_private(half, net.uniform(0.5))
    assert values["0.9:norm.weight"].tolist() == [1.0] * 16
    net.carry_private(half, nine)
    assert values["0.9:norm.weight"].tolist() == [2.0] * 16
    with torch.no_grad():
        model.norm.weight.fill_(3.0)
    net.carry_private(net.largest(), half)
    assert values["0.5:norm.weight"].tolist() == [3.0] * 16 and values["0.9:norm.weight"].tolist() == [2.0] * 16
