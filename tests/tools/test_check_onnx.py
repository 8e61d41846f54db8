"""tools/check_onnx.py: counts what differs from stage 5, and says with its exit code whether float32 does."""

import json

import pytest

from egs.librispeech.omni_sparsity.decoding import scoring
from egs.librispeech.omni_sparsity.subnets.index import write_index
from egs.librispeech.omni_sparsity.subnets.subnet import Subnet
from tools import check_onnx

WORDS = {"one": ["TURN", "ON", "THE", "LAMP"], "two": ["STOP"]}


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """check(words that a model finds, arguments...) -> exit code, lines. Of a model "s" in float32 and int8."""
    exp, data = tmp_path / "exp", tmp_path / "data"
    subnet = Subnet("s", "omni", "uniform", 0.5, 0.5, "subnets/s.json", "subnets/s.omni.safetensors", 9, 9, 9, 1.0, 1.0,
                    epoch=2, avg=1)
    write_index(exp, [subnet])
    (data / "fbank").mkdir(parents=True)
    for name in ("train-clean", "test-clean"):
        (data / "fbank" / f"librispeech_cuts_{name}.jsonl.gz").touch()
    folder = exp / "onnx" / "s"
    folder.mkdir(parents=True)
    for name in ("encoder.onnx", "joiner.onnx", "joiner.int8.onnx", "tokens.txt"):
        (folder / name).touch()
    method = exp / "greedy_search"
    scoring.write_recogs(method / f"recogs-test-clean-{subnet.decoded_as}.txt",
                         [(cut, words, words) for cut, words in WORDS.items()])
    (method / f"decode-test-clean-{subnet.decoded_as}.json").write_text(json.dumps({"blank_penalty": 0.75}))
    monkeypatch.setattr(check_onnx, "require", lambda *packages: None)
    monkeypatch.setattr(check_onnx, "Corpus", lambda data_dir, vocab_size: None)

    def run(found, *arguments):
        def decode(folder, ending, corpus, test_set, penalty):
            assert (folder, test_set, penalty) == (exp / "onnx" / "s", "test-clean", 0.75)
            return {**WORDS, **found.get(ending, {})}

        for name in ("by_onnxruntime", "by_sherpa"):
            monkeypatch.setattr(check_onnx, name, decode)
        monkeypatch.setattr("sys.argv", ["check_onnx", "--exp-dir", str(exp), "--data-dir", str(data), *arguments])
        with pytest.raises(SystemExit) as stopped:
            check_onnx.main()
        said = capsys.readouterr()
        return stopped.value.code, (said.out + said.err).splitlines()

    run.exp = exp
    return run


def test_what_differs_is_counted(check):
    assert check({".int8.onnx": {"one": ["TURN", "OFF", "LAMP"]}}) == (0, [
        "s float32 test-clean: 0 of 2 utterances differ, WER 0.00 (stage 5: 0.00)",
        "s int8 test-clean: 1 of 2 utterances differ, WER 40.00 (stage 5: 0.00)"])


def test_float32_must_not_differ(check, monkeypatch):
    """In onnxruntime from stage 5, in sherpa-onnx from PyTorch: what it decodes has silence behind it."""
    other = {".onnx": {"two": []}}
    assert check(other)[0] == 1
    for found, code in (([], 0), (["STOP"], 1)):
        monkeypatch.setattr(check_onnx, "by_torch", lambda file, *more: {**WORDS, "two": found})
        assert check(other, "--sherpa") == (code, [
            "s float32 test-clean: 1 of 2 utterances differ, WER 20.00 (stage 5: 0.00); "
            f"from PyTorch on the same audio {code}",
            "s int8 test-clean: 0 of 2 utterances differ, WER 0.00 (stage 5: 0.00)"])


def test_what_is_missing_is_one_line(check):
    assert check({}, "--sets", "test-odd") == (2, ["error: --sets test-odd: want some of test-clean"])
    for path, says in ((next(check.exp.glob("*/decode-*.json")), "stage 5 (decode) makes it"),
                       (check.exp / "onnx" / "s" / "encoder.onnx", "subnets.onnx exports them")):
        path.unlink()
        code, lines = check({})
        assert code == 2 and len(lines) == 1 and says in lines[0] and str(path.parent.parent) in lines[0]
