"""Stage 4: averages the supernet's checkpoints and cuts its sub-networks out.

Usage:
    python -m egs.librispeech.omni_sparsity.subnets --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --data-dir data/mini --exp-dir exp/mini --sparsities "0 0.5 0.7 0.8 0.9" [--values int8]

A sub-network is a spec file <exp-dir>/subnets/<name>.json (omni.save_spec): each that lies there is cut, each of
--sparsities (sparsity-<s>) and of --specs is added. Beside it comes <name>.omni.safetensors, the file that ships, and
subnets.json lists all of them. To take one away, delete its spec file. What is whole and of these checkpoints stays.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, List

from omni.errors import UserError, cli
from omni.files import write_text

from omni.ship.shipped import SUFFIX
from omni.ship.weight import TYPES

from ..config import Config, add_config_arguments, load_config, parse_sparsities
from ..data.sets import bpe_model
from ..recorded import require_same
from .index import digest_of_spec, index_path, read_index, spec_files, write_index
from .subnet import Subnet, check_name, uniform_name


def make_subnets(
    config: Config, data_dir: Path, exp_dir: Path, made_of: Dict[str, Any], sparsities: List[float],
    brought: List[Path] = (), made_by: str = "",
) -> List[Subnet]:
    """Does this stage; -> all sub-networks of the experiment. Arguments as `Cutter`.

    Raises:
        UserError: bad input; then nothing was written.
    """
    require_same(exp_dir, config)
    folder = exp_dir / "subnets"
    given = {}
    for path in brought:
        check_name(path.stem, path)
        if not path.is_file():
            raise UserError(f"--specs {path}: no such file")
        if given.setdefault(path.stem, path) != path:
            raise UserError(f"--specs {path}: {given[path.stem]} has the same name; rename one")
    files = {**spec_files(folder), **given}
    there = {subnet.name: subnet for subnet in read_index(exp_dir)} if index_path(exp_dir).is_file() else {}
    names = list(dict.fromkeys([*map(uniform_name, sparsities), *files]))
    whole = {name for name in names if name in there and name in files
             and _is_whole(exp_dir, there[name], files[name], made_of)}
    dropped = [subnet for name, subnet in there.items() if name not in names]

    subnets = {name: there[name] for name in whole}
    if len(whole) < len(names):
        from .cut import Cutter

        cutter = Cutter(config, exp_dir, made_of, bpe_model(data_dir, config.model.vocab_size), made_by)
        todo = [name for name in names if name not in whole]
        specs = {name: cutter.read_spec(files[name]) if name in files else cutter.uniform(name, "--sparsities")
                 for name in todo}
        for name in todo:
            if name in there:
                print(f"{name}: made anew, {_why(exp_dir, there[name], files.get(name), made_of)}")
            if name in given:
                write_text(folder / f"{name}.json", given[name].read_text(encoding="utf-8"))
            subnets[name] = cutter.cut(name, specs[name])
    for subnet in dropped:
        print(f"{subnet.name}: dropped, {subnet.spec} is gone")
    files_now = {subnet.file for subnet in subnets.values()}
    for subnet in there.values():  # of what is dropped, or was in another format
        if subnet.file and subnet.file not in files_now:
            (exp_dir / subnet.file).unlink(missing_ok=True)
    if dropped or len(whole) < len(names):
        write_index(exp_dir, subnets.values())
    return read_index(exp_dir)


def _why(exp_dir: Path, subnet: Subnet, spec: Path | None, made_of: Dict[str, Any]) -> str:
    """Why a sub-network that is listed does not count; "" where it does."""
    last = exp_dir / f"epoch-{made_of['epoch']}.pt"
    was = {key: getattr(subnet, key) for key in made_of}
    if was != made_of:
        changed = [f"{key} is {now}, was {was[key]}" for key, now in made_of.items() if was[key] != now]
        return "; ".join(changed)
    if last.is_file() and index_path(exp_dir).stat().st_mtime_ns < last.stat().st_mtime_ns:
        return f"{last.name} is newer"
    if not str(subnet.file).endswith(SUFFIX):
        return f"{subnet.file} is of an older format"
    if not (exp_dir / subnet.file).is_file():
        return f"{subnet.file} is gone"
    if spec is None or not (exp_dir / subnet.spec).is_file():
        return f"{subnet.spec} was gone"
    if subnet.spec_digest not in (None, digest_of_spec(spec)):  # None: listed before sub-networks had names
        return "its spec has changed"
    return ""


def _is_whole(exp_dir: Path, subnet: Subnet, spec: Path, made_of: Dict[str, Any]) -> bool:
    return not _why(exp_dir, subnet, spec, made_of)


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, required=True, help="what stages 1 and 2 made")
    parser.add_argument("--exp-dir", type=Path, required=True, help="what stage 3 made")
    parser.add_argument("--sparsities", default="0 0.5 0.7 0.8 0.9", help="shares of zeros, 0 to below 1")
    parser.add_argument("--specs", type=Path, nargs="*", default=[], metavar="FILE", help="specs of more sub-networks; "
                        "a file's name without .json is the sub-network's")
    parser.add_argument("--epoch", type=int, default=0, help="the last epoch to average; 0: the configured last one")
    parser.add_argument("--avg", type=int, default=0, help="how many epochs to average; 0: as configured (decode.avg)")
    parser.add_argument("--values", default="int8", metavar="TYPE", help="of matrices in the files that ship: "
                        f"{' | '.join(TYPES)} (int8, with a scale an output)")
    parser.add_argument("--command", help="what made this experiment, to be said in the files [this command]")
    args = parser.parse_args()
    if args.values not in TYPES:
        raise UserError(f"--values {args.values}: want one of {', '.join(TYPES)}")
    config = load_config(args.config, args.overrides)
    sparsities = parse_sparsities(args.sparsities, config)
    epoch = args.epoch or config.train.num_epochs
    avg = args.avg or min(config.decode.avg, epoch)  # a short training averages what there is
    made_of = {"epoch": epoch, "avg": avg, "precision": args.values}
    made_by = args.command or shlex.join(["python", "-m", "egs.librispeech.omni_sparsity.subnets", *sys.argv[1:]])
    for subnet in make_subnets(config, args.data_dir, args.exp_dir, made_of, sparsities, args.specs, made_by):
        print(f"{subnet.file}: {subnet.params_nonzero} of {subnet.params_total} parameters, "
              f"{subnet.bytes / 1e6:.2f} MB, sparsity {subnet.measured_sparsity:.4f}")


if __name__ == "__main__":
    main()
