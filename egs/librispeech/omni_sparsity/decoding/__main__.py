"""Stage 5: decodes every dev and test set with every sub-network of stage 4, under the attention mask of streaming.

Usage:
    python -m egs.librispeech.omni_sparsity.decoding --config egs/librispeech/omni_sparsity/conf/mini.yaml \\
        --data-dir data/mini --exp-dir exp/mini

Writes icefall's files to <exp-dir>/greedy_search/: {recogs,errs,wer-summary}-<set>-<suffix>.txt with the sparsity in
the suffix, and decode-<set>-<suffix>.json (speed, and which weights), which also says that the other three are whole.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Dict

from omni.files import write_json
from omni.errors import UserError, cli

from ..config import add_config_arguments, load_config
from ..data.sets import evaluation_sets

METHOD = "greedy_search"


def read_subnets(exp_dir: Path) -> list[Dict]:
    path = exp_dir / "subnets" / "subnets.json"
    if not path.is_file():
        raise UserError(f"{path}: not there; stage 4 makes it: ./run.sh --stage 4")
    return json.loads(path.read_text(encoding="utf-8"))


def is_whole(path: Path, row: Dict, blank_penalty: float) -> bool:
    """Whether the decode-*.json at `path` is of the sub-network `row` and of this search."""
    if not path.is_file():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    return found.get("checkpoint") == row["checkpoint"] and found.get("blank_penalty") == blank_penalty


def open_jobs(
    exp_dir: Path, data_dir: Path, rows: list[Dict], blank_penalty: float
) -> list[tuple[str, Dict, str, Path]]:
    """(set, row of subnets.json, suffix, decode-*.json) of what is not decoded yet."""
    jobs = []
    for test_set in evaluation_sets(data_dir):
        for row in rows:
            suffix = f"epoch-{row['epoch']}-avg-{row['avg']}-sparsity-{row['sparsity']:g}"
            stamp = exp_dir / METHOD / f"decode-{test_set}-{suffix}.json"
            if not is_whole(stamp, row, blank_penalty):
                jobs.append((test_set, row, suffix, stamp))
    return jobs


def decode_set(model, cuts, corpus, max_duration: float, blank_penalty: float, device) -> tuple[list, float]:
    """-> [(cut id, reference words, hypothesis words)], seconds in the model and the search."""
    import torch

    from ..data.batches import evaluation_loader
    from .greedy import greedy_search

    results, seconds = [], 0.0
    for batch in evaluation_loader(cuts, max_duration):
        lengths = batch["supervisions"]["num_frames"].to(device, torch.int64)
        began = time.monotonic()
        with torch.no_grad():
            encoder_out, encoder_lens = model.encoder(batch["inputs"].to(device), lengths)
            hypotheses = greedy_search(model, encoder_out, encoder_lens, blank_penalty)
        seconds += time.monotonic() - began
        for cut, text, tokens in zip(batch["supervisions"]["cut"], batch["supervisions"]["text"], hypotheses):
            results.append((cut.id, text.split(), corpus.bpe.decode(tokens).split()))
    return results, seconds


@cli
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_config_arguments(parser)
    parser.add_argument("--data-dir", type=Path, required=True, help="what stages 1 and 2 made")
    parser.add_argument("--exp-dir", type=Path, required=True, help="what stages 3 and 4 made")
    parser.add_argument("--max-duration", type=float, default=0.0, help="seconds of a batch; 0: as configured")
    args = parser.parse_args()
    config = load_config(args.config, args.overrides)
    rows = read_subnets(args.exp_dir)

    jobs = open_jobs(args.exp_dir, args.data_dir, rows, config.decode.blank_penalty)
    if not jobs:
        print(f"{args.exp_dir / METHOD}: {len(rows)} sparsities are decoded already")
        return

    import torch
    from tqdm import tqdm

    device = torch.device(config.decode.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("decode.device cuda: torch sees no GPU here")

    from . import scoring
    from ..data.corpus import Corpus
    from ..subnets.__main__ import load_subnet

    corpus = Corpus(args.data_dir, config.model.vocab_size)
    out = args.exp_dir / METHOD
    bar = tqdm(jobs, disable=None, desc="decode", unit="set")
    for test_set, row, suffix, stamp in bar:
        model = load_subnet(args.exp_dir / row["file"]).to(device)
        cuts = corpus.cuts(test_set)
        results, seconds = decode_set(model, cuts, corpus, args.max_duration or config.decode.max_duration,
                                      config.decode.blank_penalty, device)
        score = scoring.save_results(out, test_set, suffix, results)
        audio = sum(cut.duration for cut in cuts)
        write_json(stamp, {
            "sparsity": row["sparsity"], "test_set": test_set, "method": METHOD, "suffix": suffix,
            "checkpoint": row["checkpoint"], "blank_penalty": config.decode.blank_penalty,
            "loss_backend": row["loss_backend"], "device": config.decode.device, "audio_seconds": round(audio, 2),
            "decode_seconds": round(seconds, 3), "rtf": round(seconds / audio, 6),
        })
        bar.write(f"{test_set} sparsity {row['sparsity']:g}: WER {score.wer:.2f}")


if __name__ == "__main__":
    main()
