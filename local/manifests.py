"""From a corpus to lhotse's manifests: every text in one form, every file checked, what is bad named."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from local import text
from local.check_audio import check_all, check_audio
from local.corpus import Corpus, Problem, Utterance, need_each_kind
from omni.errors import UserError

if TYPE_CHECKING:
    from lhotse import RecordingSet, SupervisionSet


def sound_utterances(corpus: Corpus, jobs: int) -> tuple[dict[str, list[Utterance]], list[Problem]]:
    """Everything of `corpus` that can be used, by subset, and what cannot, in the order of the corpus.

    Raises:
        UserError: there is no subset for training, development or testing, or nothing is left of one.
    """
    items = [_look_at(item) for item in corpus.utterances()]
    seen: dict[str, Path] = {}
    for place, item in enumerate(items):
        if isinstance(item, Utterance):
            if item.id in seen:
                items[place] = _problem(item, "utterance of the same name elsewhere", item.audio, str(seen[item.id]))
            seen.setdefault(item.id, item.audio)
    places = [place for place, item in enumerate(items) if isinstance(item, Utterance)]
    for place, fault in zip(places, check_all([items[place].audio for place in places], jobs)):
        if fault:
            items[place] = _problem(items[place], fault[0], items[place].audio, fault[1])
    good: dict[str, list[Utterance]] = {subset: [] for subset in sorted({item.subset for item in items})}
    for item in items:
        if isinstance(item, Utterance):
            good[item.subset].append(item)
    need_each_kind(good, corpus.folder)
    return good, [item for item in items if isinstance(item, Problem)]


def _look_at(item: Utterance | Problem) -> Utterance | Problem:
    if isinstance(item, Problem):
        return item
    kind = text.unusable(item.text)
    if kind:
        return _problem(item, kind, item.transcript or item.audio, item.id)
    return dataclasses.replace(item, text=text.normalise(item.text))


def _problem(item: Utterance, kind: str, file: Path, detail: str) -> Problem:
    return Problem(kind, item.id, file, detail, item.subset)


def sound_noise(corpus: Corpus) -> tuple[list[Path], list[Problem]]:
    """The corpus's recordings of noise that can be used, in its order, and what cannot."""
    good: dict[str, Path] = {}
    problems = []
    for path in corpus.noise():
        fault = check_audio(path, shortest=1)
        if fault is None and path.stem in good:
            fault = ("noise of the same name elsewhere", str(good[path.stem]))
        if fault:
            problems.append(Problem(fault[0], f"noise-{path.stem}", path, fault[1]))
        else:
            good[path.stem] = path
    return list(good.values()), problems


def manifests(utterances: list[Utterance], jobs: int) -> tuple[RecordingSet, SupervisionSet]:
    """lhotse's recordings and supervisions of one subset, fixed and validated as its recipes do."""
    from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet
    from lhotse import fix_manifests, validate_recordings_and_supervisions

    with ThreadPoolExecutor(jobs) as pool:
        recordings = list(pool.map(lambda said: Recording.from_file(said.audio, recording_id=said.id), utterances))
    segments = [
        SupervisionSegment(said.id, said.id, 0.0, recording.duration, channel=0, language=said.language,
                           speaker=said.speaker or None, text=said.text)
        for said, recording in zip(utterances, recordings)
    ]
    both = fix_manifests(RecordingSet.from_recordings(recordings), SupervisionSet.from_segments(segments))
    validate_recordings_and_supervisions(*both)
    return both


def noise_manifest(paths: list[Path]) -> RecordingSet:
    """lhotse's recordings of noise, called noise-<file>."""
    from lhotse import Recording, RecordingSet

    return RecordingSet.from_recordings(Recording.from_file(path, recording_id=f"noise-{path.stem}") for path in paths)


def need_utterances(good: dict[str, list[Utterance]], problems: list[Problem]) -> None:
    """Raises UserError if nothing is left of a subset."""
    for subset, utterances in good.items():
        if not utterances:
            bad = next(problem for problem in problems if problem.subset == subset)
            raise UserError(f"{subset} has no utterance: nothing is left of it without what is bad, first: {bad}")
