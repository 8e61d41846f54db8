"""Noise to mix into training speech: what the corpus brings, or generated noise where it brings none.

Looked for in `<data-dir>/manifests`: stage 0's manifest of the corpus's own noise (the mini corpus has some), and
MUSAN's (`lhotse prepare musan`). When there is neither, four minutes of noise in four colours are generated into
`<data-dir>/noise`, so that training can always mix. All is cut into windows of 10 s.
"""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egs.librispeech.omni_sparsity.data.fbank import SAMPLING_RATE
from local.fbank_shards import CutsToStore, digest
from omni.files import atomic
from omni.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from lhotse import Recording
    from lhotse.cut import MonoCut

WINDOW = 10.0  # seconds
SHORTEST = 2.0  # seconds; a shorter rest of a recording is left out
SECONDS_A_COLOUR = 60
COLOURS = {"white": 0.0, "pink": 0.5, "brown": 1.0, "speech": None}  # amplitude ~ f^-x
_SEED = 20


def noise_to_store(data_dir: Path) -> CutsToStore:
    """Says which noise gets features; reads no audio.

    Args:
        data_dir: `fbank/noise_cuts.jsonl.gz` is to be written below it, `manifests/` is in it.
    """
    folder = data_dir / "manifests"
    found = [*folder.glob("noise_recordings.jsonl.gz"), *sorted(folder.glob("musan_recordings_*.jsonl.gz"))]
    if found:
        made_from: dict[str, Any] = {"manifests": digest(found)}
    else:
        made_from = {"generated": list(COLOURS), "seconds": SECONDS_A_COLOUR, "seed": _SEED}

    def cuts() -> list[MonoCut]:
        if found:
            return windows(_recordings(found))
        return windows([_generated(path) for path in generate(data_dir / "noise")])

    fbank = data_dir / "fbank"
    return CutsToStore(fbank / "noise_cuts.jsonl.gz", fbank / "noise_feats", made_from, cuts)


def windows(recordings: list[Recording]) -> list[MonoCut]:
    """Cuts recordings into windows of 10 s, `<recording>-<index>`; a rest under 2 s is left out, and told."""
    kept, left_out = [], 0.0
    for recording in recordings:
        for cut in recording.to_cut().cut_into_windows(WINDOW):
            if cut.duration >= SHORTEST:
                kept.append(cut)
            else:
                left_out += cut.duration
    if left_out:
        logging.info("noise: rests shorter than %g s, %.1f s in all, are left out", SHORTEST, left_out)
    if not kept:
        raise UserError(f"noise: no recording of at least {SHORTEST:g} s; remove noise/ to have some made")
    return kept


def generate(folder: Path) -> list[Path]:
    """Writes a minute of noise of each colour as 16 kHz FLAC, the same bytes each time. Returns the paths."""
    import soundfile

    paths = [folder / f"{colour}.flac" for colour in COLOURS]
    for index, path in enumerate(paths):
        samples = coloured_noise(path.stem, SECONDS_A_COLOUR, seed=_SEED + index)
        memory = io.BytesIO()  # libsndfile does not say that a disk is full, Python does
        soundfile.write(memory, samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
        with atomic(path) as beside:
            beside.write_bytes(memory.getvalue())
    logging.info("no noise in the corpus: %d s generated in %s", SECONDS_A_COLOUR * len(paths), folder)
    return paths


def coloured_noise(colour: str, seconds: float, seed: int) -> np.ndarray:
    """Gaussian noise with the spectrum of a colour, its level wandering slowly within about 12 dB.

    Args:
        colour: a key of COLOURS. "speech" is flat up to 500 Hz and falls by 9 dB an octave above, roughly the
            long-term spectrum of speech.
        seconds: the length.
        seed: the same seed gives the same samples.
    Returns:
        (seconds * 16000,) float32, peak 0.5.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    n = round(seconds * SAMPLING_RATE)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequency = np.fft.rfftfreq(n, 1 / SAMPLING_RATE)
    power = COLOURS[colour]
    audible = np.maximum(frequency, 20)
    shape = np.minimum(1.0, (500 / audible) ** 1.5) if power is None else audible**-power
    shape[frequency < 20] = 0  # no rumble below what the mel bins hear
    noise = np.fft.irfft(spectrum * shape, n)
    knots = rng.uniform(-6, 6, size=max(2, round(seconds / 2)))  # dB, one each two seconds
    level = np.interp(np.linspace(0, len(knots) - 1, n), np.arange(len(knots)), knots)
    noise *= 10 ** (level / 20)
    return (0.5 * noise / np.abs(noise).max()).astype(np.float32)


def _generated(path: Path) -> Recording:
    from lhotse import Recording

    return Recording.from_file(path, recording_id=f"noise-{path.stem}")


def _recordings(manifests: list[Path]) -> list[Recording]:
    from lhotse import load_manifest

    recordings = []
    for path in manifests:
        loaded = load_manifest(path)
        recordings += sorted(loaded, key=lambda one: one.id) if path.name.startswith("musan") else loaded
    seen: set[str] = set()
    for recording in recordings:
        if recording.sampling_rate != SAMPLING_RATE or recording.num_channels != 1:
            raise UserError(
                f"{recording.sources[0].source}: {recording.sampling_rate} Hz, {recording.num_channels} "
                "channel(s); noise must be 16000 Hz mono"
            )
        if recording.id in seen:
            raise UserError(f"noise: two recordings are called {recording.id}; rename one")
        seen.add(recording.id)
    return recordings
