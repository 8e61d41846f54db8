"""How fast whole models are: a chunk of a stream, encoder and greedy search, in omni.runtime and in dense engines.

    python -m tools.bench_runtime exp/mini/subnets/*.omni.safetensors [--seconds 30] [--repeats 15] [--out FILE.md]
    python -m tools.bench_runtime --config egs/librispeech/omni_sparsity/conf/librispeech.yaml --sparsities "0 0.7 0.9"

The second takes random weights. One process, one thread. The engines take turns of some chunks, the same features each,
so that what else the machine does meets them all; a ratio is the median over turns of the time of another engine by
that of ours, more is better. Dense engines run the model of sparsity 0: torch in float32 and with its dynamic
quantization (FBGEMM), and where onnx, onnxscript and onnxruntime can be imported, what subnets.onnx exports, in float32
and int8. Start-up is a process of its own: `python -m omni.runtime` on half a second of noise, to its last word, and
the most memory that it held.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Callable, Dict, List, Tuple

import numpy as np
import torch

import omni
from egs.librispeech.omni_sparsity.config import load_config, parse_sparsities
from egs.librispeech.omni_sparsity.data.fbank import DESCRIPTION
from egs.librispeech.omni_sparsity.model.frontend import FEATURE_MEAN, FEATURE_STD
from egs.librispeech.omni_sparsity.model.supernet import make_supernet
from egs.librispeech.omni_sparsity.model.transducer import Transducer, shipped
from egs.librispeech.omni_sparsity.subnets.formats import load_subnet
from egs.librispeech.omni_sparsity.subnets.formats import safetensors as storage
from egs.librispeech.omni_sparsity.subnets.subnet import uniform_name
from omni import runtime
from omni.errors import UserError, cli
from omni.runtime.recognizer import Recognizer

Chunk = Callable[[np.ndarray], object]  # (feature frames of a chunk, 80) -> whatever, its state kept inside


def random_files(config_file: Path, sparsities: str, folder: Path) -> List[Path]:
    """Files of a configuration's model with random weights, one for each sparsity."""
    config = load_config(config_file, [])
    files = []
    for sparsity in parse_sparsities(sparsities, config):
        torch.manual_seed(0)
        model = Transducer(config.model)
        net = make_supernet(model, config.omni, 0)
        net.prune_(net.uniform(sparsity))
        files.append(folder / f"{uniform_name(sparsity)}{storage.SUFFIX}")
        features = {**DESCRIPTION, "mean": FEATURE_MEAN, "std": FEATURE_STD}
        storage.write(files[-1], dataclasses.asdict(config.model), shipped(model.state_dict()), net.blocks, "int8",
                      {"name": files[-1].name, "features": features}, b"")
    return files


class Ours:
    """omni.runtime; the features are put in where a stream would take them from."""

    def __init__(self, path: Path) -> None:
        self.recognizer = Recognizer(path)
        settings = self.recognizer.settings
        self.chunk, self.step = settings.chunk_length * settings.stack, settings.segment_length * settings.stack
        self.stream, self.new = self.recognizer.stream(), self.chunk  # frames that did not come with the chunk before

    def __call__(self, frames: np.ndarray) -> None:
        self.stream.accept_features(frames[-self.new :])
        self.new = self.step
        self.recognizer.decode([self.stream])


class Torch:
    """The PyTorch model by `infer`, and greedy search a frame at a time."""

    def __init__(self, path: Path, int8: bool) -> None:
        self.model = load_subnet(path)
        if int8:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.model = torch.ao.quantization.quantize_dynamic(self.model, {torch.nn.Linear}, torch.qint8)
        self.states, decoder = None, self.model.decoder
        self.context = torch.tensor([[-1] * (decoder.context_size - 1) + [decoder.blank_id]])
        self._predict()

    def _predict(self) -> None:
        self.history = self.model.joiner.decoder_proj(self.model.decoder(self.context, need_pad=False))[:, 0]

    def __call__(self, frames: np.ndarray) -> None:
        x = torch.from_numpy(frames)[None]
        encoded, _, self.states = self.model.encoder.infer(x, torch.tensor([x.size(1)]), self.states)
        projected = self.model.joiner.encoder_proj(encoded)
        for t in range(projected.size(1)):
            symbol = int(self.model.joiner(projected[:, t], self.history, project_input=False).argmax())
            if symbol != self.model.decoder.blank_id:
                self.context = torch.cat([self.context[:, 1:], torch.tensor([[symbol]])], dim=1)
                self._predict()


