"""Stage 4 adds to what is there; a spec file is a sub-network."""

import json

import pytest
import torch

import omni
from egs.librispeech.omni_sparsity.model.supernet import make_supernet
from egs.librispeech.omni_sparsity.model.transducer import Transducer
from egs.librispeech.omni_sparsity.subnets.index import read_index
from omni.errors import UserError


def _net(experiment):
    return make_supernet(Transducer(experiment.config.model), experiment.config.omni, 0)


def _spec(experiment, path, first=0.5, rest=0.75):
    """Writes a spec of two sparsities; -> it."""
    net = _net(experiment)
    spec = {name: first if number == 0 else rest for number, name in enumerate(net.targets)}
    omni.save_spec(path, spec, net.model)
    return spec


def _files(experiment):
    return {path.name: path.stat().st_mtime_ns for path in experiment.folder.iterdir()}


def test_another_size_is_added_to_those_that_are_there(supernet):
    assert [subnet.name for subnet in supernet.stage4(0.0, 0.9)] == ["sparsity-0", "sparsity-0.9"]
    before = _files(supernet)
    assert [subnet.name for subnet in supernet.stage4(0.75)] == ["sparsity-0", "sparsity-0.75", "sparsity-0.9"]
    after = _files(supernet)
    assert {name for name in after if after[name] != before.get(name)} == {
        "sparsity-0.75.omni.safetensors", "sparsity-0.75.json", "subnets.json"}
    assert supernet.stage4(0.9) == read_index(supernet.path) and _files(supernet) == after


def test_a_spec_that_lies_in_the_folder_is_a_sub_network(supernet, capsys):
    supernet.stage4(0.0)
    spec = _spec(supernet, supernet.folder / "0.6MB.json")
    dense, found = supernet.stage4(0.0)
    mean = _net(supernet).mean_sparsity(spec)
    assert (found.name, found.origin, found.system) == ("0.6MB", "searched", "omni")
    assert found.sparsity == pytest.approx(mean, abs=1e-6) and found.measured_sparsity == pytest.approx(mean, abs=0.01)
    assert found.file == "subnets/0.6MB.omni.safetensors" and found.bytes < dense.bytes
    assert found.decoded_as == "epoch-2-avg-1-0.6MB" and dense.decoded_as == "epoch-2-avg-1-sparsity-0"
    _spec(supernet, supernet.folder / "0.6MB.json", rest=0.9)
    _, changed = supernet.stage4(0.0)
    assert changed.checkpoint != found.checkpoint and changed.sparsity > found.sparsity
    assert "0.6MB: made anew, its spec has changed" in capsys.readouterr().out


def test_a_spec_may_be_brought_from_elsewhere(supernet, tmp_path):
    _spec(supernet, tmp_path / "own-0.7.json")
    names = [subnet.name for subnet in supernet.stage4(0.5, specs=[tmp_path / "own-0.7.json"])]
    assert names == ["sparsity-0.5", "own-0.7"]
    before = _files(supernet)
    assert (supernet.folder / "own-0.7.json").read_text() == (tmp_path / "own-0.7.json").read_text()
    assert len(supernet.stage4(0.5, specs=[tmp_path / "own-0.7.json"])) == 2 and _files(supernet) == before


def test_what_was_made_of_other_checkpoints_is_made_anew_with_a_word(supernet, capsys):
    first = supernet.path / "epoch-1.pt"
    torch.save({**torch.load(first), "scheduler": {"progress": 0.7}}, first)  # as if the sizes had settled by then
    _spec(supernet, supernet.path / "own.json")
    before = supernet.stage4(0.0, 0.5, specs=[supernet.path / "own.json"])
    supernet.drift(1, seed=5, size=0.1)
    after = supernet.stage4(0.5, avg=2)
    assert [subnet.name for subnet in after] == [subnet.name for subnet in before] and len(after) == 3
    assert all(a.checkpoint != b.checkpoint and a.avg == 2 for a, b in zip(after, before))
    assert capsys.readouterr().out.count("made anew, avg is 2, was 1") == 3


