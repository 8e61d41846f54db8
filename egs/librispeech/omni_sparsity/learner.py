"""One supernet, its optimizer, and a step of their training."""

from __future__ import annotations

import logging
import math
from typing import List, Optional

import torch
from torch import nn

from tools.errors import UserError

from .backend import loss_backend
from .config import Config
from .data import TORCH_2, Batch
from .distributed import Processes
from .loss import compute_loss
from .meter import Meter
from .model import Transducer
from .optim import Schedule, make_optimizer
from .strategy import Strategy, make_supernet


class Learner:
    """Needs no data directory: tools/bench_train.py takes steps with it on batches of its own."""

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes = config, processes
        self.backend = loss_backend(config.loss.backend)[1]
        self.device = processes.device
        if config.train.num_threads:
            torch.set_num_threads(config.train.num_threads)
        if not TORCH_2:  # the backward of oneDNN's GELU reads memory that nobody wrote where its gradient is not contiguous
            torch.backends.mkldnn.enabled = False
        wanted = config.train.precision
        self.bf16 = wanted == "bf16" or (
            wanted == "auto" and self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        )
        if self.bf16 and self.device.type == "cpu" and not TORCH_2:
            raise UserError(f"train.precision bf16: torch {torch.__version__} has no layer norm for it on a CPU; take auto")
        torch.manual_seed(config.train.seed)
        self.model = Transducer(config.model).to(self.device)
        self.net = make_supernet(self.model, config.omni, config.train.seed)
        self.strategy = Strategy(self.net, config.omni)
        self.parameters = [*self.model.parameters(), *(p for _, p in self.net.private_parameters())]
        matrices = [p for p in self.model.encoder.parameters() if p.dim() == 2]
        self.optimizer = make_optimizer(self.parameters, config.train, matrices)
        self.schedule = Schedule(self.optimizer, config.train)
        self.step, self.passes = 0, 0
        self.meter: Optional[Meter] = None

    def train_step(self, batches: List[Batch], progress: float) -> None:
        """One step of the optimizer, over this process's batches of it and those of the others.

        Everything random in it is a function of (seed, step, place of the batch in the step).

        Args:
            progress: share of the training that is done, 0 to 1.
        """
        t, step, world_size = self.config.train, self.step, self.processes.world_size
        if self.strategy.refreshes(step, progress):
            self.net.refresh(exact=True)
        lr = self.schedule.set_progress(progress)
        self.optimizer.zero_grad(set_to_none=True)
        subnets = self.strategy.subnets(step, progress)
        for kind, spec in subnets:
            for index, batch in enumerate(batches):
                # Dropout of a resumed run must be that of the unbroken one, on however many processes.
                torch.manual_seed(hash((t.seed, step, index * world_size + self.processes.rank)) % 2**63)
                with self.net.active(spec):
                    with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                        losses = compute_loss(self.model, *batch, self.config.loss, step)
                    (losses.total / max(1, losses.frames) / (len(subnets) * len(batches))).backward()
                if self.meter:
                    self.meter.add(kind, losses)
                if losses.not_finite:
                    count = len(losses.not_finite)
                    logging.warning(f"step {step}: {count} utterance(s) with a loss that is not finite left out")
            self.passes += len(batches) * world_size
        self.processes.average_gradients(self.parameters)
        norm = self._update()
        if self.meter:
            self.meter.add_step(lr, norm)
        self.step += 1

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
