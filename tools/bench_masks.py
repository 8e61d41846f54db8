"""How long masks take and what they hold, on the encoder of conf/librispeech.yaml: only its masked weights, 63M.

    python -m tools.bench_masks [--threads 2] [--repeats 7] [--out masks.json] [--device cpu]

Jobs run in turn within one process, so that what else the machine does meets them all. Times are milliseconds per
million weights and multiples of `tensor.copy_` of the same weights. Two others of torch do the same job, a mask for
every weight at the same sparsity: `torch.nn.utils.prune.l1_unstructured`, and `WeightNormSparsifier` of blocks of 8x1
(in torch.ao.pruning, in torch 1.13 torch.ao.sparsity). omni's `refresh + activate` does more than either: it ranks
for all sparsities at once, and the weights hold their masked values in the end.

Memory comes first, while the process is fresh: tensors that the supernet holds before and after its first use, all
tensors that live while a sub-network is active, and how the process grew (its resident set, its peak).
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import omni
from omni.files import write_json
from omni.errors import UserError, cli

# What must hold on two threads of a CPU: name -> (unit, most or least, bound).
AIMS = {
    "refresh": ("ms/1M", "at most", 1.5),
    "activate + restore": ("ms/1M", "at most", 0.35),
    "WeightNormSparsifier / omni": ("times", "at least", 8.0),
    "l1_unstructured / omni": ("times", "at least", 50.0),
}
COMPARED = (  # what is reported, another's job, omni's
    ("WeightNormSparsifier / omni", "WeightNormSparsifier", "refresh + activate"),
    ("l1_unstructured / omni", "l1_unstructured", "refresh + activate"),
    ("l1_unstructured / omni unstructured", "l1_unstructured", "unstructured: refresh + activate"),
)


class Layer(nn.Module):
    """The linear maps of one Emformer layer, under its names."""

    def __init__(self, dim: int, ffn_dim: int) -> None:
        super().__init__()
        self.emb_to_key_value = nn.Linear(dim, 2 * dim)
        self.emb_to_query = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        self.pos_ff = nn.ModuleList([nn.Linear(dim, ffn_dim), nn.Linear(ffn_dim, dim)])


def build(layers: int, dim: int, ffn_dim: int, device: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.ModuleList([Layer(dim, ffn_dim) for _ in range(layers)]).to(device)


def matrices(model: nn.Module) -> Dict[str, nn.Linear]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}


class Clock:
    """Seconds of each job, in the order in which they were measured."""

    def __init__(self, device: str) -> None:
        self.cuda = torch.device(device).type == "cuda"
        self.seconds: Dict[str, List[float]] = {}

    def __call__(self, job: str, call: Callable[[], Any]) -> None:
        began = self._now()
        call()
        self.seconds.setdefault(job, []).append(self._now() - began)

    def _now(self) -> float:
        if self.cuda:
            torch.cuda.synchronize()
        return time.perf_counter()


def zeros(masks: Iterable[Tensor]) -> float:
    """Share of zeros in masks, or in masked weights."""
    masks = list(masks)
    return sum(int((mask == 0).sum()) for mask in masks) / sum(mask.numel() for mask in masks)


class Omni:
    def __init__(self, model: nn.Module, structure: str) -> None:
        self.net = omni.Supernet(model, {r".*\.weight": omni.Range(0.0, 0.95, structure)})
        self.prefix = "" if structure == "8x1" else f"{structure}: "
        self.sparsity = 0.0

    def run(self, clock: Clock, sparsity: float) -> None:
        clock(self.prefix + "refresh", self.net.refresh)
        active = self.net.active(self.net.uniform(sparsity))
        clock(self.prefix + "activate", active.__enter__)
        if not self.sparsity:
            self.sparsity = zeros(target.weight for target in self.net.targets.values())
        clock(self.prefix + "restore", lambda: active.__exit__(None, None, None))

    def exact(self, clock: Clock, sparsity: float) -> None:
        clock(self.prefix + "refresh(exact)", lambda: self.net.refresh(exact=True))


class L1Unstructured:
    def __init__(self, model: nn.Module) -> None:
        self.modules = list(matrices(model).values())
        self.sparsity = 0.0

    def run(self, clock: Clock, sparsity: float) -> None:
        dense = [module.weight.detach() for module in self.modules]
        clock("l1_unstructured", lambda: [prune.l1_unstructured(one, "weight", sparsity) for one in self.modules])
        self.sparsity = self.sparsity or zeros(module.weight_mask for module in self.modules)
        for module, values in zip(self.modules, dense):
            prune.remove(module, "weight")
            module.weight.data = values


class WeightNorm:
    """Raises ImportError where torch does not have it."""

    def __init__(self, model: nn.Module, sparsity: float) -> None:
        try:
            from torch.ao.pruning import WeightNormSparsifier
        except ImportError:
            from torch.ao.sparsity import WeightNormSparsifier
        self.sparsifier = WeightNormSparsifier(sparsity, (8, 1), 8)
        modules = matrices(model)
        self.sparsifier.prepare(model, [{"tensor_fqn": f"{name}.weight"} for name in modules])
        self.masks = [module.parametrizations.weight[0] for module in modules.values()]
        self.sparsity = 0.0

    def run(self, clock: Clock, sparsity: float) -> None:
        clock("WeightNormSparsifier", self.sparsifier.step)
        self.sparsity = self.sparsity or zeros(one.mask for one in self.masks)
        for one in self.masks:
            one.mask.data = torch.ones_like(one.mask)  # else the next step would rank masked weights


def measure(args: argparse.Namespace) -> Dict[str, Any]:
    """{"jobs": {job: times}, "times": {other / omni: quotient}, "sparsity": {whose: achieved}}."""
    sizes = (args.layers, args.dim, args.ffn_dim, args.device)
    model, other = build(*sizes), build(*sizes)
    weights, spare = ([m.weight.detach() for m in matrices(one).values()] for one in (model, other))
    count = sum(weight.numel() for weight in weights)
    clock = Clock(args.device)
    whose: Dict[str, Any] = {f"omni {name}": Omni(model, name) for name in ("8x1", "unstructured")}
    if not args.only_omni:
        whose["l1_unstructured"] = L1Unstructured(build(*sizes))
        try:
            whose["WeightNormSparsifier"] = WeightNorm(build(*sizes), args.sparsity)
        except ImportError as error:
            print(f"WeightNormSparsifier is not in torch {torch.__version__}: {error}")
    runs = {name: one.run for name, one in whose.items()}
    runs["omni exact"] = whose["omni 8x1"].exact
    for repeat in range(args.repeats + 1):
        for run in runs.values():
            clock("copy_", lambda: [there.copy_(here) for here, there in zip(weights, spare)])
            run(clock, args.sparsity)
        if repeat == 0:
            clock.seconds.clear()  # first calls also fetch memory and start threads
    seconds = clock.seconds
    for prefix in ("", "unstructured: "):
        for one, two in (("activate", "restore"), ("refresh", "activate")):
            pairs = zip(seconds[prefix + one], seconds[prefix + two])
            seconds[f"{prefix}{one} + {two}"] = [sum(pair) for pair in pairs]
    medians = {job: statistics.median(values) for job, values in seconds.items()}
    per_million = 1e9 / count  # seconds -> ms per 1M weights
    return {
        "weights": count,
        "jobs": {
            job: {"median": medians[job] * per_million, "least": min(values) * per_million,
                  "most": max(values) * per_million, "copies": medians[job] / medians["copy_"]}
            for job, values in sorted(seconds.items())
        },
        "times": {name: medians[other] / medians[mine] for name, other, mine in COMPARED if other in medians},
        "sparsity": {name: one.sparsity for name, one in whose.items()},
    }


def held(owner: Any) -> Iterator[Tensor]:
    """Every tensor that an object of omni holds, itself or in what it holds; the model is not its own."""
    if isinstance(owner, Tensor):
        yield owner
    elif isinstance(owner, dict):
        for value in owner.values():
            yield from held(value)
    elif isinstance(owner, (list, tuple)):
        for value in owner:
            yield from held(value)
    elif not isinstance(owner, nn.Module) and type(owner).__module__.startswith("omni."):
        yield from held(vars(owner))


def size(tensors: Iterable[Tensor], but: Iterable[Tensor] = ()) -> int:
    """Bytes of the tensors' memory, each piece once, without what is the memory of `but`."""
    known = {tensor.data_ptr() for tensor in but}
    pieces = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}
    return sum(value for place, value in pieces.items() if place not in known)


