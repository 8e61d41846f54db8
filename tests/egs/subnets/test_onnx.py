"""Exported models compute what the file that ships computes, in onnxruntime and in sherpa-onnx."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from egs.librispeech.omni_sparsity.config import Model
from egs.librispeech.omni_sparsity.data.fbank import make_extractor
from egs.librispeech.omni_sparsity.decoding.methods.greedy_search import search
from egs.librispeech.omni_sparsity.model.step import EncoderStep
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets import onnx as exporter
from egs.librispeech.omni_sparsity.subnets.formats import safetensors as storage
from omni.errors import UserError

ROOT = Path(__file__).parents[3]
SMALL = Model(encoder_dim=32, num_heads=4, ffn_dim=64, num_layers=2, vocab_size=20, decoder_dim=16, joiner_dim=24,
              projection_dim=8, left_context_length=6, stack=4)
NEEDED = ["onnx", "onnxruntime", *(["onnxscript"] if exporter.NEW_EXPORTER else [])]


def needs(*packages):
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def write(path, bpe):
    """-> the model in the file: random, but talkative."""
    torch.manual_seed(3)
    model = Transducer(SMALL).eval()
    with torch.no_grad():
        model.joiner.output_linear.weight *= 10
        model.joiner.output_linear.bias[2] = -100.0  # <unk>, which sherpa-onnx takes for blank
    about = {"name": "s", "features": {"type": "kaldi-fbank"}, "decode": {"blank_penalty": 0.5}}
    storage.write(path, dataclasses.asdict(SMALL), shipped(model.state_dict()), {}, "float32", about, bpe)
    return model


@pytest.fixture(scope="module")
def exported(data_dir, tmp_path_factory):
    """(folder of the exported model, the model)."""
    root = tmp_path_factory.mktemp("onnx")
    model = write(root / "s.omni.safetensors", (data_dir / "lang_bpe_20" / "bpe.model").read_bytes())
    paths = exporter.export(root / "s.omni.safetensors", root / "out", int8=True)
    assert [path.name for path in paths] == [
        f"{part}{end}.onnx" for part in ("encoder", "decoder", "joiner") for end in ("", ".int8")]
    return root / "out" / "s", model


def features(*lengths):
    torch.manual_seed(1)
    return [(torch.randn(length, 80) * 4 - 8).numpy() for length in lengths]


@needs(*NEEDED)
def test_a_folder_has_what_icefalls_export_has(exported, data_dir):
    import onnx

    folder, _ = exported
    names = {"tokens.txt", *(f"{part}{end}.onnx" for part in exporter.PARTS for end in ("", ".int8"))}
    assert {path.name for path in folder.iterdir()} == names
    pieces = [line.split() for line in (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()]
    assert [int(number) for _, number in pieces] == list(range(20)) and pieces[0][0] == "<blk>"
    said = {}
    for name in names - {"tokens.txt"}:
        model = onnx.load(str(folder / name))
        onnx.checker.check_model(model)
        assert str(ROOT).encode() not in model.SerializeToString()  # no path of whoever exported it
        said[name] = {prop.key: prop.value for prop in model.metadata_props}
    for end in ("", ".int8"):
        encoder = said[f"encoder{end}.onnx"]
        wanted = {"model_type": "conformer", "T": 20, "decode_chunk_len": 16, "pad_length": 4, "num_encoder_layers": 2,
                  "left_context": 6, "encoder_dim": 64, "cnn_module_kernel": 3}
        assert {key: encoder[key] for key in wanted} == {key: str(value) for key, value in wanted.items()}
        assert json.loads(encoder["decode"]) == {"blank_penalty": 0.5}
        assert said[f"decoder{end}.onnx"]["context_size"] == "2" and said[f"decoder{end}.onnx"]["vocab_size"] == "20"
        assert said[f"joiner{end}.onnx"]["joiner_dim"] == "24"


@needs(*NEEDED)
@pytest.mark.parametrize("streams", [1, 3])
@torch.no_grad()
def test_onnxruntime_computes_the_step(exported, streams):
    import onnxruntime

    folder, model = exported
    step, x = EncoderStep(model), torch.from_numpy(np.stack(features(*[100] * streams)))
    caches = step.states(streams)
    for start in range(0, 80, step.shift):
        inputs = (x[:, start : start + step.chunk], *caches, torch.full((streams,), start))
        wanted, *caches = step(*inputs)
        for ending, tolerance in ((".onnx", 1e-4), (".int8.onnx", 0.5)):
            session = onnxruntime.InferenceSession(str(folder / f"encoder{ending}"))
            fed = {one.name: value.numpy() for one, value in zip(session.get_inputs(), inputs)}
            assert list(fed) == ["x", "attn_cache", "cnn_cache", "processed_lens"]
            for have, want in zip(session.run(None, fed), (wanted, *caches)):
                assert have.shape == want.shape and np.abs(have - want.numpy()).max() < tolerance


@needs(*NEEDED)
@torch.no_grad()
def test_it_recognizes_what_the_model_recognizes(exported):
    from tools.check_onnx import Recognizer

    folder, model = exported
    streams = features(203, 160, 77)
    lengths = torch.tensor([203, 160, 77])
    x = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(one) for one in streams], batch_first=True)
    wanted = search(model, *model.encoder(x, lengths), blank_penalty=0.5)
    assert min(len(set(tokens)) for tokens in wanted) > 3
    assert Recognizer(folder, ".onnx")(streams, 0.5) == wanted


SHERPA = """
import json, sys
import numpy as np, sherpa_onnx
folder, audio = sys.argv[1:]
recognizer = sherpa_onnx.OnlineRecognizer.from_transducer(
    tokens=f"{folder}/tokens.txt", encoder=f"{folder}/encoder.onnx", decoder=f"{folder}/decoder.onnx",
    joiner=f"{folder}/joiner.onnx", num_threads=1, blank_penalty=0.5)
