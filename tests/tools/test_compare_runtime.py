"""tools/compare_runtime.py on a corpus of three utterances: it tells the same words from others."""

import pytest
from lhotse import CutSet, Features, MonoCut, NumpyFilesWriter, SupervisionSegment

from egs.librispeech.omni_sparsity.decoding import scoring
from egs.librispeech.omni_sparsity.subnets.index import write_index
from egs.librispeech.omni_sparsity.subnets.subnet import Subnet
from omni.runtime.recognizer import Recognizer
from tests.omni.runtime import small
from tools import compare_runtime

TEXT = "NOT ONE NOTE"


@pytest.fixture
def experiment(tmp_path):
    """-> (arguments, {utterance: words that the runtime finds}, stage 5's file)."""
    exp, data = tmp_path / "exp", tmp_path / "data"
    (exp / "subnets").mkdir(parents=True)
    (data / "fbank").mkdir(parents=True)
    subnet = Subnet("sparsity-0.5", "omni", "uniform", 0.5, 0.5, "subnets/sparsity-0.5.json",
                    "subnets/sparsity-0.5.omni.safetensors", 1, 1, 1, 1.0, 1.0, epoch=1, avg=1)
    small.write(exp / subnet.file)
    write_index(exp, [subnet])
    recognizer, words, cuts = Recognizer(exp / subnet.file), {}, []
    with NumpyFilesWriter(data / "fbank" / "feats_test-clean") as writer:
        for index, frames in enumerate(small.features(203, 150, 320)):
            name, seconds = f"utt-{index}", len(frames) / 100
            key = writer.write(name, frames)
            features = Features(
                type="fbank", num_frames=len(frames), num_features=80, frame_shift=0.01, sampling_rate=16000, start=0.0,
                duration=seconds, channels=0, recording_id=name, storage_type=writer.name,
                storage_path=str(writer.storage_path), storage_key=key)
            said = SupervisionSegment(name, name, 0.0, seconds, text=TEXT)
            cuts.append(MonoCut(name, 0.0, seconds, 0, supervisions=[said], features=features))
            stream = recognizer.stream()
            stream.accept_features(frames)
            stream.finish()
            recognizer.decode([stream])
            words[name] = stream.text.split()
    CutSet.from_cuts(cuts).to_file(data / "fbank" / "librispeech_cuts_test-clean.jsonl.gz")
    recogs = exp / "greedy_search" / f"recogs-test-clean-{subnet.decoded_as}.txt"
    recogs.parent.mkdir()
    return ["--exp-dir", str(exp), "--data-dir", str(data), "--batch", "2"], words, recogs


def _rows(capsys):
    lines = capsys.readouterr().out.splitlines()
    return [dict(zip(lines[0].split("\t"), line.split("\t"))) for line in lines[1:]]


def test_the_same_words_are_no_difference(experiment, capsys):
    arguments, words, recogs = experiment
    scoring.write_recogs(recogs, [(name, TEXT.split(), found) for name, found in words.items()])
    compare_runtime.main(arguments)
    (row,) = _rows(capsys)
    assert (row["sub-network"], row["set"]) == ("sparsity-0.5", "test-clean")
    assert (row["utterances"], row["differ"]) == ("3", "0")
    assert row["PyTorch WER"] == row["runtime WER"] and row["difference"] == "+0.00"


def test_another_word_is_counted_and_is_apart(experiment, capsys):
    arguments, words, recogs = experiment
    wrote = {**words, "utt-1": [*words["utt-1"], "MORE"]}
    scoring.write_recogs(recogs, [(name, TEXT.split(), found) for name, found in wrote.items()])
    with pytest.raises(SystemExit) as end:
        compare_runtime.main(arguments)
    (row,) = _rows(capsys)
    assert end.value.code == 1 and row["differ"] == "1"
    assert float(row["difference"]) == pytest.approx(-100 / 9, abs=0.01)


def test_what_is_not_there_is_named(experiment, capsys):
    arguments, words, recogs = experiment
    for more, says in (([], str(recogs)), (["--names", "sparsity-0.6"], "--names sparsity-0.6"),
                       (["--method", "best"], "method 'best'")):
        with pytest.raises(SystemExit) as end:
            compare_runtime.main([*arguments, *more])
        assert end.value.code == 2 and says in capsys.readouterr().err
    scoring.write_recogs(recogs, [("utt-9", TEXT.split(), [])])
    with pytest.raises(SystemExit) as end:
        compare_runtime.main(arguments)
    assert end.value.code == 2 and "of other utterances" in capsys.readouterr().err
