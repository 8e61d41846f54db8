"""The command that makes the mini corpus."""

from __future__ import annotations

import pytest

from local.synthesize_mini import main


def test_a_whole_corpus_is_left_as_it_is(toy, capsys):
    main(["--download-dir", str(toy), "--seed", "7", "--scale", "0.01", "--nj", "1"])
    assert "already there" in capsys.readouterr().out


@pytest.mark.parametrize(
    "option, value", [("--nj", "0"), ("--scale", "0"), ("--scale", "-1"), ("--scale", "1000")]
)
def test_a_value_out_of_range_is_one_line(option, value, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--download-dir", str(tmp_path / "mini"), option, value])
    error = capsys.readouterr().err
    assert (
        caught.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1 and value in error
    )
    assert not (tmp_path / "mini").exists()
