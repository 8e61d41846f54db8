"""How fast the kernels of omni.runtime are, layer by layer, against dense engines. Needs no data.

    python -m tools.bench_kernels [--shapes 576x144 2048x512] [--rows 4 9] [--repeats 15] [--isa avx2] [--out FILE.md]

One thread, one process. The jobs of a layer take turns, so that what else the machine does meets them all, and every
ratio is the median of those within one turn; microseconds are medians too, of a call from Python. The engines are
torch float32, torch dynamic int8 (FBGEMM or QNNPACK) and, where onnxruntime and onnx can be imported, its
DynamicQuantizeMatMul. That has its inputs and outputs bound, and so have ours: 8x1 blocks at a sparsity (0: dense) with
a bias, `f32`, and `w8`: int8 weights with one scale an output, activations float32. A ratio is the time of a dense int8
engine over that of ours, more is better: of the fastest engine, and of torch. `short of` names the sparsities at which
w8 is below its aims against the fastest: at 0 / 0.7 / 0.9 at least 1/1.3, 2 and 4 times as fast.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
import warnings
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import torch

from omni import runtime
from omni.errors import UserError, cli
from omni.runtime import Matrix

SHAPES = "576x144 144x576 288x144 144x144 144x384 144x432 2048x512 512x2048 1024x512 512x512".split()
SPARSITIES = (0.0, 0.5, 0.7, 0.9)
AIMS = {0.0: 1 / 1.3, 0.7: 2.0, 0.9: 4.0}  # times as fast as the fastest dense int8 engine
Job = Callable[[], object]


def quantize(weight: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """float32 (O, I) -> int8 (O, I), float32 scale (O,)."""
    scale = (np.abs(weight).max(axis=1) / 127).astype(np.float32)
    return np.clip(np.rint(weight / scale[:, None]), -127, 127).astype(np.int8), scale


def ours(weight: np.ndarray, bias: np.ndarray, sparsity: float, int8: bool, rng: np.random.Generator) -> Matrix:
    """`weight` without a share `sparsity` of its 8x1 blocks, chosen at random; dense where that is 0."""
    outputs, inputs = weight.shape
    values, scale = quantize(weight) if int8 else (weight, None)
    if sparsity == 0:
        return Matrix.dense(values, scale, bias)
    kept = np.zeros(outputs // 8 * inputs, bool)
    kept[rng.permutation(kept.size)[round(sparsity * kept.size):]] = True
    kept = kept.reshape(-1, inputs)
    blocks = values.reshape(-1, 8, inputs).transpose(0, 2, 1)[kept]
    starts = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
    columns = np.nonzero(kept)[1].astype(np.uint16)
    return Matrix.sparse(blocks, columns, starts, weight.shape, (8, 1), scale, bias)


def torch_jobs(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> Dict[str, Job]:
    linear = torch.nn.Linear(*weight.shape[::-1])
    linear.weight.data, linear.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        int8 = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(linear), {torch.nn.Linear}, torch.qint8)[0]
    given = torch.from_numpy(x)
    return {"torch f32": lambda: linear(given), "torch int8": lambda: int8(given)}


def onnx_jobs(weight: np.ndarray, bias: np.ndarray, x: np.ndarray) -> Dict[str, Job]:
    """onnxruntime's; nothing where it cannot be imported."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return {}
    values, scale = quantize(weight)
    names = {"b": values.T.copy(), "scale": scale, "zero": np.zeros(len(scale), np.int8), "bias": bias}
    float_, helper = onnx.TensorProto.FLOAT, onnx.helper
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeMatMul", ["x", *names], ["y"], domain="com.microsoft")], "layer",
        [helper.make_tensor_value_info("x", float_, x.shape)],
        [helper.make_tensor_value_info("y", float_, (len(x), len(bias)))],
        [onnx.numpy_helper.from_array(array, name) for name, array in names.items()])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        helper.make_model(graph, opset_imports=versions, ir_version=8).SerializeToString(), options,
        providers=["CPUExecutionProvider"])
    bound, y = session.io_binding(), np.empty((len(x), len(bias)), np.float32)
    bound.bind_cpu_input("x", x)
    bound.bind_output("y", "cpu", 0, np.float32, y.shape, y.ctypes.data)
    return {"ort int8": lambda: (session.run_with_iobinding(bound), y)}


