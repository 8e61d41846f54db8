"""The training loop, from top to bottom: epochs, steps, the sub-networks of a step.

Everything random in it is a function of (seed, step, place of the batch in the step), so that a resumed run is the same
run.
"""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Dict, List, Optional

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..data.batches import Batch, train_loader, unpack_batch
from ..data.epochs import epoch_cuts
from ..loss.distill import Lattice
from ..loss.transducer import Losses, compute_loss
from .validation import validate

if TYPE_CHECKING:
    from omni.strategies.base import Subnets

    from .learner import Learner
    from .trainer import Trainer

LOG_EVERY, CLIP_NORM = 50, 5.0  # steps; of the gradient
FORWARD = 1 / 3  # of a forward-backward pass: a backward takes twice as many operations as its forward


def train(trainer: Trainer) -> None:
    """All epochs that are left. A checkpoint after each, and every `save_every_n` steps within."""
    while trainer.epoch <= trainer.config.train.num_epochs:
        train_epoch(trainer)
        if trainer.processes.is_first:
            trainer.meter.report_validation(trainer.epoch, trainer.step, validate(trainer, trainer.valid_cuts))
        trainer.save(trainer.exp_dir / f"epoch-{trainer.epoch}.pt", next_epoch=True)
        trainer.epoch, trainer.batch, trainer.seen = trainer.epoch + 1, 0, 0.0


def train_epoch(trainer: Trainer) -> None:
    t, processes = trainer.config.train, trainer.processes
    cuts = epoch_cuts(trainer.cuts, trainer.config, trainer.epoch)
    loader = train_loader(cuts, trainer.noise, trainer.config, trainer.epoch, trainer.batch, processes)
    total = round(trainer.durations[trainer.epoch - 1])
    bar = tqdm(total=total, initial=round(trainer.seen), unit="s", disable=None if processes.is_first else True,
               desc=f"epoch {trainer.epoch}/{t.num_epochs}", mininterval=1.0)
    began = time.monotonic()
    for group in zip(*[iter(loader)] * processes.batches_each):
        batches = [unpack_batch(batch, trainer.corpus, trainer.device, trainer.features, trainer.epoch)
                   for batch in group]
        audio = processes.sum([0.01 * sum(float(lengths.sum()) for _, lengths, _ in batches)])[0]
        train_step(trainer, batches, trainer.progress)
        trainer.batch += processes.batches_each * processes.world_size
        trainer.seen += audio
        now = time.monotonic()
        trainer.seconds, began = trainer.seconds + now - began, now
        bar.update(min(round(trainer.seen), total) - bar.n)
        if trainer.step % t.average_period == 0:
            trainer.update_average()
        if trainer.step % LOG_EVERY == 0:
            line = trainer.meter.report(trainer.epoch, trainer.step, trainer.passes, trainer.progress, trainer.seconds)
            bar.set_postfix_str(trainer.meter.short(), refresh=False)
            logging.log(logging.INFO if bar.disable else logging.DEBUG, f"{line}, {trainer.time_left()} left")
        if trainer.step % t.save_every_n == 0:
            trainer.save(trainer.exp_dir / f"checkpoint-{trainer.step}.pt")
    bar.close()


def train_step(learner: Learner, batches: List[Batch], progress: float) -> None:
    """One step of the optimizer, over this process's batches of it and those of the others.

    Args:
        progress: share of the training that is done, 0 to 1.
    """
    strategy, net = learner.strategy, learner.net
    strategy.prepare(net, learner.step, learner.schedule.progress, progress)
    rate = learner.schedule.set_progress(progress)
    subnets = strategy.subnets(net, learner.step, progress)
    learner.optimizer.zero_grad(set_to_none=True)
    for index, batch in enumerate(batches):
        place = index * learner.processes.world_size + learner.processes.rank
        learns = add_gradients(learner, subnets, batch, place, 1.0 / len(batches))
    learner.processes.average_gradients(learner.parameters)
    norm = update(learner, learns)
    if learner.meter:
        learner.meter.add_step(rate, norm)
    learner.step += 1


def add_gradients(learner: Learner, subnets: Subnets, batch: Batch, place: int, weight: float) -> Dict[str, Tensor]:
    """Adds up the gradients of the sub-networks that a batch trains, each with an equal share of `weight`.

    Args:
        place: of the batch among all of the step.

    Returns:
        {name of a masked weight: bool, where it learns} of those that do not learn everywhere.
    """
    net, progress = learner.net, learner.schedule.progress
    lattice: Optional[Lattice] = None  # what the largest network says of the batch
    learns: Optional[Dict[str, Tensor]] = None
    for kind, spec in subnets:
        student = learner.distills and kind not in ("max", "pruned")
        if student and lattice is None:
            lattice = teach(learner, batch)
        # Dropout of a resumed run must be that of the unbroken one, on however many processes.
        torch.manual_seed(hash((learner.config.train.seed, learner.step, place)) % 2**63)
        with net.active(spec, hold=learner.strategy.held(net, spec, progress)) as learning:
            losses = losses_of(learner, batch, lattice if student else None, keep=learner.distills and kind == "max")
            (losses.total / max(1, losses.frames) * weight / len(subnets)).backward()
        mine = dict(learning)
        learns = mine if learns is None else {name: learns[name] | mine[name] for name in learns if name in mine}
        lattice = losses.lattice or lattice
        learner.passes += learner.processes.world_size
        if learner.meter:
            learner.meter.add(kind, losses)
        if losses.not_finite:
            logging.warning(f"step {learner.step}: {len(losses.not_finite)} utterance(s) with a loss that is not "
                            "finite left out")
    return learns


@torch.no_grad()
def teach(learner: Learner, batch: Batch) -> Lattice:
    """What the largest network says of a batch, in a forward pass of its own."""
    learner.model.eval()
    with learner.net.active(learner.net.largest()):
        lattice = losses_of(learner, batch, keep=True).lattice
    learner.model.train()
    learner.passes += FORWARD * learner.processes.world_size
    return lattice


def losses_of(learner: Learner, batch: Batch, teacher: Optional[Lattice] = None, keep: bool = False) -> Losses:
    with torch.autocast(learner.device.type, torch.bfloat16, enabled=learner.bf16):
        return compute_loss(learner.model, *batch, learner.config.loss, learner.step, teacher, keep)


def update(learner: Learner, learns: Dict[str, Tensor]) -> float:
    """Clips the gradients and moves what learnt; -> the norm before. A step whose gradient is not finite is left
    out."""
    held = [p for p in learner.parameters if p.grad is not None]
    norm = nn.utils.clip_grad_norm_(held, CLIP_NORM).item()
    if math.isfinite(norm):
        learner.optimizer.step({learner.net.targets[name].weight: mask for name, mask in learns.items()})
    else:
        names = [n for n, p in learner.model.named_parameters()
                 if p.grad is not None and not torch.isfinite(p.grad).all()]
        logging.warning(f"step {learner.step}: gradient norm {norm} ({', '.join(names[:3])}), step left out")
    return norm
