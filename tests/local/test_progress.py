"""Progress for eyes and for logs."""

from __future__ import annotations

import local.progress as module


def test_items_pass_through_and_a_log_has_a_line_now_and_then(capsys, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS", -1.0)
    assert list(module.progress("abc", total=3, what="letters")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == [f"letters: {n} of 3" for n in (1, 2, 3)]


def test_a_short_job_says_nothing(capsys):
    assert list(module.progress(range(5), total=5, what="numbers")) == list(range(5))
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(module.sys.stderr, "isatty", lambda: True, raising=False)
    assert list(module.progress("ab", total=2, what="letters")) == ["a", "b"]
    assert "letters: 100%" in capsys.readouterr().err