def measure(jobs: Dict[str, Job], repeats: int, inner: int) -> Dict[str, List[float]]:
    """Microseconds of one call of each job, in each of `repeats` turns."""
    times: Dict[str, List[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 1):  # the first turn warms up
        for name, job in jobs.items():
            begin = time.perf_counter()
            for _ in range(inner):
                job()
            if turn:
                times[name].append((time.perf_counter() - begin) / inner * 1e6)
    return times


def layer(shape: str, rows: int, repeats: int, inner: int) -> Tuple[List[str], List[str]]:
    """(the cells of its line, the sparsities at which the aims are missed)."""
    outputs, inputs = (int(one) for one in shape.split("x"))
    rng = np.random.default_rng(0)
    weight = (rng.standard_normal((outputs, inputs)) / inputs**0.5).astype(np.float32)
    bias, x = (rng.standard_normal(size).astype(np.float32) for size in (outputs, (rows, inputs)))
    y = np.empty((rows, outputs), np.float32)
    jobs = {**torch_jobs(weight, bias, x), **onnx_jobs(weight, bias, x)}
    engines = [name for name in jobs if name.endswith("int8")]
    for int8 in (False, True):
        for sparsity in SPARSITIES:
            matrix = ours(weight, bias, sparsity, int8, rng)
            jobs[f"{'w8' if int8 else 'f32'} {sparsity:g}"] = matrix.bound(x, y)
    times = measure(jobs, repeats, inner)
    medians = {name: statistics.median(some) for name, some in times.items()}
    best = [min(turn) for turn in zip(*(times[name] for name in engines))]
    cells = [f"{medians[name]:.1f}" if name in medians else "" for name in ("torch f32", "torch int8", "ort int8")]
    short = []
    for kind in ("f32", "w8"):
        names = [f"{kind} {sparsity:g}" for sparsity in SPARSITIES]
        ratios, to_torch = ([statistics.median(a / b for a, b in zip(other, times[name])) for name in names]
                            for other in (best, times["torch int8"]))
        cells += [" / ".join(f"{one:.1f}" for one in some) for some in (map(medians.get, names), ratios, to_torch)]
        if kind == "w8":
            short = [f"{s:g}" for s, ratio in zip(SPARSITIES, ratios) if s in AIMS and ratio < AIMS[s]]
    return cells, short


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="outputs x inputs; outputs a multiple of 8")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 4, 5, 9, 16])
    parser.add_argument("--repeats", type=int, default=15, help="turns of each layer")
    parser.add_argument("--inner", type=int, default=10, help="calls of a job in a turn")
    parser.add_argument("--isa", help="instruction set, the best of this machine if not given")
    parser.add_argument("--out", type=Path, help="the table goes here too")
    args = parser.parse_args(argv)
    for shape in args.shapes:
        if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", shape) or int(shape.split("x")[0]) % 8:
            raise UserError(f"--shapes {shape}: want outputs x inputs such as 576x144, outputs a multiple of 8")
    if min(*args.rows, args.repeats, args.inner) < 1:
        raise UserError("--rows, --repeats and --inner: want numbers from 1")
    if args.isa:
        try:
            runtime.use(args.isa)
        except ValueError as error:
            raise UserError(f"--isa {error}") from None
    torch.set_num_threads(1)
    steps = " / ".join(f"{one:g}" for one in SPARSITIES)
    head = ["layer", "M", "torch f32", "torch int8", "ort int8", f"f32 {steps}", "ratio", "to torch", f"w8 {steps}",
            "ratio", "to torch", "short of"]
    lines = [f"{runtime.isa()}, torch {torch.__version__}, microseconds; sparsities {steps}", "",
             f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    print("\n".join(lines), flush=True)
    with torch.inference_mode():
        for shape in args.shapes:
            for rows in args.rows:
                cells, short = layer(shape, rows, args.repeats, args.inner)
                lines.append(f"| {shape} | {rows} | {' | '.join(cells)} | {' '.join(short)} |")
                print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
