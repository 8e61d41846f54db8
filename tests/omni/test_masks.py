"""Sets of masks under a key: one for each language, say."""

import copy

import pytest
import torch
from torch import nn

import omni


def supernet():
    """Of 1 x 8 values; the criterion is what `worth` holds when blocks are ranked."""
    model = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.arange(1.0, 9.0))
    worth = torch.arange(1.0, 9.0).view(1, 8)
    net = omni.Supernet(model, {"weight": omni.Range(0.0, 0.9, "1x1")}, criterion=lambda name, weight: worth)
    worth.copy_(worth.flip(1).clone())
    net.refresh(key="en", exact=True)
    worth.copy_(torch.tensor([[1.0, 9, 2, 9, 3, 9, 4, 9]]))
    net.refresh(key="fr", exact=True)
    return model, net


KEPT = {None: [5, 6, 7, 8], "en": [1, 2, 3, 4], "fr": [2, 4, 6, 8]}


@pytest.mark.parametrize("key", KEPT)
def test_a_key_chooses_the_masks(key):
    model, net = supernet()
    with net.active(net.uniform(0.5), key=key):
        assert model.weight[model.weight != 0].tolist() == KEPT[key]
    assert net.mask("weight", 0.5, key)[0].nonzero()[:, 0].add(1).tolist() == KEPT[key]
    net.prune_(net.uniform(0.5), key=key)
    assert model.weight[model.weight != 0].tolist() == KEPT[key]


def test_keys_survive_checkpoints_and_copies():
    model, net = supernet()
    _, other = copy.deepcopy((model, net))
    fresh = omni.Supernet(copy.deepcopy(model), {"weight": omni.Range(0.0, 0.9, "1x1")})
    fresh.load_state_dict(net.state_dict())
    for one in (other, fresh):
        for key in KEPT:
            assert torch.equal(one.mask("weight", 0.5, key), net.mask("weight", 0.5, key))
    # made before there were keys
    fresh.load_state_dict({name: value for name, value in net.state_dict().items() if name != "keyed"})
    with pytest.raises(ValueError, match="key 'en' was never ranked"):
        fresh.mask("weight", 0.5, "en")


def test_an_unknown_key_is_named_before_anything_changes():
    model, net = supernet()
    before = model.weight.detach().clone()
    with pytest.raises(ValueError, match=r"key 'de' was never ranked \(known: None, 'en', 'fr'\); call refresh"):
        with net.active(net.uniform(0.5), key="de"):
            pass
    assert torch.equal(model.weight, before)


def test_overlap_of_two_keys():
    _, net = supernet()
    half = net.uniform(0.5)
    assert omni.compare(half, half, net).overlap == 1.0
    assert omni.compare(half, half, net, keys=("en", "fr")).overlap == pytest.approx(2 / 6)
    assert omni.compare(half, half, net, keys=(None, "en")).overlap == 0.0


def test_ranked_within_a_sub_network_the_denser_ones_keep_their_masks():
    model = nn.Linear(8, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.arange(1.0, 9.0))
    net = omni.Supernet(model, {"weight": omni.Range(0.0, 0.9, "1x1")})
    before = {sparsity: net.mask("weight", sparsity) for sparsity in (0.25, 0.5, 0.75)}
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[99.0, 98, 97, 96, 4, 3, 2, 1]]))
    net.refresh(exact=True, within=net.uniform(0.5))
    assert torch.equal(net.mask("weight", 0.5), before[0.5]) and torch.equal(net.mask("weight", 0.25), before[0.25])
    assert net.mask("weight", 0.75)[0].nonzero()[:, 0].tolist() == [4, 5] and before[0.75][0, 6:].all()
    with pytest.raises(ValueError, match="other: not a weight"):
        net.refresh(within={"other": 0.5})


def test_a_key_is_ranked_within_its_own_masks():
    _, net = supernet()  # the importance is that of "fr"
    net.refresh(key="en", exact=True, within=net.uniform(0.5))
    assert net.mask("weight", 0.5, "en")[0].nonzero()[:, 0].add(1).tolist() == KEPT["en"]


def test_groups_cannot_be_ranked_within_a_sub_network():
    net = omni.Supernet(nn.Linear(8, 4), {"weight": omni.Range(0.0, 0.5, "2:4")})
    with pytest.raises(ValueError, match="weight: structure '2:4' cannot be ranked within"):
        net.refresh(within=net.uniform(0.25))
