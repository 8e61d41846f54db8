"""Decodes the sound files of a corpus from end to end: each must hold what it promises, and what the later stages take.
Needs soundfile only."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Iterator, Sequence

from local.progress import progress

RATE = 16000  # Hz
# 40 ms: an utterance at 1.1 times its speed must still give the encoder one frame, of four frames of features.
SHORTEST = 640
LOUDEST = 1e6  # of samples that should lie in [-1, 1]; a float file can hold what no feature can
_FEW = 2000  # files that one process checks in less time than more processes take to start

Fault = tuple[str, str]  # what is wrong, and more about this file (may be empty)


def check_audio(path: Path, shortest: int = SHORTEST) -> Fault | None:
    """What is wrong with one file, or None: as FLAC it must match its checksum, as any file its own length."""
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, channels, promised, subtype = file.samplerate, file.channels, file.frames, file.subtype
            if rate != RATE:
                return "audio that is not 16 kHz", f"{rate} Hz"
            if channels != 1:
                return "audio that is not mono", f"{channels} channels"
            samples = file.read(dtype="float32" if subtype in ("FLOAT", "DOUBLE") else "int16")
    except (soundfile.SoundFileError, OSError) as error:
        return "audio that does not decode", _reason(path, error)
    if len(samples) == 0:
        return "audio without samples", ""
    if len(samples) != promised:
        return "audio that does not decode", f"{len(samples)} of {promised} samples"
    if len(samples) < shortest:
        return f"audio shorter than {1000 * shortest // RATE} ms", f"{len(samples)} samples"
    if samples.dtype == "float32" and not (abs(samples) < LOUDEST).all():  # nor is a NaN below it
        return "audio with a sample that is no number or out of range", f"sample {(~(abs(samples) < LOUDEST)).argmax()}"
    with open(path, "rb") as file:
        head = file.read(42)
    # In STREAMINFO, FLAC's first block: the MD5 of the samples, or zeros where the encoder set none.
    checksum = head[26:42] if head[:4] == b"fLaC" and subtype == "PCM_16" else b""
    if any(checksum) and hashlib.md5(samples.tobytes()).digest() != checksum:
        return "audio that does not decode", "its samples do not match its checksum"
    return None


def _reason(path: Path, error: Exception) -> str:
    if not path.exists():
        return "no such file"
    return "an empty file" if path.is_file() and os.stat(path).st_size == 0 else str(error).strip().rstrip(".")


def check_all(paths: Sequence[Path], jobs: int) -> Iterator[Fault | None]:
    """Checks every file, `jobs` at a time; yields results in the order of `paths`."""
    if jobs == 1 or len(paths) < _FEW:
        yield from progress(map(check_audio, paths), total=len(paths), what="files checked")
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["local.check_audio", "soundfile"])
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        results = pool.map(check_audio, paths, chunksize=64)
        yield from progress(results, total=len(paths), what="files checked")
