"""Makes a whole synthetic corpus, several speakers at a time, and goes on where a killed call stopped."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
from multiprocessing import connection
from pathlib import Path
from typing import Callable, Iterator

from local.mini.designs import DESIGNS
from local.mini.voices import SUBSETS, Speaker, speakers
from local.progress import progress
from omni.files import write_json, write_text
from omni.errors import UserError, is_full_disk
from omni.lock import hold

STAMP = "mini.json"
Task = tuple[str, Callable, tuple]  # what is made (for messages), function, arguments with the target last


def build(folder: Path, seed: int, scale: float, jobs: int, corpus: str = "mini") -> int:
    """Makes what `folder` still lacks.

    Args:
        folder: the corpus; its children are the subsets and noise/.
        seed: decides everything that is random.
        scale: size, 1.0 is the whole corpus.
        jobs: processes at a time; changes no byte of the result.
        corpus: one of DESIGNS.

    Returns:
        How many speakers and noise recordings were made; 0 when all was there.

    Raises:
        UserError: `folder` holds another corpus, or one of another seed, scale or version.
    """
    stamp = {"corpus": corpus, "version": DESIGNS[corpus].version, "seed": seed, "scale": scale}
    if _is_ours(folder, stamp) and not _missing(folder, stamp)[1] and (folder / "SPEAKERS.TXT").is_file():
        return 0  # a whole corpus may lie where we may not write
    with hold(folder):
        if not _is_ours(folder, stamp):
            write_json(folder / STAMP, stamp)
        cast, tasks = _missing(folder, stamp)
        if tasks:
            for left in folder.glob("*/.tmp-*"):  # of a killed run: nobody else works here
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
            _run(tasks, jobs)
        if tasks or not (folder / "SPEAKERS.TXT").is_file():
            write_text(folder / "SPEAKERS.TXT", _speakers_file(cast))
    return len(tasks)


def _missing(folder: Path, stamp: dict) -> tuple[list[Speaker], list[Task]]:
    """All speakers, and what has to be made still: every file or speaker's folder is whole or absent."""
    from local.mini import speaker as making

    seed, scale, design = stamp["seed"], stamp["scale"], DESIGNS[stamp["corpus"]]
    cast = speakers(seed, scale, design)
    tasks: list[Task] = []
    for who in cast:
        target = folder / who.subset / str(who.id)
        if not target.is_dir():
            tasks.append((f"speaker {who.id}", making.make_speaker, (who, seed, design, target)))
    for kind in making.NOISES:
        target = folder / "noise" / f"{kind}.flac"
        if not target.is_file():
            tasks.append((f"noise {kind}", making.make_noise, (kind, seed, scale, design, target)))
    return cast, tasks


def _read(stamp: Path) -> dict | None:
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _is_ours(folder: Path, stamp: dict) -> bool:
    """Whether `folder` has this stamp; False: nothing is there yet. Raises UserError if it holds something else."""
    path = folder / STAMP
    if path.is_file():
        found = _read(path)
        if found != stamp:
            raise UserError(
                f"{folder} holds a synthetic corpus made with {found}, not with {stamp}: "
                "give another --download-dir, or delete that folder"
            )
        return True
    if any((folder / name).exists() for name in (*SUBSETS, "noise", "LibriSpeech")):
        raise UserError(f"{folder} holds a corpus that is not ours (no {STAMP}): give another --download-dir")
    return False


def _quietly_full(function: Callable, arguments: tuple) -> None:
    """Runs in the fresh process: a full disk becomes its exit code, which the parent can explain."""
    try:
        function(*arguments)
    except Exception as error:
        if is_full_disk(error):
            raise SystemExit(errno.ENOSPC) from None
        raise


def _run(tasks: list[Task], jobs: int) -> None:
    """Runs each task in a fresh process, `jobs` at a time.

    A fork server that has loaded this code but never eSpeak NG gives each the same clean start at once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["local.mini.speaker", "soundfile"])

    for _ in progress(_finished(context, tasks, jobs), total=len(tasks), what="speakers"):
        pass


def _finished(context, tasks: list[Task], jobs: int) -> Iterator[str]:
    """Starts `tasks`, `jobs` at a time, and yields the name of each that has ended well.

    One thread does it all: Process.start() also asks after the children of other threads, and of two that
    ask for one exit code at the same time, one gets 255.
    """
    waiting, running = list(reversed(tasks)), {}
    while waiting or running:
        while waiting and len(running) < jobs:
            name, function, arguments = waiting.pop()
            process = context.Process(target=_quietly_full, args=(function, arguments), daemon=True)
            process.start()
            running[process.sentinel] = (process, name, arguments[-1])
        for sentinel in connection.wait(list(running)):
            process, name, target = running.pop(sentinel)
            process.join()
            if process.exitcode == errno.ENOSPC:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
            if process.exitcode:
                raise RuntimeError(f"making {name} ended with code {process.exitcode}; its message is above")
            yield name


def _speakers_file(cast: list[Speaker]) -> str:
    """The list of voices, in the columns of LibriSpeech's SPEAKERS.TXT."""
    lines = [";ID  |SUBSET           |MINUTES| VOICE"]
    for who in cast:
        how = f"{who.voice} pitch {who.pitch} rate {who.rate} range {who.pitch_range}"
        lines.append(f"{who.id:<5}| {who.subset:<16}| {who.seconds / 60:<5.2f} | {how}")
    return "\n".join(lines) + "\n"
