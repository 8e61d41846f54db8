"""Stage 1: 80-bin fbank features of every subset, and of noise to mix into training.

    python -m local.compute_fbank --data-dir data/mini --nj 2

Reads <data-dir>/manifests/librispeech_{recordings,supervisions}_<subset>.jsonl.gz and, where they are there,
noise_recordings.jsonl.gz and musan_recordings_<part>.jsonl.gz. Writes
<data-dir>/fbank/librispeech_cuts_<subset>.jsonl.gz and <data-dir>/fbank/noise_cuts.jsonl.gz. Subsets whose
name starts with "train" hold each utterance three times: as recorded, and at 0.9 and 1.1 of its speed
(`<id>_sp0.9`, `<id>_sp1.1`). What is whole is skipped; a killed run goes on where it was (fbank_shards.py).
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Sequence

from egs.librispeech.omni_sparsity.data.fbank import BACKENDS, NUM_MEL_BINS, SAMPLING_RATE, choose_backend
from local.fbank_noise import noise_to_store
from local.fbank_shards import CutsToStore, compute_all, digest, join, split
from local.progress import TIME, progress
from omni.errors import UserError, cli
from omni.lock import hold

if TYPE_CHECKING:
    from lhotse.cut import MonoCut

SPEEDS = (1.0, 0.9, 1.1)
SHARD_SIZE = 500  # cuts; a kill loses at most this much work of each process, some seconds


def subsets(manifests: Path) -> list[str]:
    """The subsets that have both manifests, sorted.

    Raises:
        UserError: there is none, or one of a pair is missing.
    """
    names = {
        kind: {path.name.removeprefix(f"librispeech_{kind}_").removesuffix(".jsonl.gz")
               for path in manifests.glob(f"librispeech_{kind}_*.jsonl.gz")}
        for kind in ("recordings", "supervisions")
    }
    if not any(names.values()):
        raise UserError(f"{manifests}: no librispeech_recordings_<subset>.jsonl.gz; run stage 0 first")
    for subset in sorted(names["recordings"] ^ names["supervisions"]):
        raise UserError(f"{manifests}: {subset} has only one of its two manifests; run stage 0 again")
    return sorted(names["recordings"])


def subset_to_store(data_dir: Path, subset: str, perturb_speed: bool) -> CutsToStore:
    """Says what features a subset gets."""
    manifests = data_dir / "manifests"
    paths = [manifests / f"librispeech_{kind}_{subset}.jsonl.gz" for kind in ("recordings", "supervisions")]
    speeds = SPEEDS if perturb_speed and subset.startswith("train") else SPEEDS[:1]
    made_from = {"manifests": digest(paths), "num_mel_bins": NUM_MEL_BINS, "speeds": list(speeds)}
    fbank = data_dir / "fbank"
    return CutsToStore(
        fbank / f"librispeech_cuts_{subset}.jsonl.gz",
        fbank / f"librispeech_feats_{subset}",
        made_from,
        lambda: load_cuts(*paths),
        speeds,
    )


def load_cuts(recordings: Path, supervisions: Path) -> list[MonoCut]:
    """One cut an utterance, its id the utterance's, sorted by it.

    Raises:
        UserError: a recording is not 16 kHz mono, or holds several utterances; no utterance is left.
    """
    from lhotse import load_manifest
    from lhotse.cut import MonoCut

    by_recording: dict[str, list] = {}
    for supervision in load_manifest(supervisions):
        by_recording.setdefault(supervision.recording_id, []).append(supervision)
    cuts, without_text = [], 0
    for recording in sorted(load_manifest(recordings), key=lambda recording: recording.id):
        if recording.sampling_rate != SAMPLING_RATE or recording.num_channels != 1:
            raise UserError(
                f"{recording.sources[0].source}: {recording.sampling_rate} Hz, {recording.num_channels} "
                "channel(s); 16000 Hz mono is needed"
            )
        found = by_recording.pop(recording.id, [])
        if len(found) > 1:
            raise UserError(f"{supervisions}: {recording.id} has {len(found)} texts; one is needed")
        if not found:
            without_text += 1
            continue
        cuts.append(MonoCut(found[0].id, 0.0, recording.duration, 0, found, recording=recording))
    if without_text or by_recording:
        logging.warning(
            "%s: left out %d recordings without a text and %d texts without a recording",
            recordings, without_text, len(by_recording),
        )
    if not cuts:
        raise UserError(f"{recordings}: no utterance has both audio and a text; run stage 0 again")
    return cuts


def compute_fbank(
    data_dir: Path,
    nj: int = 2,
    perturb_speed: bool = True,
    backend: str = "auto",
    shard_size: int = SHARD_SIZE,
) -> None:
    """Computes what is missing below `data_dir`/fbank. See the module's description; raises UserError."""
    names = subsets(data_dir / "manifests")
    if nj < 1:
        raise UserError(f"--nj {nj}: at least one process is needed")
    with hold(data_dir):
        sets = [subset_to_store(data_dir, name, perturb_speed) for name in names]
        sets.append(noise_to_store(data_dir))
        missing = [wanted for wanted in sets if not wanted.is_whole()]
        for path in sorted((data_dir / "fbank").glob("librispeech_cuts_*.jsonl.gz")):
            if path not in [wanted.path for wanted in sets]:
                logging.warning("%s: no manifests of it; training and decoding take it all the same", path)
        if not missing:
            logging.info("features: all %d subsets and the noise are there", len(names))
            return
        _compute(missing, nj, choose_backend(backend), shard_size)


def _compute(sets: Sequence[CutsToStore], nj: int, backend: str, shard_size: int) -> None:
    logging.info("features of %d sets with %s, %d processes", len(sets), backend, nj)
    started = time.monotonic()
    shards = {wanted.path: split(wanted, backend, shard_size) for wanted in sets}
    to_do = [shard for of_set in shards.values() for shard in of_set if not shard.lines.is_file()]
    left = {path: {shard.stem for shard in of_set} & {shard.stem for shard in to_do}
            for path, of_set in shards.items()}
    for shard in progress(compute_all(to_do, nj), total=len(to_do), what="feature shards"):
        path = next(path for path in left if shard.stem in left[path])
        left[path].remove(shard.stem)
        if not left[path]:  # at once: what is whole survives a later kill
            join(shards[path], path)
    for path, of_set in shards.items():
        if not path.is_file():  # a run was killed when all shards were done
            join(of_set, path)
        seconds = {speed: sum(c.duration for s in of_set if s.speed == speed for c in s.cuts) / speed
                   for speed in sorted({shard.speed for shard in of_set})}
        speeds = ", ".join(f"{value / 3600:.2f} h at {speed}" for speed, value in seconds.items())
        count = sum(len(shard.cuts) for shard in of_set)
        logging.info("%s: %d cuts, %.2f h (%s)", path.name, count, sum(seconds.values()) / 3600, speeds)
    logging.info("features took %.1f s", time.monotonic() - started)


def get_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m local.compute_fbank",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="holds manifests/, gets fbank/")
    parser.add_argument("--nj", type=int, default=2, help="number of processes (default: 2)")
    parser.add_argument("--perturb-speed", type=int, choices=(0, 1), default=1, help="train: 0.9 and 1.1 too")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="auto: kaldifeat if it is there")
    return parser


@cli
def main(arguments: list[str] | None = None) -> None:
    """Entry point. `arguments` default to the command line's."""
    args = get_parser().parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt=TIME, level=logging.INFO)
    compute_fbank(args.data_dir, args.nj, bool(args.perturb_speed), args.backend)


if __name__ == "__main__":
    main()
