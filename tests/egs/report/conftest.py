"""A fabricated experiment: what stages 4 and 5 leave behind, with a few tones as audio."""

import gzip
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from egs.librispeech.omni_sparsity.decoding import scoring

SETS = ("dev-clean", "dev-other", "test-clean", "test-other")
SPARSITIES = (0.0, 0.5, 0.7, 0.8, 0.9)
_TEXT = (
    "TURN OFF THE LIGHT IN MY KITCHEN PLEASE SET A TIMER FOR TEN MINUTES AND PLAY SOME QUIET MUSIC".split()
)
# Errors per word at each sparsity on a clean set; "other" has twice as many.
_RATE = {0.0: 0.03, 0.5: 0.033, 0.7: 0.045, 0.8: 0.08, 0.9: 0.16}


def fabricate(
    root: Path,
    utterances: int = 12,
    sets=SETS,
    sparsities=SPARSITIES,
    seed: int = 1,
    method: str = "greedy_search",
    audio: bool = True,
) -> tuple[Path, Path]:
    """Writes root/exp/mini and root/data/mini and returns both.

    Texts hold `<unk>`, an ampersand and quotes, for what must be escaped; the errors come from `seed`.
    """
    exp_dir, data_dir = root / "exp" / "mini", root / "data" / "mini"
    (exp_dir / "subnets").mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "name": f"sparsity-{sparsity:g}",
            "sparsity": sparsity,
            "measured_sparsity": round(sparsity * 0.998, 4),
            "spec": f"subnets/sparsity-{sparsity:g}.json",
            "file": f"subnets/sparsity-{sparsity:g}.omni.safetensors",
            "params_total": 1_234_567,
            "params_nonzero": 134_567 + round(1_100_000 * (1 - sparsity)),
            "bytes": 540_000 + round(4_400_000 * (1 - sparsity)),
            "train_passes": 6000,
            "train_seconds": 612.5,
            "checkpoint": "5eed",
        }
        for sparsity in sparsities
    ]
    (exp_dir / "subnets" / "subnets.json").write_text(json.dumps(rows))
    for test_set in sets:
        references = _references(test_set, utterances)
        if audio:
            _write_cuts(root, data_dir, test_set, list(references))
        for sparsity in sparsities:
            rate = _RATE.get(sparsity, 0.1) * (2 if "other" in test_set else 1)
            noise = random.Random(f"{seed} {test_set} {sparsity}")
            results = [(cut_id, ref, _misheard(ref, rate, noise)) for cut_id, ref in references.items()]
            write_decoding(exp_dir, test_set, sparsity, results, method)
    return exp_dir, data_dir


def write_decoding(
    exp_dir: Path,
    test_set: str,
    sparsity: float,
    results: list,
    method: str = "greedy_search",
    prefix: str = "epoch-30-avg-5",
    checkpoint: str = "5eed",
    name: str = "",
) -> None:
    """The four files of stage 5 for one test set and one sub-network, a uniform one where `name` is not given."""
    name = name or f"sparsity-{sparsity:g}"
    suffix = f"{prefix}-{name}"
    score = scoring.save_results(exp_dir / method, test_set, suffix, results)
    record = {
        "name": name,
        "sparsity": sparsity,
        "test_set": test_set,
        "method": method,
        "suffix": suffix,
        "rtf": 0.0125,
        "loss_backend": "k2 1.23.4",
        "audio_seconds": 1200.0,
        "decode_seconds": 15.0,
        "checkpoint": checkpoint,
        "errors": score.by_utterance(),
    }
    (exp_dir / method / f"decode-{test_set}-{suffix}.json").write_text(json.dumps(record))


def _references(test_set: str, count: int) -> dict[str, list[str]]:
    noise = random.Random(test_set)
    found = {
        f"{100 + i % 9}-{i // 9}-{i:04d}-0": noise.sample(_TEXT, noise.randint(3, 9)) for i in range(count)
    }
    for words, odd in zip(found.values(), ("<unk>", "R&B", 'THE"N', "DON'T"), strict=False):
        words[0] = odd
    return found


def _misheard(ref: list[str], rate: float, noise: random.Random) -> list[str]:
    hyp = []
    for word in ref:
        kind = noise.random() / rate
        if kind < 0.5:
            hyp.append(noise.choice(_TEXT))
        elif kind < 0.8:
            continue
        else:
            hyp += [word] + (["A"] if kind < 1.0 else [])
    return hyp


def _write_cuts(root: Path, data_dir: Path, test_set: str, ids: list[str]) -> None:
    """A tone of a tenth of a second for each utterance, and the cuts as lhotse writes them."""
    folder = root / "download" / test_set
    folder.mkdir(parents=True)
    (data_dir / "fbank").mkdir(parents=True, exist_ok=True)
    with gzip.open(data_dir / "fbank" / f"librispeech_cuts_{test_set}.jsonl.gz", "wt") as out:
        for number, cut_id in enumerate(ids):
            path = folder / f"{cut_id}.flac"
            tone = 0.3 * np.sin(2 * np.pi * (200 + 5 * number) * np.arange(1600) / 16000)
            soundfile.write(path, tone, 16000, subtype="PCM_16")
            cut = {
                "id": cut_id,
                "start": 0,
                "duration": 0.1,
                "channel": 0,
                "supervisions": [],
                "recording": {
                    "id": cut_id[:-2],
                    "sampling_rate": 16000,
                    "num_samples": 1600,
                    "duration": 0.1,
                    "channel_ids": [0],
                    "sources": [{"type": "file", "channels": [0], "source": str(path)}],
                },
                "type": "MonoCut",
            }
            out.write(json.dumps(cut) + "\n")


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """(exp_dir, data_dir) of a small whole experiment, only to read."""
    return fabricate(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def experiment(whole, tmp_path):
    """The same with an exp_dir to do with as a test likes."""
    return Path(shutil.copytree(whole[0], tmp_path / "exp" / "mini")), whole[1]


@pytest.fixture
def make():
    """The two functions above, for tests that want other experiments."""

    class Make:
        experiment = staticmethod(fabricate)
        decoding = staticmethod(write_decoding)

    return Make
