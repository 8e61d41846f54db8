"""Stage 5: decodes every dev and test set with every sub-network of stage 4, under the attention mask of streaming.

Usage:
    python -m egs.librispeech.omni_sparsity.decoding --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --data-dir data/mini --exp-dir exp/mini [--decoding-method greedy_search]

Writes icefall's files to <exp-dir>/<method>/: {recogs,errs,wer-summary}-<set>-<suffix>.txt with the sub-network's name
in the suffix, and decode-<set>-<suffix>.json (speed, errors, which weights): where it is, the other three are whole.
What the error rates are is noted in the files that ship, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Callable

from omni.files import write_json
from omni.errors import UserError, cli

from .. import registry
from ..config import add_config_arguments, load_config
from ..data.sets import evaluation_sets
from ..subnets.index import index_path, read_index, write_index
from ..subnets.subnet import Subnet
from . import methods


def is_whole(path: Path, subnet: Subnet, blank_penalty: float) -> bool:
    """Whether the decode-*.json at `path` is of this sub-network and of this search."""
    if not path.is_file():
        return False
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return record.get("checkpoint") == subnet.checkpoint and record.get("blank_penalty") == blank_penalty


def open_jobs(
    out: Path, data_dir: Path, subnets: list[Subnet], blank_penalty: float
) -> list[tuple[Subnet, str, Path]]:
    """(sub-network, set, decode-*.json) of what is not decoded yet; those of one sub-network together."""
    sets = evaluation_sets(data_dir)
    jobs = [(subnet, test_set, out / f"decode-{test_set}-{subnet.decoded_as}.json")
            for subnet in subnets for test_set in sets]
    return [job for job in jobs if not is_whole(job[2], job[0], blank_penalty)]


def decode_set(
    model, search: Callable, cuts, corpus, max_duration: float, blank_penalty: float, device
) -> tuple[list, float]:
    """-> [(cut id, reference words, hypothesis words)], seconds in the model and the search."""
    import torch

    from ..data.batches import evaluation_loader

    results, seconds = [], 0.0
    for batch in evaluation_loader(cuts, max_duration):
        lengths = batch["supervisions"]["num_frames"].to(device, torch.int64)
        began = time.monotonic()
        with torch.no_grad():
            encoder_out, encoder_lens = model.encoder(batch["inputs"].to(device), lengths)
            hypotheses = search(model, encoder_out, encoder_lens, blank_penalty)
        seconds += time.monotonic() - began
        for cut, text, tokens in zip(batch["supervisions"]["cut"], batch["supervisions"]["text"], hypotheses):
            results.append((cut.id, text.split(), corpus.bpe.decode(tokens).split()))
    return results, seconds


def note_results(exp_dir: Path, subnets: list[Subnet], blank_penalty: float) -> None:
    """Writes the error rates of all methods into the header of each file that ships, its new size into the index."""
    from ..subnets.formats import storage_of

    noted = []
    for subnet in subnets:
        results = {}
        for path in sorted(exp_dir.glob(f"*/decode-*-{subnet.decoded_as}.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            if record.get("checkpoint") == subnet.checkpoint and "wer" in record:
                results.setdefault(record["method"], {})[record["test_set"]] = record["wer"]
        file = exp_dir / subnet.file
        storage_of(file).note(file, {"results": results, "decode": {"blank_penalty": blank_penalty}})
        noted.append(dataclasses.replace(subnet, bytes=file.stat().st_size))
    if noted != subnets:
        made = index_path(exp_dir).stat()
        write_index(exp_dir, noted)
        # Of when stage 4 made it, which asks for that: a checkpoint that is newer makes it cut anew.
        os.utime(index_path(exp_dir), ns=(made.st_atime_ns, made.st_mtime_ns))


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, required=True, help="what stages 1 and 2 made")
    parser.add_argument("--exp-dir", type=Path, required=True, help="what stages 3 and 4 made")
    parser.add_argument("--decoding-method", default="greedy_search", metavar="METHOD",
                        help=f"{' | '.join(registry.names(methods))} (greedy_search)")
    parser.add_argument("--max-duration", type=float, default=600.0, help="seconds of audio in a batch (600)")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    method, penalty = args.decoding_method, config.decode.blank_penalty
    subnets = read_index(args.exp_dir)
    out = args.exp_dir / method
    registry.check(methods, method, "--decoding-method")
    jobs = open_jobs(out, args.data_dir, subnets, penalty)
    if not jobs:
        print(f"{out}: {len(subnets)} sub-networks are decoded already")
        note_results(args.exp_dir, subnets, penalty)
        return

    import torch
    from tqdm import tqdm

    device = torch.device(config.decode.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("decode.device cuda: torch sees no GPU here")

    from . import scoring
    from ..data.corpus import Corpus
    from ..subnets.formats import load_subnet

    search = registry.load(methods, method, "--decoding-method").search
    corpus = Corpus(args.data_dir, config.model.vocab_size)
    corpus.check()
    bar = tqdm(jobs, disable=None, desc="decode", unit="set")
    model, loaded = None, None
    for subnet, test_set, stamp in bar:
        if loaded is not subnet:
            model, loaded = load_subnet(args.exp_dir / subnet.file, subnet.checkpoint).to(device), subnet
        cuts = corpus.cuts(test_set)
        results, seconds = decode_set(model, search, cuts, corpus, args.max_duration,
                                      penalty, device)
        score = scoring.save_results(out, test_set, subnet.decoded_as, results)
        audio = sum(cut.duration for cut in cuts)
        write_json(stamp, {
            "name": subnet.name, "sparsity": subnet.sparsity, "test_set": test_set, "method": method,
            "suffix": subnet.decoded_as, "checkpoint": subnet.checkpoint, "blank_penalty": penalty,
            "wer": round(score.wer, 2), "loss_backend": subnet.loss_backend, "device": config.decode.device,
            "audio_seconds": round(audio, 2),
            "decode_seconds": round(seconds, 3), "rtf": round(seconds / audio, 6), "errors": score.by_utterance(),
        })
        bar.write(f"{test_set} {subnet.name}: WER {score.wer:.2f}")
    note_results(args.exp_dir, subnets, penalty)


if __name__ == "__main__":
    main()
