"""The supernet of a host recipe: which sub-network a batch trains, and what a checkpoint must remember of it."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, Mapping, MutableMapping

from torch import nn

import omni
from omni.targets import parameters_of

from .settings import Settings, read_settings

KEY = "omni"  # of params, and so of the host's checkpoints: icefall writes every entry of params into them


class Plugin:
    """
    Args:
        model: the host's, before DistributedDataParallel; on whatever device.

    Raises:
        ValueError: the patterns of `settings` do not fit the model.
    """

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        self.settings = settings
        self.net = omni.Supernet(model, settings.ranges(), seed=settings.seed, dropout=settings.dropout)
        parameters = {held[0] for owned in parameters_of(model).values() for held in owned.holders}
        self._buffers = [name for name in model.state_dict() if name not in parameters]
        self._targets = {name: {"low": t.low, "high": t.high, "structure": str(t.structure)}
                         for name, t in self.net.targets.items()}
        self._begin = 0  # the batch at which the curriculum begins
        self._prepared = -1  # the last batch that was prepared for
        self._seconds, self._since = 0.0, time.monotonic()

    @contextmanager
    def step(self, params: MutableMapping[str, Any]) -> Iterator[None]:
        """Inside, the model is the sub-network of this batch: the host's forward AND backward belong here.

        Args:
            params: the host's; `batch_idx_train` is read, `omni` is set.
        """
        number = params["batch_idx_train"]
        progress = self._share(number)
        # The host looks for out-of-memory with batches of no number before it goes on from a checkpoint.
        if number > self._prepared:
            if self._prepared < 0:
                self.net.refresh(exact=True)  # the host has loaded its weights since the supernet was made
            self.settings.strategy.prepare(self.net, number, self._share(self._prepared), progress)
            self._prepared = number
            now = time.monotonic()
            self._seconds, self._since = self._seconds + now - self._since, now
            params[KEY] = self.state_dict()
        (_, spec), = self.settings.strategy.subnets(self.net, number, progress)
        with self.net.active(spec):
            yield

    def begin(self, number: int) -> None:
        """The curriculum begins at this batch: where weights were trained without omni before it.

        Raises:
            ValueError: nothing of the training is left then.
        """
        if number >= self.settings.steps:
            raise ValueError(f"steps {self.settings.steps}: the checkpoint is of batch {number}; want how many batches "
                             "the training will have had at its end")
        self._begin = number

    def state_dict(self) -> Dict[str, Any]:
        """Small: the order of the blocks of each weight, and what they are blocks of; `settled`, the batch after which
        no size changes any more."""
        settled = self._begin + self.settings.strategy.settled() * (self.settings.steps - self._begin)
        return {"targets": self._targets, "buffers": self._buffers, "begin": self._begin, "prepared": self._prepared,
                "settled": math.ceil(settled), "seconds": self._seconds, **self.net.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """
        Raises:
            ValueError: it is of other targets.
        """
        self.net.load_state_dict(state)
        self._begin, self._prepared, self._seconds = state["begin"], state["prepared"], state["seconds"]

    def _share(self, number: int) -> float:
        return min(1.0, max(0, number - self._begin) / (self.settings.steps - self._begin))


_attached: Plugin | None = None


def attach(
    model: nn.Module, params: MutableMapping[str, Any], config: str | Settings,
    checkpoints: Mapping[str, Any] | None = None,
) -> Plugin:
    """For those who would rather edit. In the host's `run`, after its checkpoint is loaded and before DDP:

        omni.icefall.attach(model, params, "zipformer", checkpoints)

    and in `train_one_epoch`, around the lines from compute_loss to backward (the optimizer's step stays outside):

        with omni.icefall.step(params):

    Args:
        config: as for `--omni-config`.
        checkpoints: what the host's load_checkpoint_if_available returned, if it did.

    Raises:
        ValueError: the patterns of `config` do not fit the model, or no batch of its `steps` is left.
    """
    global _attached
    _attached = Plugin(model, read_settings(config) if isinstance(config, str) else config)
    if checkpoints and KEY in checkpoints:
        _attached.load_state_dict(checkpoints[KEY])
        params[KEY] = checkpoints[KEY]
    else:
        _attached.begin(params["batch_idx_train"])
    return _attached


def step(params: MutableMapping[str, Any]):
    """`Plugin.step` of what was attached last in this process.

    Raises:
        RuntimeError: nothing was.
    """
    if _attached is None:
        raise RuntimeError("omni.icefall.step before omni.icefall.attach(model, params, config)")
    return _attached.step(params)
