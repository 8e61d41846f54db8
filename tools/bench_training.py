"""What masks cost in training: the same batches as dense passes and as passes of a random sub-network, in turn.

    python -m tools.bench_training [--data-dir data/mini] [--steps 60] [--out training.json]
                                   [--config conf.yaml] [--set section.name=value]

For each batch a step is taken twice, each time whole (forward, backward, clipping, optimizer), in an order that changes
from batch to batch: A is dense and never meets omni, B runs inside `net.active` of a random sub-network, each weight
with a sparsity of its own. `refresh` is timed by itself and shared out over the `omni.refresh_every` steps between two
of them. B is the worst case: the recipe trains the dense network at many steps, and then masks cost nothing.

Two answers: how much longer B takes than A (median over batches of the difference, noisy), and the time that masks
take by themselves (entering, leaving, gradient hooks, refresh), both as a share of the median of A.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

from tools.atomic import write_json
from tools.errors import UserError, cli
from egs.librispeech.omni_sparsity.config import Config, add_config_arguments, load_config

AIM = 2.0  # percent of a step, at most


class Stepper:
    """Takes steps of a recipe's trainer and keeps the seconds of their parts."""

    def __init__(self, config: Config, data_dir: Path) -> None:
        from egs.librispeech.omni_sparsity.trainer import Trainer  # torch, k2 and lhotse take seconds to import

        self.trainer = Trainer(config, data_dir, Path(), tensorboard=False)
        self.config, self.net = config, self.trainer.net
        self.seconds: Dict[str, List[float]] = {name: [] for name in ("A", "B", "enter", "leave", "hooks", "refresh")}
        self.number = 0  # of steps so far

    def batches(self, count: int) -> List[Tuple]:
        """`count` batches of the second epoch: with augmentation and utterances of any length."""
        from egs.librispeech.omni_sparsity import data

        t, config = self.trainer, self.config
        cuts = data.epoch_cuts(data.usable(t.corpus.train_cuts(), t.corpus, config), config, 2)
        loader = data.train_loader(cuts, t.corpus.noise_cuts(), config, 2, 0, 0, 1)
        return [data.unpack_batch(batch, t.corpus, t.device) for batch in itertools.islice(loader, count)]

    def dense(self, batch: Tuple) -> None:
        began = self._now()
        self._forward_backward(batch)
        self._update()
        self.seconds["A"].append(self._now() - began)

    def masked(self, batch: Tuple) -> None:
        c = self.config.omni
        spec = self.net.random(self.number, low=c.random_low, spread=c.spread)
        began = self._now()
        active = self.net.active(spec)
        active.__enter__()
        entered = self._now()
        hooks = self._time_hooks()
        resumed = self._now()
        self._forward_backward(batch)
        leaving = self._now()
        active.__exit__(None, None, None)
        left = self._now()
        self._update()
        self.seconds["B"].append(self._now() - began - (resumed - entered))
        for name, value in (("enter", entered - began), ("leave", left - leaving), ("hooks", sum(hooks))):
            self.seconds[name].append(value)

    def refresh(self) -> None:
        began = self._now()
        self.net.refresh(exact=True)  # as the recipe does
        self.seconds["refresh"].append(self._now() - began)

    def _now(self) -> float:
        if self.trainer.device.type == "cuda":
            import torch

            torch.cuda.synchronize(self.trainer.device)
        return time.perf_counter()

    def _forward_backward(self, batch: Tuple) -> None:
        from egs.librispeech.omni_sparsity.loss import compute_loss

        self.number += 1
        self.trainer.optimizer.zero_grad(set_to_none=True)
        losses = compute_loss(self.trainer.model, *batch, self.config.loss, self.config.loss.warm_step)
        (losses.total / max(1, losses.frames)).backward()

    def _update(self) -> None:
        from torch import nn

        held = [p for p in self.trainer.parameters if p.grad is not None]
        nn.utils.clip_grad_norm_(held, self.config.train.clip_norm)
        self.trainer.optimizer.step()

    def _time_hooks(self) -> List[float]:
        """Puts a clock around the gradient hooks of the active sub-network; returns the list that it fills."""
        taken: List[float] = []

        def clocked(hook):
            def call(gradient):
                began = time.perf_counter()
                masked = hook(gradient)
                taken.append(time.perf_counter() - began)
                return masked

            return call

        for target in self.net.targets.values():
            hooks = target.weight._backward_hooks or {}
            for key, hook in list(hooks.items()):
                hooks[key] = clocked(hook)
        return taken


def measure(config: Config, data_dir: Path, steps: int) -> Dict[str, Any]:
    stepper = Stepper(config, data_dir)
    stepper.trainer.model.train()
    stepper.trainer.schedule.set_progress(0.5)
    batches = stepper.batches(steps)
    for number in range(-2, steps):  # the first two warm up
        batch, both = batches[number % len(batches)], [stepper.dense, stepper.masked]
        for step in both if number % 2 else reversed(both):
            step(batch)
        stepper.refresh()
        if number == -1:
            for values in stepper.seconds.values():
                values.clear()
    seconds = stepper.seconds
    median = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
    refresh = median["refresh"] / config.omni.refresh_every
    longer = 1e3 * statistics.median(b - a for a, b in zip(seconds["A"], seconds["B"])) + refresh
    own = 1e3 * statistics.median(map(sum, zip(*(seconds[name] for name in ("enter", "leave", "hooks"))))) + refresh
    return {
        "steps": steps,
        "batches": len(batches),
        "weights": sum(target.weight.numel() for target in stepper.net.targets.values()),
        "parameters": sum(p.numel() for p in stepper.trainer.model.parameters()),
        "milliseconds": median,  # medians
        "refresh_each_step": refresh,
        "B_minus_A": longer,
        "masks_alone": own,
        "overhead_percent": 100 * longer / median["A"],
        "masks_alone_percent": 100 * own / median["A"],
    }


def show(found: Dict[str, Any]) -> None:
    median = found["milliseconds"]
    print(f"torch {found['torch']}, {found['threads']} threads; {found['weights']} masked weights of "
          f"{found['parameters']} parameters; {found['steps']} steps of each kind in turn")
    print("medians in ms: " + ", ".join(f"{name} {value:.3f}" for name, value in median.items()))
    verdict = "holds" if found["masks_alone_percent"] <= AIM else "MISSED"
    print(f"B - A, with its share of refresh: {found['B_minus_A']:.3f} ms, {found['overhead_percent']:.2f}% of A")
    print(f"masks alone: {found['masks_alone']:.3f} ms, {found['masks_alone_percent']:.2f}% of A; at most {AIM:g}%: "
          f"{verdict}")


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, default=Path("data/mini"), help="what stages 1 and 2 made")
    parser.add_argument("--steps", type=int, default=60, help="of each kind (default 60)")
    parser.add_argument("--out", type=Path, help="JSON file of what was measured")
    args = parser.parse_args(argv)
    if args.steps < 1:
        raise UserError(f"--steps {args.steps}: want at least 1")
    if args.out is not None and args.out.is_dir():
        raise UserError(f"--out {args.out}: a folder; want the name of a file")
    config = load_config(args.config, args.overrides)
    config.data.num_workers = 0  # batches are read before; a worker would take time from the steps
    found = measure(config, args.data_dir, args.steps)
    import torch

    found = {"torch": torch.__version__, "threads": torch.get_num_threads(), **found}
    show(found)
    if args.out is not None:
        write_json(args.out, found)


if __name__ == "__main__":
    main()
