"""Stage 4: averages the supernet's checkpoints and writes one sub-network for each sparsity.

Usage:
    python -m egs.librispeech.omni_sparsity.subnets --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --exp-dir exp/mini --sparsities "0 0.5 0.7 0.8 0.9"

Writes <exp-dir>/subnets/sparsity-<s>.json (the spec), sparsity-<s>.pt (the file that would ship: zeros left out) and
subnets.json (what each is).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import io
import json
from pathlib import Path
from typing import Dict, List, Optional

from omni.files import atomic, write_json
from omni.errors import UserError, cli

from ..config import Config, Model, add_config_arguments, load_config, parse_sparsities


def subnet_name(sparsity: float) -> str:
    return f"sparsity-{sparsity:g}"


def load_subnet(path: Path):
    """The model in a file that this stage wrote, in evaluation mode.

    Raises:
        UserError: no such file, or not one of this stage's.
    """
    import omni

    from ..training.checkpoint import load_checkpoint
    from ..model.transducer import Transducer

    content = load_checkpoint(path)
    if set(content) != {"config", "weights"}:
        raise UserError(f"{path}: not a sub-network of stage 4")
    model = Transducer(Model(**content["config"]))
    model.load_state_dict(omni.unpack(content["weights"]), strict=False)  # heads of the training are not shipped
    return model.eval()


def write_subnets(config: Config, exp_dir: Path, epoch: int, avg: int, sparsities: List[float]) -> List[Dict]:
    """Writes all files of this stage; returns the rows of subnets.json."""
    import torch

    import omni

    from ..training.checkpoint import load_averaged, load_checkpoint
    from ..model.transducer import Transducer, shipped
    from ..model.supernet import make_supernet, system

    folder = exp_dir / "subnets"
    rows = []
    for sparsity in sparsities:
        model = Transducer(config.model)
        net = make_supernet(model, config.omni, config.train.seed)
        trained = load_averaged(exp_dir, epoch, avg, model, net, config)
        spec = net.uniform(sparsity)
        net.prune_(spec)
        blocks = {name: target.blocks for name, target in net.targets.items()}
        content = {
            "config": dataclasses.asdict(config.model),
            "weights": omni.pack(shipped(model.state_dict()), blocks),
        }
        buffer = io.BytesIO()  # not straight to the file: torch would write its name into it
        torch.save(content, buffer)
        file = folder / f"{subnet_name(sparsity)}.pt"
        with atomic(file) as beside:
            beside.write_bytes(buffer.getvalue())
        with atomic(folder / f"{subnet_name(sparsity)}.json") as beside:
            omni.save_spec(beside, spec, model)
        state = omni.unpack(load_checkpoint(file)["weights"])  # what is told is measured on the file
        pruned = sum(int((state[name] == 0).sum()) for name in blocks)
        rows.append({
            "system": system(config.omni, sparsity),
            "sparsity": sparsity,
            "measured_sparsity": round(pruned / sum(state[name].numel() for name in blocks), 6),
            "spec": f"subnets/{subnet_name(sparsity)}.json",
            "file": f"subnets/{subnet_name(sparsity)}.pt",
            "params_total": sum(value.numel() for value in state.values()),
            "params_nonzero": sum(int(torch.count_nonzero(value)) for value in state.values()),
            "size_bytes": file.stat().st_size,
            "loss_backend": trained["loss_backend"],
            "train_passes": int(trained["passes"]) if trained["passes"] % 1 == 0 else round(trained["passes"], 1),
            "train_seconds": round(trained["train_seconds"], 1),
            "epoch": epoch,
            "avg": avg,
            "config_key": config.training_key(),
            "checkpoint": hashlib.sha256(buffer.getvalue()).hexdigest()[:16],
        })
    write_json(folder / "subnets.json", rows)
    return rows


def whole_already(config: Config, exp_dir: Path, epoch: int, avg: int, sparsities: List[float]) -> Optional[List[Dict]]:
    """The rows of subnets.json if it was made of these very checkpoints and settings, else None."""
    index, last = exp_dir / "subnets" / "subnets.json", exp_dir / f"epoch-{epoch}.pt"
    if not index.is_file() or not last.is_file() or index.stat().st_mtime_ns < last.stat().st_mtime_ns:
        return None
    rows = json.loads(index.read_text(encoding="utf-8"))
    made = [(row["sparsity"], row["epoch"], row["avg"], row["config_key"]) for row in rows]
    wanted = [(sparsity, epoch, avg, config.training_key()) for sparsity in sparsities]
    whole = all((exp_dir / row[name]).is_file() for row in rows for name in ("file", "spec"))
    return rows if made == wanted and whole else None


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--exp-dir", type=Path, required=True, help="what stage 3 made")
    parser.add_argument("--sparsities", default="0 0.5 0.7 0.8 0.9", help="shares of zeros, 0 to below 1")
    parser.add_argument("--epoch", type=int, default=0, help="the last epoch to average; 0: the configured last one")
    parser.add_argument("--avg", type=int, default=0, help="how many epochs to average; 0: as configured (decode.avg)")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    sparsities = parse_sparsities(args.sparsities, config)
    epoch = args.epoch or config.train.num_epochs
    avg = args.avg or min(config.decode.avg, epoch)  # a short training averages what there is
    rows = whole_already(config, args.exp_dir, epoch, avg, sparsities)
    if rows is None:
        rows = write_subnets(config, args.exp_dir, epoch, avg, sparsities)
    for row in rows:
        print(f"{row['file']}: {row['params_nonzero']} of {row['params_total']} parameters, "
              f"{row['size_bytes'] / 1e6:.2f} MB, sparsity {row['measured_sparsity']:.4f}")


if __name__ == "__main__":
    main()
