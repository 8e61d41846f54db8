"""What stages 1 and 2 left: names alone, no heavy imports."""

from __future__ import annotations

from pathlib import Path
from typing import List

from omni.errors import UserError

TRAIN = "train"
EVALUATION = ("dev-clean", "dev-other", "test-clean", "test-other")


def subsets(data_dir: Path) -> List[str]:
    """Names of the subsets that have features.

    Raises:
        UserError: there is none.
    """
    names = sorted(p.name for p in (data_dir / "fbank").glob("librispeech_cuts_*.jsonl.gz"))
    if not names:
        raise UserError(f"{data_dir}/fbank: no features there; stage 1 makes them: ./run.sh --stage 1")
    return [name[len("librispeech_cuts_") : -len(".jsonl.gz")] for name in names]


def bpe_model(data_dir: Path, vocab_size: int) -> Path:
    """What stage 2 made."""
    return Path(data_dir) / f"lang_bpe_{vocab_size}" / "bpe.model"


def training_sets(data_dir: Path) -> List[str]:
    return [name for name in subsets(data_dir) if name.startswith(TRAIN)]


def evaluation_sets(data_dir: Path) -> List[str]:
    """Development and test sets, in LibriSpeech's order."""
    found = [name for name in subsets(data_dir) if name.startswith(("dev", "test"))]
    return sorted(found, key=lambda name: (EVALUATION.index(name) if name in EVALUATION else len(EVALUATION), name))
