"""python -m omni.runtime: a line a file, one clear line for bad input, and no torch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omni.runtime import __main__ as command
from omni.runtime.recognizer import Recognizer
from omni.ship import shipped
from tests.omni.runtime import small

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("kaldi_native_fbank", reason="needs kaldi-native-fbank: pip install kaldi-native-fbank soxr")
ROOT = Path(__file__).parents[3]


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.omni.safetensors"
    small.write(path, "int8", sparse=True)
    return path


def _audio(path, samples=32000, rate=16000, **more):
    draw = np.random.default_rng(0)
    level = np.repeat(10 ** draw.uniform(-4, -1, -(-samples // 800)), 800)[:samples]
    soundfile.write(path, level * draw.standard_normal(samples), rate, **more)
    return path


def _text(model, path, method="greedy"):
    recognizer = Recognizer(model, method)
    stream = recognizer.stream()
    samples, rate = soundfile.read(path, dtype="float32")
    stream.accept(samples, rate)
    stream.finish()
    recognizer.decode([stream])
    return stream.text


def _run(capsys, *arguments):
    code = 0
    try:
        command.main([str(one) for one in arguments])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, out.splitlines(), err.splitlines()


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_line_a_file(tmp_path, model, capsys, method):
    files = [_audio(tmp_path / "a.wav"), _audio(tmp_path / "b.flac", 20000), _audio(tmp_path / "none.wav", 0)]
    code, out, err = _run(capsys, model, *files, "--method", method)
    assert (code, err) == (0, [])
    assert out == [f"{path}\t{_text(model, path, method)}" for path in files]
    assert out[2] == f"{files[2]}\t" and out[0].split("\t")[1]


def test_a_long_file_comes_in_blocks(tmp_path, model, capsys, monkeypatch):
    path = _audio(tmp_path / "a.flac", 50000)
    whole = _run(capsys, model, path)
    monkeypatch.setattr("omni.runtime.audio.AudioFile.blocks.__defaults__", (1000,))
    assert _run(capsys, model, path) == whole


def test_stream_prints_what_comes(tmp_path, model, capsys):
    path = _audio(tmp_path / "a.wav", 64000)
    code, out, _ = _run(capsys, model, path, "--stream")
    last = _text(model, path)
    assert code == 0 and out[-1] == f"{path}\t{last}" and len(out) > 3
    seconds, texts = zip(*(line.split(" s  ") for line in out[:-1]))
    assert [float(second) for second in seconds] == sorted(set(map(float, seconds)))
    assert all(last.startswith(text.strip()) for text in texts) and len(set(texts)) == len(texts)


def test_bad_files_are_one_line(tmp_path, model, capsys):
    good = _audio(tmp_path / "good.wav")
    stereo = tmp_path / "stereo.wav"
    soundfile.write(stereo, np.zeros((1600, 2)), 16000)
    empty, text, folder = tmp_path / "empty.wav", tmp_path / "text.wav", tmp_path / "folder.wav"
    empty.write_bytes(b"")
    text.write_text("no audio " * 20)
    folder.mkdir()
    cut = _audio(tmp_path / "cut.flac")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    nan, loud = tmp_path / "nan.wav", tmp_path / "loud.wav"
    soundfile.write(nan, np.full(1600, np.nan), 16000, subtype="FLOAT")
    soundfile.write(loud, np.full(1600, 3e4), 16000, subtype="FLOAT")
    for bad, says in ((tmp_path / "missing.wav", "no such file"), (stereo, "2 channels, want one"),
                      (empty, "an empty file"), (text, "not audio that can be read"), (folder, "a folder"),
                      (cut, "cut off|garbled inside"), (nan, "NaN or infinity"), (loud, "want to lie in")):
        code, out, err = _run(capsys, model, good, bad)
        assert code == 2 and len(err) == 1 and err[0].startswith(f"error: {bad}: "), err
        assert any(part in err[0] for part in says.split("|"))
        assert len(out) == (1 if bad in (cut, nan, loud) else 0)  # what a header says is checked before anything else


def test_bad_models_and_options_are_one_line(tmp_path, model, capsys):
    good = _audio(tmp_path / "good.wav")
    other = tmp_path / "other.omni.safetensors"
    shipped.write(other, {}, {}, about={"kind": "zipformer"})
    for arguments, says in (
        ((good, good), f"error: {good}: not a whole safetensors file"),
        ((tmp_path / "none.omni.safetensors", good), "no such file"),
        ((other, good), f"error: {other}: of kind 'zipformer', want 'emformer-transducer'"),
        ((model, good, "--method", "best"), "error: method 'best': want one of beam, greedy"),
        ((model, good, "--beam", "4"), "error: method greedy has no option beam"),
        ((model, good, "--blank-penalty", "inf"), "error: blank_penalty inf: want a number"),
    ):
        code, out, err = _run(capsys, *arguments)
        assert (code, out, len(err)) == (2, [], 1) and says in err[0]


def test_no_torch_is_imported(tmp_path, model):
    path = _audio(tmp_path / "a.wav", rate=8000)
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "omni.runtime", str(model), str(path), "--method", "beam"],
        cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"{path}\t")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in ran.stderr.splitlines() if "|" in line}
    assert {"numpy", "omni", "soxr"} <= imported
    assert not imported & {"torch", "torchaudio", "lhotse", "scipy", "egs"}


def test_nothing_is_imported_before_it_is_needed(tmp_path, model):
    """For a short start: what reads files, makes features and spells is no part of `import omni.runtime`."""
    code = ("import sys; import omni.runtime, omni.runtime.recognizer as r; r.Recognizer(sys.argv[1]).stream();"
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    ran = subprocess.run([sys.executable, "-c", code, str(model)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(ran.stdout.split()) & {"torch", "soundfile", "soxr", "sentencepiece", "kaldi_native_fbank"}
