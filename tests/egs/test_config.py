"""The configuration: file < command line, and one clear line for what it does not know."""

from pathlib import Path

import pytest

from egs.librispeech.omni_sparsity.config import load_config, parse_sparsities
from omni.errors import UserError

CONF = Path(__file__).parents[2] / "egs/librispeech/omni_sparsity/conf"


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_loads_and_survives_a_round_trip(path, tmp_path):
    config = load_config(path)
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "again.yaml") == config


def test_the_command_line_wins_over_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("train: {num_epochs: 3, base_lr: 1e-4}\n")
    config = load_config(path, ["train.num_epochs=7", "omni.bins=[0, 5e-1]"])
    assert (config.train.num_epochs, config.train.base_lr, config.omni.bins) == (7, 1e-4, [0.0, 0.5])
    assert [type(edge) for edge in config.omni.bins] == [float, float]


@pytest.mark.parametrize(
    "override, words",
    [
        ("train.epochs=3", "no setting train.epochs"),
        ("training.num_epochs=3", "no section 'training'"),
        ("num_epochs=3", "section.name=value"),
        ("train.num_epochs", "section.name=value"),
        ("train.num_epochs=many", "wants int"),
        ("data.on_the_fly=3", "wants bool"),
        ("train.num_epochs=true", "wants int"),
        ("train.num_epochs=0", "train.num_epochs 0: want at least 1"),
        ("omni.sampling=both", "omni.sampling 'both': want one of single, each, sandwich, split"),
        ("loss.rnnt_type=odd", "loss.rnnt_type 'odd': want one of regular, modified"),
        ("omni.p_max=-0.1", "omni.p_max -0.1: want a share, 0 to 1"),
        ("omni.sizes={1.0: 0.5}", "omni.sizes {1.0: 0.5}: want {sparsity: share}"),
        ("omni.sizes={0.5: -1}", "omni.sizes {0.5: -1}: want {sparsity: share}"),
        ("omni.sizes={half: 1}", "omni.sizes {'half': 1}: want {sparsity: share}"),
        ("omni.sizes={0.5: 0}", "omni.sizes {0.5: 0}: want a share above 0"),
        ("omni.growth=square", "omni.growth 'square': want one of linear, cubic"),
        ("omni.p_min=0.8", "omni.p_max 0.3 and p_min 0.8: want at most 1 together"),
        ("data.max_duration=-3", "data.max_duration -3.0: want at least 1"),
        ("loss.distill=-1", "loss.distill -1.0: want at least 0"),
        ("loss.distill=.nan", "loss.distill nan: want at least 0"),
        ("loss.lm_scale=1.5", "loss.lm_scale 1.5: want a share, 0 to 1"),
        ("model.dropout=1.5", "model.dropout 1.5: want a share, 0 to 1"),
        ("train.base_lr=0", "train.base_lr 0.0: want more than 0"),
        ("model.num_heads=5", "model.encoder_dim 144: want a multiple of model.num_heads, 5"),
        ("decode.blank_penalty=.inf", "decode.blank_penalty inf: want a number"),
        ("train.betas=[0.9]", r"train.betas \[0.9\]: want two numbers"),
        ("train.betas=[0.9, 1]", r"train.betas \[0.9, 1.0\]: want two numbers"),
        ("train.betas=[a, b]", "train.betas wants a list of float, not 'a'"),
        ("omni.private=[3]", "omni.private wants a list of str, not 3"),
        ("omni.bins=0.5", "omni.bins wants list, not 0.5"),
        ("model.activation=tanh", "model.activation 'tanh': want one of relu, gelu, silu"),
        ("data.noise_snr=[20, 10]", r"data.noise_snr \[20.0, 10.0\]: want two numbers of dB"),
    ],
)
def test_a_wrong_override_is_named(override, words):
    with pytest.raises(UserError, match=words):
        load_config(CONF / "mini.yaml", [override])


def test_the_smallest_needs_time_alone():
    with pytest.raises(UserError, match="omni.dense_until 0.8: want less than grow_until, 0.6"):
        load_config(CONF / "mini.yaml", ["omni.dense_until=0.8"])


def test_what_is_held_wants_an_optimizer_that_leaves_it_alone():
    for off in ("train.optimizer=adamw", "train.sparse_momentum=false"):
        with pytest.raises(UserError, match="omni.hold_from 0.8: want train.optimizer muon and train.sparse_momentum"):
            load_config(CONF / "codes.yaml", ["omni.hold_from=0.8", off])


def test_a_wrong_file_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.yaml: no such"):
        load_config(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(UserError, match="broken.yaml: not YAML"):
        load_config(tmp_path / "broken.yaml")


def test_sparsities():
    config = load_config(CONF / "mini.yaml")
    assert parse_sparsities("0.9 0 0.5, 0.5", config) == [0.0, 0.5, 0.9]
    for text, words in (
        ("1.0", "1.0 is no share"), ("-0.1", "-0.1 is no share"), ("x", "x is no share"), ("", "at least one"),
        ("0 0.95", "0.95 is sparser"),
    ):
        with pytest.raises(UserError, match=words):
            parse_sparsities(text, config)
