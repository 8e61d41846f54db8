"""Progress for eyes and for logs."""

from __future__ import annotations

import re
import time

import local.progress as module


def test_items_pass_through_and_a_log_says_now_and_then_how_long_is_left(capsys, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", 0.05)
    monkeypatch.setenv("TQDM_DISABLE", "1")  # as a download sets it
    slow = (time.sleep(0.03) or letter for letter in "abcdefgh")
    assert list(module.progress(slow, total=8, what="letters")) == list("abcdefgh")
    told = capsys.readouterr().err
    lines = told.splitlines()
    assert "\r" not in told and 1 <= len(lines) < 8
    what = r"letters: \d of 8 in 00:00, 00:00 left \( *\d+\.\d+ letters/s\)"
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d " + what, line) for line in lines)


def test_a_short_job_says_nothing(capsys):
    assert list(module.progress(range(5), total=5, what="numbers")) == list(range(5))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_a_unit(capsys, monkeypatch):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    assert list(module.progress("ab", total=2, what="letters")) == ["a", "b"]
    told = capsys.readouterr().err
    assert "letters: 100%" in told and re.search(r"letters/s|s/ letters", told)
