"""What a training step spends its time on: dense and omni, with each loss that is here, on the same batches in turn.

    python -m tools.bench_train [--data-dir data/mini] [--steps 20] [--out train.json]
                                [--config conf.yaml] [--set section.name=value]
    python -m tools.bench_train --synthetic --config egs/librispeech/omni_sparsity/conf/librispeech.yaml

`dense` trains the largest network at every step; `omni` what the recipe trains at `--progress` (0.75: every kind of
sub-network, refresh included). Both take whole steps (forward, backward, clipping, optimizer) with the recipe's own
code. The worst case for masks, one at every step: --set 'omni.sizes={0.9: 1}'.

Parts: data (making a batch in this process; worker processes make them beside the training), masks (refresh, entering,
leaving, gradient hooks), encoder, loss (predictor, joiner and lattice), backward, optimizer. Peak memory is that of a
process which takes steps of one kind alone: of the GPU, or of the whole process (Linux).
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import omni
from egs.librispeech.omni_sparsity.config import Config, add_config_arguments, load_config
from omni.files import write_json
from omni.errors import UserError, cli

PARTS = ("data", "masks", "encoder", "loss", "backward", "optimizer", "other")
KINDS = ("dense", "omni")
# Assumed of LibriSpeech, whose 960 h are not at hand: seconds of a mean utterance, BPE pieces (of 500) in a second.
UTTERANCE_SECONDS, PIECES_A_SECOND = 12.3, 4.5


def synthetic_batches(config: Config, count: int) -> Iterator[Tuple]:
    """Batches of noise with the lengths and symbols of LibriSpeech's, `data.max_duration` seconds each."""
    import torch

    from egs.librispeech.omni_sparsity.model.frontend import FEATURE_DIM

    rng = torch.Generator().manual_seed(config.train.seed)
    utterances = max(1, int(config.data.max_duration // UTTERANCE_SECONDS))
    for _ in range(count):
        seconds = UTTERANCE_SECONDS * (0.9 + 0.2 * torch.rand(utterances, generator=rng))
        lengths = (100 * seconds).long()
        features = torch.randn(utterances, int(lengths.max()), FEATURE_DIM, generator=rng) * 4 - 6
        symbols = [torch.randint(1, config.model.vocab_size, (int(PIECES_A_SECOND * s),), generator=rng).tolist()
                   for s in seconds.tolist()]
        yield features, lengths, symbols


def corpus_batches(config: Config, data_dir: Path, count: int, processes) -> Iterator[Tuple]:
    """Batches of the second epoch: with augmentation and utterances of any length."""
    from egs.librispeech.omni_sparsity.data.batches import train_loader, unpack_batch
    from egs.librispeech.omni_sparsity.data.corpus import Corpus
    from egs.librispeech.omni_sparsity.data.epochs import epoch_cuts, usable

    corpus = Corpus(data_dir, config.model.vocab_size)
    cuts = epoch_cuts(usable(corpus.train_cuts(), corpus, config), config, 2)
    config.data.num_workers = 0  # a worker would take time from the steps
    loader = train_loader(cuts, corpus.noise_cuts(), config, 2, 0, processes)
    for batch in itertools.islice(itertools.cycle(loader), count):
        yield unpack_batch(batch, corpus, processes.device)


class Bench:
    """One model that takes steps of every (loss, kind) in turn, under a stopwatch."""

    def __init__(self, config: Config, progress: float) -> None:
        from egs.librispeech.omni_sparsity.training.distributed import Processes
        from egs.librispeech.omni_sparsity.training.learner import Learner
        from egs.librispeech.omni_sparsity.training.stopwatch import Stopwatch

        self.config, self.progress = config, progress
        self.learner = Learner(config, Processes(config.loss.backend))
        self.learner.model.train()
        self.watch = Stopwatch(self.learner.device)
        self.learner.net.refresh(exact=True)
        self.strategies = {"omni": self.learner.strategy, "dense": omni.strategy_class("dense")()}

    def step(self, loss: str, kind: str, batch: Tuple) -> Dict[str, float]:
        """Seconds of each part of one step."""
        from egs.librispeech.omni_sparsity.training import loop

        learner = self.learner
        self.config.loss.backend = loss
        learner.strategy = self.strategies[kind]
        self.watch.taken()
        with self._watched(), self.watch.part("other"):
            batch = (batch[0].to(learner.device), batch[1].to(learner.device), batch[2])
            loop.train_step(learner, [batch], self.progress)
        return self.watch.taken()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """The recipe's own step with a clock around its parts."""
        from torch import Tensor

        from egs.librispeech.omni_sparsity.training import loop

        learner, watch = self.learner, self.watch
        active, hooks = learner.net.active, self._time_hooks

        @contextmanager
        def timed_active(*args, **kwargs):
            inside = active(*args, **kwargs)
            with watch.part("masks"):
                learning = inside.__enter__()
            hooks()
            try:
                yield learning
            finally:
                with watch.part("masks"):
                    inside.__exit__(None, None, None)

        swapped = [(learner.net, "active", timed_active)]
        swapped += [(owner, name, watch.timed(part, getattr(owner, name))) for owner, name, part in (
            (learner.net, "refresh", "masks"), (learner.model.encoder, "forward", "encoder"),
            (loop, "compute_loss", "loss"), (Tensor, "backward", "backward"), (loop, "update", "optimizer"),
        )]
        held = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in swapped]
        for owner, name, value in swapped:
            setattr(owner, name, value)
        try:
            yield
        finally:
            for owner, name, value in held:
                if value is None:  # the class has it
                    delattr(owner, name)
                else:
                    setattr(owner, name, value)

    def _time_hooks(self) -> None:
        """The gradient hooks of the active sub-network run within the backward pass: they count as masks."""
        for target in self.learner.net.targets.values():
            hooks = target.weight._backward_hooks or {}
            for key, hook in list(hooks.items()):
                hooks[key] = self.watch.timed("masks", hook)


def losses_here() -> List[str]:
    from egs.librispeech.omni_sparsity.loss.backend import k2_error

    return ["native"] if k2_error() else ["k2", "native"]


def batches_of(config: Config, data_dir: Path | None, count: int, processes) -> Iterator[Tuple]:
    return synthetic_batches(config, count) if data_dir is None else corpus_batches(config, data_dir, count, processes)


def measure(
    config: Config, data_dir: Path | None, steps: int, progress: float, variants: List[Tuple[str, str]]
) -> Dict[str, Any]:
    """Medians and sums over `steps` batches (after two more), each taken by all variants in turn.

    Args:
        data_dir: None: synthetic batches.
        variants: (loss, kind).
    """
    import torch

    bench = Bench(config, progress)
    batches, seconds, audio = batches_of(config, data_dir, steps + 2, bench.learner.processes), {}, 0.0
    for number in range(steps + 2):
        with bench.watch.part("data"):
            batch = next(batches)
        data = bench.watch.taken()
        audio += float(batch[1].sum()) * 0.01 if number >= 2 else 0.0
        order = variants if number % 2 else variants[::-1]
        for variant in order:
            taken = {**data, **bench.step(*variant, batch)}
            if number >= 2:
                seconds.setdefault(variant, []).append(taken)
    rows = []
    for loss, kind in variants:
        runs = seconds[loss, kind]
        sums = {part: sum(run.get(part, 0.0) for run in runs) for part in PARTS}
        whole = [sum(run.values()) - run.get("data", 0.0) for run in runs]
        rows.append({
            "loss": loss, "kind": kind, "step_ms": 1e3 * statistics.median(whole),
            "audio_hours_per_hour": audio / sum(whole),
            "percent": {part: 100 * value / sum(whole) for part, value in sums.items()},
        })
    learner = bench.learner
    return {
        "torch": torch.__version__, "device": _device_name(learner.device), "threads": torch.get_num_threads(),
        "precision": "bf16" if learner.bf16 else "float32", "steps": steps, "audio_seconds_per_step": audio / steps,
        "progress": progress, "parameters": sum(p.numel() for p in learner.model.parameters()),
        "masked_weights": sum(target.weight.numel() for target in learner.net.targets.values()), "rows": rows,
    }


def peak_memory(config: Config, data_dir: Path | None, progress: float, variant: Tuple[str, str]) -> float:
    """MB at the peak of four steps: allocated on the GPU, or the whole process."""
    import torch

    bench = Bench(config, progress)
    for batch in batches_of(config, data_dir, 4, bench.learner.processes):
        bench.step(*variant, batch)
    if bench.learner.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1000


def _device_name(device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def peak_of(arguments: List[str], variant: Tuple[str, str]) -> float | None:
    """`peak_memory` in a process of its own; None where the system does not tell it (CPU, not Linux)."""
    done = subprocess.run([sys.executable, "-m", "egs.librispeech.omni_sparsity.training.bench", "--peak", *variant,
                           *arguments], capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else None


def show(found: Dict[str, Any]) -> None:
    print(f"torch {found['torch']}, {found['device']}, {found['threads']} threads, {found['precision']}; "
          f"{found['masked_weights']} masked weights of {found['parameters']} parameters; {found['steps']} steps of "
          f"{found['audio_seconds_per_step']:.1f} s of audio, each by all kinds in turn")
    print(f"{'loss':<8}{'kind':<7}{'step, ms':>10}{'audio h/h':>11}{'peak, MB':>10}  share of a step, %: "
          + " ".join(f"{part:>9}" for part in PARTS))
    for row in found["rows"]:
        peak = f"{row['peak_mb']:10.0f}" if row.get("peak_mb") else f"{'-':>10}"
        print(f"{row['loss']:<8}{row['kind']:<7}{row['step_ms']:10.1f}{row['audio_hours_per_hour']:11.1f}{peak}"
              f"{'':21}" + " ".join(f"{row['percent'][part]:9.2f}" for part in PARTS))
    speed = {(row["loss"], row["kind"]): row["audio_hours_per_hour"] for row in found["rows"]}
    for loss in dict.fromkeys(row["loss"] for row in found["rows"]):
        if (loss, "dense") in speed and (loss, "omni") in speed:
            more = 100 * (speed[loss, "dense"] / speed[loss, "omni"] - 1)
            print(f"{loss}: omni takes {more:+.2f}% of dense's time on the same batches")


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, default=Path("data/mini"), help="what stages 1 and 2 made")
    parser.add_argument("--synthetic", action="store_true", help="batches like LibriSpeech's, of noise, in place of it")
    parser.add_argument("--steps", type=int, default=20, help="of each kind (default 20)")
    parser.add_argument("--progress", type=float, default=0.75, help="of the training, 0 to 1 (default 0.75)")
    parser.add_argument("--out", type=Path, help="JSON file of what was measured")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.steps < 1:
        raise UserError(f"--steps {args.steps}: want at least 1")
    if not 0.0 <= args.progress <= 1.0:
        raise UserError(f"--progress {args.progress}: want 0 to 1")
    if args.out is not None and args.out.is_dir():
        raise UserError(f"--out {args.out}: a folder; want the name of a file")
    config = load_config(args.config, args.overrides)
    data_dir = None if args.synthetic else args.data_dir
    if args.peak:
        print(json.dumps(peak_memory(config, data_dir, args.progress, tuple(args.peak))))
        return
    variants = [(loss, kind) for loss in losses_here() for kind in KINDS]
    found = measure(config, data_dir, args.steps, args.progress, variants)
    again = ["--config", str(args.config), "--progress", str(args.progress)]
    again += ["--synthetic"] if args.synthetic else ["--data-dir", str(args.data_dir)]
    again += [word for override in args.overrides for word in ("--set", override)]
    for row in found["rows"]:
        row["peak_mb"] = peak_of(again, (row["loss"], row["kind"]))
    show(found)
    if args.out is not None:
        write_json(args.out, found)


if __name__ == "__main__":
    main()
