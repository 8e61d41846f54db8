"""`python -m egs.librispeech.omni_sparsity.decoding` on sub-networks of random weights."""

import dataclasses
import json
import os
import sys

import pytest
import torch

from egs.librispeech.omni_sparsity import registry
from egs.librispeech.omni_sparsity.decoding import __main__ as decode
from egs.librispeech.omni_sparsity.decoding import methods, scoring
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets.formats import safetensors as storage
from egs.librispeech.omni_sparsity.subnets.index import read_index, write_index
from egs.librispeech.omni_sparsity.subnets.subnet import Subnet


@pytest.fixture
def exp_dir(config, tmp_path):
    """Two sub-networks, whose scores of blank and of the other symbols lie close together."""
    subnets = []
    for seed, name in enumerate(("sparsity-0.5", "0.6MB")):
        torch.manual_seed(seed)
        model, file = Transducer(config.model), tmp_path / "exp/subnets" / f"{name}.omni.safetensors"
        storage.write(file, dataclasses.asdict(config.model), shipped(model.state_dict()), {}, "int8", {}, b"")
        subnets.append(Subnet(
            name=name, system="omni", origin="uniform", sparsity=0.5, measured_sparsity=0.5,
            spec=f"subnets/{name}.json",
            file=f"subnets/{name}.omni.safetensors", bytes=file.stat().st_size, params_total=1, params_nonzero=1,
            train_passes=1, train_seconds=1.0, loss_backend="native", epoch=2, avg=1,
            checkpoint=storage.digest_of(storage.load(file))))
    write_index(tmp_path / "exp", subnets)
    (tmp_path / "toy.yaml").write_text(config.to_yaml())
    return tmp_path / "exp"


@pytest.fixture
def run(exp_dir, data_dir, monkeypatch):
    def call(*more):
        command = ["decode", "--config", exp_dir.parent / "toy.yaml", "--data-dir", data_dir, "--exp-dir", exp_dir,
                   *more]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        decode.main()
        return {path.name: path for path in exp_dir.glob("*/*.*") if path.parent.name != "subnets"}

    return call


def _words(path):
    return sum(len(hyp) for _, _, hyp in scoring.read_recogs(path))


def test_files_carry_the_name_and_a_second_call_does_nothing(run, capsys):
    files = run()
    suffixes = ("epoch-2-avg-1-sparsity-0.5", "epoch-2-avg-1-0.6MB")
    assert set(files) == {f"{kind}-{test_set}-{suffix}.{'json' if kind == 'decode' else 'txt'}"
                          for kind in ("recogs", "errs", "wer-summary", "decode") for suffix in suffixes
                          for test_set in ("dev-clean", "test-clean")}
    record = json.loads(files["decode-test-clean-epoch-2-avg-1-0.6MB.json"].read_text())
    assert (record["name"], record["suffix"], record["method"]) == ("0.6MB", suffixes[1], "greedy_search")
    scored = scoring.read_recogs(files["recogs-test-clean-epoch-2-avg-1-0.6MB.txt"])
    assert [s.errors for s in scoring.counted(record["errors"], scored)] == [
        scoring.count(scoring.align(ref, hyp)).errors for _, ref, hyp in scored]
    before = {name: path.stat().st_mtime_ns for name, path in files.items()}
    assert {name: path.stat().st_mtime_ns for name, path in run().items()} == before
    assert "2 sub-networks are decoded already" in capsys.readouterr().out
    files["decode-dev-clean-epoch-2-avg-1-0.6MB.json"].write_text("{")  # as a full disk may leave it
    assert json.loads(run()["decode-dev-clean-epoch-2-avg-1-0.6MB.json"].read_text())["name"] == "0.6MB"


def test_error_rates_are_noted_in_the_file_that_ships(run, exp_dir):
    """And the index keeps its time: by it stage 4 sees that a checkpoint is newer."""
    index = exp_dir / "subnets/subnets.json"
    os.utime(index, (1_000_000, 1_000_000))
    before = read_index(exp_dir)
    files = run("--set", "decode.blank_penalty=0.5")
    after = read_index(exp_dir)
    assert index.stat().st_mtime == 1_000_000
    for subnet, was in zip(after, before):
        found = storage.load(exp_dir / subnet.file)
        wers = {test_set: json.loads(files[f"decode-{test_set}-{subnet.decoded_as}.json"].read_text())["wer"]
                for test_set in ("dev-clean", "test-clean")}
        assert found.about["results"] == {"greedy_search": wers} and found.about["decode"] == {"blank_penalty": 0.5}
        assert subnet.bytes == (exp_dir / subnet.file).stat().st_size > was.bytes
        assert subnet.checkpoint == was.checkpoint == storage.digest_of(found)


def test_the_blank_penalty_reaches_the_search(run):
    """-100: blank always; +100: never, so a symbol for every frame. Another penalty is another decoding."""
    name = "recogs-test-clean-epoch-2-avg-1-sparsity-0.5.txt"
    assert _words(run("--set", "decode.blank_penalty=-100")[name]) == 0
    files = run("--set", "decode.blank_penalty=100")
    assert _words(files[name]) > 8
    assert json.loads(files["decode-test-clean-epoch-2-avg-1-sparsity-0.5.json"].read_text())["blank_penalty"] == 100


def test_a_method_is_a_file(run, tmp_path, monkeypatch):
    """It has a folder of its own and is called with what the configuration says."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/mine.py").write_text(
        "CALLS = []\n\n\ndef search(model, encoder_out, lengths, blank_penalty):\n"
        "    CALLS.append((encoder_out.shape[2], len(lengths), blank_penalty))\n    return [[3]] * len(lengths)\n")
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path / "more")])
    assert registry.names(methods) == ["greedy_search", "mine"]
    files = run("--decoding-method", "mine", "--set", "decode.blank_penalty=1.5")
    assert {path.parent.name for path in files.values()} == {"mine"} and len(files) == 16
    calls = sys.modules[f"{methods.__name__}.mine"].CALLS
    assert sum(count for _, count, _ in calls) == 2 * (6 + 8) and {(dim, of) for dim, _, of in calls} == {(16, 1.5)}


def test_an_unknown_method_is_one_line_that_lists_the_known(run, exp_dir, capsys):
    assert registry.names(methods) == ["greedy_search"]
    with pytest.raises(SystemExit) as stop:
        run("--decoding-method", "oracle")
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error == "error: --decoding-method oracle: want one of greedy_search\n"
    assert not (exp_dir / "oracle").exists()


def test_a_file_that_is_not_the_listed_one_is_refused(run, exp_dir, capsys):
    path = exp_dir / "subnets/0.6MB.omni.safetensors"
    path.write_bytes((exp_dir / "subnets/sparsity-0.5.omni.safetensors").read_bytes())
    with pytest.raises(SystemExit):
        run()
    assert f"{path}: not the file that subnets.json lists" in capsys.readouterr().err


def test_without_an_index_stage_4_is_named(run, exp_dir, capsys):
    (exp_dir / "subnets/subnets.json").unlink()
    with pytest.raises(SystemExit):
        run()
    error = capsys.readouterr().err
    assert "subnets.json is missing: stage 4" in error and error.count("\n") == 1
