"""A tiny prepared corpus: random features whose first bins spell the words, so that a model can learn it."""

import random
from pathlib import Path

import numpy as np
import pytest
import sentencepiece as spm
from lhotse import CutSet, Features, MonoCut, NumpyFilesWriter, SupervisionSegment

from egs.librispeech.omni_sparsity.config import Config, Model, load_config
from egs.librispeech.omni_sparsity.training import loop

WORDS = ["ON", "OFF", "LAMP", "DOOR", "RED", "BLUE"]
VOCAB = 20


def _cut(writer, index: int, draw: random.Random) -> MonoCut:
    words = draw.choices(WORDS, k=draw.randint(2, 4))
    values = np.full((40 * len(words), 80), -8.0, dtype=np.float32)
    for position, word in enumerate(words):
        values[40 * position : 40 * (position + 1), 10 * WORDS.index(word) : 10 * WORDS.index(word) + 10] += 6.0
    values += np.random.RandomState(index).randn(*values.shape).astype(np.float32)
    name, seconds = f"utt-{index:03d}", 0.4 * len(words)
    features = Features(
        type="fbank", num_frames=len(values), num_features=80, frame_shift=0.01, sampling_rate=16000, start=0.0,
        duration=seconds, channels=0, recording_id=name,
        storage_type=writer.name, storage_path=str(writer.storage_path), storage_key=writer.write(name, values),
    )
    said = SupervisionSegment(name, name, 0.0, seconds, text=" ".join(words))
    return MonoCut(name, 0.0, seconds, 0, supervisions=[said], features=features)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    draw = random.Random(0)
    lang = root / f"lang_bpe_{VOCAB}"
    lang.mkdir()
    (root / "fbank").mkdir()
    for name, count, first in (("train-clean", 48, 0), ("dev-clean", 6, 100), ("test-clean", 8, 200)):
        with NumpyFilesWriter(root / "fbank" / f"feats_{name}") as writer:
            cuts = CutSet.from_cuts(_cut(writer, first + i, draw) for i in range(count))
        cuts.to_file(root / "fbank" / f"librispeech_cuts_{name}.jsonl.gz")
        if name.startswith("train"):
            text = root / "text"
            text.write_text("\n".join(cut.supervisions[0].text for cut in cuts))
            spm.SentencePieceTrainer.train(
                input=str(text), model_prefix=str(lang / "bpe"), vocab_size=VOCAB, model_type="unigram",
                user_defined_symbols=["<blk>", "<sos/eos>"], unk_id=2, bos_id=-1, eos_id=-1, minloglevel=2,
            )
    with NumpyFilesWriter(root / "fbank" / "feats_noise") as writer:
        noise = CutSet.from_cuts([_cut(writer, 900, draw).drop_supervisions()])
    noise.to_file(root / "fbank" / "noise_cuts.jsonl.gz")
    return root


@pytest.fixture
def config(monkeypatch) -> Config:
    """The method that ships, at a size at which a dozen steps are a training."""
    monkeypatch.setattr(loop, "LOG_EVERY", 2)
    path = Path(__file__).parents[2] / "egs/librispeech/omni_sparsity/conf/mini.yaml"
    config = load_config(path, [
        "data.max_duration=10", "data.num_workers=0", "data.parts=1", "data.augment_from=1",
        "data.first_max_seconds=20", "train.num_epochs=2", "train.save_every_n=3", "train.average_period=2",
        "omni.refresh_every=2", "loss.warm_step=4",
    ])
    config.model = Model(
        projection_dim=8, encoder_dim=16, num_heads=2, ffn_dim=32, num_layers=1, decoder_dim=16, joiner_dim=16,
        vocab_size=VOCAB, dropout=0.1,
    )
    return config
