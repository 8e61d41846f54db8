"""Whether exported ONNX models say what stage 5 said: decodes its sets with them, chunk by chunk.

Usage (after stage 5 and egs.librispeech.omni_sparsity.subnets.onnx ... --out-dir exp/mini/onnx):
    python -m tools.check_onnx --exp-dir exp/mini --data-dir data/mini --sets "test-clean test-other"
    python -m tools.check_onnx --exp-dir exp/mini --data-dir data/mini --sets test-clean --sherpa

By onnxruntime: the features that stage 5 decoded, streams in batches. By sherpa-onnx: audio, one stream at a time, with
silence behind each utterance. Both by greedy search with stage 5's blank penalty. Prints of each model and set how many
utterances have other words than in stage 5, and both error rates. Exit code 1 where onnxruntime differs in float32, or
sherpa-onnx in float32 from PyTorch on the same audio.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Dict, List

import numpy as np
import torch
from lhotse.cut import MonoCut

from egs.librispeech.omni_sparsity.data.corpus import Corpus
from egs.librispeech.omni_sparsity.data.fbank import SAMPLING_RATE, load_samples, make_extractor
from egs.librispeech.omni_sparsity.data.sets import evaluation_sets
from egs.librispeech.omni_sparsity.decoding import scoring
from egs.librispeech.omni_sparsity.decoding.methods.greedy_search import search
from egs.librispeech.omni_sparsity.model.step import EncoderStep
from egs.librispeech.omni_sparsity.subnets.formats import load_subnet
from egs.librispeech.omni_sparsity.subnets.index import read_index
from egs.librispeech.omni_sparsity.subnets.onnx import PARTS, require
from omni.errors import UserError, cli

METHOD = "greedy_search"
PRECISIONS = {"float32": ".onnx", "int8": ".int8.onnx"}  # how their files' names end
BEHIND = -100.0  # features behind the end of a stream, as lhotse pads them
BATCH = 16  # streams that onnxruntime decodes at a time


class Recognizer:
    """An exported transducer in onnxruntime: features in, token ids out.

    Args:
        folder: of one model; ending: as in PRECISIONS.
    """

    def __init__(self, folder: Path, ending: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.encoder, self.decoder, self.joiner = (
            onnxruntime.InferenceSession(str(folder / f"{part}{ending}"), options, providers=["CPUExecutionProvider"])
            for part in PARTS)
        self.said = {**self.encoder.get_modelmeta().custom_metadata_map,
                     **self.decoder.get_modelmeta().custom_metadata_map}

    def _shape(self, *keys: str) -> List[int]:
        return [int(self.said[key]) for key in keys]

    def encode(self, features: List[np.ndarray]) -> np.ndarray:
        """Streams of (T, 80) each -> (B, frames, joiner_dim); what is behind the end of one means nothing."""
        chunk, shift, layers, left, width, kernel = self._shape(
            "T", "decode_chunk_len", "num_encoder_layers", "left_context", "encoder_dim", "cnn_module_kernel")
        longest, batch = max(map(len, features)), len(features)
        x = np.full((batch, longest + chunk, features[0].shape[1]), BEHIND, np.float32)
        for row, one in zip(x, features):
            row[: len(one)] = one
        attention = np.zeros((layers, left, batch, width), np.float32)
        convolution = np.zeros((layers, kernel - 1, batch, width), np.float32)
        encoded = []
        for start in range(0, longest, shift):
            now, attention, convolution = self.encoder.run(None, {
                "x": x[:, start : start + chunk], "attn_cache": attention, "cnn_cache": convolution,
                "processed_lens": np.full(batch, start, np.int64)})
            encoded.append(now)
        return np.concatenate(encoded, axis=1)

    def __call__(self, features: List[np.ndarray], blank_penalty: float = 0.0) -> List[List[int]]:
        """-> token ids of each stream, by greedy search: one symbol a frame at most."""
        encoded = self.encode(features)
        shift, context_size = self._shape("decode_chunk_len", "context_size")
        frames = [len(one) * self.encoder.get_outputs()[0].shape[1] // shift for one in features]
        context = np.full((len(features), context_size), -1, np.int64)
        context[:, -1] = 0
        history, found = self.decoder.run(None, {"y": context})[0], [[] for _ in features]
        for t in range(max(frames)):
            logits = self.joiner.run(None, {"encoder_out": encoded[:, t], "decoder_out": history})[0]
            logits[:, 0] -= blank_penalty
            symbols = np.where(t < np.array(frames), logits.argmax(axis=1), 0)
            for row in np.flatnonzero(symbols):
                found[row].append(int(symbols[row]))
                context[row] = [*context[row, 1:], symbols[row]]
            if symbols.any():
                history = self.decoder.run(None, {"y": context})[0]
        return found


def by_onnxruntime(folder: Path, ending: str, corpus: Corpus, test_set: str, penalty: float) -> Dict[str, List[str]]:
    """-> {cut id: words}."""
    recognizer, words = Recognizer(folder, ending), {}
    cuts = sorted(corpus.cuts(test_set), key=lambda cut: cut.duration)
    for first in range(0, len(cuts), BATCH):
        batch = cuts[first : first + BATCH]
        for cut, ids in zip(batch, recognizer([cut.load_features() for cut in batch], penalty)):
            words[cut.id] = corpus.bpe.decode(ids).split()
    return words


def by_sherpa(folder: Path, ending: str, corpus: Corpus, test_set: str, penalty: float) -> Dict[str, List[str]]:
    """-> {cut id: words}, from audio."""
    import onnx
    import sherpa_onnx

    files = {part: str(folder / f"{part}{ending}") for part in PARTS}
    said = {prop.key: prop.value for prop in onnx.load(files["encoder"], load_external_data=False).metadata_props}
    recognizer = sherpa_onnx.OnlineRecognizer.from_transducer(
        tokens=str(folder / "tokens.txt"), **files, num_threads=1, blank_penalty=penalty)
    words = {}
    for cut in corpus.cuts(test_set):
        stream = recognizer.create_stream()
        stream.accept_waveform(SAMPLING_RATE, with_silence(cut, int(said["T"])))
        stream.input_finished()
        while recognizer.is_ready(stream):
            recognizer.decode_stream(stream)
        words[cut.id] = recognizer.get_result(stream).split()
    return words


def with_silence(cut: MonoCut, chunk: int) -> np.ndarray:
    """The samples of a cut and so much silence that its last frame is in a chunk that sherpa-onnx takes: it takes whole
    chunks alone, of `chunk` frames, and one only once a frame more is there."""
    return np.pad(load_samples(cut)[0], (0, (chunk + 2) * SAMPLING_RATE // 100))


def by_torch(file: Path, corpus: Corpus, test_set: str, penalty: float) -> Dict[str, List[str]]:
    """-> {cut id: words}, by the recipe's own code, of the very frames that sherpa-onnx takes."""
    model, extractor, words = load_subnet(file), make_extractor("lhotse"), {}
    step = EncoderStep(model)
    for cut in corpus.cuts(test_set):
        x = torch.as_tensor(extractor.extract(with_silence(cut, step.chunk)[None], SAMPLING_RATE))
        chunks = (len(x) - step.chunk - 1) // step.shift + 1
        with torch.no_grad():
            y, _ = model.encoder(x[None], torch.tensor([len(x)]))
            (ids,) = search(model, y, torch.tensor([chunks * step.segment]), penalty)
        words[cut.id] = corpus.bpe.decode(ids).split()
    return words


