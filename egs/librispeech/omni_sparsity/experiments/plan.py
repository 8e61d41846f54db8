"""How long a training will take, what memory and disk it needs, from a few measured steps on this machine.

    python -m tools.plan [--config conf/librispeech.yaml] [--hours 960] [--world-size 4] [--price 3.0] [--out plan.json]
    python -m tools.plan --measured train.json ...      # what tools.bench_train --synthetic --out wrote elsewhere

Steps are taken on noise with the lengths of LibriSpeech's utterances (no corpus is needed), dense and as the recipe's
strategy has them at three quarters of the training. The time of a whole training is the audio of all its epochs over
the audio that one process gets through; it counts neither validation nor waiting for data or for other processes, so
take it as the least. On a CPU a measured step has 50 s of audio at most, whatever data.max_duration says: one of the
300 s of conf/librispeech.yaml takes over 20 GB.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List

from egs.librispeech.omni_sparsity.config import Config, add_config_arguments, load_config
from omni.files import write_json
from egs.librispeech.omni_sparsity.training.bench import KINDS, losses_here, measure, peak_of
from omni.errors import UserError, cli

CPU_SECONDS = 50.0  # of audio in a step that a CPU measures
SPEEDS = 3  # stage 1 stores every training utterance at 0.9, 1.0 and 1.1 of its speed
CONFIG = Path(__file__).resolve().parents[1] / "conf/librispeech.yaml"


def sizes(config: Config) -> Dict[str, int]:
    """Bytes that a training holds beside activations: weights and gradients, optimizer, averages, masks; and those of
    a checkpoint."""
    import torch

    from egs.librispeech.omni_sparsity.model.transducer import Transducer
    from egs.librispeech.omni_sparsity.model.supernet import make_supernet

    model = Transducer(config.model)
    net = make_supernet(model, config.omni, config.train.seed)
    count = sum(p.numel() for p in model.parameters())
    masked = sum(target.weight.numel() for target in net.targets.values())
    matrices = sum(p.numel() for p in model.encoder.parameters() if p.dim() == 2)
    moments = 2 * count - (matrices if config.train.optimizer == "muon" else 0)
    private = sum(p.numel() for _, p in net.private_parameters())
    float32 = torch.finfo(torch.float32).bits // 8
    weights, ranks = float32 * (count + private), masked // 4
    optimizer, average = float32 * (moments + 2 * private), 2 * weights
    return {
        "parameters": count, "masked_weights": masked,
        "weights_and_gradients": 2 * weights, "optimizer": optimizer, "running_average": average,
        "masks_and_ranks": float32 * masked + ranks, "checkpoint": weights + optimizer + average + ranks,
    }


def measurable(config: Config) -> Config:
    """`config` with batches that this machine can be asked to take a few of."""
    from egs.librispeech.omni_sparsity.training.distributed import cuda_works

    if cuda_works(config.loss.backend):
        return config
    seconds = min(config.data.max_duration, CPU_SECONDS)
    return dataclasses.replace(config, data=dataclasses.replace(config.data, max_duration=seconds))


def plan(config: Config, measured: Dict[str, Any], hours: float, world_size: int, price: float, loss: str) -> Dict:
    """
    Args:
        measured: what tools.bench_train measured.
        hours: of speech, before speed perturbation.
        price: of a process (GPU) for an hour; 0: unknown.
        loss: the backend whose speed counts.
    """
    speed = {row["kind"]: row["audio_hours_per_hour"] for row in measured["rows"] if row["loss"] == loss}
    if set(speed) != set(KINDS):
        raise UserError(f"no measurement of {' and '.join(KINDS)} with loss {loss}")
    audio = hours * SPEEDS * config.train.num_epochs / config.data.parts
    dense = getattr(config.omni.strategy, "dense_until", float(config.omni.strategy.system == "dense"))
    time = audio * (dense / speed["dense"] + (1 - dense) / speed["omni"]) / world_size
    peaks = [row["peak_mb"] for row in measured["rows"] if row["loss"] == loss and row.get("peak_mb")]
    held = sizes(config)
    return {
        "audio_hours": audio, "steps": round(3600 * audio / (config.data.max_duration * world_size)),
        "hours": time, "dense_hours": audio / speed["dense"] / world_size,
        "device_hours": time * world_size, "cost": time * world_size * price if price else None,
        "peak_mb": max(peaks, default=None), "bytes": held,
        "disk_bytes": config.train.num_epochs * held["checkpoint"], "loss": loss, "world_size": world_size,
    }


def show(found: Dict[str, Any], measured: Dict[str, Any]) -> None:
    held, mb = found["bytes"], 1e6
    print(f"measured: {measured['device']}, torch {measured['torch']}, {measured['precision']}, loss {found['loss']}, "
          f"{measured['threads']} threads, {measured['steps']} steps of {measured['audio_seconds_per_step']:.0f} s")
    print(f"model: {held['parameters'] / 1e6:.1f} M parameters, {held['masked_weights'] / 1e6:.1f} M of them masked")
    print(f"memory of each process, beside activations: weights and gradients {held['weights_and_gradients'] / mb:.0f} "
          f"MB, optimizer {held['optimizer'] / mb:.0f}, running average {held['running_average'] / mb:.0f}, masks "
          f"{held['masks_and_ranks'] / mb:.0f}")
    print(f"disk: {found['disk_bytes'] / 1e9:.1f} GB, as every epoch leaves a checkpoint of "
          f"{held['checkpoint'] / mb:.0f} MB")
    if found["peak_mb"]:
        print(f"peak as measured: {found['peak_mb'] / 1000:.1f} GB")
    print(f"audio: {found['audio_hours']:.0f} h in all epochs, {found['steps']} steps")
    print(f"time: at least {_duration(found['hours'])} on {found['world_size']} of these "
          f"({_duration(found['dense_hours'])} if it were dense), {found['device_hours']:.1f} device hours"
          + (f", cost {found['cost']:.0f}" if found["cost"] is not None else ""))


def _duration(hours: float) -> str:
    return f"{hours / 24:.1f} days" if hours >= 72 else f"{hours:.1f} h"


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.set_defaults(config=CONFIG)
    parser.add_argument("--hours", type=float, default=960.0, help="of speech (default 960)")
    parser.add_argument("--world-size", type=int, default=1, help="processes, one for each GPU (default 1)")
    parser.add_argument("--price", type=float, default=0.0, help="of one of them for an hour, in any currency")
    parser.add_argument("--steps", type=int, default=3, help="to measure, of each kind (default 3)")
    parser.add_argument("--measured", type=Path, help="JSON of tools.bench_train, in place of measuring here")
    parser.add_argument("--out", type=Path, help="JSON file of the plan")
    args = parser.parse_args(argv)
    for name, least in (("hours", 0.001), ("world_size", 1), ("steps", 1), ("price", 0)):
        if getattr(args, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(args, name)}: want at least {least}")
    config = load_config(args.config, args.overrides)
    loss = losses_here()[0] if config.loss.backend == "auto" else config.loss.backend
    if args.measured:
        measured = _read(args.measured)
        loss = measured["rows"][0]["loss"] if config.loss.backend == "auto" else loss
    else:
        here = measurable(config)
        measured = measure(here, None, args.steps, 0.75, [(loss, kind) for kind in KINDS])
        overrides = [*args.overrides, f"data.max_duration={here.data.max_duration}"]
        again = ["--config", str(args.config), "--synthetic"]
        again += [word for override in overrides for word in ("--set", override)]
        for row in measured["rows"]:
            row["peak_mb"] = peak_of(again, (row["loss"], row["kind"]))
    found = plan(config, measured, args.hours, args.world_size, args.price, loss)
    show(found, measured)
    if args.out:
        write_json(args.out, {**found, "measured": measured})


def _read(path: Path) -> Dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        found["rows"][0]["audio_hours_per_hour"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        raise UserError(f"--measured {path}: not a file that tools.bench_train --out wrote") from None
    return found


if __name__ == "__main__":
    main()
