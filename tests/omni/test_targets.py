"""Which weights are found, by themselves and by pattern, and what does not fit."""

import pytest
from torch import nn

import omni
from tests.omni.models import Attention, Convolutions, Mlp, Reader, Recurrent, Tied, build
from omni.targets import choose, matching, parameters_of


def targets(model, config):
    return [name for name, choice in choose(model, config).items() if choice.target]


@pytest.mark.parametrize(
    "kind, want",
    [
        (Mlp, ["first.weight", "second.weight"]),
        (Convolutions, ["wide.weight", "grouped.weight", "plane.weight"]),
        (
            Recurrent,
            [f"lstm.weight_{part}_l{layer}{way}" for layer in (0, 1) for way in ("", "_reverse")
             for part in ("ih", "hh", "hr")]
            + ["gru.weight_ih_l0", "gru.weight_hh_l0", "cell.weight_ih", "cell.weight_hh"],
        ),
        (
            Attention,
            ["same.in_proj_weight", "same.out_proj.weight"]
            + [f"other.{part}_proj_weight" for part in "qkv"] + ["other.out_proj.weight"],
        ),
        (Reader, ["inner.weight"]),
        (Tied, ["one.weight"]),
    ],
)
def test_defaults_are_the_weights_of_matrix_products(kind, want):
    assert targets(build(kind), omni.Range(structure="4x1")) == want
    assert list(omni.Supernet(build(kind), omni.Range(structure="4x1")).targets) == want


def test_why_others_stay_dense():
    def why(model, name):
        return choose(model, omni.Range(structure="4x1"))[name].why

    assert why(build(Convolutions), "depthwise.weight") == "depthwise convolution"
    assert why(build(Mlp), "norm.weight") == why(build(Mlp), "first.bias") == "bias, norm or other vector"
    assert why(build(Attention), "same.bias_k") == "MultiheadAttention: dense unless a pattern names it"
    assert why(build(Reader), "own") == "Reader: dense unless a pattern names it"
    assert why(build(Tied), "embedding.weight") == "Embedding: dense unless a pattern names it"
    flipped = nn.ModuleDict({"output": nn.Linear(8, 12), "embedding": nn.Embedding(12, 8), "more": nn.Linear(8, 8)})
    flipped["embedding"].weight = flipped["output"].weight
    assert why(flipped, "output.weight").startswith("tied to embedding.weight (Embedding")
    odd = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 8), nn.ConvTranspose1d(8, 8, 3))
    assert why(odd, "0.weight") == "shape (6, 4) is not a whole number of 4x1 blocks"
    assert why(odd, "2.weight").startswith("ConvTranspose1d: dense unless")


def test_a_pattern_takes_any_parameter_and_the_first_pattern_counts():
    model = build(Reader)
    found = choose(model, {"own": omni.Range(0.1, 0.5, "2:4"), ".*weight": omni.Range(0.0, 0.9, "1x1")})
    assert found["own"].target.structure == omni.NofM(2, 4) and found["own"].target.low == 0.1
    assert found["inner.weight"].target.structure == omni.Blocks(1, 1) == found["inner.weight"].target.blocks
    assert found["own"].target.blocks == omni.Blocks(1, 1)  # what a file of the pruned weight is packed by


def test_a_tied_parameter_is_one_target_under_its_first_name_and_any_name_finds_it():
    model = build(Tied)
    for pattern in ("embedding.*", r"output\.weight", r"(embedding|output)\.weight"):
        net = omni.Supernet(model, {pattern: omni.Range(structure="4x1")})
        assert list(net.targets) == ["embedding.weight"]
    assert list(omni.Supernet(model, {r"other\.weight": omni.Range()}).targets) == ["one.weight"]
    assert [name for name, _, _ in parameters_of(model)["one.bias"].holders] == ["one.bias", "other.bias"]
    assert list(parameters_of(model)) == [name for name, _ in model.named_parameters()]


def test_patterns_match_whole_names():
    assert matching(build(Mlp), [r"first\..*", r".*bias"]) == {
        "first.weight": r"first\..*", "first.bias": r"first\..*", "norm.bias": ".*bias", "second.bias": ".*bias"
    }
    with pytest.raises(ValueError, match="'first' matches no parameter; the first are first.weight"):
        matching(build(Mlp), ["first"])


@pytest.mark.parametrize(
    "config, words",
    [
        ({"nothing.*": omni.Range()}, r"'nothing\.\*' matches no parameter"),
        ({r"first\.(": omni.Range()}, "not a regular expression"),
        ({r"first\.weight": omni.Range(structure="7x1")}, r"first.weight: shape \(16, 6\) .* 7x1 blocks"),
        ({r"first\.weight": omni.Range(0.0, 0.5, "2:4")}, r"first.weight: shape \(16, 6\) .* 2:4 blocks"),
        ({r"first\.bias": omni.Range()}, "first.bias: shape"),
        ({}, "no weight of Mlp"),
        (omni.Range(structure="5x1"), "no weight of Mlp"),
    ],
)
def test_what_does_not_fit_is_named(config, words):
    with pytest.raises(ValueError, match=words):
        omni.Supernet(build(Mlp), config)
    with pytest.raises(ValueError, match=words):
        omni.describe(build(Mlp), config)


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((0.0, 1.0), "high < 1"),
        ((-0.1, 0.5), "0 <= low"),
        ((0.5, 0.4), r"Range\(0.5, 0.4\)"),
        ((0.0, 0.9, "2:4"), "'2:4' goes to 0.5"),
        ((0.0, 0.5, "8y1"), "8y1"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        omni.Range(*arguments)


def test_a_range_of_n_of_m_may_end_at_its_one_sparsity():
    assert omni.Range(0.0, 0.5, "2:4").high == 0.5 and omni.Range(0.0, 2 / 3, "1:3").high == 2 / 3


def test_a_lazy_module_must_be_run_first():
    with pytest.raises(ValueError, match="0.weight: not initialised yet"):
        omni.Supernet(nn.Sequential(nn.LazyLinear(8)), omni.Range())
