"""The configuration: file < command line, and one clear line for what it does not know."""

import subprocess
import sys
from pathlib import Path

import pytest

from egs.librispeech.omni_sparsity.config import Config, load_config, parse_sparsities, settings_table
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
        ("omni.strategy=both",
         "omni.strategy 'both': want one of dense, gradual, largest_first, sandwich, smallest_first"),
        ("omni.strategy=3", "omni.strategy wants str"),
        ("omni.prune_to=0.5",
         "no setting omni.prune_to with omni.strategy smallest_first; there are strategy, refresh_every"),
        ("loss.rnnt_type=odd", "loss.rnnt_type odd: want one of regular, modified"),
        ("omni.grow_with=-0.1", "omni.grow_with -0.1: want from 0 to 1"),
        ("omni.sizes={1.0: 0.5}", "omni.sizes {1.0: 0.5}: want {sparsity: share}"),
        ("omni.sizes={0.5: -1}", "omni.sizes {0.5: -1.0}: want {sparsity: share}"),
        ("omni.sizes={half: 1}", "omni.sizes wants dict, not {'half': 1}"),
        ("omni.sizes={0.5: 0}", "omni.sizes {0.5: 0.0}: want a share above 0"),
        ("data.max_duration=-3", "data.max_duration -3.0: want at least 1"),
        ("loss.distill=-1", "loss.distill -1.0: want at least 0"),
        ("loss.distill=.nan", "loss.distill nan: want at least 0"),
        ("loss.lm_scale=0.5", "no setting loss.lm_scale"),
        ("model.dropout=1.5", "model.dropout 1.5: want from 0 to 1"),
        ("train.base_lr=0", "train.base_lr 0.0: want more than 0"),
        ("train.init_from=[a]", "train.init_from wants str"),
        ("omni.targets={a: 3}", "omni.targets wants dict, not {'a': 3}"),
        ("omni.targets={a: ", "the value is not YAML"),
        ("model.num_heads=5", "model.encoder_dim 144: want a multiple of model.num_heads, 5"),
        ("decode.blank_penalty=.inf", "decode.blank_penalty inf: want"),
        ("omni.private=[[3]]", r"omni.private wants list of str, not \[\[3\]\]"),
        ("omni.bins=0.5", "omni.bins wants list of float, not 0.5"),
        ("model.activation=tanh", "model.activation tanh: want one of relu, gelu, silu"),
    ],
)
def test_a_wrong_override_is_named(override, words):
    with pytest.raises(UserError, match=words):
        load_config(CONF / "mini.yaml", [override])


def test_the_smallest_needs_time_alone():
    with pytest.raises(UserError, match="omni.dense_until 0.8: want less than grow_until, 0.6"):
        load_config(CONF / "mini.yaml", ["omni.dense_until=0.8"])


def test_what_is_held_wants_an_optimizer_that_leaves_it_alone():
    with pytest.raises(UserError, match="omni.hold_from 0.8: want train.optimizer muon"):
        load_config(CONF / "codes.yaml", ["train.optimizer=adamw"])
    load_config(CONF / "codes.yaml", ["train.optimizer=adamw", "omni.hold_from=1"])


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


def test_another_strategy_brings_its_own_settings(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("omni: {sizes: {0: 1, 0.9: 1}, dense_until: 0.1}\n")
    assert load_config(path).omni.strategy.sizes == {0.0: 1.0, 0.9: 1.0}
    gradual = load_config(path, ["omni.prune_to=0.7", "omni.strategy=gradual"]).omni.strategy
    assert (gradual.name, gradual.prune_to, gradual.dense_until) == ("gradual", 0.7, 0.1)
    with pytest.raises(UserError, match="--set omni.sizes=.*: no setting omni.sizes with omni.strategy dense"):
        load_config(path, ["omni.strategy=dense", "omni.sizes={0.9: 1}"])


def test_every_setting_is_listed_once_with_what_it_is(capsys):
    """At most sixty: what a person can look through."""
    rows = list(settings_table())
    assert len({name for name, _, _ in rows}) == len(rows) <= 60 and all(said for _, _, said in rows)
    for section, values in Config().sections().items():
        assert {f"{section}.{name}" for name in values} <= {name for name, _, _ in rows}


def test_settings_are_read_without_torch():
    """Every stage asks for them first."""
    code = ("import sys\nfrom egs.librispeech.omni_sparsity.config import load_config\n"
            f"load_config({str(CONF / 'mini.yaml')!r}, ['omni.strategy=gradual'])\nassert 'torch' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CONF.parents[3])


def test_a_file_may_begin_with_another(tmp_path):
    long, mini = load_config(CONF / "mini-long.yaml"), load_config(CONF / "mini.yaml")
    assert long.train.num_epochs > mini.train.num_epochs and long.train.base_lr == mini.train.base_lr
    assert long.model.stack < mini.model.stack and long.model.ffn_dim == mini.model.ffn_dim and long.data == mini.data
    (tmp_path / "a.yaml").write_text("from: b.yaml\ntrain: {num_epochs: 3}\n")
    with pytest.raises(UserError, match="b.yaml: no such file"):
        load_config(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("from: a.yaml\n")
    with pytest.raises(UserError, match="b.yaml: from: a.yaml: it comes from this file itself"):
        load_config(tmp_path / "a.yaml")
