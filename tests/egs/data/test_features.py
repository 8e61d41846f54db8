"""Features that training computes itself, from audio, are those of stage 1."""

import numpy as np
import pytest
import soundfile
import torch
from lhotse import CutSet, MonoCut, NumpyFilesWriter, Recording, SupervisionSegment

from egs.librispeech.omni_sparsity.data.batches import TrainDataset, unpack_batch
from egs.librispeech.omni_sparsity.data.features import DeviceFeatures, seeded
from egs.librispeech.omni_sparsity.data.fbank import make_extractor

CPU = torch.device("cpu")


@pytest.fixture
def cuts(tmp_path):
    """Three utterances of different lengths, with features as stage 1 makes them."""
    made = []
    with NumpyFilesWriter(tmp_path / "feats") as writer:
        for index, seconds in enumerate((1.0, 1.5, 0.7)):
            samples = np.random.RandomState(index).randn(int(16000 * seconds)).astype(np.float32) * 0.05
            soundfile.write(tmp_path / f"{index}.flac", samples, 16000)
            recording = Recording.from_file(tmp_path / f"{index}.flac")
            said = SupervisionSegment(str(index), str(index), 0.0, seconds, text="ON OFF")
            cut = MonoCut(str(index), 0.0, seconds, 0, [said], recording=recording)
            made.append(cut.compute_and_store_features(make_extractor("lhotse"), writer))
    return CutSet.from_cuts(made)


class Words:
    def encode(self, texts):
        return [[1] for _ in texts]


def batch_of(config, cuts, epoch=1):
    return TrainDataset(config, CutSet.from_cuts([]), epoch)[cuts]


def test_from_audio_as_from_stage_1(config, cuts):
    config.data.noise_prob, config.data.spec_aug_prob = 0.0, 0.0
    want, lengths, _ = unpack_batch(batch_of(config, cuts), Words(), CPU)
    config.data.on_the_fly = True
    batch = batch_of(config, cuts)
    assert batch["inputs"].shape == (3, 24000)
    have, have_lengths, _ = unpack_batch(batch, Words(), CPU, DeviceFeatures(config.data, CPU), 1)
    assert have.shape == want.shape and torch.equal(have_lengths, lengths)
    for a, b, length in zip(want, have, lengths.tolist()):
        assert torch.allclose(a[: length - 1], b[: length - 1], atol=2e-3)


def test_augmented_from_its_epoch_on_and_the_same_each_time(config, cuts):
    config.data.noise_prob, config.data.on_the_fly, config.data.augment_from = 0.0, True, 2
    config.data.spec_aug_prob = 1.0
    compute = DeviceFeatures(config.data, CPU)
    plain, = {unpack_batch(batch_of(config, cuts), Words(), CPU, compute, 1)[0].sum().item() for _ in range(2)}
    masked = [unpack_batch(batch_of(config, cuts, 2), Words(), CPU, compute, 2)[0] for _ in range(2)]
    assert torch.equal(*masked) and masked[0].sum().item() != plain


def test_one_utterance_alone(config, cuts):
    config.data.noise_prob, config.data.on_the_fly, config.data.spec_aug_prob = 0.0, True, 0.0
    first = cuts.subset(first=1)
    features, lengths, _ = unpack_batch(batch_of(config, first), Words(), CPU, DeviceFeatures(config.data, CPU), 1)
    assert features.shape == (1, 100, 80) and lengths.tolist() == [100]


def test_a_seed_leaves_the_streams_as_they_were():
    torch.manual_seed(5)
    want = torch.rand(2)
    torch.manual_seed(5)
    with seeded(1):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), want)
    with seeded(1):
        assert torch.equal(torch.rand(2), inside)
