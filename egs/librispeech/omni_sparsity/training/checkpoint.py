"""Checkpoints with icefall's keys, the running average of the model, and how the two give a model to decode with."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

import omni
from omni.files import atomic
from omni.errors import UserError

from ..config import Config
from ..model.transducer import Transducer
from ..recorded import differences, record

State = Dict[str, Tensor]


def weights_of(model: Transducer, net: omni.Supernet) -> State:
    """Every trained value: the model's, and private ones under names that no module can have."""
    state = dict(model.state_dict())
    state.update({f"private/{name}": value.detach() for name, value in net.private_parameters()})
    return state


class RunningAverage:
    """avg_n = avg_{n-1} + (w_n - avg_{n-1}) * period / n, in float64, as icefall's `model_avg`."""

    def __init__(self, state: State) -> None:
        self.state = {name: value.detach().to(torch.float64, copy=True) for name, value in state.items()}

    def update(self, state: State, step: int, period: int) -> None:
        """Takes `state` at `step` in, a multiple of `period`."""
        share = min(1.0, period / step)
        for name, mean in self.state.items():
            mean += share * (state[name].to(torch.float64) - mean)


def average_between(end: State, end_step: int, start: State, start_step: int) -> State:
    """The mean over (start_step, end_step] from the running averages at its two ends."""
    length = end_step - start_step
    return {name: (end[name] * end_step - start[name] * start_step) / length for name in end}


def save_checkpoint(path: Path, content: Dict[str, Any]) -> None:
    """Writes `content` to `path`, whole or not at all."""
    buffer = io.BytesIO()  # torch's own file writer ends the process, without a word to catch, when the disk is full
    torch.save(content, buffer)
    with atomic(path) as beside:
        beside.write_bytes(buffer.getbuffer())


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> Dict[str, Any]:
    """
    Raises:
        UserError: no such file, or not a whole checkpoint.
    """
    if not path.is_file():
        there = ", ".join(p.name for p in sorted(path.parent.glob("*.pt"))) or "none; stage 3 makes them"
        raise UserError(f"{path}: no such checkpoint; there are {there}")
    try:
        content = omni.load_pt(path, device)
    except ValueError as error:
        raise UserError(f"{error}; take another, or remove it to go on from the one before") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: not a checkpoint, but a {type(content).__name__}; take another, or remove it")
    return content


def newest_checkpoint(exp_dir: Path) -> Optional[Path]:
    """The checkpoint that is furthest in the training, of either kind."""
    last = [numbered[-1][1] for kind in ("epoch", "checkpoint") if (numbered := _numbered(exp_dir, kind))]
    return max(last, key=lambda path: load_checkpoint(path)["batch_idx_train"], default=None)


def remove_old(exp_dir: Path, keep: int = 3) -> None:
    """Keeps the last `keep` checkpoint-<batch>.pt."""
    numbered = _numbered(exp_dir, "checkpoint")
    for _, path in numbered[: max(0, len(numbered) - keep)]:
        path.unlink()


def _numbered(exp_dir: Path, kind: str) -> List[Tuple[int, Path]]:
    matches = ((re.fullmatch(rf"{kind}-(\d+)\.pt", path.name), path) for path in exp_dir.glob(f"{kind}-*.pt"))
    return sorted((int(match[1]), path) for match, path in matches if match)


def load_averaged(exp_dir: Path, epoch: int, avg: int, model: Transducer, net: omni.Supernet, config: Config) -> Dict:
    """Loads the mean of the weights over the last `avg` epochs up to `epoch` into `model` and `net`.

    Averages are icefall's (`--use-averaged-model 1`): between two running averages, every `average_period` steps. None
    reaches back to where sizes still changed (`Strategy.settled`): over fewer epochs then, or the last weights alone.

    Returns:
        The checkpoint of `epoch`, for its counters.

    Raises:
        UserError: a checkpoint is missing or was made with another configuration.
    """
    if not 1 <= avg <= epoch:
        raise UserError(f"--avg {avg}: want 1 to {epoch}, the epochs that there are")
    last = load_checkpoint(exp_dir / f"epoch-{epoch}.pt")
    check_settings(last, config, exp_dir / f"epoch-{epoch}.pt")
    end, end_step = last["model_avg"], last["averaged_until"]
    start, start_step = end, 0
    for begin in range(epoch - avg, epoch + 1):
        before = load_checkpoint(exp_dir / f"epoch-{begin}.pt") if begin else None
        if before:
            start, start_step = before["model_avg"], before["averaged_until"]
        if (before["scheduler"]["progress"] if before else 0.0) >= config.omni.strategy.settled():
            break
    else:
        begin, start_step = epoch, end_step
    if begin > epoch - avg:
        print(f"{exp_dir}: sizes changed until {config.omni.strategy.settled():g} of the training: averaging "
              f"{epoch - begin} epoch(s), not {avg}")
    if end_step > start_step:
        weights = average_between(end, end_step, start, start_step)
    else:  # an epoch shorter than an average period
        weights = {**last["model"], **{f"private/{n}": v for n, v in last["omni"]["private"].items()}}
    weights = {name: value.to(torch.float32) for name, value in weights.items()}
    model.load_state_dict({n: v for n, v in weights.items() if not n.startswith("private/")})
    private = {n[len("private/"):]: v for n, v in weights.items() if n.startswith("private/")}
    net.load_state_dict({**last["omni"], "private": private})
    return last


def check_settings(checkpoint: Dict[str, Any], config: Config, path: Path) -> None:
    """
    Raises:
        UserError: the checkpoint was trained with other settings, which are named, or does not say with which.
    """
    if "settings" not in checkpoint:
        raise UserError(f"{path}: does not say what it was trained with: choose another --exp-dir")
    found = differences(checkpoint["settings"], record(config))
    if found:
        raise UserError(f"{path}: trained with other settings ({'; '.join(found)}): give the same ones, or another "
                        "--exp-dir")
