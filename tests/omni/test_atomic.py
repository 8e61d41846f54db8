"""omni.atomic: files whole or absent."""

import errno
import os

import pytest

from omni.atomic import atomic, write_json, write_text


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError):
        with atomic(path) as beside:
            beside.write_text("half")
            raise ZeroDivisionError
    assert path.read_text() == '{\n  "a": 1\n}\n' and os.listdir(path.parent) == ["a.json"]
    (path.parent / ".tmp-a.json").write_text("what a killed process left")
    write_text(path, "new")
    assert path.read_text() == "new" and os.listdir(path.parent) == ["a.json"]


def test_a_full_disk_names_the_file_that_did_not_fit(tmp_path):
    with pytest.raises(OSError) as caught:
        with atomic(tmp_path / "big.pt"):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "big.pt")