def living() -> int:
    """Bytes of all tensors of the process that Python holds."""
    gc.collect()
    return size(one for one in gc.get_objects() if type(one) in (Tensor, nn.Parameter))


def resident() -> int | None:
    """Bytes of the process in memory; None where Linux does not say."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * resource.getpagesize() if statm.exists() else None


def memory(args: argparse.Namespace) -> Dict[str, Any]:
    """Bytes that omni's 8x1 supernet takes beside the model's own; `resident` and `peak` of the process."""
    model = build(args.layers, args.dim, args.ffn_dim, args.device)
    parameters = list(model.parameters())
    here, resident_before, peak_before = living(), resident(), _peak()
    net = omni.Supernet(model, {r".*\.weight": omni.Range(0.0, 0.95, "8x1")})
    weights = sum(target.weight.numel() for target in net.targets.values())
    found = {"weights": weights, "bytes_of_weights": size(target.weight for target in net.targets.values()),
             "held_before_use": size(held(net), parameters)}
    with net.active(net.uniform(args.sparsity)):
        found["living_while_active"] = living() - here
        found["resident_while_active"] = resident() and resident() - resident_before
    found["held_after_use"] = size(held(net), parameters)
    found["masks_while_active"] = found["living_while_active"] - found["held_after_use"]
    found["resident_after_use"] = resident() and resident() - resident_before
    found["peak_growth"] = _peak() - peak_before
    per = {"ranks": size(held(net.state_dict())), **{n: found[n] for n in ("held_after_use", "masks_while_active")}}
    return {**found, "bytes_per_weight": {name: value / weights for name, value in per.items()}}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def aims(found: Dict[str, Any]) -> Dict[str, Any]:
    values = {**{job: row["median"] for job, row in found["jobs"].items()}, **found["times"]}
    report = {}
    for name, (unit, side, bound) in AIMS.items():
        if name in values:
            holds = values[name] <= bound if side == "at most" else values[name] >= bound
            report[name] = {"value": values[name], "unit": unit, "aim": f"{side} {bound:g}", "holds": holds}
    return report


def show(found: Dict[str, Any]) -> None:
    m = found["memory"]
    print(f"torch {found['torch']}, {found['device']}, {found['threads']} threads, {found['weights'] / 1e6:.1f}M "
          f"weights at sparsity {found['asked']}, {found['repeats']} repeats; ms per 1M weights")
    print(f"{'':<34}{'median':>9}{'least':>9}{'most':>9}{'x copy_':>9}")
    for job, row in found["jobs"].items():
        print(f"{job:<34}{row['median']:9.3f}{row['least']:9.3f}{row['most']:9.3f}{row['copies']:9.2f}")
    for name, aim in found["aims"].items():
        print(f"{name}: {aim['value']:.3g} {aim['unit']}, {aim['aim']}: {'holds' if aim['holds'] else 'MISSED'}")
    per = m["bytes_per_weight"]
    print(f"bytes a weight: ranks {per['ranks']:.3f}, all that stays {per['held_after_use']:.3f}, masks while active "
          f"{per['masks_while_active']:.3f}; peak of the process +{m['peak_growth'] / 2**20:.0f} MiB, weights "
          f"{m['bytes_of_weights'] / 2**20:.0f} MiB")


def parse_arguments(argv: List[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, words in (("threads", 2, "of torch"), ("repeats", 7, "of every job"),
                                 ("layers", 20, "of the encoder"), ("dim", 512, "of the encoder"),
                                 ("ffn-dim", 2048, "of the encoder")):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{words} (default {default})")
    parser.add_argument("--sparsity", type=float, default=0.7, help="of the masks (default 0.7)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only-omni", action="store_true", help="without the slow others")
    parser.add_argument("--out", type=Path, help="JSON file of what was measured")
    args = parser.parse_args(argv)
    for name in ("threads", "repeats", "layers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)}: want at least 1")
    for name, value in (("dim", args.dim), ("ffn-dim", args.ffn_dim)):
        if value < 8 or value % 8:
            raise UserError(f"--{name} {value}: want a multiple of 8, for blocks of 8x1")
    if not 0.0 < args.sparsity <= 0.95:
        raise UserError(f"--sparsity {args.sparsity}: want a share above 0, up to 0.95")
    if args.device not in ("cpu", "cuda"):
        raise UserError(f"--device {args.device}: want cpu or cuda")
    if args.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch sees no GPU here")
    if args.out is not None and args.out.is_dir():
        raise UserError(f"--out {args.out}: a folder; want the name of a file")
    return args


@cli
def main(argv: List[str] | None = None) -> None:
    args = parse_arguments(argv)
    torch.set_num_threads(args.threads)
    found: Dict[str, Any] = {"torch": torch.__version__, "device": args.device, "threads": args.threads,
                             "repeats": args.repeats, "asked": args.sparsity, "memory": memory(args)}
    found.update(measure(args))
    found["aims"] = aims(found)
    show(found)
    if args.out is not None:
        write_json(args.out, found)


if __name__ == "__main__":
    main()
