"""A corpus opens its sets once, each of them checked."""

import gzip
import json
import shutil

import pytest

from egs.librispeech.omni_sparsity.data.corpus import Corpus
from omni.errors import UserError


@pytest.fixture
def own(data_dir, tmp_path):
    """A copy of the corpus to damage; -> its folder and a function that changes the cuts of a set."""
    shutil.copytree(data_dir / "lang_bpe_20", tmp_path / "lang_bpe_20")
    (tmp_path / "fbank").mkdir()
    for path in (data_dir / "fbank").glob("*.jsonl.gz"):
        shutil.copy(path, tmp_path / "fbank")

    def change(name, call):
        path = tmp_path / "fbank" / f"{name}.jsonl.gz"
        with gzip.open(path, "rt") as file:
            lines = [json.loads(line) for line in file]
        call(lines)
        with gzip.open(path, "wt") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    return tmp_path, change


def test_sets_are_opened_once(corpus):
    corpus.check()
    assert corpus.cuts("test-clean") is corpus.cuts("test-clean") and corpus.noise_cuts() is corpus.noise_cuts()
    assert len(corpus.train_cuts()) == 48


@pytest.mark.parametrize("name", ["train-clean", "dev-clean", "test-clean"])
def test_every_set_is_checked_before_any_work(own, name):
    folder, change = own
    Corpus(folder, 20).check()
    change(f"librispeech_cuts_{name}", lambda lines: lines[3]["supervisions"][0].update(text=None))
    with pytest.raises(UserError, match=f"librispeech_cuts_{name}.jsonl.gz: cut utt-.03: its text is null"):
        Corpus(folder, 20).check()


def test_noise_is_checked(own):
    folder, change = own
    change("noise_cuts", lambda lines: lines[0]["features"].update(num_features=40))
    with pytest.raises(UserError, match="noise_cuts.jsonl.gz: cut utt-900: its features have 40 bins"):
        Corpus(folder, 20).check()


def test_a_text_that_is_no_token(own):
    folder, change = own
    change("librispeech_cuts_train-clean", lambda lines: lines[0]["supervisions"][0].update(text="\u200b"))
    Corpus(folder, 20).check()  # left out of training, and counted
    change("librispeech_cuts_dev-clean", lambda lines: lines[0]["supervisions"][0].update(text="\u200b"))
    with pytest.raises(UserError, match="dev-clean.*: cut utt-100: its text .* is no token"):
        Corpus(folder, 20).check()


def test_training_sets_share_no_id(own):
    folder, change = own
    shutil.copy(folder / "fbank" / "librispeech_cuts_train-clean.jsonl.gz",
                folder / "fbank" / "librispeech_cuts_train-more.jsonl.gz")
    with pytest.raises(UserError, match="train-more.*: cut utt-000: is in train-clean, too"):
        Corpus(folder, 20).train_cuts()


def test_what_is_missing_is_named_with_the_stage_that_makes_it(tmp_path, data_dir):
    with pytest.raises(UserError, match="lang_bpe_77/bpe.model: not there; stage 2"):
        Corpus(data_dir, 77)
    (tmp_path / "lang_bpe_20").mkdir()
    (tmp_path / "lang_bpe_20" / "bpe.model").write_bytes((data_dir / "lang_bpe_20" / "bpe.model").read_bytes())
    with pytest.raises(UserError, match="fbank: no features there; stage 1"):
        Corpus(tmp_path, 20).train_cuts()
    (tmp_path / "lang_bpe_20" / "bpe.model").write_text("no model")
    with pytest.raises(UserError, match="bpe.model: not a model of sentencepiece's"):
        Corpus(tmp_path, 20)
