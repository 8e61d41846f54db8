"""What a training tells of itself: loss per frame of each kind of sub-network, on the log and in tensorboard."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Dict, List, Optional

from omni.strategies.base import KINDS

from .distributed import Processes
from ..loss.transducer import Losses

PARTS = ("loss", "simple", "pruned", "ctc", "distill", "frames")


class Meter:
    """Means over encoder frames of all processes, of the last `report` interval, for sub-networks max, min and
    random."""

    def __init__(self, processes: Processes, tensorboard: Optional[Path]) -> None:
        self.processes = processes
        self.writer = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(tensorboard))
        self._clear()
        self.last: Dict[str, Dict[str, float]] = {}

    def add(self, kind: str, losses: Losses) -> None:
        sums = self.sums.setdefault(kind, dict.fromkeys(PARTS, 0.0))
        sums["loss"] += losses.value
        sums["simple"] += losses.simple
        sums["pruned"] += losses.pruned
        sums["ctc"] += losses.ctc
        sums["distill"] += losses.distill
        sums["frames"] += losses.frames

    def add_step(self, lr: float, norm: float) -> None:
        self.lr, self.norm, self.steps = lr, self.norm + norm, self.steps + 1

    def report(self, epoch: int, step: int, passes: float, progress: float, seconds: float) -> str:
        """One line of the log; begins a new interval. All processes call it together."""
        self.last = {}
        for kind in KINDS:
            *sums, frames = self.processes.sum([self.sums.get(kind, {}).get(name, 0.0) for name in PARTS])
            if frames:
                self.last[kind] = {name: value / frames for name, value in zip(PARTS, sums)}
        if self.writer:
            for kind, means in self.last.items():
                for name, value in means.items():
                    self.writer.add_scalar(f"train/tot_{kind}_{name}", value, step)
            self.writer.add_scalar("train/learning_rate", self.lr, step)
            self.writer.add_scalar("train/grad_norm", self.norm / max(1, self.steps), step)
        parts = [f"{kind} {m['loss']:.4f} (simple {m['simple']:.3f} pruned {m['pruned']:.3f} ctc {m['ctc']:.3f}"
                 + (f" distill {m['distill']:.4f})" if m["distill"] else ")")
                 for kind in KINDS if (m := self.last.get(kind))]
        line = (f"epoch {epoch} step {step} passes {passes:.0f} {100 * progress:.1f}% loss/frame: {', '.join(parts)}; "
                f"lr {self.lr:.2e} norm {self.norm / max(1, self.steps):.2f} {seconds:.0f} s")
        self._clear()
        return line

    def short(self) -> str:
        """The last interval's losses, for a progress bar."""
        return " ".join(f"{kind} {self.last[kind]['loss']:.3f}" for kind in KINDS if kind in self.last)

    def report_validation(self, epoch: int, step: int, values: Dict[str, float]) -> None:
        text = ", ".join(f"{kind} {value:.4f}" for kind, value in values.items())
        logging.info(f"epoch {epoch} validation, pruned loss/frame: {text}")
        if self.writer:
            for kind, value in values.items():
                self.writer.add_scalar(f"train/valid_{kind}_pruned", value, step)

    def close(self) -> None:
        if self.writer:
            self.writer.close()

    def _clear(self) -> None:
        self.sums: Dict[str, Dict[str, float]] = {}
        self.lr, self.norm, self.steps = 0.0, 0.0, 0


def log_to(path: Path, processes: Processes) -> None:
    """Log lines of the first process to the terminal and to `path`, of the others to files of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not processes.is_first:
        path = path.with_name(f"{path.stem}-{processes.rank}.log")
    handlers: List[logging.Handler] = [logging.FileHandler(path)]
    handlers[0].setLevel(logging.DEBUG)
    if processes.is_first:
        handlers.append(logging.StreamHandler())
        handlers[1].setLevel(logging.INFO)
    logging.basicConfig(level=logging.DEBUG, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers,
                        force=True)
    for noisy in ("matplotlib", "numba", "h5py"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
