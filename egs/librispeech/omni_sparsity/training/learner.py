"""One supernet, its optimizer, and a step of their training."""

from __future__ import annotations

import logging
import math
from typing import List, Optional, Tuple

import torch
from torch import nn

import omni
from omni.errors import UserError

from ..loss.backend import loss_backend
from ..config import Config
from ..data.batches import TORCH_2, Batch
from ..loss.distill import Lattice
from .distributed import Processes
from ..loss.transducer import Losses, compute_loss
from .meter import Meter
from ..model.transducer import Transducer
from .optim import Schedule, make_optimizer
from ..model.supernet import make_supernet


FORWARD = 1 / 3  # of a forward-backward pass: a backward takes twice as many operations as its forward


def part_of(batch: Batch, number: int, count: int) -> Batch:
    """Every `count`-th utterance of a batch from `number` on."""
    features, lengths, symbols = batch
    return features[number::count], lengths[number::count], symbols[number::count]


class Learner:
    """Needs no data directory: tools/bench_train.py takes steps with it on batches of its own.

    Counters: `step` optimizer steps; `passes` forward-backward passes over a batch, of all processes. Over a part of a
    batch a pass counts for that part, a forward pass of a teacher for a third.
    """

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes = config, processes
        self.backend = loss_backend(config.loss.backend)[1]
        self.device = processes.device
        if config.train.num_threads:
            torch.set_num_threads(config.train.num_threads)
        if not TORCH_2:  # oneDNN's GELU, backward, reads memory that nobody wrote where its gradient is not contiguous
            torch.backends.mkldnn.enabled = False
        wanted = config.train.precision
        self.bf16 = wanted == "bf16" or (
            wanted == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        if self.bf16 and self.device.type == "cpu" and not TORCH_2:
            raise UserError(f"train.precision bf16: torch {torch.__version__} has no layer norm for it on a CPU; "
                            "take auto")
        torch.manual_seed(config.train.seed)
        self.model = Transducer(config.model).to(self.device)
        self.net = make_supernet(self.model, config.omni, config.train.seed)
        self.curriculum = omni.Curriculum(self.net, config.omni)
        self.parameters = [*self.model.parameters(), *(p for _, p in self.net.private_parameters())]
        matrices = [p for p in self.model.encoder.parameters() if p.dim() == 2]
        self.optimizer = make_optimizer(self.parameters, config.train, matrices)
        self.schedule = Schedule(self.optimizer, config.train)
        self.step, self.passes = 0, 0.0
        self.meter: Optional[Meter] = None
        self._forked = False

    def train_step(self, batches: List[Batch], progress: float) -> None:
        """One step of the optimizer, over this process's batches of it and those of the others.

        Everything random in it is a function of (seed, step, place of the batch in the step).

        Args:
            progress: share of the training that is done, 0 to 1.
        """
        step = self.step
        self.curriculum.prepare(step, self.schedule.progress, progress)
        lr = self.schedule.set_progress(progress)
        self.optimizer.zero_grad(set_to_none=True)
        self._fork_together(len(batches), progress)
        for index, batch in enumerate(batches):
            place = index * self.processes.world_size + self.processes.rank
            self._train_batch(batch, self.curriculum.subnets(step, progress, place), place, 1.0 / len(batches))
        self.processes.average_gradients(self.parameters)
        norm = self._update()
        if self.meter:
            self.meter.add_step(lr, norm)
        self.step += 1

    def _fork_together(self, batches: int, progress: float) -> None:
        """Private values begin as copies at the first sub-network that trains, on whichever process: on all at once."""
        places = range(batches * self.processes.world_size)
        kinds = {kind for place in places for kind, _ in self.curriculum.subnets(self.step, progress, place)}
        if not self._forked and kinds != {"max"}:
            with self.net.active(self.net.smallest()):
                self._forked = True

    def _train_batch(self, batch: Batch, subnets: List[Tuple[str, omni.Spec]], place: int, weight: float) -> None:
        """Adds up the gradients of all sub-networks that a batch trains, each with an equal share of `weight`."""
        distills = self.config.loss.distill > 0.0 and self.step % self.config.omni.distill_every == 0
        lattice = None  # what the largest network said
        for number, (kind, spec) in enumerate(subnets):
            mine = batch
            if self.config.omni.sampling == "split":
                mine, lattice = part_of(batch, number, len(subnets)), None
                if not mine[2]:  # fewer utterances than sub-networks
                    continue
            learns = distills and kind not in ("max", "pruned")
            if learns and lattice is None:
                lattice = self._teach(mine)
                self._count(FORWARD, mine, batch)
            # Dropout of a resumed run must be that of the unbroken one, on however many processes.
            torch.manual_seed(hash((self.config.train.seed, self.step, place)) % 2**63)
            with self.net.active(spec, hold=self.curriculum.held(spec, self.schedule.progress)):
                losses = self._losses(mine, lattice if learns else None, keep=distills and kind == "max")
                (losses.total / max(1, losses.frames) * weight / len(subnets)).backward()
            lattice = losses.lattice or lattice
            self._count(1.0, mine, batch)
            if self.meter:
                self.meter.add(kind, losses)
            if losses.not_finite:
                count = len(losses.not_finite)
                logging.warning(f"step {self.step}: {count} utterance(s) with a loss that is not finite left out")

    def _losses(self, batch: Batch, teacher: Optional[Lattice] = None, keep: bool = False) -> Losses:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return compute_loss(self.model, *batch, self.config.loss, self.step, teacher, keep)

    @torch.no_grad()
    def _teach(self, batch: Batch) -> Lattice:
        self.model.eval()
        with self.net.active(self.net.largest()):
            lattice = self._losses(batch, keep=True).lattice
        self.model.train()
        return lattice

    def _count(self, passes: float, mine: Batch, batch: Batch) -> None:
        self.passes += passes * len(mine[2]) / len(batch[2]) * self.processes.world_size

    def _update(self) -> float:
        """Clips the gradients and moves the weights; -> the norm before."""
        held = [p for p in self.parameters if p.grad is not None]
        norm = nn.utils.clip_grad_norm_(held, self.config.train.clip_norm).item()
        if math.isfinite(norm):
            self.optimizer.step()
        else:
            names = [name for name, p in self.model.named_parameters()
                     if p.grad is not None and not torch.isfinite(p.grad).all()]
            logging.warning(f"step {self.step}: gradient norm {norm} ({', '.join(names[:3])}), step left out")
        return norm
