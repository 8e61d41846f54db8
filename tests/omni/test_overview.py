"""omni.describe: a table that tells the truth."""

import omni
from tests.omni.models import Convolutions, Mlp, Tied, build


def test_every_parameter_has_a_line_and_the_last_lines_tell_what_can_be_reached():
    model = build(Mlp)
    assert omni.describe(model, {r"second\.weight": omni.Range(0.1, 0.9, "8x1")}).splitlines() == [
        "parameter      shape  structure  sparsity    why",
        "first.weight   16x6   dense      0           no pattern matches",
        "first.bias     16     dense      0           no pattern matches",
        "norm.weight    16     dense      0           no pattern matches",
        "norm.bias      16     dense      0           no pattern matches",
        "second.weight  8x16   8x1        0.1 to 0.9  Linear",
        "second.bias    8      dense      0           no pattern matches",
        # 16 blocks: 1.6 and 14.4 of them are 2 and 14; 280 parameters
        "targeted weights: 128, sparsity 0.1250 to 0.8750",
        "all parameters: 280, sparsity 0.0571 to 0.4000",
    ]


def test_the_range_is_what_pruning_reaches():
    for high in (0.5, 0.3):
        allowed = omni.Range(0.0, high, "2:4")
        model = build(Convolutions)
        net = omni.Supernet(model, allowed)
        net.prune_(net.smallest())
        zeros = sum(int((target.weight == 0).sum()) for target in net.targets.values())
        total = sum(value.numel() for value in model.parameters())
        assert omni.describe(build(Convolutions), allowed).endswith(
            f"all parameters: {total}, sparsity 0.0000 to {zeros / total:.4f}"
        )


def test_a_tied_parameter_counts_once():
    lines = omni.describe(build(Tied), {r"output\.weight|one\.weight": omni.Range(0.0, 0.5, "4x1")}).splitlines()
    assert lines[1].split() == ["embedding.weight", "12x8", "4x1", "0", "to", "0.5", "Embedding", "=", "Linear"]
    assert lines[2].endswith("Linear = Linear") and lines[-2].startswith("targeted weights: 160,")
