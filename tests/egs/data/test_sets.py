"""Names of sets, as stage 1 left them."""

import pytest

from egs.librispeech.omni_sparsity.data.sets import evaluation_sets, training_sets
from omni.errors import UserError


def test_sets_are_told_by_their_names(tmp_path):
    with pytest.raises(UserError, match="fbank: no features there; stage 1"):
        training_sets(tmp_path)
    (tmp_path / "fbank").mkdir()
    for name in ("train-a", "test-other", "test-clean", "dev-mine", "dev-clean", "train-b"):
        (tmp_path / "fbank" / f"librispeech_cuts_{name}.jsonl.gz").touch()
    assert training_sets(tmp_path) == ["train-a", "train-b"]
    assert evaluation_sets(tmp_path) == ["dev-clean", "test-clean", "test-other", "dev-mine"]
