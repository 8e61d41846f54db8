"""The sound of a few utterances, small enough to lie inside an HTML file."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egs.librispeech.omni_sparsity.report.worst import Case

# Base64 makes 4 bytes of 3: this much sound leaves room for the page in 10 MB.
BUDGET = 6_800_000
_TYPES = {".flac": "audio/flac", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}


@dataclass(frozen=True)
class Clip:
    """Either sound (`data` of MIME type `kind`) or the reason why there is none."""

    data: bytes = b""
    kind: str = ""
    missing: str = ""


def clips(cases: Sequence[Case], data_dir: Path, budget: int = BUDGET) -> dict[tuple[str, str], Clip]:
    """The sound of each case, by (test set, cut id), in the file's own format while `budget` bytes suffice.

    Where they do not, all is encoded as MP3, and what still does not fit is left out, the last cases first.
    A recording that cannot be had is no error: a report without sound is better than none.

    Args:
      data_dir: holds fbank/librispeech_cuts_<set>.jsonl.gz; the paths in it start from the current folder.
    """
    found: dict[tuple[str, str], Clip] = {}
    for test_set in sorted({case.test_set for case in cases}):
        ids = {case.cut_id for case in cases if case.test_set == test_set}
        path = data_dir / "fbank" / f"librispeech_cuts_{test_set}.jsonl.gz"
        try:
            cuts = _read_cuts(path, ids)
        except (OSError, EOFError, ValueError) as error:
            reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
            found.update({(test_set, cut_id): Clip(missing=f"{path.name} {reason}") for cut_id in ids})
            continue
        for cut_id in ids:
            found[test_set, cut_id] = (
                _clip(cuts[cut_id]) if cut_id in cuts else Clip(missing=f"not in {path.name}")
            )
    if sum(len(clip.data) for clip in found.values()) > budget:
        found = {key: _smaller(clip) for key, clip in found.items()}
    for case in cases:
        clip = found[case.test_set, case.cut_id]
        budget -= len(clip.data)
        if budget < 0:
            budget += len(clip.data)
            found[case.test_set, case.cut_id] = Clip(missing="left out to keep this file small")
    return found


def _read_cuts(path: Path, ids: set[str]) -> dict[str, dict[str, Any]]:
    """lhotse's cuts of these ids, as they are written: one JSON object a line."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        cuts = (json.loads(line) for line in lines if line.strip())
        return {cut["id"]: cut for cut in cuts if cut.get("id") in ids}


def _clip(cut: dict[str, Any]) -> Clip:
    """A whole recording as the bytes of its file; of anything else the samples that lhotse makes of it."""
    try:
        recording = cut["recording"]
        source = recording["sources"][0]
        path = Path(source["source"])
        plain = (
            source["type"] == "file"
            and len(recording["sources"]) == 1
            and not recording.get("transforms")
            and path.suffix.lower() in _TYPES
        )
    except (KeyError, IndexError, TypeError):
        return Clip(missing="its cut has no recording")
    try:
        if plain and abs(cut["duration"] - recording["duration"]) < 0.01:
            data = path.read_bytes()
            return Clip(data, _TYPES[path.suffix.lower()]) if data else Clip(missing=f"{path.name} is empty")
        from lhotse.serialization import deserialize_item  # seconds to import, and seldom needed

        samples = deserialize_item(cut).load_audio()  # (channels, samples)
        return Clip(_encode(samples[0], recording["sampling_rate"], "FLAC", "PCM_16"), "audio/flac")
    except FileNotFoundError:
        return Clip(missing=f"{path.name} is missing")
    except Exception as error:  # whatever lhotse, its back ends and a damaged file may raise
        return Clip(missing=f"{path.name} cannot be read ({type(error).__name__})")


def _smaller(clip: Clip) -> Clip:
    """As MP3, about a third of FLAC; as it is where libsndfile cannot."""
    if not clip.data:
        return clip
    try:
        import soundfile

        samples, rate = soundfile.read(io.BytesIO(clip.data), always_2d=True)
        data = _encode(samples[:, 0], rate, "MP3", "MPEG_LAYER_III")
    except Exception:  # an old libsndfile without MP3
        return clip
    return Clip(data, "audio/mpeg") if len(data) < len(clip.data) else clip


def _encode(samples, rate: int, form: str, subtype: str) -> bytes:
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()
