"""tools.bench_loss at toy size: both backends, every part, the JSON that it writes. Never how fast."""

import json

import pytest

from tools import bench_loss


pytest.importorskip("k2", reason="k2 is not here (the modern stack has none): nothing to compare with")


def test_it_writes_what_it_prints(tmp_path, monkeypatch, capsys):
    toy = (2, 3, 6, 7, 4, 2, "regular")
    monkeypatch.setattr(bench_loss, "SHAPES", {"mini": toy})
    monkeypatch.setattr(bench_loss, "peak_of", lambda *_: 1.5)  # a process of its own for each would take a minute
    monkeypatch.setattr("sys.argv", ["bench_loss", "--repeats", "1", "--threads", "1",
                                     "--out", str(tmp_path / "x.json")])
    bench_loss.main()
    found = json.loads((tmp_path / "x.json").read_text())["shapes"]["mini"]
    ms = [sum(part["ms"][backend] for part in found["parts"].values()) for backend in ("k2", "native")]
    assert set(found["parts"]) == set(bench_loss.PARTS) and min(ms) > 0
    assert found["ratio"] == pytest.approx(ms[1] / ms[0], abs=0.01)
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed[1:]] == [*bench_loss.PARTS, "all"]
    assert float(printed[-1].split()[-1]) == pytest.approx(found["ratio"], abs=0.006)


def test_nonsense_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench_loss", "--repeats", "0"])
    with pytest.raises(SystemExit) as stop:
        bench_loss.main()
    assert stop.value.code == 2 and "--repeats 0: want at least 1" in capsys.readouterr().err
