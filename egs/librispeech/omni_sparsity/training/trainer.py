"""A learner with its data: where it stands, what it saves, and how it goes on."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ..config import Config
from ..data.corpus import Corpus
from ..data.epochs import epoch_cuts, require_steps, usable
from ..data.features import DeviceFeatures
from ..loss.backend import why
from ..recorded import record
from . import checkpoint as ckpt
from .distributed import Processes
from .learner import Learner
from .loop import train
from .meter import Meter, log_to
from .validation import valid_cuts


class Trainer(Learner):
    """Counters besides those of the learner: `epoch`; in it `batch`, and `seen` seconds of audio, both over all
    processes; `seconds` of training."""

    def __init__(self, config: Config, data_dir: Path, exp_dir: Path, tensorboard: bool) -> None:
        super().__init__(config, Processes(config.loss.backend, config.data.batches_per_step))
        self.exp_dir = exp_dir
        self.corpus = Corpus(data_dir, config.model.vocab_size)
        self.features = DeviceFeatures(config.data, self.device) if config.data.on_the_fly else None
        self.epoch, self.batch = 1, 0
        self.seen, self.seconds = 0.0, 0.0
        self.durations = [1.0] * config.train.num_epochs  # seconds of audio in each epoch; `run` measures them
        self.meter = Meter(self.processes, exp_dir / "tensorboard" if tensorboard and self.processes.is_first else None)

    def run(self, start_epoch: int, start_batch: int) -> None:
        """Trains to the configured number of epochs, from the newest checkpoint unless told where to begin."""
        log_to(self.exp_dir / "log" / "train.log", self.processes)
        self.resume(start_epoch, start_batch)
        self.corpus.check()
        self.cuts = usable(self.corpus.train_cuts(), self.corpus, self.config)
        require_steps(self.cuts, self.config, self.processes)
        self.noise = self.corpus.noise_cuts()
        self.valid_cuts = valid_cuts(self.corpus, self.config) if self.processes.is_first else None
        epochs = range(1, self.config.train.num_epochs + 1)
        self.durations = [sum(cut.duration for cut in epoch_cuts(self.cuts, self.config, epoch)) for epoch in epochs]
        whole = sum(cut.duration for cut in self.cuts)
        count = sum(p.numel() for p in self.model.parameters())
        logging.info(f"torch {torch.__version__}, loss {self.backend} ({why(self.config.loss.backend)}), "
                     f"{self.device}, {'bf16' if self.bf16 else 'float32'}, {self.processes.world_size} process(es), "
                     f"{count} parameters, {whole / 3600:.2f} h of training speech with its perturbed copies")
        self.began_at = (self.progress, self.seconds)
        train(self)
        if self.processes.is_first:
            ckpt.remove_old(self.exp_dir, keep=0)
            self.meter.close()
        self.processes.close()

    @property
    def progress(self) -> float:
        """Share of the training's audio that is done, 0 to 1."""
        done = sum(self.durations[: self.epoch - 1]) + min(self.seen, self.durations[self.epoch - 1])
        return min(1.0, done / sum(self.durations))

    def time_left(self) -> str:
        """Of the whole training, "12:34" minutes, by how fast this run has been."""
        progress, seconds = self.began_at
        done = self.progress - progress
        left = round((self.seconds - seconds) / done * (1.0 - self.progress)) if done > 0.0 else 0
        return f"{left // 60:02d}:{left % 60:02d}"

    def save(self, path: Path, next_epoch: bool = False) -> None:
        """Of an epoch's end `next_epoch`: what goes on from there begins the next one."""
        if self.processes.is_first:
            begin = (self.epoch + 1, 0, 0.0) if next_epoch else (self.epoch, self.batch, self.seen)
            ckpt.save_checkpoint(path, {
                **self.state(),
                "sampler": dict(zip(("epoch", "batch", "seen"), begin)),
                "cur_epoch": self.epoch,
                "train_seconds": self.seconds,
                "settings": record(self.config),
            })
            if not next_epoch:
                ckpt.remove_old(self.exp_dir)
        self.processes.barrier()

    def resume(self, start_epoch: int, start_batch: int) -> None:
        """From epoch-<start_epoch - 1>.pt, checkpoint-<start_batch>.pt, or with 0 and 0 the newest that there is; else
        from the start, `train.init_from` if it is set."""
        if start_batch:
            path = self.exp_dir / f"checkpoint-{start_batch}.pt"
        elif start_epoch > 1:
            path = self.exp_dir / f"epoch-{start_epoch - 1}.pt"
        else:
            path = None if start_epoch else ckpt.newest_checkpoint(self.exp_dir)
        if path is None:
            if self.config.train.init_from:
                self.begin_with(Path(self.config.train.init_from))
                logging.info(f"beginning with the model of {self.config.train.init_from}")
            return
        state = ckpt.load_checkpoint(path, self.device)
        ckpt.check_settings(state, self.config, path)
        self.load_state(state)
        self.epoch, self.batch, self.seen = (state["sampler"][name] for name in ("epoch", "batch", "seen"))
        self.seconds = state["train_seconds"]
        logging.info(f"going on from {path}: epoch {self.epoch}, batch {self.batch}, step {self.step}")
