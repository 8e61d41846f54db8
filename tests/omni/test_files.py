"""omni.files: files whole or absent."""

import os

import pytest

from omni.files import atomic, write_json


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError), atomic(path) as beside:
        beside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == '{\n  "a": 1\n}\n' and os.listdir(path.parent) == ["a.json"]
    (path.parent / ".tmp-a.json").write_text("what a killed process left")
    write_json(path, [])
    assert path.read_text() == "[]\n" and os.listdir(path.parent) == ["a.json"]
