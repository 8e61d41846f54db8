"""80-bin log-mel features as Kaldi defines them, by kaldifeat or by lhotse: the same numbers either way.

Both are used through lhotse's own extractor classes with lhotse's (and icefall's) defaults: 16 kHz, frames of
25 ms every 10 ms, Povey window, pre-emphasis 0.97, no dither, mel bins from 20 Hz to 400 Hz below Nyquist,
natural logarithm of the power, samples in [-1, 1], edges mirrored, so that T = (samples + 80) // 160.
tests/egs/data/test_fbank.py states how far the two may differ.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from omni.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from lhotse import FeatureExtractor
    from lhotse.cut import MonoCut

SAMPLING_RATE = 16000
NUM_MEL_BINS = 80
DESCRIPTION = {  # for the header of a file that ships: whoever computes them elsewhere finds the values here
    "type": "kaldi-fbank", "sampling_rate": SAMPLING_RATE, "num_mel_bins": NUM_MEL_BINS, "frame_length_ms": 25,
    "frame_shift_ms": 10, "window": "povey", "preemphasis": 0.97, "low_freq": 20, "high_freq": -400, "dither": 0,
    "snip_edges": False, "remove_dc_offset": True, "use_power": True, "samples": "-1 to 1",
}
SHORTEST = 140  # samples that give a frame: the edges are mirrored, which takes more than they are long
LOUDEST = 1e6  # of samples that should lie in [-1, 1]
BACKENDS = ("auto", "kaldifeat", "lhotse")

# What a feature manifest says, whichever backend made it. lhotse instantiates the class of this name when it
# mixes noise into stored features: under kaldifeat's own name, training would need kaldifeat too.
FEATURE_TYPE = "kaldi-fbank"


def choose_backend(name: str) -> str:
    """Resolves a `--backend`.

    Args:
        name: one of BACKENDS; "auto" takes kaldifeat where it can be imported, else lhotse.
    Returns:
        "kaldifeat" or "lhotse".
    Raises:
        UserError: the name is unknown, or kaldifeat is asked for and cannot be imported.
    """
    if name not in BACKENDS:
        raise UserError(f"--backend {name}: choose one of {', '.join(BACKENDS)}")
    if name == "lhotse":
        return "lhotse"
    try:
        import torch  # noqa: F401  (kaldifeat's library resolves against torch's, which must be loaded first)
        import kaldifeat  # noqa: F401
    except (ImportError, OSError) as error:  # OSError: a library that it links is not found
        if name == "kaldifeat":
            raise UserError(
                f"--backend kaldifeat: not importable ({error}); run tools/setup_env.sh, or take lhotse"
            ) from error
        logging.info("kaldifeat is not here (%s): lhotse's own fbank is used, with the same result", error)
        return "lhotse"
    return "kaldifeat"


def make_extractor(backend: str, device: str = "cpu") -> FeatureExtractor:
    """The extractor of a backend.

    Args:
        backend: what `choose_backend` returned.
        device: where it computes.
    Returns:
        A lhotse extractor: `extract(samples (1, N) float32, 16000)` -> (T, 80) float32, T = (N+80)//160.
    """
    if backend == "kaldifeat":
        from lhotse.features.kaldifeat import KaldifeatFbank, KaldifeatFbankConfig, KaldifeatMelOptions

        return KaldifeatFbank(KaldifeatFbankConfig(mel_opts=KaldifeatMelOptions(num_bins=NUM_MEL_BINS), device=device))
    from lhotse import Fbank, FbankConfig

    return Fbank(FbankConfig(sampling_rate=SAMPLING_RATE, num_filters=NUM_MEL_BINS, device=device))


def load_samples(cut: MonoCut) -> np.ndarray:
    """The audio of a cut, its transforms (speed) applied.

    Returns:
        (1, N) float32 in [-1, 1].
    Raises:
        UserError: the file is missing, does not decode, is shorter or longer than its manifest says, is too short for a
            frame, or has a sample that is no number or out of range.
    """
    from lhotse.audio.backend import LibsndfileBackend, get_current_audio_backend, set_current_audio_backend

    source = cut.recording.sources[0].source
    before = get_current_audio_backend()
    # Where libsndfile finds a FLAC truncated, lhotse tries torchaudio's sox next, which makes up the rest.
    set_current_audio_backend(LibsndfileBackend())
    try:
        samples = cut.load_audio()
    except Exception as error:  # libsndfile's and lhotse's share no base class
        if not Path(source).exists():
            why = "is not there"
        elif "declared samples" in str(error):
            why = "holds another number of samples than its manifest says (truncated?)"
        else:
            why = f"cannot be decoded ({str(error).strip().partition(chr(10))[0] or type(error).__name__})"
        raise UserError(f"{source}: {why}; mend or remove it, then run again from stage 0") from error
    finally:
        set_current_audio_backend(before)
    why = None
    if samples.shape[-1] < SHORTEST:
        why = f"has {samples.shape[-1]} samples at this speed, a frame of features needs {SHORTEST}"
    elif not (abs(samples) < LOUDEST).all():  # nor is a NaN below it
        why = "has a sample that is no number or out of range"
    if why:
        raise UserError(f"{source}: {why}; mend or remove it, or leave it out with stage 0's --skip-bad 1")
    return samples
