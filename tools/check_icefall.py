"""The parts of tools/check_icefall.sh that read models and tables.

Usage (by the shell script, in egs/librispeech/ASR of icefall):
    python tools/check_icefall.py coverage RECIPE
        how much of the encoder the settings that ship prune, at the recipe's default sizes
    python tools/check_icefall.py trained RECIPE OUT EPOCHS VOCAB <sizes, as the recipe's train.py takes them>
        what must hold of what was trained and decoded
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Iterator, Tuple

import torch

import omni
from omni.icefall import read_settings
from omni.icefall.host import MODEL_FUNCTIONS

LEAST = 0.9  # of the encoder's parameters
LEARNT = 30  # WER in percent of a dense model that has learnt tones; above it, what is cut off it says nothing


def model_of(recipe: str, arguments: list, vocab: int = 500) -> torch.nn.Module:
    """The recipe's model, made by the recipe's own functions; `vocab`: icefall's usual 500, or that of a BPE model."""
    sys.path.insert(0, str(Path(recipe).resolve()))
    host = importlib.import_module("train")
    parser = host.get_parser()
    host.LibriSpeechAsrDataModule.add_arguments(parser)
    params = host.get_params()
    params.update(vars(parser.parse_args(arguments)))
    params.update(blank_id=0, sos_id=1, eos_id=1, unk_id=2, vocab_size=vocab)
    return next(getattr(host, name) for name in MODEL_FUNCTIONS if hasattr(host, name))(params)


def coverage(model: torch.nn.Module, recipe: str) -> float:
    """Share of the encoder's parameters that can be pruned by the settings that ship for the recipe."""
    net = omni.Supernet(model, read_settings(recipe, ["steps=1"]).ranges())
    encoder = sum(p.numel() for name, p in model.named_parameters() if name.startswith("encoder"))
    return sum(target.weight.numel() for target in net.targets.values()) / encoder


def hypotheses(folder: Path) -> dict:
    """{set: text of its recogs file}."""
    files = sorted(folder.rglob("recogs-*.txt"))
    return {re.match(r"recogs-(test-[a-z]+)", file.name)[1]: file.read_text() for file in files}


def trained(recipe: str, out: Path, epochs: str, vocab: int, sizes: list) -> bool:
    """Prints what holds and what does not; -> whether all does."""
    found = []

    def check(what: str, good: bool) -> None:
        found.append(good)
        print(f"{'ok  ' if good else 'FAIL'}  {recipe}: {what}")

    model = model_of(recipe, sizes, vocab)
    for system in ("supernet", "dense"):
        state = omni.load_pt(out / system / f"epoch-{epochs}.pt")["model"]
        model.load_state_dict(state, strict=True)
        check(f"the {system}'s weights load in the plain recipe, strictly", list(state) == list(model.state_dict()))
    plain = hypotheses(out / "supernet")
    baked = hypotheses(out / "sweep-supernet" / "sparsity-0")
    check(f"the baked whole network gives the words of the recipe's own average, all of {', '.join(sorted(plain))}",
          plain == baked and len(plain) == 2)
    tables = {name.name[6:]: json.loads((name / "results.json").read_text()) for name in sorted(out.glob("sweep-*"))}
    for name, rows in tables.items():
        for row in rows:
            print(f"      {name:10s} sparsity {row['sparsity']:g} {row['test_set']}: WER {row['wer']}")
    wer = {name: {(row["sparsity"], row["test_set"]): row["wer"] for row in rows} for name, rows in tables.items()}
    for what, good in compare(wer["supernet"], wer["dense"]):
        check(what, good)
    return all(found)


def compare(supernet: dict, dense: dict) -> Iterator[Tuple[str, bool]]:
    """(what should hold, whether it does) of {(sparsity, set): WER in percent} of both systems."""
    for test_set in ("test-clean", "test-other"):
        whole, cut = dense[0.0, test_set], dense[0.7, test_set]
        yield (f"the dense model has learnt: {whole} on {test_set}, want below {LEARNT}, else more --epochs",
               whole < LEARNT)
        yield (f"at 0.7 on {test_set} the supernet is better than the dense model cut once: "
               f"{supernet[0.7, test_set]} against {cut}"), supernet[0.7, test_set] < cut


def main() -> None:
    what, recipe, *rest = sys.argv[1:]
    if what == "coverage":
        share = coverage(model_of(recipe, []), recipe)
        good = share >= LEAST
        print(f"{'ok  ' if good else 'FAIL'}  {recipe}: {100 * share:.1f}% of the encoder's parameters can be pruned, "
              "at its default sizes")
    else:
        out, epochs, vocab, *sizes = rest
        good = trained(recipe, Path(out), epochs, int(vocab), sizes)
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    main()
