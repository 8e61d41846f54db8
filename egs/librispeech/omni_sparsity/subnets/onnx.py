"""Files that ship as streaming ONNX, for onnxruntime and, as they are, for sherpa-onnx.

Usage:
    pip install onnx onnxscript onnxruntime
    python -m egs.librispeech.omni_sparsity.subnets.onnx exp/mini/subnets/*.omni.safetensors \\
        --out-dir exp/mini/onnx --int8

Writes <out-dir>/<name>/{encoder,decoder,joiner}.onnx, tokens.txt (icefall's) and, with --int8, the three again as
*.int8.onnx, by onnxruntime's own dynamic quantization. Inputs, outputs and metadata are those of icefall's streaming
Conformer (model/step.py says what travels in its caches). docs/shipping.md says how to use them.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import sentencepiece as spm
import torch

from omni.errors import UserError, cli
from omni.files import atomic, write_text
from omni.ship.shipped import SUFFIX

from ..model.frontend import FEATURE_DIM, KERNEL
from ..model.step import DecoderStep, EncoderStep, JoinerStep
from ..model.transducer import Transducer
from .formats import safetensors as storage

PARTS, INT8 = ("encoder", "decoder", "joiner"), ".int8.onnx"
Names = Dict[str, int]  # {input or output: its dimension that counts streams}
# torch's exporter of today, which needs onnxscript, and begins at operator set 18; torch 1.13 has the one before.
NEW_EXPORTER = "external_data" in inspect.signature(torch.onnx.export).parameters
OPSET = 18 if NEW_EXPORTER else 17


def require(*packages: str) -> None:
    """
    Raises:
        UserError: one of them cannot be imported; all are named.
    """
    missing = []
    for name in packages:
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise UserError(f"ONNX wants {' and '.join(missing)}: pip install {' '.join(missing)}")


def export(file: Path, out_dir: Path, int8: bool = False) -> List[Path]:
    """Writes <out_dir>/<name>, each file whole or not at all.

    Args:
        file: a .omni.safetensors of stage 4.

    Returns:
        The .onnx files.

    Raises:
        UserError: the file is not one, or a package is missing.
    """
    if not file.name.endswith(SUFFIX):
        raise UserError(f"{file}: want a file of stage 4, which ends in {SUFFIX}")
    require("onnx", *(["onnxscript"] if NEW_EXPORTER else []), *(["onnxruntime"] if int8 else []))
    model, found = storage.read(file), storage.load(file)
    symbols = tokens(bytes(found.plain.get(storage.BPE, b"")), file)
    folder = out_dir / file.name[: -len(SUFFIX)]
    for part in PARTS:  # parts of two models side by side would be taken for one
        for ending in (".onnx", INT8):
            (folder / f"{part}{ending}").unlink(missing_ok=True)
    write_text(folder / "tokens.txt", symbols)
    written = []
    for name, part, examples, names, texts in _parts(model, found.about):
        path = folder / f"{name}.onnx"
        with _quiet(), atomic(path) as beside:
            _to_onnx(part, examples, names, beside)
            _say(beside, texts)
        written.append(path)
        if int8:
            written.append(_quantize(path))
    return written


def tokens(bpe: bytes, file: Path) -> str:
    """icefall's tokens.txt of a model of sentencepiece's.

    Raises:
        UserError: it is none; `file` is named.
    """
    pieces = spm.SentencePieceProcessor()
    try:
        pieces.LoadFromSerializedProto(bpe)
    except (RuntimeError, ValueError):
        raise UserError(f"{file}: its BPE model is none of sentencepiece's; run stage 4 (subnets) again") from None
    return "".join(f"{pieces.IdToPiece(index)} {index}\n" for index in range(pieces.GetPieceSize()))


def _parts(
    model: Transducer, about: Dict[str, Any]
) -> List[Tuple[str, torch.nn.Module, tuple, Tuple[Names, Names], Dict[str, Any]]]:
    """(name, module, examples of its inputs, its inputs and outputs, metadata) of each file."""
    encoder, joiner_dim = EncoderStep(model), model.joiner.encoder_proj.out_features
    two = 2  # streams; of one the exporter takes it that there is never another number
    examples = (torch.zeros(two, encoder.chunk, FEATURE_DIM), *encoder.states(two), torch.zeros(two, dtype=torch.int64))
    common = {"model_author": "omni_sparsity", "version": "1", "comment": f"{about.get('name')}, Emformer transducer"}
    # of one tensor given twice the exporter makes one input
    projected = torch.zeros(two, joiner_dim), torch.zeros(two, joiner_dim)
    return [
        ("encoder", encoder, examples,
         ({"x": 0, "attn_cache": 2, "cnn_cache": 2, "processed_lens": 0},
          {"encoder_out": 0, "new_attn_cache": 2, "new_cnn_cache": 2}),
         {**common, "model_type": "conformer", "T": encoder.chunk, "decode_chunk_len": encoder.shift,
          "pad_length": encoder.chunk - encoder.shift, "num_encoder_layers": encoder.layers,
          "left_context": encoder.left, "encoder_dim": encoder.width, "cnn_module_kernel": KERNEL,
          "features": json.dumps(about.get("features")), "decode": json.dumps(about.get("decode"))}),
        ("decoder", DecoderStep(model), (torch.zeros(two, model.decoder.context_size, dtype=torch.int64),),
         ({"y": 0}, {"decoder_out": 0}),
         {**common, "context_size": model.decoder.context_size, "vocab_size": model.decoder.vocab_size}),
        ("joiner", JoinerStep(model), projected,
         ({"encoder_out": 0, "decoder_out": 0}, {"logit": 0}),
         {**common, "joiner_dim": joiner_dim}),
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's and the quantizer's word that torchvision is not there, on their own future, and so on."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _to_onnx(module: torch.nn.Module, examples: tuple, names: Tuple[Names, Names], path: Path) -> None:
    inputs, outputs = names
    more = {"input_names": list(inputs), "output_names": list(outputs), "opset_version": OPSET, "verbose": False}
    if NEW_EXPORTER:
        streams = torch.export.Dim("N")
        shapes = tuple({dimension: streams} for dimension in inputs.values())
        torch.onnx.export(module.eval(), examples, str(path), dynamo=True, external_data=False,
                          dynamic_shapes=shapes, **more)
    else:
        axes = {name: {dimension: "N"} for name, dimension in {**inputs, **outputs}.items()}
        torch.onnx.export(module.eval(), examples, str(path), dynamic_axes=axes, **more)


def _say(path: Path, texts: Dict[str, Any]) -> None:
    """Adds metadata; takes away what the exporter said of each node: Python's stack, a third of a small file."""
    import onnx

    model = onnx.load(str(path))
    for node in (*model.graph.node, *model.graph.value_info):
        node.ClearField("doc_string")
        if hasattr(node, "metadata_props"):
            del node.metadata_props[:]
    onnx.helper.set_model_props(model, {key: str(value) for key, value in texts.items()})
    onnx.save(model, str(path))


def _quantize(path: Path) -> Path:
    """-> the int8 file beside it. Matrices have a scale an output, as in the file that ships.

    Of unsigned weights: products with signed ones saturate on processors with AVX2 and no VNNI (onnxruntime's
    documentation of quantization says so), which cost 1.5 points of word error rate where this was tried.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    small = path.with_name(path.stem + INT8)
    with _quiet(), atomic(small) as beside:
        quantize_dynamic(str(path), str(beside), op_types_to_quantize=["MatMul", "Gemm"], per_channel=True,
                         weight_type=QuantType.QUInt8)
    return small


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=f"of stage 4, <name>{SUFFIX}")
    parser.add_argument("--out-dir", type=Path, required=True, help="gets a folder for each file")
    parser.add_argument("--int8", action="store_true", help=f"*{INT8} as well")
    args = parser.parse_args()
    for file in args.files:
        for path in export(file, args.out_dir, args.int8):
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
