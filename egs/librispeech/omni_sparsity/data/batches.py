"""Batches of features: lhotse's samplers and dataset, made a pure function of (seed, epoch, batch)."""

from __future__ import annotations

import itertools
import logging
import random
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Tuple

import sentencepiece as spm
import torch
from lhotse import CutSet, load_manifest
from lhotse.dataset import CutMix, DynamicBucketingSampler, K2SpeechRecognitionDataset, SimpleCutSampler
from lhotse.dataset.input_strategies import AudioSamples
from torch import Tensor
from torch.utils.data import DataLoader

from omni.errors import UserError

from ..config import Config
from .features import DeviceFeatures, make_spec_augment, seeded
from .subsets import training_sets

if TYPE_CHECKING:
    from ..training.distributed import Processes

TORCH_2 = int(torch.__version__.split(".")[0]) >= 2
Batch = Tuple[Tensor, Tensor, List[List[int]]]  # features (B, T, 80), lengths (B,) int64, symbols of each utterance

# Training cuts are counted and filtered before they are sampled, so they are in memory anyway.
warnings.filterwarnings("ignore", message="You are using DynamicBucketingSampler with an eagerly read CutSet")


class Corpus:
    """What stages 1 and 2 made: cuts with features, and the BPE model."""

    def __init__(self, data_dir: Path, vocab_size: int) -> None:
        self.data_dir = Path(data_dir)
        lang = self.data_dir / f"lang_bpe_{vocab_size}" / "bpe.model"
        if not lang.is_file():
            raise UserError(f"{lang}: not there; stage 2 makes it: ./run.sh --stage 2 --stop-stage 2")
        self.bpe = spm.SentencePieceProcessor(model_file=str(lang))

    def cuts(self, subset: str) -> CutSet:
        return load_manifest(self.data_dir / "fbank" / f"librispeech_cuts_{subset}.jsonl.gz")

    def train_cuts(self) -> CutSet:
        parts = [self.cuts(subset) for subset in training_sets(self.data_dir)]
        if not parts:
            raise UserError(f"{self.data_dir}/fbank: no subset whose name begins with 'train'")
        return CutSet.from_cuts(cut for part in parts for cut in part)

    def noise_cuts(self) -> CutSet:
        return load_manifest(self.data_dir / "fbank" / "noise_cuts.jsonl.gz")

    def encode(self, texts: List[str]) -> List[List[int]]:
        return self.bpe.encode(texts, out_type=int)


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
            mix = CutMix(noise, snr=tuple(d.noise_snr), p=d.noise_prob, preserve_id=True, seed=self.rng,
                         random_mix_offset=True, pad_to_longest=False)
            transforms.append(mix)
        if d.on_the_fly:
            self.dataset = K2SpeechRecognitionDataset(cut_transforms=transforms, input_strategy=AudioSamples())
        else:
            augment = [make_spec_augment(d)] if augmented and d.spec_aug else []
            self.dataset = K2SpeechRecognitionDataset(cut_transforms=transforms, input_transforms=augment)

    def __getitem__(self, cuts: CutSet) -> Dict[str, Any]:
        digits = zlib.crc32(f"{self.seed}/{self.epoch}/{' '.join(cuts.ids)}".encode())
        self.rng.seed(digits)
        with seeded(digits):
            return {**self.dataset[cuts], "seed": digits}


def usable(cuts: CutSet, corpus: Corpus, config: Config) -> CutSet:
    """Training cuts of the configured durations that have room for their symbols, counted on the log."""
    kept, short, long, crowded = [], 0, 0, 0
    texts = {}
    for cut in cuts:
        text = cut.supervisions[0].text
        if text not in texts:
            texts[text] = len(corpus.bpe.encode(text))
        if cut.duration < config.data.min_seconds:
            short += 1
        elif cut.duration > config.data.max_seconds:
            long += 1
        elif cut.num_frames // config.model.stack < texts[text] or texts[text] == 0:
            crowded += 1
        else:
            kept.append(cut)
    if short or long or crowded:
        logging.info(f"left out of training: {short} cuts under {config.data.min_seconds} s, {long} over "
                     f"{config.data.max_seconds} s, {crowded} with more symbols than encoder frames or none")
    if not kept:
        raise UserError(f"{corpus.data_dir}/fbank: no training cut between {config.data.min_seconds} and "
                        f"{config.data.max_seconds} s; change data.min_seconds or data.max_seconds")
    return CutSet.from_cuts(kept)


def epoch_cuts(cuts: CutSet, config: Config, epoch: int) -> CutSet:
    """The training cuts that `epoch` (from 1) sees: of its part of them, and in the first epoch the short ones."""
    d = config.data
    part = cuts
    if d.parts > 1:
        part = cuts.filter(lambda cut: zlib.crc32(cut.id.encode()) % d.parts == epoch % d.parts).to_eager()
    if epoch == 1:
        short = part.filter(lambda cut: cut.duration <= d.first_max_seconds).to_eager()
        part = short if len(short) else part
    return part if len(part) else cuts


def train_sampler(cuts: CutSet, config: Config, epoch: int) -> DynamicBucketingSampler:
    """Batches of like durations, shuffled by (seed, epoch), each at most `max_duration` seconds."""
    sampler = DynamicBucketingSampler(
        cuts, max_duration=config.data.max_duration, num_buckets=max(2, min(config.data.num_buckets, len(cuts) // 8)),
        shuffle=True, seed=config.train.seed, rank=0, world_size=1,
    )
    sampler.set_epoch(epoch)
    return sampler


class Share:
    """What one process takes of an epoch's batches: of each group of `group`, the ones of its turn.

    Every process goes through all batches (of cuts, nothing is read for them), so a group is the same one however many
    processes share it, and an epoch may go on with another number of them. What is left at the end and makes no whole
    group is left out.

    Args:
        skip: batches at the beginning that are done.
    """

    def __init__(self, sampler: DynamicBucketingSampler, skip: int, group: int, rank: int, world_size: int) -> None:
        self.sampler, self.skip, self.group, self.rank, self.world_size = sampler, skip, group, rank, world_size

    def __iter__(self) -> Iterator[CutSet]:
        batches = itertools.islice(iter(self.sampler), self.skip, None)
        while len(group := list(itertools.islice(batches, self.group))) == self.group:
            yield from group[self.rank :: self.world_size]


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
