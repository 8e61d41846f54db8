"""Features are read beside their manifest, from whatever root and wherever the folder went."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet, Fbank, FbankConfig, LilcomChunkyWriter
from lhotse.testing.dummies import dummy_cut
from lhotse.utils import fastcopy

from egs.librispeech.omni_sparsity.data.moved import features_beside
from omni.errors import UserError


def _store(data, value):
    """A manifest of one cut with features of noise of level `value`, its path as relative as `data` is."""
    feats = data / "fbank" / "feats"
    feats.mkdir(parents=True)
    with LilcomChunkyWriter(feats / "feats-0.lca") as storage:
        samples = value * np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
        features = Fbank(FbankConfig()).extract_from_samples_and_store(samples, storage, 16000)
    manifest = data / "fbank" / "cuts.jsonl.gz"
    cut = dummy_cut(0, features=fastcopy(features, storage_path=str(feats / "feats-0.lca")))
    CutSet.from_cuts([cut]).to_file(manifest)
    return manifest


@pytest.fixture
def clones(tmp_path, monkeypatch):
    """Two project roots whose data have the same relative paths and different features."""
    for name, value in (("one", 0.1), ("two", 0.001)):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        _store(Path("data"), value)
    return tmp_path


def _level(manifest):
    (cut,) = CutSet.from_file(manifest)
    return features_beside(cut, manifest, {}).load_features()[:, 0].max()


def test_another_clones_data_are_its_own(clones, monkeypatch):
    monkeypatch.chdir(clones / "one")
    here, there = _level(Path("data/fbank/cuts.jsonl.gz")), _level(clones / "two/data/fbank/cuts.jsonl.gz")
    assert here > there + 5
    assert _level(Path("../two/data/fbank/cuts.jsonl.gz")) == there
    assert _level(clones / "one/data/fbank/cuts.jsonl.gz") == here


def test_at_home_nothing_is_changed(clones, monkeypatch):
    monkeypatch.chdir(clones / "one")
    manifest = Path("data/fbank/cuts.jsonl.gz")
    (cut,) = CutSet.from_file(manifest)
    assert features_beside(cut, manifest, {}) is cut
    assert features_beside(cut.drop_features(), manifest, {}).has_features is False
    in_memory = cut.move_to_memory()
    assert features_beside(in_memory, manifest, {}) is in_memory


def test_a_folder_that_was_moved_is_read(clones, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = _level(clones / "two/data/fbank/cuts.jsonl.gz")
    (clones / "two/data").rename(tmp_path / "elsewhere")
    assert _level(tmp_path / "elsewhere/fbank/cuts.jsonl.gz") == before


def test_features_elsewhere_need_an_absolute_path(clones, monkeypatch):
    monkeypatch.chdir(clones / "one")
    shutil.rmtree(clones / "two/data/fbank/feats")  # those of this clone have the same relative path
    with pytest.raises(UserError, match="cuts.jsonl.gz: cut .*: its features .* are not there"):
        _level(clones / "two/data/fbank/cuts.jsonl.gz")
    monkeypatch.chdir(clones)
    manifest = _store(clones / "three", 0.1)
    (clones / "three/fbank/feats").rename(clones / "three/feats")
    with pytest.raises(UserError, match="run stage 1 again"):
        _level(manifest)
    shutil.copytree(clones / "three/feats", clones / "three/fbank/feats")
    (clones / "four").mkdir()
    moved = Path(shutil.move(manifest, clones / "four/cuts.jsonl.gz"))  # icefall's, with features kept elsewhere
    assert _level(moved) > -20
