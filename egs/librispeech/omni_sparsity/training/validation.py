"""The loss on the dev sets, after an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Dict

import torch
from lhotse import CutSet

from omni.errors import UserError

from ..config import Config
from ..data.batches import evaluation_loader, unpack_batch
from ..data.corpus import Corpus
from ..data.sets import evaluation_sets
from ..loss.transducer import compute_loss

if TYPE_CHECKING:
    from .trainer import Trainer

WARM = 10**9  # a step at which the loss has warmed up


def valid_cuts(corpus: Corpus, config: Config) -> CutSet:
    """The first `train.valid_utterances` of the dev sets, as many of each.

    Raises:
        UserError: there is no dev set.
    """
    sets = [name for name in evaluation_sets(corpus.data_dir) if name.startswith("dev")]
    if not sets:
        raise UserError(f"{corpus.data_dir}/fbank: no dev set to validate on")
    each = max(1, config.train.valid_utterances // len(sets))
    return CutSet.from_cuts(cut for name in sets for cut in list(corpus.cuts(name))[:each])


@torch.no_grad()
def validate(trainer: Trainer, cuts: CutSet) -> Dict[str, float]:
    """{kind of sub-network: pruned loss a frame, nats} of those that the strategy names."""
    values: Dict[str, float] = {}
    trainer.model.eval()
    for kind, spec in trainer.strategy.watched(trainer.net):
        total, frames = 0.0, 0
        with trainer.net.active(spec):
            for batch in evaluation_loader(cuts, trainer.config.data.max_duration * 4):
                features, lengths, symbols = unpack_batch(batch, trainer.corpus, trainer.device)
                losses = compute_loss(trainer.model, features, lengths, symbols, trainer.config.loss, WARM)
                total, frames = total + losses.pruned, frames + losses.frames
        values[kind] = total / max(1, frames)
    trainer.model.train()
    return values