class Onnx:
    """What subnets.onnx exports, in onnxruntime, and greedy search a frame at a time."""

    def __init__(self, folder: Path, ending: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.encoder, self.decoder, self.joiner = (
            onnxruntime.InferenceSession(str(folder / f"{part}{ending}"), options, providers=["CPUExecutionProvider"])
            for part in ("encoder", "decoder", "joiner"))
        shapes = {one.name: [size if isinstance(size, int) else 1 for size in one.shape]
                  for one in self.encoder.get_inputs()}
        self.caches = [np.zeros(shapes[name], np.float32) for name in ("attn_cache", "cnn_cache")]
        said = self.encoder.get_modelmeta().custom_metadata_map
        self.shift, self.done = int(said["decode_chunk_len"]), np.zeros(1, np.int64)
        self.context = np.array([[-1, 0]])
        self.history = self.decoder.run(None, {"y": self.context})[0]

    def __call__(self, frames: np.ndarray) -> None:
        encoded, *self.caches = self.encoder.run(None, {
            "x": frames[None], "attn_cache": self.caches[0], "cnn_cache": self.caches[1], "processed_lens": self.done})
        self.done += self.shift
        for t in range(encoded.shape[1]):
            logits = self.joiner.run(None, {"encoder_out": encoded[:, t], "decoder_out": self.history})[0]
            symbol = int(logits.argmax())
            if symbol:
                self.context = np.array([[self.context[0, 1], symbol]])
                self.history = self.decoder.run(None, {"y": self.context})[0]


def onnx_engines(dense: Path, folder: Path) -> Dict[str, Chunk]:
    """Nothing where the packages are missing."""
    from egs.librispeech.omni_sparsity.subnets import onnx

    try:
        onnx.export(dense, folder, int8=True)
    except UserError as error:
        print(f"without onnxruntime: {error}\n")
        return {}
    name = dense.name.removesuffix(storage.SUFFIX)
    return {"ort f32": Onnx(folder / name, ".onnx"), "ort int8": Onnx(folder / name, onnx.INT8)}


def measure(engines: Dict[str, Chunk], chunks: List[np.ndarray], repeats: int) -> Dict[str, List[List[float]]]:
    """Milliseconds of each chunk, in each of `repeats` turns over all of them."""
    times: Dict[str, List[List[float]]] = {name: [] for name in engines}
    for turn in range(repeats + 1):  # the first turn warms up
        for name, engine in engines.items():
            of_turn = []
            for chunk in chunks:
                begin = time.perf_counter()
                engine(chunk)
                of_turn.append(1e3 * (time.perf_counter() - begin))
            if turn:
                times[name].append(of_turn)
    return times


def start_up(path: Path) -> Tuple[float, float]:
    """Seconds from the start of a process to the end of a file of half a second, the median of 5; its most MB."""
    import soundfile

    # VmHWM, as the most memory that getrusage tells is that of the process that it was forked from.
    code = ("import sys, runpy; sys.argv = ['omni.runtime', *sys.argv[1:]]; "
            "runpy.run_module('omni.runtime', run_name='__main__'); "
            "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)")
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "noise.wav"
        soundfile.write(audio, np.random.default_rng(0).normal(0, 0.1, 8000), 16000)
        seconds = []
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        for turn in range(6):  # the first leaves compiled Python behind, as an installation does
            begin = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code, str(path), str(audio)], capture_output=True, text=True,
                                  env=kept)
            seconds += [time.perf_counter() - begin][:turn]
            if done.returncode:
                raise UserError(f"{path}: the runtime does not start: {done.stderr.strip().splitlines()[-1]}")
    return statistics.median(seconds), int(done.stderr.split()[-2]) / 1024


def line(path: Path, dense: Path, others: Dict[str, Chunk], seconds: float, repeats: int, starts: bool) -> List[str]:
    """The cells of a file's line."""
    ours = Ours(path)
    settings = ours.recognizer.settings
    draw = np.random.default_rng(0)
    count = max(1, round(seconds * 100 / ours.step))
    features = (4 * draw.standard_normal((count * ours.step + ours.chunk, settings.bins)) - 6).astype(np.float32)
    chunks = [features[at : at + ours.chunk] for at in range(0, count * ours.step, ours.step)]
    times = measure({**others, "ours, dense": Ours(dense), "ours": ours}, chunks, repeats)
    totals = {name: [sum(turn) for turn in some] for name, some in times.items()}
    each = sorted(one for turn in times["ours"] for one in turn)
    int8 = [min(turn) for turn in zip(*(totals[name] for name in others if name.endswith("int8")))]
    cells = [path.name.removesuffix(storage.SUFFIX), f"{path.stat().st_size / 1e6:.2f}",
             *(f"{statistics.median(totals[name]) / count:.3f}" for name in times),
             f"{each[len(each) // 2]:.3f} / {each[int(0.95 * len(each))]:.3f}",
             f"{statistics.median(totals['ours']) / 10 / count / ours.step:.5f}",
             *(f"{statistics.median(a / b for a, b in zip(other, totals['ours'])):.1f}"
               for other in (int8, totals["torch f32"]))]
    start, peak = start_up(path) if starts else (0.0, 0.0)
    return cells + ([f"{start:.2f}", f"{peak:.0f}"] if starts else ["", ""])


@cli
def main(argv: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="of stage 4; the one of sparsity 0 is the dense one")
    parser.add_argument("--config", type=Path, help="a model with random weights in the place of files")
    parser.add_argument("--sparsities", default="0 0.7 0.9", help="of that model")
    parser.add_argument("--seconds", type=float, default=30, help="of speech in a turn")
    parser.add_argument("--repeats", type=int, default=15, help="turns")
    parser.add_argument("--out", type=Path, help="the table goes here too")
    args = parser.parse_args(argv)
    if bool(args.files) == bool(args.config):
        raise UserError("want files of stage 4, or --config")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        files = args.files or random_files(args.config, args.sparsities, Path(folder))
        by_name = {path.name: path for path in files}
        dense = by_name.get(f"{uniform_name(0.0)}{storage.SUFFIX}")
        if dense is None:
            raise UserError(f"{', '.join(by_name)}: want {uniform_name(0.0)}{storage.SUFFIX} too, to compare with")
        others: Dict[str, Chunk] = {"torch f32": Torch(dense, False), "torch int8": Torch(dense, True),
                                    **onnx_engines(dense, Path(folder))}
        head = ["sub-network", "file, MB", *others, "ours, dense", "ours", "p50 / p95", "real-time factor",
                "to the fastest int8", "to torch f32", "start, s", "peak, MB"]
        lines = [f"{runtime.isa()}, torch {torch.__version__}, omni {omni.__version__}; milliseconds a chunk", "",
                 f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        print("\n".join(lines), flush=True)
        for path in files:
            cells = line(path, dense, others, args.seconds, args.repeats, not args.config)
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
