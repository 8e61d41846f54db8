"""eSpeak NG, the speech synthesiser, called through ctypes.

The library and its voices come in the PyPI package `espeakng-loader`: no root, no download. Constants and
signatures are those of espeak-ng's speak_lib.h.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: the callback has everything when espeak_Synth returns
_CHARACTERS, _UTF8 = 1, 1  # POS_CHARACTER, espeakCHARS_UTF8
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """One running synthesiser.

    The library keeps state between calls (random numbers, phases of its oscillators) that nothing resets:
    the same sentence said twice gives different samples. The same calls in the same order in a fresh
    process give the same samples, so whoever wants repeatable sound makes one Espeak in a process of its
    own (speaker.py does).
    """

    def __init__(self) -> None:
        import espeakng_loader

        self._chunks: list[bytes] = []
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self._library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        data = espeakng_loader.get_data_path()
        self.rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
        if self.rate <= 0:
            raise RuntimeError(f"eSpeak NG does not start with its data in {data}")
        self._variants = Path(data) / "voices" / "!v"
        self._callback = _CALLBACK(self._take)  # kept: ctypes would let it be collected
        self._library.espeak_SetSynthCallback(self._callback)
        self._library.espeak_ng_SetRandSeed(1)

    def _take(self, samples, count: int, _events) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def say(self, text: str, voice: str, pitch: int, words_per_minute: int, pitch_range: int) -> np.ndarray:
        """Speaks `text`.

        Args:
            text: English, any case (capitals are lowered: eSpeak raises its voice or spells at some of them).
            voice: accent and variant, such as "en-us+f3".
            pitch: 0 to 99, 50 is the variant's own.
            words_per_minute: 80 to 450, 175 is usual.
            pitch_range: 0 (monotone) to 99, 50 is usual.

        Returns:
            float32 samples (num_samples,) in [-1, 1] at `self.rate` (22050) Hz.

        Raises:
            RuntimeError: the voice is unknown, or nothing was spoken.
        """
        variant = voice.partition("+")[2]  # the library ignores a variant that it does not have
        known = not variant or (self._variants / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {voice}")
        # Half of the usual volume: several variants clip inside the library at 100.
        for name, value in ((_RATE, words_per_minute), (_VOLUME, 50), (_PITCH, pitch), (_RANGE, pitch_range)):
            self._library.espeak_SetParameter(name, value, 0)
        self._chunks.clear()
        line = text.lower().replace(" i ", " I ").encode() + b"\0"
        status = self._library.espeak_Synth(line, len(line), 0, _CHARACTERS, 0, _UTF8, None, None)
        if status != 0 or not self._chunks:
            raise RuntimeError(f"eSpeak NG said nothing (status {status}) for {text!r} with voice {voice}")
        return np.frombuffer(b"".join(self._chunks), np.int16).astype(np.float32) / 32768
