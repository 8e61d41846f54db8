"""Stage 3: trains the supernet.

Usage:
    python -m egs.librispeech.omni_sparsity.training --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --data-dir data/mini --exp-dir exp/mini
    torchrun --nproc_per_node 4 -m egs.librispeech.omni_sparsity.training ...  # several processes, each --max-duration

Called again it goes on from the newest checkpoint; `--start-epoch N` from epoch-<N-1>.pt, `--start-batch N` from
checkpoint-<N>.pt.
"""

from __future__ import annotations

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from omni.errors import cli
from omni.files import write_json, write_text
from omni.lock import hold

from ..config import Config, add_config_arguments, load_config
from ..recorded import record, require_same


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, required=True, help="what stages 1 and 2 made")
    parser.add_argument("--exp-dir", type=Path, required=True, help="where checkpoints and logs go")
    parser.add_argument("--start-epoch", type=int, default=0, help="go on after epoch-<N-1>.pt (1: from the start)")
    parser.add_argument("--start-batch", type=int, default=0, help="go on after checkpoint-<N>.pt")
    parser.add_argument("--tensorboard", type=int, default=1, help="1: write <exp-dir>/tensorboard")
    return parser.parse_args()


def keep_config(exp_dir: Path, config: Config) -> None:
    """Writes <exp-dir>/settings.json (what shapes the training, see recorded.py) and config.yaml (all settings), or
    checks the former where it is there.

    Until the first checkpoint there is nothing that another configuration could harm.

    Raises:
        UserError: the experiment was begun with another configuration.
    """
    if any(exp_dir.glob("*.pt")):
        require_same(exp_dir, config)
    path, text = exp_dir / "settings.json", exp_dir / "config.yaml"
    if not (path.is_file() and text.is_file() and text.read_text(encoding="utf-8") == config.to_yaml()):
        write_json(path, record(config))
        write_text(text, config.to_yaml())


@cli
def main() -> None:
    args = parse_arguments()
    config = load_config(args.config, args.overrides)
    # Of several processes the first one answers for all.
    with hold(args.exp_dir, wait=False) if os.environ.get("RANK", "0") == "0" else nullcontext():
        train(args, config)


def train(args: argparse.Namespace, config: Config) -> None:
    if os.environ.get("RANK", "0") == "0":
        keep_config(args.exp_dir, config)
    if (args.exp_dir / f"epoch-{config.train.num_epochs}.pt").is_file() and not (args.start_epoch or args.start_batch):
        print(f"{args.exp_dir}: trained for {config.train.num_epochs} epochs already")
        return
    from .trainer import Trainer  # torch, k2 and lhotse take seconds to import

    Trainer(config, args.data_dir, args.exp_dir, tensorboard=bool(args.tensorboard)).run(
        args.start_epoch, args.start_batch
    )


if __name__ == "__main__":
    main()
