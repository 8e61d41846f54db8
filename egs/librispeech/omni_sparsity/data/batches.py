"""Batches of features: lhotse's dataset, made a pure function of (seed, epoch, batch), and loaders of it."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

import torch
from lhotse import CutSet
from lhotse.dataset import CutMix, K2SpeechRecognitionDataset, SimpleCutSampler
from lhotse.dataset.input_strategies import AudioSamples
from torch import Tensor
from torch.utils.data import DataLoader

from ..config import Config
from .corpus import Corpus
from .epochs import Share, train_sampler
from .features import DeviceFeatures, make_spec_augment, seeded

if TYPE_CHECKING:
    from ..training.distributed import Processes

NOISE_SNR = (10.0, 20.0)  # dB
TORCH_2 = int(torch.__version__.split(".")[0]) >= 2
Batch = Tuple[Tensor, Tensor, List[List[int]]]  # features (B, T, 80), lengths (B,) int64, symbols of each utterance


class TrainDataset(torch.utils.data.Dataset):
    """lhotse's dataset with noise mixing and SpecAugment, seeded by the batch itself.

    Whichever worker makes a batch, and whether or not the training was resumed before it, the batch is the same.
    """

    def __init__(self, config: Config, noise: CutSet, epoch: int) -> None:
        self.seed, self.epoch = config.train.seed, epoch
        d = config.data
        augmented = epoch >= d.augment_from
        self.rng = random.Random()
        transforms = []
        if augmented and d.noise_prob > 0:
            mix = CutMix(noise, snr=NOISE_SNR, p=d.noise_prob, preserve_id=True, seed=self.rng,
                         random_mix_offset=True, pad_to_longest=False)
            transforms.append(mix)
        if d.on_the_fly:
            self.dataset = K2SpeechRecognitionDataset(cut_transforms=transforms, input_strategy=AudioSamples())
        else:
            augment = [make_spec_augment(d)] if augmented and d.spec_aug_prob > 0 else []
            self.dataset = K2SpeechRecognitionDataset(cut_transforms=transforms, input_transforms=augment)

    def __getitem__(self, cuts: CutSet) -> Dict[str, Any]:
        digits = zlib.crc32(f"{self.seed}/{self.epoch}/{' '.join(cuts.ids)}".encode())
        self.rng.seed(digits)
        with seeded(digits):
            return {**self.dataset[cuts], "seed": digits}


def train_loader(cuts: CutSet, noise: CutSet, config: Config, epoch: int, skip: int, processes: Processes
                 ) -> DataLoader:
    """The batches of an epoch from number `skip` (0-based) on: `processes.batches_each` of them for each step."""
    sampler = Share(train_sampler(cuts, config, epoch), skip, processes.batches_each * processes.world_size,
                    processes.rank, processes.world_size)
    workers = config.data.num_workers
    return DataLoader(TrainDataset(config, noise, epoch), sampler=sampler, batch_size=None, num_workers=workers,
                      prefetch_factor=8 if workers else None if TORCH_2 else 2,
                      pin_memory=processes.device.type == "cuda")


def evaluation_loader(cuts: CutSet, max_duration: float) -> DataLoader:
    """Whole sets in order of duration, with the cuts under batch["supervisions"]["cut"]."""
    cuts = cuts.sort_by_duration(ascending=False)
    sampler = SimpleCutSampler(cuts, max_duration=max_duration, shuffle=False, rank=0, world_size=1)
    return DataLoader(K2SpeechRecognitionDataset(return_cuts=True), sampler=sampler, batch_size=None)


def unpack_batch(
    batch: Dict[str, Any],
    corpus: Corpus,
    device: torch.device,
    compute: Optional[DeviceFeatures] = None,
    epoch: int = 0,
) -> Batch:
    """Of a batch of lhotse's, of features or (with `compute`) of audio."""
    inputs, said = batch["inputs"].to(device, non_blocking=True), batch["supervisions"]
    symbols = corpus.encode(said["text"])
    if compute is not None:
        return (*compute(inputs, said["num_samples"], epoch, batch["seed"]), symbols)
    return inputs, said["num_frames"].to(device=device, dtype=torch.int64, non_blocking=True), symbols