def test_what_has_no_spec_any_more_is_dropped_with_a_word(supernet, capsys):
    supernet.stage4(0.0, 0.5)
    (supernet.folder / "sparsity-0.5.json").unlink()
    assert [subnet.name for subnet in supernet.stage4(0.0)] == ["sparsity-0"]
    assert "sparsity-0.5: dropped, subnets/sparsity-0.5.json is gone" in capsys.readouterr().out
    assert set(_files(supernet)) == {"subnets.json", "sparsity-0.json", "sparsity-0.omni.safetensors"}


def test_a_killed_run_goes_on(supernet):
    """Files without a row, and a row without its file."""
    whole = supernet.stage4(0.0, 0.5)
    (supernet.folder / "subnets.json").unlink()
    assert supernet.stage4(0.0) == whole
    (supernet.folder / "sparsity-0.5.omni.safetensors").unlink()
    assert supernet.stage4(0.0) == whole and (supernet.folder / "sparsity-0.5.omni.safetensors").is_file()


def test_what_an_older_version_wrote_is_made_anew(supernet, capsys):
    """An index of before sub-networks had names, and a file of before the one that ships."""
    whole = supernet.stage4(0.0, 0.5)
    path = supernet.folder / "subnets.json"
    rows = json.loads(path.read_text())
    for row in rows:
        row["size_bytes"] = row.pop("bytes")
        for key in ("name", "origin", "spec_digest", "precision", "file"):
            del row[key]
        (supernet.folder / f"sparsity-{row['sparsity']:g}.pt").write_text("old")
    path.write_text(json.dumps(rows))
    assert supernet.stage4(0.5) == whole
    assert "sparsity-0.5: made anew, subnets/sparsity-0.5.pt is of an older format" in capsys.readouterr().out
    assert not list(supernet.folder.glob("*.pt"))


def test_other_values_are_another_file(supernet, capsys):
    (large,) = supernet.stage4(0.5)
    (small,) = supernet.stage4(0.5, values="int8")
    assert "sparsity-0.5: made anew, precision is int8, was float32" in capsys.readouterr().out
    assert (large.file, large.precision, small.precision) == (small.file, "float32", "int8")
    assert small.bytes < large.bytes and small.params_nonzero == large.params_nonzero


@pytest.mark.parametrize("name, change, says", [
    ("x", lambda text, net: "{", "x.json: not a spec file"),
    ("x", lambda text, net: text.replace('"omni_spec": 1', '"omni_spec": 9'), "x.json: a spec file of version 9"),
    ("x", lambda text, net: text.replace("encoder.", "encodes."), "not a parameter"),
    ("x", lambda text, net: text.replace("0.75", "0.95"), "none that has trained: want 0 to 0.9"),
    ("x", lambda text, net: json.dumps({**json.loads(text), "sparsity": {"joiner.output_linear.weight": 0.5}}),
     "joiner.output_linear.weight: not a weight that this supernet prunes"),
    ("x", lambda text, net: text.replace(omni.fingerprint(net.model), "0" * 16), "with other parameters"),
    ("sparsity-0.7", lambda text, net: text, "rename the file"),
    ("sparsity-0.95", lambda text, net: text.replace("0.75", "0.9"), "the nearest is 0.9"),
    ("sparsity-much", lambda text, net: text, "rename the file"),
    ("a b", lambda text, net: text, "'a b' is no name for a sub-network"),
])
def test_a_wrong_spec_is_one_line_and_nothing_is_written(supernet, name, change, says):
    supernet.stage4(0.0)
    path = supernet.folder / f"{name}.json"
    _spec(supernet, path)
    path.write_text(change(path.read_text(), _net(supernet)))
    before = _files(supernet)
    with pytest.raises(UserError) as error:
        supernet.stage4(0.0, 0.5)
    assert says in str(error.value) and path.name in str(error.value) and "\n" not in str(error.value)
    assert _files(supernet) == before


def test_specs_that_are_not_there_or_share_a_name(supernet, tmp_path):
    with pytest.raises(UserError, match="--specs .*none.json: no such file"):
        supernet.stage4(0.0, specs=[tmp_path / "none.json"])
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        _spec(supernet, tmp_path / folder / "x.json")
    with pytest.raises(UserError, match="the same name"):
        supernet.stage4(0.0, specs=[tmp_path / "a/x.json", tmp_path / "b/x.json"])
    assert not supernet.folder.exists()
