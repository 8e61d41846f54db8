"""Only one holds a folder, also where the lock's file goes and comes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from omni.errors import UserError
from omni.lock import hold


def test_nobody_works_beside_another(tmp_path):
    count = tmp_path / "made/count"

    def work(_):
        for _ in range(15):
            with hold(count.parent):
                before = int(count.read_text()) if count.exists() else 0
                time.sleep(0.001)
                count.write_text(str(before + 1))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert count.read_text() == "90"
    assert list(count.parent.iterdir()) == [count]


def test_a_mistake_lets_go(tmp_path):
    with pytest.raises(RuntimeError), hold(tmp_path):
        raise RuntimeError
    with hold(tmp_path):
        assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]


def test_a_file_that_was_left_holds_nobody_up(tmp_path, capsys):
    (tmp_path / ".lock").touch()
    with hold(tmp_path):
        pass
    assert capsys.readouterr().err == ""


def test_who_will_not_wait_is_refused_and_told_of_whom(tmp_path):
    with hold(tmp_path), pytest.raises(UserError, match=rf"{tmp_path.name}: another process \({os.getpid()}\) "
                                                        "works there"):
        with hold(tmp_path, wait=False):
            pass
    with hold(tmp_path, wait=False):
        pass