streams = []
for samples in np.load(audio).values():
    stream = recognizer.create_stream()
    stream.accept_waveform(16000, samples)
    stream.input_finished()
    streams.append(stream)
recognizer.decode_stream(streams[0])  # now the first is a chunk ahead
while ready := [stream for stream in streams if recognizer.is_ready(stream)]:
    recognizer.decode_streams(ready)
print(json.dumps([recognizer.tokens(stream) for stream in streams]))
"""


@needs(*NEEDED, "sherpa_onnx")
@torch.no_grad()
def test_sherpa_onnx_takes_it_unmodified(exported, tmp_path):
    """In a process of its own: what sherpa-onnx does not like ends the process."""
    folder, model = exported
    draw = np.random.RandomState(0)
    audio = [draw.randn(size) * np.repeat(draw.rand(size // 800 + 1), 800)[:size] * 0.1 for size in (30000, 17777)]
    np.savez(tmp_path / "audio.npz", *[samples.astype(np.float32) for samples in audio])
    run = subprocess.run([sys.executable, "-c", SHERPA, str(folder), str(tmp_path / "audio.npz")],
                         capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-2000:]
    pieces = [line.split()[0] for line in (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()]
    step, extractor = EncoderStep(model), make_extractor("lhotse")
    for samples, found in zip(audio, json.loads(run.stdout)):
        x = torch.as_tensor(extractor.extract(samples.astype(np.float32)[None], 16000))
        chunks = (len(x) - step.chunk - 1) // step.shift + 1  # a chunk is taken once a frame more is there
        y, _ = model.encoder(x[None], torch.tensor([len(x)]))
        (ids,) = search(model, y, torch.tensor([chunks * step.segment]), blank_penalty=0.5)
        assert len(set(ids)) > 3
        assert found == [pieces[index].replace("▁", " ") for index in ids]


@needs(*NEEDED)
def test_what_fails_leaves_nothing_half_written(data_dir, tmp_path, monkeypatch):
    def fail(path, texts):
        raise OSError("no more")

    write(tmp_path / "s.omni.safetensors", (data_dir / "lang_bpe_20" / "bpe.model").read_bytes())
    (tmp_path / "out" / "s").mkdir(parents=True)
    (tmp_path / "out" / "s" / "decoder.int8.onnx").touch()  # of an earlier export, perhaps of another model
    monkeypatch.setattr(exporter, "_say", fail)
    with pytest.raises(OSError):
        exporter.export(tmp_path / "s.omni.safetensors", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "s").iterdir()] == ["tokens.txt"]


def refused(monkeypatch, capsys, *arguments):
    """-> the line."""
    monkeypatch.setattr("sys.argv", ["onnx", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        exporter.main()
    lines = capsys.readouterr().err.splitlines()
    assert stopped.value.code == 2 and len(lines) == 1
    return lines[0]


def test_what_is_no_file_of_stage_4_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporter, "require", lambda *packages: None)
    odd, gone = tmp_path / "odd.pt", tmp_path / "gone.omni.safetensors"
    assert f"{odd}: want a file of stage 4" in refused(monkeypatch, capsys, odd, "--out-dir", tmp_path / "out")
    assert f"{gone}: no such file" in refused(monkeypatch, capsys, gone, "--out-dir", tmp_path / "out")
    write(tmp_path / "s.omni.safetensors", b"tokens")
    line = refused(monkeypatch, capsys, tmp_path / "s.omni.safetensors", "--out-dir", tmp_path / "out")
    assert "s.omni.safetensors: its BPE model is none" in line
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_one_line(tmp_path, monkeypatch, capsys):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    line = refused(monkeypatch, capsys, tmp_path / "s.omni.safetensors", "--out-dir", tmp_path / "out", "--int8")
    assert "pip install onnx" in line and "onnxruntime" in line
    with pytest.raises(UserError, match="ONNX wants onnx: pip install onnx"):
        exporter.require("json", "onnx")
