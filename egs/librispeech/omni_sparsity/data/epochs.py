"""Which cuts an epoch trains on, in which batches: all a pure function of (seed, epoch)."""

from __future__ import annotations

import itertools
import logging
import math
import warnings
import zlib
from typing import TYPE_CHECKING, Iterator, Union

from lhotse import CutSet
from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler

from omni.errors import UserError

from ..config import Config
from .corpus import Corpus
from .manifests import check_audio
from .sets import training_sets

if TYPE_CHECKING:
    from ..training.distributed import Processes

Sampler = Union[DynamicBucketingSampler, SimpleCutSampler]

LEAST_IN_BUCKET = 8  # cuts, on average

# Training cuts are counted and filtered before they are sampled, so they are in memory anyway.
warnings.filterwarnings("ignore", message="You are using DynamicBucketingSampler with an eagerly read CutSet")


MIN_SECONDS = 0.5  # shorter training utterances are left out


def usable(cuts: CutSet, corpus: Corpus, config: Config) -> CutSet:
    """Training cuts of the configured durations that have room for their symbols, counted on the log.

    Raises:
        UserError: none is left, or one has no audio where the features are to be made from it.
    """
    if config.data.on_the_fly:
        check_audio(cuts, corpus.path(training_sets(corpus.data_dir)[0]))
    kept, short, long, crowded = [], 0, 0, 0
    texts = {}
    for cut in cuts:
        text = cut.supervisions[0].text
        if text not in texts:
            texts[text] = len(corpus.bpe.encode(text))
        if cut.duration < MIN_SECONDS:
            short += 1
        elif cut.duration > config.data.max_seconds:
            long += 1
        elif cut.num_frames // config.model.stack < texts[text] or texts[text] == 0:
            crowded += 1
        else:
            kept.append(cut)
    if short or long or crowded:
        logging.info(f"left out of training: {short} cuts under {MIN_SECONDS} s, {long} over "
                     f"{config.data.max_seconds} s, {crowded} with more symbols than encoder frames or none")
    if not kept:
        raise UserError(f"{corpus.data_dir}/fbank: no training cut between {MIN_SECONDS} and "
                        f"{config.data.max_seconds} s; change data.max_seconds")
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


def num_buckets(count: int) -> int:
    """Of like durations, for an epoch of `count` cuts: 10, up to 30 for a large corpus, fewer for a tiny one."""
    return min(max(10, min(30, count // 3000)), count // LEAST_IN_BUCKET)


def train_sampler(cuts: CutSet, config: Config, epoch: int) -> Sampler:
    """Batches of like durations, shuffled by (seed, epoch), each at most `max_duration` seconds.

    A cut that is longer is a batch by itself. Of too few cuts for two buckets, batches are of any durations.
    """
    buckets = num_buckets(len(cuts))
    options = dict(max_duration=config.data.max_duration, shuffle=True, seed=config.train.seed, rank=0, world_size=1)
    sampler = (DynamicBucketingSampler(cuts, num_buckets=buckets, **options) if buckets >= 2
               else SimpleCutSampler(cuts, **options))
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

    def __init__(self, sampler: Sampler, skip: int, group: int, rank: int, world_size: int) -> None:
        self.sampler, self.skip, self.group, self.rank, self.world_size = sampler, skip, group, rank, world_size

    def __iter__(self) -> Iterator[CutSet]:
        batches = itertools.islice(iter(self.sampler), self.skip, None)
        while len(group := list(itertools.islice(batches, self.group))) == self.group:
            yield from group[self.rank :: self.world_size]


def require_steps(cuts: CutSet, config: Config, processes: Processes) -> None:
    """Every epoch has the batches of one step at least. To be called before the first one.

    Args:
        cuts: `usable` ones.

    Raises:
        UserError: names the batches that an epoch has and how many a step needs.
    """
    wanted = processes.batches_each * processes.world_size
    for epoch in range(1, config.train.num_epochs + 1):
        part = epoch_cuts(cuts, config, epoch)
        durations = [cut.duration for cut in part]
        if math.floor(sum(durations) / max(config.data.max_duration, *durations)) >= wanted:
            continue  # as many batches at least: none is longer
        count = sum(1 for _ in itertools.islice(train_sampler(part, config, epoch), wanted))
        if count < wanted:
            raise UserError(f"epoch {epoch} has {count} batch(es) of {config.data.max_duration:g} s "
                            f"({sum(durations):.0f} s of speech), but a step takes {wanted} ({processes.world_size} "
                            f"process(es), {processes.batches_each} each): want fewer processes, a smaller "
                            "data.batches_per_step or a smaller data.max_duration")
