"""What a sub-network keeps, counted; and what two share."""

import pytest
import torch
from torch import nn

import omni
from tests.omni.models import Mlp, build


def supernet():
    model = build(Mlp)  # first (16, 6), second (8, 16)
    return model, omni.Supernet(model, {"(first|second).weight": omni.Range(0.0, 0.75, "8x1")})


def test_the_report_counts_what_is_there():
    model, net = supernet()
    whole = omni.report(net)
    assert whole.rows[0].bytes_sparse == 384  # no smaller without its zeros, as there are none
    assert whole.sparsity == 0.0 and whole.total.nonzero == sum(int((p != 0).sum()) for p in model.parameters())
    with net.active(net.uniform(0.5)):
        half = omni.report(net)
    first, second, rest = half.rows
    assert (first.name, first.size, first.nonzero, first.sparsity) == ("first.weight", 96, 48, 0.5)
    assert first.bytes_dense == 384 and first.bytes_sparse == 48 * 4 + 2  # six blocks of 8, and 12 bits
    assert (rest.name, rest.size, rest.bytes_sparse) == ("other parameters", 16 + 32 + 8, 56 * 4)
    assert half.sparsity == 0.5 and omni.report(net).sparsity == 0.0
    table = str(half).splitlines()
    assert table[1].split() == ["first.weight", "96", "48", "0.5000", "384", "194"]
    assert table[-2].split()[0] == "total" and table[-1] == "targeted weights: sparsity 0.5000"


def test_the_report_agrees_with_what_is_stored():
    model, net = supernet()
    net.prune_(net.uniform(0.5))
    packed = omni.pack(model.state_dict(), {name: target.blocks for name, target in net.targets.items()})
    stored = sum(value.numel() * value.element_size() for value in packed["plain"].values())
    for entry in packed["sparse"].values():
        stored += sum(entry[part].numel() * entry[part].element_size() for part in ("bits", "kept"))
    assert omni.report(net).total.bytes_sparse == stored


def test_a_mask_that_does_nothing_shows():
    model, net = supernet()
    with net.active(net.uniform(0.5)):
        with torch.no_grad():
            model.first.weight.data.fill_(1.0)  # .data: behind the back of the check in `active`
        assert omni.report(net).rows[0].sparsity == 0.0


def test_nested_specs_compare_without_a_model():
    found = omni.compare({"a": 0.5, "b": 0.0}, {"a": 0.75, "b": 0.0, "c": 0.9})
    assert found.rows == (("a", 0.5, 0.75, 0.5), ("b", 0.0, 0.0, 1.0), ("c", 0.0, 0.9, pytest.approx(0.1)))
    assert found.overlap == pytest.approx((0.25 + 1.0 + 0.1) / (0.5 + 1.0 + 1.0))
    assert str(found).splitlines()[1].split() == ["a", "0.5000", "0.7500", "0.5000"]


@pytest.mark.parametrize("a, b", [(0.0, 0.5), (0.25, 0.75), (0.5, 0.5)])
def test_masks_of_one_ranking_overlap_as_sparsities_say(a, b):
    _, net = supernet()
    counted = omni.compare(net.uniform(a), net.uniform(b), net)
    assert counted.overlap == pytest.approx(omni.compare(net.uniform(a), net.uniform(b)).overlap, abs=0.07)
    for row, target in zip(counted.rows, net.targets.values()):
        kept = [target.weight.numel() // 8 - target.structure.dropped(target.weight.shape, s) for s in (a, b)]
        assert row[3] == pytest.approx(min(kept) / max(kept))


def test_what_cannot_be_compared_is_named():
    _, net = supernet()
    with pytest.raises(ValueError, match="a: sparsity 1.5"):
        omni.compare({"a": 1.5}, {})
    with pytest.raises(ValueError, match="third.weight: not a weight that this supernet prunes"):
        omni.compare({"third.weight": 0.5}, {}, net)


def test_prune_makes_any_model_sparse_by_its_present_weights():
    model = nn.Linear(4, 8)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([3.0, 1.0, 4.0, 2.0]).expand(8, 4))
    omni.prune_(model, {"weight": 0.5})
    assert (model.weight != 0).all(dim=0).tolist() == [True, False, True, False]
    assert list(model.state_dict()) == ["weight", "bias"]
    omni.prune_(model, {"weight": 0.75}, structure="unstructured", criterion="l2")
    assert int((model.weight != 0).sum()) == 8
    omni.prune_(model, {})
    for spec in ({"weight": 0.5}, 0.5):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([3.0, 1.0, 4.0, 2.0]).expand(8, 4))
        omni.prune_(model, spec, criterion=lambda name, weight: 1 / weight.abs())
        assert (model.weight != 0).all(dim=0).tolist() == [False, True, False, True]
        with torch.no_grad():
            model.weight.copy_(1.0 + 1e-6 * torch.arange(32.0).flip(0).view(8, 4))  # as good as equal, but not quite
        omni.prune_(model, spec, structure="unstructured")
        assert (model.weight != 0).flatten().tolist() == [True] * 16 + [False] * 16
    for spec, words in (({"height": 0.5}, "height: not a parameter of Linear"), ({"weight": 1.0}, "want 0 <= low")):
        with pytest.raises(ValueError, match=words):
            omni.prune_(model, spec)
    with pytest.raises(ValueError, match="weight: shape .* not a whole number of 3x1 blocks"):
        omni.prune_(model, {"weight": 0.5}, structure="3x1")
