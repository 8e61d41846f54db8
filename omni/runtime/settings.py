"""What the header of a file says of the model: sizes, and the features that it wants."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Mapping

from .layers import ACTIVATIONS

# What omni.runtime.features computes; other features need other code.
FEATURES = {
    "type": "kaldi-fbank", "sampling_rate": 16000, "frame_length_ms": 25, "frame_shift_ms": 10, "window": "povey",
    "snip_edges": False, "samples": "-1 to 1",
}
NUMBERS = ("preemphasis", "dither", "low_freq", "high_freq")  # of the features, that may have any value
SWITCHES = ("remove_dc_offset", "use_power")


@dataclass(frozen=True)
class Settings:
    """Lengths are in encoder frames, of `stack` feature frames each.

    Attributes:
        bins, mean, std: of the features. mean and std are those that the front end takes off and divides by.
    """

    stack: int
    projection_dim: int
    encoder_dim: int
    num_heads: int
    ffn_dim: int
    num_layers: int
    activation: str
    segment_length: int
    left_context_length: int
    right_context_length: int
    decoder_dim: int
    joiner_dim: int
    vocab_size: int
    bins: int
    mean: float
    std: float

    @property
    def chunk_length(self) -> int:
        """Of a segment and its right context."""
        return self.segment_length + self.right_context_length

    @property
    def period(self) -> int:
        """Frames on the circle of positions: what a frame sees."""
        return self.left_context_length + self.chunk_length

    @staticmethod
    def of(about: Mapping[str, Any]) -> "Settings":
        """
        Args:
            about: "model" and "features" of the file's header.

        Raises:
            ValueError: a setting is missing, or this runtime has no code for it; it is named.
        """
        model, features = about.get("model"), about.get("features")
        if not isinstance(model, dict) or not isinstance(features, dict):
            raise ValueError("its header lacks model or features")
        for key, value in FEATURES.items():
            if features.get(key) != value:
                raise ValueError(f"features of {key} {features.get(key)!r:.40}, this runtime computes {value!r}")
        for keys, kinds in ((NUMBERS, (int, float)), (SWITCHES, (bool,))):
            for key in keys:
                if type(features.get(key)) not in kinds:
                    raise ValueError(f"features of {key} {features.get(key)!r:.40}, want a "
                                     f"{'number' if keys is NUMBERS else 'truth value'}")
        found = {**model, "bins": features.get("num_mel_bins"), **{key: features.get(key) for key in ("mean", "std")}}
        known = {field.name: field.type for field in dataclasses.fields(Settings)}
        for key, kind in known.items():
            value = found.get(key)
            if kind == "int":
                least = 0 if key in ("left_context_length", "right_context_length") else 1
                good = type(value) is int and least <= value < 2**24
            elif kind == "float":
                good = type(value) in (int, float) and abs(value) < 1e6 and (key != "std" or value > 0)
            else:
                good = isinstance(value, str) and value in ACTIVATIONS
            if not good:
                raise ValueError(f"setting {key} {value!r:.40}: this runtime has no such model")
        odd = sorted(set(found) - set(known) - {"dropout"})
        if odd:
            raise ValueError(f"setting {odd[0]} is none that this runtime knows")
        settings = Settings(**{key: found[key] for key in known})
        if settings.encoder_dim % settings.num_heads or settings.decoder_dim % 4:
            raise ValueError(f"encoder_dim {settings.encoder_dim} or decoder_dim {settings.decoder_dim}: want "
                             f"multiples of num_heads {settings.num_heads} and of 4")
        return settings


def blank_penalty_of(about: Mapping[str, Any]) -> float:
    """What the file says that it was decoded with; 0 where it says nothing.

    Raises:
        ValueError: it says what is no number.
    """
    decode = about.get("decode", {})
    penalty = decode.get("blank_penalty", 0.0) if isinstance(decode, dict) else decode
    if type(penalty) not in (int, float) or not isinstance(decode, dict):
        raise ValueError(f"decode.blank_penalty {penalty!r:.40}: want a number")
    return float(penalty)
