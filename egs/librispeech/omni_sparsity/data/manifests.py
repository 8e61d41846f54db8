"""Opening a manifest of cuts. Who made it is not asked: each cut is looked at, before any work is done with it.

    cuts = open_cuts(Path("data/mini/fbank/librispeech_cuts_dev-clean.jsonl.gz"), num_features=80)
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from pathlib import Path
from typing import Iterator, List, Set, Tuple

from lhotse import CutSet, validate
from lhotse.cut import Cut
from lhotse.cut.set import deserialize_cut

from omni.errors import UserError

from .moved import beside, features_beside

FRAME_SHIFT = 0.01  # seconds
SLACK = 0.1  # seconds by which features may end before their cut: some round, some leave half a window out
TOLERANCE = 0.002  # seconds by which lhotse lets a supervision miss the ends of its cut


def open_cuts(path: Path, num_features: int, texts: bool = True) -> CutSet:
    """The cuts of a manifest, each of them whole. No feature is read, but the archives must be where it says.

    Args:
        path: JSON lines, compressed by gzip.
        num_features: mel bins of the features.
        texts: want a text with each cut; noise has none.

    Raises:
        UserError: names the file and the first cut that training or decoding could not use, and why.
    """
    cuts, archives, ids = [], set(), set()
    for number, line in _lines(path):
        try:
            cut = deserialize_cut(json.loads(line))
            why = (_features_fault(cut, num_features, archives, path) or (texts and _text_fault(cut))
                   or _lhotse_fault(cut))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
            raise _wrong(path, f"line {number}", f"no cut of lhotse's ({type(error).__name__}: {error})") from None
        if cut.id in ids:
            why = f"comes twice, again in line {number}"
        if why:
            raise _wrong(path, f"cut {cut.id}", why)
        ids.add(cut.id)
        cuts.append(cut)
    if not cuts:
        raise UserError(f"{path}: holds no cut; remove it and run stage 1 again")
    return features_beside(CutSet.from_cuts(cuts), path)


def check_audio(cuts: CutSet, path: Path) -> None:
    """For features that training computes itself: every cut has a recording, in a folder that is there.

    Raises:
        UserError: names the first cut that has none.
    """
    folders: Set[Path] = set()
    for cut in cuts:
        if not cut.has_recording:
            raise _wrong(path, f"cut {cut.id}", "has no recording, which data.on_the_fly needs")
        for source in cut.recording.sources if hasattr(cut, "recording") else []:
            if source.type == "file" and (folder := Path(source.source).parent) not in folders:
                if not Path(source.source).is_file():
                    raise _wrong(path, f"cut {cut.id}", f"its audio {source.source} is not there")
                folders.add(folder)


def _lines(path: Path) -> Iterator[Tuple[int, bytes]]:
    """(number from 1, line) of those that are not blank."""
    try:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, line
    except FileNotFoundError:
        raise UserError(f"{path}: not there; stage 1 makes it: ./run.sh --stage 1 --stop-stage 1") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: not a whole gzip file ({error}); remove it and run stage 1 again") from None


def _features_fault(cut: Cut, num_features: int, archives: Set[str], manifest: Path) -> str:
    """What is wrong with the name, the duration or the features of a cut; "" if nothing is. `archives` are there."""
    if not isinstance(cut.id, str):
        return "its id is a number; want a string"
    if not (math.isfinite(cut.duration) and cut.duration > 0.0):
        return f"its duration is {cut.duration} s; want more than 0"
    if not cut.has_features:
        return "has no features; stage 1 computes them"
    for part in _tracks(cut):
        features = part.features
        if features is None:
            continue
        if features.num_features != num_features:
            return f"its features have {features.num_features} bins; want {num_features}"
        if not math.isclose(features.frame_shift, FRAME_SHIFT):
            return f"its frames are {features.frame_shift} s apart; want {FRAME_SHIFT} s"
        if part.start < features.start - SLACK or part.end > features.end + SLACK:
            return (f"its features are of {features.start:g} to {features.end:g} s, it is of {part.start:g} to "
                    f"{part.end:g} s")
        archive = features.storage_path
        # Features in memory have no path, and what lies elsewhere cannot be looked for.
        if features.storage_type.startswith("memory") or "url" in features.storage_type or archive in archives:
            continue
        if not Path(archive).exists() and not beside(Path(archive), manifest).exists():
            return f"its features {archive} are not there; run stage 1 again, or from the folder it was run from"
        archives.add(archive)
    return ""


def _text_fault(cut: Cut) -> str:
    """What is wrong with the text of a cut; "" if nothing is."""
    if len(cut.supervisions) != 1:
        return f"has {len(cut.supervisions)} supervisions; want one"
    said = cut.supervisions[0]
    if not -TOLERANCE <= said.start < FRAME_SHIFT or said.end > cut.duration + TOLERANCE:
        return (f"its supervision is of {said.start:g} to {said.end:g} s of {cut.duration:g} s; want it to begin "
                "with the cut (lhotse: trim_to_supervisions)")
    text = said.text
    if not isinstance(text, str):
        return f"its text is {json.dumps(text)}; want words"
    return "" if text.strip() else "its text is empty; remove the cut"


def _lhotse_fault(cut: Cut) -> str:
    """What lhotse's own check says of a cut; "" if nothing."""
    try:
        validate(cut)
    except AssertionError as error:
        return f"lhotse refuses it: {error}"
    return ""


def _tracks(cut: Cut) -> List[Cut]:
    """A cut that several were mixed into, or appended to, as its parts; without its padding."""
    tracks = getattr(cut, "tracks", None)
    return [cut] if tracks is None else [track.cut for track in tracks if hasattr(track.cut, "features")]


def _wrong(path: Path, where: str, why: str) -> UserError:
    return UserError(f"{path}: {where}: {why}")
