"""Spec files: plain JSON, and refused by the wrong model."""

import json

import pytest
from torch import nn

import omni


def test_a_spec_comes_back_and_another_model_refuses_it(tmp_path):
    model, path = nn.Linear(8, 16), tmp_path / "spec.json"
    path.write_text(omni.dump_spec({"weight": 0.5}, model))
    assert omni.load_spec(path, model) == {"weight": 0.5} == json.loads(path.read_text())["sparsity"]
    assert omni.load_spec(path, nn.Linear(8, 16)) == {"weight": 0.5}
    with pytest.raises(ValueError, match="other parameters"):
        omni.load_spec(path, nn.Linear(8, 24))


@pytest.mark.parametrize("text", ["{", "[]", '{"weight": 0.5}', '{"omni_spec": 99}'])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="spec.json: not a spec file"):
        omni.load_spec(path, nn.Linear(8, 16))
