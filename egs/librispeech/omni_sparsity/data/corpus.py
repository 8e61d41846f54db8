"""A prepared corpus: the cuts of its sets, checked as they are opened, and its BPE model."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional

import sentencepiece as spm
from lhotse import CutSet

from omni.errors import UserError

from .fbank import NUM_MEL_BINS
from .manifests import open_cuts
from .sets import bpe_model, evaluation_sets, subsets, training_sets


class Corpus:
    """What stages 1 and 2 made.

    Raises:
        UserError: the BPE model is missing or is none.
    """

    def __init__(self, data_dir: Path, vocab_size: int) -> None:
        self.data_dir = Path(data_dir)
        lang = bpe_model(self.data_dir, vocab_size)
        if not lang.is_file():
            raise UserError(f"{lang}: not there; stage 2 makes it: ./run.sh --stage 2 --stop-stage 2")
        try:
            self.bpe = spm.SentencePieceProcessor(model_file=str(lang))
        except (RuntimeError, OSError):
            raise UserError(f"{lang}: not a model of sentencepiece's; remove it and run stage 2 again") from None
        self._opened: Dict[str, CutSet] = {}
        self._noise: Optional[CutSet] = None

    def path(self, subset: str) -> Path:
        return self.data_dir / "fbank" / f"librispeech_cuts_{subset}.jsonl.gz"

    def cuts(self, subset: str) -> CutSet:
        """Of one set, opened once.

        Raises:
            UserError: see `open_cuts`; in a set that is not trained on, a text of which no token is left, too.
        """
        if subset not in self._opened:
            cuts = open_cuts(self.path(subset), NUM_MEL_BINS)
            if subset not in training_sets(self.data_dir):  # there they are left out and counted
                for cut in cuts:
                    if not self.encode([cut.supervisions[0].text])[0]:
                        raise UserError(f"{self.path(subset)}: cut {cut.id}: its text "
                                        f"{cut.supervisions[0].text!r} is no token of the BPE model; remove the cut")
            self._opened[subset] = cuts
        return self._opened[subset]

    def train_cuts(self) -> CutSet:
        """Of all training sets.

        Raises:
            UserError: there is none, two of them share a cut's id, or see `open_cuts`.
        """
        names = training_sets(self.data_dir)
        if not names:
            raise UserError(f"{self.data_dir}/fbank: no subset whose name begins with 'train'")
        seen: Dict[str, str] = {}
        for name in names:
            for cut in self.cuts(name):
                if seen.setdefault(cut.id, name) != name:
                    raise UserError(f"{self.path(name)}: cut {cut.id}: is in {seen[cut.id]}, too; ids must differ")
        return CutSet.from_cuts(cut for name in names for cut in self.cuts(name))

    def noise_cuts(self) -> CutSet:
        if self._noise is None:
            self._noise = open_cuts(self.data_dir / "fbank" / "noise_cuts.jsonl.gz", NUM_MEL_BINS, texts=False)
        return self._noise

    def check(self) -> None:
        """Opens every set and the noise: what is wrong with one of them is said before any work is done.

        Raises:
            UserError: see `cuts`, `train_cuts`.
        """
        subsets(self.data_dir)
        self.train_cuts()
        self.noise_cuts()
        for name in evaluation_sets(self.data_dir):
            self.cuts(name)

    def encode(self, texts: List[str]) -> List[List[int]]:
        return self.bpe.encode(texts, out_type=int)
