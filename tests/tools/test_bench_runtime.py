"""tools.bench_runtime: a line a file with every engine that is here, and one line for a mistake."""

import pytest

from tests.omni.runtime import small
from tools import bench_runtime


def test_a_line_a_file(tmp_path, capsys):
    pytest.importorskip("kaldi_native_fbank", reason="kaldi-native-fbank is not installed")
    files = [tmp_path / f"sparsity-{sparsity}.omni.safetensors" for sparsity in ("0", "0.5")]
    for file, sparse in zip(files, (False, True)):
        small.write(file, "int8", sparse=sparse)
    out = tmp_path / "table.md"
    bench_runtime.main([*map(str, files), "--seconds", "0.7", "--repeats", "2", "--out", str(out)])
    lines = [[cell.strip() for cell in line.strip("|").split("|")]
             for line in out.read_text().splitlines() if line.startswith("| ")]
    head, *rows = lines
    assert [row[0] for row in rows] == ["sparsity-0", "sparsity-0.5"] and {len(row) for row in lines} == {len(head)}
    for row in rows:
        cells = dict(zip(head, row))
        assert cells["file, MB"] and all(float(cells[name]) > 0 for name in (
            "torch f32", "torch int8", "ours, dense", "ours", "real-time factor", "to the fastest int8", "peak, MB"))
    assert out.read_text() in capsys.readouterr().out


@pytest.mark.parametrize("arguments, says", [
    ([], "want files of stage 4, or --config"),
    (["sparsity-0.5.omni.safetensors"], "want sparsity-0.omni.safetensors too"),
])
def test_a_mistake_is_one_line(arguments, says, capsys):
    with pytest.raises(SystemExit) as stop:
        bench_runtime.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and says in error and error.count("\n") == 1
