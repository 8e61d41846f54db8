"""The BPE model as it ships."""

from __future__ import annotations

from pathlib import Path

from omni.errors import UserError


def without_normalizer(path: Path) -> bytes:
    """The sentencepiece model at `path` without its table of Unicode normalization, 240 kB of no use in decoding.

    Token ids give the same text; text that is upper-case and ASCII gives the same tokens. Paths of the training of the
    model go as well.

    Raises:
        UserError: no such file, or not a model of sentencepiece's.
    """
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path}: not there; stage 2 makes it: ./run.sh --stage 2 --stop-stage 2") from None
    except DecodeError:
        raise UserError(f"{path}: not a model of sentencepiece's; remove it and run stage 2 again") from None
    model.normalizer_spec.precompiled_charsmap = b""
    model.normalizer_spec.name = "identity"
    for field in ("input", "model_prefix"):
        model.trainer_spec.ClearField(field)
    return model.SerializeToString(deterministic=True)
