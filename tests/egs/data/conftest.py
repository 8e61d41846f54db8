import pytest

from egs.librispeech.omni_sparsity.data.corpus import Corpus


@pytest.fixture
def corpus(data_dir, config):
    return Corpus(data_dir, config.model.vocab_size)
