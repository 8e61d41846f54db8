"""Training's features: SpecAugment, and fbank from audio on the training's device (`data.on_the_fly`)."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import Iterator, Tuple

import torch
from lhotse.dataset import SpecAugment
from lhotse.utils import LOG_EPSILON
from torch import Tensor

from .fbank import SAMPLING_RATE, choose_backend, make_extractor

from ..config import Data as DataConfig

MASKED_AT_MOST = 0.15  # share of an utterance's frames that one pass of time masks may take


def make_spec_augment(d: DataConfig) -> SpecAugment:
    return SpecAugment(
        time_warp_factor=0, num_feature_masks=d.num_masks, features_mask_size=d.freq_mask,
        num_frame_masks=d.num_masks, frames_mask_size=d.time_mask,
        max_frames_mask_fraction=MASKED_AT_MOST, p=d.spec_aug_prob)


@contextmanager
def seeded(digits: int) -> Iterator[None]:
    """SpecAugment draws from the global streams: they begin at `digits` inside, and go on after it as if unused."""
    outer = random.getstate()
    random.seed(digits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(digits)
        yield
    random.setstate(outer)


class DeviceFeatures:
    """What stage 1 computes, and SpecAugment, on the device of the training.

    Numbers are stage 1's, but for the last frame of an utterance that is shorter than its batch, where lhotse's fbank
    (not kaldifeat's) sees the padding in place of the mirrored edge.
    """

    def __init__(self, config: DataConfig, device: torch.device) -> None:
        self.config = config
        self.extractor = make_extractor(choose_backend("auto"), str(device))
        self.augment = make_spec_augment(config)

    def __call__(self, audio: Tensor, num_samples: Tensor, epoch: int, seed: int) -> Tuple[Tensor, Tensor]:
        """audio (B, N) on the device, num_samples (B,) -> features (B, T, 80), lengths (B,), both on the device."""
        found = self.extractor.extract_batch(audio, SAMPLING_RATE, lengths=num_samples.tolist())
        if isinstance(found, Tensor):  # of one utterance, or of several of one length
            found = list(found) if found.dim() == 3 else [found]
        lengths = torch.tensor([len(one) for one in found])
        features = torch.nn.utils.rnn.pad_sequence(found, batch_first=True, padding_value=LOG_EPSILON)
        if self.config.spec_aug_prob > 0 and epoch >= self.config.augment_from:
            where = torch.stack([torch.arange(len(found)), torch.zeros_like(lengths), lengths], dim=1)
            with seeded(seed):
                features = self.augment(features, supervision_segments=where)
        return features, lengths.to(audio.device)
