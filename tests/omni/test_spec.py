"""Spec files: plain JSON, and refused by the wrong model."""

import json

import pytest
from torch import nn

import omni


def test_a_spec_comes_back_and_another_model_refuses_it(tmp_path):
    model, path = nn.Linear(8, 16), tmp_path / "spec.json"
    omni.save_spec(path, {"weight": 0.5}, model)
    assert [file.name for file in tmp_path.iterdir()] == ["spec.json"]  # nothing beside it
    assert omni.load_spec(path, model) == {"weight": 0.5} == json.loads(path.read_text())["sparsity"]
    assert omni.load_spec(path, nn.Linear(8, 16)) == {"weight": 0.5}
    omni.save_spec(path, {"weight": 0.0}, model)
    assert omni.load_spec(path, model) == {"weight": 0.0}
    path.write_text(path.read_text().replace("0.0", "1.0"))
    with pytest.raises(ValueError, match=f"^{path}: weight: sparsity 1.0, want 0 <= sparsity < 1"):
        omni.load_spec(path, model)
    omni.save_spec(path, {"weight": 0.5}, model)
    with pytest.raises(ValueError, match="other parameters"):
        omni.load_spec(path, nn.Linear(8, 24))


@pytest.mark.parametrize("text", [b"{", b"[]", b'{"weight": 0.5}', b'{"omni_spec": 1}', bytes([0, 255, 128])])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "spec.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="spec.json: not a spec file"):
        omni.load_spec(path, nn.Linear(8, 16))


def test_another_version_is_refused(tmp_path):
    model, path = nn.Linear(8, 16), tmp_path / "spec.json"
    omni.save_spec(path, {"weight": 0.5}, model)
    path.write_text(path.read_text().replace('"omni_spec": 1', '"omni_spec": 2'))
    with pytest.raises(ValueError, match="a spec file of version 2, this omni reads version 1"):
        omni.load_spec(path, model)


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"weight": 1.0}, "weight: sparsity 1.0, want 0 <= sparsity < 1"),
        ({"weight": "much"}, "weight: sparsity much, want"),
        ({"weight": True}, "weight: sparsity True, want"),
        ({"weight": False}, "weight: sparsity False, want"),
        ({"height": 0.5}, "height: not a parameter of Linear"),
        ([0.5], "sparsity None, want"),
    ],
)
def test_what_is_no_spec_of_the_model_is_named_when_written_and_when_read(tmp_path, spec, words):
    model, path = nn.Linear(8, 16), tmp_path / "spec.json"
    with pytest.raises(ValueError, match=words):
        omni.save_spec(path, spec, model)
    assert not list(tmp_path.iterdir())
    path.write_text(json.dumps({"omni_spec": 1, "fingerprint": omni.fingerprint(model), "sparsity": spec}))
    with pytest.raises(ValueError, match=words):
        omni.load_spec(path, model)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_beside_it(tmp_path, monkeypatch):
    model, path = nn.Linear(8, 16), tmp_path / "spec.json"
    omni.save_spec(path, {"weight": 0.5}, model)

    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        omni.save_spec(path, {"weight": 0.7}, model)
    assert omni.load_spec(path, model) == {"weight": 0.5} and len(list(tmp_path.iterdir())) == 1
