"""omni.errors and omni.files: mistakes as one line, files whole or absent."""

import errno
import os

import pytest

from omni.files import atomic, write_json, write_text
from omni.errors import UserError, cli, is_full_disk


def ends(error, capsys):
    @cli
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code, capsys.readouterr().err


def test_a_users_mistake_is_one_line(capsys):
    assert ends(UserError("x.yaml: no\nsuch  file"), capsys) == (2, "error: x.yaml: no such file\n")


@pytest.mark.parametrize("error", [
    OSError(errno.ENOSPC, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file data/0"),
    OSError(errno.EDQUOT, "Disk quota exceeded")])
def test_a_full_disk_is_one_line(error, capsys):
    code, text = ends(error, capsys)
    assert code == 2 and text.startswith("error: no space left") and text.count("\n") == 1


def test_a_full_disk_is_seen_behind_another_error():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as cause:
            raise RuntimeError("could not save") from cause
    except RuntimeError as error:
        assert is_full_disk(error)
    assert not is_full_disk(RuntimeError("could not save"))


def test_our_own_mistakes_keep_their_traceback():
    @cli
    def main():
        raise KeyError("oops")

    with pytest.raises(KeyError):
        main()


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