def wer(results: List[scoring.Result]) -> float:
    return scoring.total(scoring.count(scoring.align(ref, hyp)) for _, ref, hyp in results).wer


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp-dir", type=Path, required=True, help="what stages 3 to 5 made")
    parser.add_argument("--data-dir", type=Path, required=True, help="what stages 1 and 2 made")
    parser.add_argument("--onnx-dir", type=Path, help="--out-dir of the export [<exp-dir>/onnx]")
    parser.add_argument("--sets", default="", help="dev and test sets [all]")
    parser.add_argument("--sherpa", action="store_true", help="by sherpa-onnx instead, from audio")
    args = parser.parse_args()
    require(*(["onnx", "sherpa_onnx"] if args.sherpa else ["onnxruntime"]))
    decode = by_sherpa if args.sherpa else by_onnxruntime
    there = evaluation_sets(args.data_dir)
    sets = args.sets.split() or there
    for name in sets:
        if name not in there:
            raise UserError(f"--sets {name}: want some of {', '.join(there)}")
    root = args.onnx_dir or args.exp_dir / "onnx"
    subnets = [subnet for subnet in read_index(args.exp_dir) if (root / subnet.name / "encoder.onnx").is_file()]
    if not subnets:
        raise UserError(f"{root}: no model of a sub-network in {args.exp_dir}; "
                        "python -m egs.librispeech.omni_sparsity.subnets.onnx exports them")
    equal = True
    for subnet in subnets:
        folder = root / subnet.name
        corpus = Corpus(args.data_dir, len((folder / "tokens.txt").read_text(encoding="utf-8").splitlines()))
        for precision, ending in PRECISIONS.items():
            if not (folder / f"joiner{ending}").is_file():
                continue
            for test_set in sets:
                record = args.exp_dir / METHOD / f"decode-{test_set}-{subnet.decoded_as}.json"
                if not record.is_file():
                    raise UserError(f"{record} is missing: stage 5 (decode) makes it")
                penalty = json.loads(record.read_text(encoding="utf-8"))["blank_penalty"]
                wanted = scoring.read_recogs(args.exp_dir / METHOD / f"recogs-{test_set}-{subnet.decoded_as}.txt")
                words = decode(folder, ending, corpus, test_set, penalty)
                differ = sum(words[cut] != hypothesis for cut, _, hypothesis in wanted)
                was, now = wer(wanted), wer([(cut, ref, words[cut]) for cut, ref, _ in wanted])
                line = (f"{subnet.name} {precision} {test_set}: {differ} of {len(wanted)} utterances differ, "
                        f"WER {now:.2f} (stage 5: {was:.2f})")
                if precision == "float32":
                    if args.sherpa:
                        same_audio = by_torch(args.exp_dir / subnet.file, corpus, test_set, penalty)
                        differ = sum(words[cut] != same_audio[cut] for cut in same_audio)
                        line += f"; from PyTorch on the same audio {differ}"
                    equal &= not differ
                print(line, flush=True)
    raise SystemExit(0 if equal else 1)


if __name__ == "__main__":
    main()
