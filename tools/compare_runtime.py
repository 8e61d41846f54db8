"""Decodes the dev and test sets of an experiment with omni.runtime, and compares with what stage 5 (PyTorch) wrote.

    python -m tools.compare_runtime --exp-dir exp/mini --data-dir data/mini [--names sparsity-0.9] [--method beam]

A line for each sub-network and set: utterances, how many have other words than PyTorch's greedy search found, both word
error rates. The features are those that stage 1 stored, so that nothing but the model differs; ends with exit code 1
where greedy search is apart by more than 0.1 points. With --audio they are the runtime's own, from the recordings, and
some words differ: what stage 1 stores is rounded (lilcom, by up to 0.016).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List

from egs.librispeech.omni_sparsity.data.manifests import open_cuts
from egs.librispeech.omni_sparsity.data.sets import evaluation_sets
from egs.librispeech.omni_sparsity.decoding.scoring import Result, Score, align, count, read_recogs, total
from egs.librispeech.omni_sparsity.subnets.index import read_index
from omni.errors import UserError, cli
from omni.runtime.recognizer import Recognizer

APART = 0.1  # points of word error rate, at most
STAGE5 = "greedy_search"


def decode(recognizer: Recognizer, cuts: Any, together: int, audio: bool) -> Dict[str, List[str]]:
    """-> {cut id: words}; `together` streams at a time."""
    words: Dict[str, List[str]] = {}
    for batch in _batches(cuts, together):
        streams = []
        for cut in batch:
            stream = recognizer.stream()
            if audio:
                stream.accept(cut.load_audio()[0], int(cut.sampling_rate))
            else:
                stream.accept_features(cut.load_features())
            stream.finish()
            streams.append(stream)
        recognizer.decode(streams)
        words.update((cut.id, stream.text.split()) for cut, stream in zip(batch, streams))
    return words


def score(results: List[Result]) -> Score:
    return total(count(align(ref, hyp)) for _, ref, hyp in results)


def compare(found: Dict[str, List[str]], wrote: List[Result], path: Path) -> Dict[str, Any]:
    """
    Args:
        wrote: of stage 5, from `path`.

    Raises:
        UserError: they are not of the same utterances.
    """
    if set(found) != {name for name, _, _ in wrote}:
        raise UserError(f"{path}: of other utterances than the data has; run stage 5 (decode) again")
    ours = [(name, ref, found[name]) for name, ref, _ in wrote]
    return {
        "utterances": len(wrote), "differ": sum(found[name] != hyp for name, _, hyp in wrote),
        "pytorch": score(wrote).wer, "runtime": score(ours).wer,
    }


def _batches(cuts: Any, size: int) -> Iterator[list]:
    batch: list = []
    for cut in cuts:
        batch.append(cut)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@cli
def main(arguments: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp-dir", type=Path, required=True, help="with stage 5's files")
    parser.add_argument("--data-dir", type=Path, required=True, help="what stage 1 made")
    parser.add_argument("--names", default="", help="of the sub-networks, with spaces between; all if empty")
    parser.add_argument("--method", default="greedy", help="of the runtime (greedy)")
    parser.add_argument("--batch", type=int, default=16, help="streams at a time (16)")
    parser.add_argument("--audio", action="store_true", help="features from the recordings, by the runtime")
    args = parser.parse_args(arguments)
    subnets = read_index(args.exp_dir)
    wanted = args.names.split() or [subnet.name for subnet in subnets]
    odd = set(wanted) - {subnet.name for subnet in subnets}
    if odd:
        raise UserError(f"--names {min(odd)}: want some of {' '.join(subnet.name for subnet in subnets)}")
    cuts = {name: list(open_cuts(args.data_dir / "fbank" / f"librispeech_cuts_{name}.jsonl.gz", 80))
            for name in evaluation_sets(args.data_dir)}
    print("sub-network\tset\tutterances\tdiffer\tPyTorch WER\truntime WER\tdifference\tRTF", flush=True)
    apart = 0.0
    for subnet in (subnet for subnet in subnets if subnet.name in wanted):
        try:
            recognizer = Recognizer(args.exp_dir / subnet.file, args.method)
        except (ValueError, ImportError) as error:
            raise UserError(str(error)) from None
        for name, of_set in cuts.items():
            path = args.exp_dir / STAGE5 / f"recogs-{name}-{subnet.decoded_as}.txt"
            wrote = read_recogs(path)
            began = time.monotonic()
            found = decode(recognizer, of_set, args.batch, args.audio)
            rtf = (time.monotonic() - began) / sum(cut.duration for cut in of_set)
            row = compare(found, wrote, path)
            difference = row["runtime"] - row["pytorch"]
            apart = max(apart, abs(difference))
            print(f"{subnet.name}\t{name}\t{row['utterances']}\t{row['differ']}\t{row['pytorch']:.2f}\t"
                  f"{row['runtime']:.2f}\t{difference:+.2f}\t{rtf:.4f}", flush=True)
    if args.method == "greedy" and not args.audio and apart > APART:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
