"""The training loop. Everything random in it is a function of (seed, step), so that a resumed run is the same run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Dict, List

import torch
from tqdm import tqdm

from . import checkpoint as ckpt
from ..loss.backend import why
from ..config import Config
from ..data.batches import evaluation_loader, train_loader, unpack_batch
from ..data.corpus import Corpus
from ..data.epochs import epoch_cuts, require_steps, usable
from .distributed import Processes
from ..data.features import DeviceFeatures
from .learner import Learner
from ..loss.transducer import compute_loss
from .meter import Meter
from ..data.sets import evaluation_sets
from ..recorded import record
from omni.errors import UserError


class Trainer(Learner):
    """The learner, its data and its counters.

    Counters: `step` optimizer steps (icefall's batch_idx_train), `passes` forward-backward passes and `seen` seconds of
    audio in this epoch, both over all processes, `seconds` of training.
    """

    def __init__(self, config: Config, data_dir: Path, exp_dir: Path, tensorboard: bool) -> None:
        super().__init__(config, Processes(config.loss.backend, config.data.batches_per_step))
        self.exp_dir = exp_dir
        self.corpus = Corpus(data_dir, config.model.vocab_size)
        self.features = DeviceFeatures(config.data, self.device) if config.data.on_the_fly else None
        self.average = ckpt.RunningAverage(ckpt.weights_of(self.model, self.net))
        self.averaged_until = 0
        self.epoch, self.batch = 1, 0
        self.seen, self.seconds = 0.0, 0.0
        self.durations = [1.0] * config.train.num_epochs  # seconds of audio in each epoch; `run` measures them
        self.meter = Meter(self.processes, exp_dir / "tensorboard" if tensorboard and self.processes.is_first else None)

    def run(self, start_epoch: int, start_batch: int) -> None:
        """Trains to the configured number of epochs, from the newest checkpoint unless told where to begin."""
        _log_to(self.exp_dir / "log" / "train.log", self.processes)
        self._resume(start_epoch, start_batch)
        self.corpus.check()
        cuts = usable(self.corpus.train_cuts(), self.corpus, self.config)
        require_steps(cuts, self.config, self.processes)
        self.noise = self.corpus.noise_cuts()
        epochs = range(1, self.config.train.num_epochs + 1)
        self.durations = [sum(cut.duration for cut in epoch_cuts(cuts, self.config, epoch)) for epoch in epochs]
        whole = sum(cut.duration for cut in cuts)
        count = sum(p.numel() for p in self.model.parameters())
        logging.info(f"torch {torch.__version__}, loss {self.backend} ({why(self.config.loss.backend)}), "
                     f"{self.device}, {'bf16' if self.bf16 else 'float32'}, {self.processes.world_size} process(es), "
                     f"{count} parameters, {whole / 3600:.2f} h of training speech with its perturbed copies")
        valid = self._valid_cuts() if self.processes.is_first else None
        while self.epoch <= self.config.train.num_epochs:
            self._train_epoch(epoch_cuts(cuts, self.config, self.epoch))
            if self.processes.is_first:
                self._validate(valid)
            self._save(self.exp_dir / f"epoch-{self.epoch}.pt", next_epoch=True)
            self.epoch, self.batch, self.seen = self.epoch + 1, 0, 0.0
        if self.processes.is_first:
            ckpt.remove_old(self.exp_dir, 0)
            self.meter.close()
        self.processes.close()

    @property
    def progress(self) -> float:
        """Share of the training's audio that is done, 0 to 1."""
        done = sum(self.durations[: self.epoch - 1]) + min(self.seen, self.durations[self.epoch - 1])
        return min(1.0, done / sum(self.durations))

    def _train_epoch(self, cuts) -> None:
        t = self.config.train
        total = round(self.durations[self.epoch - 1])
        loader = train_loader(cuts, self.noise, self.config, self.epoch, self.batch, self.processes)
        each = self.processes.batches_each
        bar = tqdm(total=total, initial=round(self.seen), unit="s", disable=None if self.processes.is_first
                   else True, desc=f"epoch {self.epoch}/{t.num_epochs}", mininterval=1.0)
        began = time.monotonic()
        for group in zip(*[iter(loader)] * each):
            batches = [unpack_batch(batch, self.corpus, self.device, self.features, self.epoch) for batch in group]
            audio = self.processes.sum([0.01 * sum(float(lengths.sum()) for _, lengths, _ in batches)])[0]
            self.train_step(batches, self.progress)
            self.batch += each * self.processes.world_size
            self.seen += audio
            now = time.monotonic()
            self.seconds, began = self.seconds + now - began, now
            bar.update(min(round(self.seen), total) - bar.n)
            if self.step % t.average_period == 0:
                self.average.update(ckpt.weights_of(self.model, self.net), self.step, t.average_period)
                self.averaged_until = self.step
            if self.step % t.log_interval == 0:
                line = self.meter.report(self.epoch, self.step, self.passes, self.progress, self.seconds)
                bar.set_postfix_str(self.meter.short(), refresh=False)
                if bar.disable:
                    logging.info(line)
                else:
                    logging.debug(line)
            if self.step % t.save_every_n == 0:
                self._save(self.exp_dir / f"checkpoint-{self.step}.pt")
                if self.processes.is_first:
                    ckpt.remove_old(self.exp_dir, t.keep_last_k)
        bar.close()

    def _valid_cuts(self):
        sets = [s for s in evaluation_sets(self.corpus.data_dir) if s.startswith("dev")]
        if not sets:
            raise UserError(f"{self.corpus.data_dir}/fbank: no dev set to validate on")
        each = max(1, self.config.train.valid_utterances // len(sets))
        cuts = [cut for s in sets for cut in self.corpus.cuts(s).subset(first=min(each, len(self.corpus.cuts(s))))]
        return type(self.corpus.cuts(sets[0])).from_cuts(cuts)

    @torch.no_grad()
    def _validate(self, cuts) -> None:
        """Loss per frame on the dev sets."""
        self.model.eval()
        values: Dict[str, float] = {}
        for kind, spec in self.curriculum.ends():
            total, frames = 0.0, 0
            with self.net.active(spec):
                for batch in evaluation_loader(cuts, self.config.data.max_duration * 4):
                    features, lengths, symbols = unpack_batch(batch, self.corpus, self.device)
                    losses = compute_loss(self.model, features, lengths, symbols, self.config.loss, 10**9)
                    total, frames = total + losses.pruned, frames + losses.frames
            values[kind] = total / max(1, frames)
        self.model.train()
        self.meter.report_validation(self.epoch, self.step, values)

    def _save(self, path: Path, next_epoch: bool = False) -> None:
        if self.processes.is_first:
            state = {
                "model": self.model.state_dict(),
                "model_avg": self.average.state,
                "averaged_until": self.averaged_until,
                "omni": self.net.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.schedule.state_dict(),
                "grad_scaler": {},
                "sampler": {"epoch": self.epoch + 1, "batch": 0, "seen": 0.0} if next_epoch
                else {"epoch": self.epoch, "batch": self.batch, "seen": self.seen},
                "cur_epoch": self.epoch,
                "batch_idx_train": self.step,
                "average_period": self.config.train.average_period,
                "passes": round(self.passes, 4),
                "train_seconds": self.seconds,
                "world_size": self.processes.world_size,
                "loss_backend": self.backend,
                "settings": record(self.config),
            }
            ckpt.save_checkpoint(path, state)
        self.processes.barrier()

    def _warm_start(self) -> None:
        """Begins with the model of another training, counted from zero; what that one cost is for the reader to add."""
        if self.config.train.init_from:
            path = Path(self.config.train.init_from)
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
            logging.info(f"beginning with the model of {path}")

    def _resume(self, start_epoch: int, start_batch: int) -> None:
        if start_batch:
            path = self.exp_dir / f"checkpoint-{start_batch}.pt"
        elif start_epoch > 1:
            path = self.exp_dir / f"epoch-{start_epoch - 1}.pt"
        else:
            path = None if start_epoch else ckpt.newest_checkpoint(self.exp_dir)
        if path is None:
            self._warm_start()
            return
        state = ckpt.load_checkpoint(path, self.device)
        ckpt.check_settings(state, self.config, path)
        self.model.load_state_dict(state["model"])
        self.net.load_state_dict(state["omni"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["scheduler"])
        self.average.state = state["model_avg"]
        self.averaged_until = state["averaged_until"]
        self.epoch, self.batch, self.seen = (state["sampler"][name] for name in ("epoch", "batch", "seen"))
        self.step, self.passes, self.seconds = state["batch_idx_train"], state["passes"], state["train_seconds"]
        if self.backend not in state["loss_backend"].split(", "):
            self.backend = f"{state['loss_backend']}, {self.backend}"  # results tell both
        logging.info(f"going on from {path}: epoch {self.epoch}, batch {self.batch}, step {self.step}")


def _log_to(path: Path, processes: Processes) -> None:
    """Log lines of the first process to the terminal and to `path`, of the others to files of their own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not processes.is_first:
        path = path.with_name(f"{path.stem}-{processes.rank}.log")
    handlers: List[logging.Handler] = [logging.FileHandler(path)]
    handlers[0].setLevel(logging.DEBUG)
    if processes.is_first:
        handlers.append(logging.StreamHandler())
        handlers[1].setLevel(logging.INFO)
    logging.basicConfig(
        level=logging.DEBUG, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers, force=True
    )
    for noisy in ("matplotlib", "numba", "h5py"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
