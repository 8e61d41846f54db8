"""One supernet, its strategy and its optimizer: what a training holds beside its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Optional

import torch

from omni.errors import UserError

from ..config import Config
from ..data.batches import TORCH_2
from ..loss.backend import loss_backend
from ..model.supernet import make_supernet
from ..model.transducer import Transducer
from . import checkpoint as ckpt
from .distributed import Processes
from .meter import Meter
from .optim import Schedule, make_optimizer


class Learner:
    """Needs no data directory: tools.bench_train takes steps with it on batches of its own.

    Counters: `step` optimizer steps (icefall's batch_idx_train); `passes` forward-backward passes over a batch, of all
    processes; a forward pass of a teacher counts for a third.
    """

    def __init__(self, config: Config, processes: Processes) -> None:
        self.config, self.processes = config, processes
        self.backend = loss_backend(config.loss.backend)[1]
        self.device = processes.device
        if not TORCH_2:  # oneDNN's GELU, backward, reads memory that nobody wrote where its gradient is not contiguous
            torch.backends.mkldnn.enabled = False
        self.bf16 = self._bf16(config.train.precision)
        torch.manual_seed(config.train.seed)
        self.model = Transducer(config.model).to(self.device)
        self.strategy = config.omni.strategy
        self.net = make_supernet(self.model, config.omni, config.train.seed)
        self.parameters = [*self.model.parameters(), *(p for _, p in self.net.private_parameters())]
        matrices = [p for p in self.model.encoder.parameters() if p.dim() == 2]
        self.optimizer = make_optimizer(self.parameters, config.train, matrices)
        self.schedule = Schedule(self.optimizer, config.train)
        self.average = ckpt.RunningAverage(ckpt.weights_of(self.model, self.net))
        self.averaged_until = 0  # step
        self.step, self.passes = 0, 0.0
        self.meter: Optional[Meter] = None

    @property
    def distills(self) -> bool:
        return self.config.loss.distill > 0.0

    def update_average(self) -> None:
        """At every `average_period`-th step."""
        self.average.update(ckpt.weights_of(self.model, self.net), self.step, self.config.train.average_period)
        self.averaged_until = self.step

    def state(self) -> Dict[str, Any]:
        """Under icefall's keys, where it has them."""
        return {
            "model": self.model.state_dict(),
            "model_avg": self.average.state,
            "averaged_until": self.averaged_until,
            "omni": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.schedule.state_dict(),
            "grad_scaler": {},
            "batch_idx_train": self.step,
            "average_period": self.config.train.average_period,
            "passes": round(self.passes, 4),
            "world_size": self.processes.world_size,
            "loss_backend": self.backend,
        }

    def load_state(self, state: Dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.net.load_state_dict(state["omni"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["scheduler"])
        self.average.state = state["model_avg"]
        self.averaged_until = state["averaged_until"]
        self.step, self.passes = state["batch_idx_train"], state["passes"]
        if self.backend not in state["loss_backend"].split(", "):
            self.backend = f"{state['loss_backend']}, {self.backend}"  # results tell both

    def begin_with(self, path: Path) -> None:
        """Takes the model of another training, counted from zero; what that one cost is for the reader to add.

        Raises:
            UserError: no such checkpoint, or of a model unlike this one.
        """
        try:
            state = ckpt.load_checkpoint(path, self.device)
        except UserError as error:
            raise UserError(f"train.init_from {error}") from None
        try:
            self.model.load_state_dict(state["model"])
        except (KeyError, RuntimeError) as error:
            why = str(error).splitlines()[0]
            raise UserError(f"train.init_from {path}: not of a model like this one ({why})") from None
        self.net.refresh(exact=True)
        self.average = ckpt.RunningAverage(ckpt.weights_of(self.model, self.net))

    def _bf16(self, wanted: str) -> bool:
        cuda = self.device.type == "cuda"
        chosen = wanted == "bf16" or (wanted == "auto" and cuda and torch.cuda.is_bf16_supported())
        if chosen and not cuda and not TORCH_2:
            raise UserError(f"train.precision bf16: torch {torch.__version__} has no layer norm for it on a CPU; "
                            "take auto")
        return chosen
