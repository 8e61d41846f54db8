"""Finds or downloads a corpus, checks every file of it, and writes lhotse manifests. Part of stage 0.

    python -m local.prepare_corpus --corpus mini --download-dir download/mini --data-dir data/mini

The rule for what is bad (FLAC that does not decode, is not 16 kHz or not mono; an empty transcript; text
without audio; audio without text): nothing is written and the first offender is named; with --skip-bad 1
each is named in <data-dir>/manifests/left_out.txt, counted on the terminal, and left out.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from local.check_audio import Problem, chapters, check_all
from local.layout import fingerprint, locate
from local.mini.designs import DESIGNS
from omni.files import atomic, write_json, write_text
from omni.errors import UserError, cli
from omni.lock import hold

CORPORA = (*DESIGNS, "mini_librispeech", "librispeech")
PARTS = ("recordings", "supervisions")
STAMP = "prepared.json"
LEFT_OUT = "left_out.txt"


def get_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default="mini", help=" | ".join(CORPORA))
    parser.add_argument(
        "--download-dir", type=Path, help="holds the subsets, or LibriSpeech/ (download/<corpus>)"
    )
    parser.add_argument("--data-dir", type=Path, help="manifests/ appears in it (data/<corpus>)")
    parser.add_argument("--nj", type=int, default=2, help="processes that check audio")
    parser.add_argument("--skip-bad", type=int, choices=(0, 1), default=0, help="1: leave out what is bad")
    parser.add_argument("--full-libri", type=int, choices=(0, 1), default=0, help="1: 960 hours, 0: 100")
    return parser


def prepare(subsets: list[Path], manifests: Path, jobs: int, skip_bad: bool) -> dict[str, dict]:
    """Checks `subsets` and writes their manifests.

    Args:
        subsets: folders in LibriSpeech layout.
        manifests: librispeech_{recordings,supervisions}_<subset>.jsonl.gz appear here, last of all the stamp.
        jobs: processes.
        skip_bad: leave out what is bad, rather than refuse.

    Returns:
        By subset: speakers, utterances, hours, words, distinct_words, left_out.

    Raises:
        UserError: something is bad and `skip_bad` is false, or nothing is left of a subset.
    """
    stamp = manifests / STAMP
    state = {
        "fingerprint": fingerprint(subsets),
        "folders": [str(path) for path in subsets],
        "skip_bad": skip_bad,
    }
    table = _read_stamp(stamp, state)
    if table is not None:
        return table
    lines, problems = _check(subsets, jobs)
    if problems and not skip_bad:
        raise UserError(_refusal(problems))
    empty = next((subset for subset in subsets if not lines[subset]), None)
    if empty is not None:
        bad = [problem for problem in problems if empty in problem.file.parents]
        why = (
            f"nothing is left of it without what is bad, first: {bad[0]}"
            if bad
            else "its transcripts are empty"
        )
        raise UserError(f"{empty} has no utterance: {why}")
    made = {subset: _manifests(subset, lines[subset], jobs) for subset in subsets}

    manifests.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    names = {_name(part, subset) for subset in subsets for part in PARTS}
    for old in manifests.glob("librispeech_*.jsonl.gz"):
        if old.name not in names:  # of a subset that is gone: later stages take all they find
            old.unlink()
    for subset, sets in made.items():
        for part, items in zip(PARTS, sets):
            with atomic(manifests / _name(part, subset)) as beside:
                items.to_file(beside)
    write_text(manifests / LEFT_OUT, "".join(f"{problem.utterance}\t{problem}\n" for problem in problems))
    table = {subset.name: _count(subset, made[subset][1], problems) for subset in subsets}
    write_json(stamp, {**state, "table": table})
    return table


def _name(part: str, subset: Path) -> str:
    return f"librispeech_{part}_{subset.name}.jsonl.gz"


def _read_stamp(stamp: Path, state: dict) -> dict | None:
    """The table of an earlier call, if it saw the same corpus and its manifests are there."""
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    names = [_name(part, Path(folder)) for folder in state["folders"] for part in PARTS]
    if any(found.get(key) != value for key, value in state.items()):
        return None
    return found["table"] if all((stamp.parent / name).is_file() for name in names) else None


def _check(subsets: list[Path], jobs: int) -> tuple[dict[Path, list[str]], list[Problem]]:
    """Transcript lines of all sound utterances by subset, and all problems."""
    folders = [(subset, folder) for subset in subsets for folder in chapters(subset)]
    lines: dict[Path, list[str]] = {subset: [] for subset in subsets}
    problems: list[Problem] = []
    seen: dict[str, Path] = {}
    for (subset, folder), chapter in zip(folders, check_all([folder for _, folder in folders], jobs)):
        problems += chapter.problems
        for line, _ in chapter.good:
            name = line.split(maxsplit=1)[0]
            # lhotse finds the sound of a-b-c in <subset>/a/b/; and ids must be unique for it.
            if subset.joinpath(*name.split("-")[:-1]) != folder or name in seen:
                where = "of the same name elsewhere" if name in seen else "in a folder of another name"
                kind = f"utterance {where}"
                problems.append(Problem(kind, name, folder / f"{name}.flac", str(seen.get(name, ""))))
                continue
            seen[name] = folder
            lines[subset].append(line)
    return lines, problems


def _refusal(problems: list[Problem]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(p.kind for p in problems).most_common())
    return (
        f"{len(problems)} bad in the corpus: {kinds}; first: {problems[0]}; mend or remove what is bad, "
        "or leave it out with --skip-bad 1"
    )


def _manifests(subset: Path, lines: list[str], jobs: int):
    """lhotse's recordings and supervisions of `lines`, fixed and validated as its prepare_librispeech does.

    prepare_librispeech itself reads the .trans.txt files, so it would take in what has been left out, and
    it stops with a traceback at an empty transcript; this is its inner function on the lines that are
    good.
    """
    from lhotse import RecordingSet, SupervisionSet, fix_manifests, validate_recordings_and_supervisions
    from lhotse.recipes.librispeech import parse_utterance

    with ThreadPoolExecutor(jobs) as pool:
        pairs = list(pool.map(lambda line: parse_utterance(subset, line, {}), lines))
    recordings = RecordingSet.from_recordings(pair[0] for pair in pairs)
    supervisions = SupervisionSet.from_segments(pair[1] for pair in pairs)
    recordings, supervisions = fix_manifests(recordings, supervisions)
    validate_recordings_and_supervisions(recordings, supervisions)
    return recordings, supervisions


def _count(subset: Path, supervisions, problems: list[Problem]) -> dict:
    words = [word for supervision in supervisions for word in supervision.text.split()]
    return {
        "speakers": len({supervision.speaker for supervision in supervisions}),
        "utterances": len(supervisions),
        "hours": round(sum(supervision.duration for supervision in supervisions) / 3600, 4),
        "words": len(words),
        "distinct_words": len(set(words)),
        "left_out": sum(subset in problem.file.parents for problem in problems),
    }


def show(table: dict[str, dict]) -> str:
    """The table as text, a line a subset."""
    columns = ("speakers", "utterances", "hours", "words", "distinct words", "left out")
    lines = [f"{'subset':<16}" + "".join(f"{name:>15}" for name in columns)]
    for subset, row in table.items():
        cells = (row[name.replace(" ", "_")] for name in columns)
        lines.append(
            f"{subset:<16}" + "".join(f"{c:>15.2f}" if isinstance(c, float) else f"{c:>15}" for c in cells)
        )
    return "\n".join(lines)


@cli
def main(arguments: list[str] | None = None) -> None:
    """Entry point. `arguments` default to the command line's."""
    args = get_parser().parse_args(arguments)
    if args.corpus not in CORPORA:
        raise UserError(f"--corpus {args.corpus}: there are {', '.join(CORPORA)}")
    if args.nj < 1:
        raise UserError(f"--nj {args.nj}: at least one process is needed")
    logging.getLogger().setLevel(logging.ERROR)
    download_dir = args.download_dir or Path("download") / args.corpus
    data_dir = args.data_dir or Path("data") / args.corpus
    manifests = data_dir / "manifests"
    with hold(data_dir):
        subsets = locate(args.corpus, download_dir, bool(args.full_libri))
        table = prepare(subsets, manifests, args.nj, bool(args.skip_bad))
    print(show(table))
    left_out = sum(row["left_out"] for row in table.values())
    if left_out:
        print(f"{left_out} utterances are bad and left out: see {manifests / LEFT_OUT}")
    print(f"manifests in {manifests}")


if __name__ == "__main__":
    main()
