"""python -m omni.bake: an ordinary icefall checkpoint of one sub-network.

    python -m omni.bake --checkpoint zipformer/exp/epoch-30.pt --since zipformer/exp/epoch-21.pt --sparsity 0.7 \\
        --out zipformer/exp/sparsity-0.7/epoch-9999.pt

Masks are in the weights then, so that the recipe's decode.py, streaming_decode.py, export.py and
export-onnx-streaming.py take it as it is, with `--epoch 9999 --avg 1 --use-averaged-model 0`.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple

import torch
from torch import Tensor, nn

import omni
from omni.files import atomic
from omni.icefall.plugin import KEY
from omni.loading import load_pt


def load(path: Path, trust: bool = False) -> Dict[str, Any]:
    """A checkpoint of a training with omni.icefall, on the CPU.

    Args:
        trust: as for `load_pt`.

    Raises:
        ValueError: no such file, no checkpoint, one that holds more than numbers, text and paths, or one of a training
            without omni.icefall.
    """
    found = load_pt(path, trust=trust)
    if not isinstance(found, dict) or not isinstance(found.get("model"), dict):
        raise ValueError(f"{path}: not a checkpoint of icefall: it has no 'model'")
    if KEY not in found:
        raise ValueError(f"{path}: a checkpoint of a training without omni; train with python -m omni.icefall")
    kept = found[KEY]
    if not isinstance(kept, dict) or not {"targets", "buffers", "ranks", "private"} <= set(kept):
        raise ValueError(f"{path}: not of python -m omni.icefall, whose checkpoints this bakes; run.sh --stage 4 makes "
                         "the sub-networks of the recipe's own")
    return found


def averaged(end: Mapping[str, Any], start: Mapping[str, Any]) -> Dict[str, Tensor]:
    """The mean of the weights over the batches after `start` up to `end`, from the running averages of the two.

    What icefall's --use-averaged-model 1 loads, bit for bit (its average_checkpoints_with_averaged_model), so that the
    whole network decodes to the same words. Running averages are of the last multiple of `average_period`.

    Raises:
        ValueError: there is no running average, the order is wrong, or `start` is from before the sizes had settled.
    """
    if "model_avg" not in end or "model_avg" not in start:
        raise ValueError("no running average (model_avg) in one of the checkpoints")
    period = start["average_period"]
    last, first = (found["batch_idx_train"] // period * period for found in (end, start))
    if last <= first:
        numbers = f"--since is of batch {start['batch_idx_train']}, --checkpoint of batch {end['batch_idx_train']}"
        raise ValueError(f"{numbers}: want an earlier one, by {period} batches (average_period) or more")
    settled = end.get(KEY, {}).get("settled", 0)
    if start["batch_idx_train"] < settled:
        raise ValueError(f"--since is of batch {start['batch_idx_train']}: sizes changed until batch {settled}, and an "
                         "average must not reach across that; want a later one, or none")
    share = last / (last - first)  # of the average at the end, in units of what lies between; the start's is 1 - share
    mean = {}
    for name, value in end["model_avg"].items():
        if value.is_floating_point():
            value = (value + start["model_avg"][name] * ((1 - share) / share)) * share
        mean[name] = value.to(end["model"][name].dtype)
    return mean


def supernet(state: Mapping[str, Tensor], kept: Mapping[str, Any], tied: Mapping[str, Tensor]) -> omni.Supernet:
    """A supernet over bare weights, without the host's code.

    Args:
        state: the weights.
        kept: what omni.icefall keeps in a checkpoint.
        tied: a state dict in which tied weights still share their memory (an average has lost that).
    """
    model = _Bare()
    made: Dict[Tuple[int, tuple], nn.Parameter] = {}
    for name, value in state.items():
        if name in kept["buffers"]:
            model.put(name, value.clone(), "_buffers")
            continue
        place = (tied[name].data_ptr(), tuple(value.shape))
        if place not in made:
            made[place] = nn.Parameter(value.clone(), requires_grad=False)
        model.put(name, made[place], "_parameters")
    ranges = {re.escape(name): omni.Range(**allowed) for name, allowed in kept["targets"].items()}
    net = omni.Supernet(model, ranges)
    net.load_state_dict(kept)
    return net


def subnet(
    checkpoint: Mapping[str, Any], spec: Mapping[str, float] | float, since: Mapping[str, Any] | None = None
) -> omni.Supernet:
    """The host's weights pruned to one sub-network: `net.model.state_dict()` has the checkpoint's own keys.

    Args:
        checkpoint: of `load`.
        spec: a spec, or one sparsity for all weights.
        since: an earlier one: the average between the two is pruned, instead of the last weights.

    Raises:
        ValueError: a spec of other weights, or of a sparsity that was not trained.
    """
    weights = averaged(checkpoint, since) if since else checkpoint["model"]
    net = supernet(weights, checkpoint[KEY], checkpoint["model"])
    if isinstance(spec, float):
        top = max(target.high for target in net.targets.values())
        if not 0.0 <= spec <= top:
            raise ValueError(f"sparsity {spec:g}: want 0 to {top:g}, the sparsest that was trained")
        spec = net.uniform(spec)
    net.prune_(dict(spec))
    return net


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Whole, or not at all."""
    with atomic(path) as beside:
        torch.save(content, beside)


class _Bare(nn.Module):
    """Weights under their names, and nothing that computes."""

    def put(self, name: str, value: Tensor, kind: str) -> None:
        first, dot, rest = name.partition(".")
        if dot:
            self._modules.setdefault(first, _Bare()).put(rest, value, kind)
        else:
            getattr(self, kind)[first] = value  # register_parameter would refuse names that a module has, such as half


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--checkpoint", type=Path, required=True, help="of a training with omni.icefall: epoch-30.pt")
    parser.add_argument("--since", type=Path, help="an earlier one: the average between the two is taken "
                        "(epoch-21.pt is icefall's --epoch 30 --avg 9)")
    parser.add_argument("--trust-checkpoint", action="store_true", help="read whatever the files hold, also what may "
                        "run code; only for files whose origin you know")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m omni.bake", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--spec", type=Path, help="a sub-network's spec, of omni.save_spec")
    which.add_argument("--sparsity", type=float, help="the same share of zeros in every weight")
    parser.add_argument("--out", type=Path, required=True, help="where to: .../epoch-9999.pt")
    args = parser.parse_args()
    try:
        checkpoint = load(args.checkpoint, args.trust_checkpoint)
        since = load(args.since, args.trust_checkpoint) if args.since else None
        spec = args.sparsity
        if args.spec:
            if not args.spec.is_file():
                raise ValueError(f"{args.spec}: no such file")
            spec = omni.load_spec(args.spec, supernet(checkpoint["model"], checkpoint[KEY], checkpoint["model"]).model)
        net = subnet(checkpoint, spec, since)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    save(args.out, {"model": net.model.state_dict()})
    report = omni.report(net)
    print(f"{args.out}: {report.total.nonzero} of {report.total.size} parameters, "
          f"pruned weights at sparsity {report.sparsity:.4f}")


if __name__ == "__main__":
    main()
