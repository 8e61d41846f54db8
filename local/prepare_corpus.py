"""Stage 0: obtains a corpus, checks every file and text of it, and writes lhotse manifests.

    python -m local.prepare_corpus --corpus mini --download-dir download/mini --data-dir data/mini

The rule for what is bad (audio that does not decode, is not 16 kHz, not mono, shorter than 40 ms or has a sample that
is no number; a transcript that is empty, not UTF-8 or has a symbol of the BPE model; text without audio; audio without
text; a name that is there twice): nothing is written and the first offender is named; with --skip-bad 1 each is named
in <data-dir>/manifests/left_out.txt, counted on the terminal, and left out. Texts are brought into one form
(local/text.py).
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import Counter
from pathlib import Path

from local import manifests as making
from local.corpora import find, names
from local.corpus import Corpus, Problem, Settings
from omni.errors import UserError, cli
from omni.files import atomic, write_json, write_text
from omni.lock import hold

PARTS = ("recordings", "supervisions")
NOISE = "noise_recordings.jsonl.gz"
STAMP = "prepared.json"
LEFT_OUT = "left_out.txt"
VERSION = 2  # of what is checked and written: with another one, stage 0 looks at the corpus again


def get_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default="mini", help=f"{' | '.join(names())} | a Python file (docs/corpora.md)")
    parser.add_argument("--download-dir", type=Path, help="the corpus, or where it goes (download/<corpus>)")
    parser.add_argument("--data-dir", type=Path, help="manifests/ appears in it (data/<corpus>)")
    parser.add_argument("--nj", type=int, default=2, help="processes; they change no byte of the result")
    parser.add_argument("--skip-bad", type=int, choices=(0, 1), default=0, help="1: leave out what is bad")
    parser.add_argument("--seed", type=int, default=42, help="of a synthetic corpus: every sentence, voice and sample")
    parser.add_argument("--mini-scale", type=float, default=1.0, help="of a synthetic corpus: 0.02 is a toy, 1.0 whole")
    parser.add_argument("--full-libri", type=int, choices=(0, 1), default=0, help="1: 960 hours, 0: 100")
    return parser


def prepare(corpus: Corpus, folder: Path, jobs: int, skip_bad: bool) -> dict[str, dict]:
    """Checks `corpus` and writes its manifests.

    Args:
        corpus: obtained.
        folder: librispeech_{recordings,supervisions}_<subset>.jsonl.gz and, if the corpus brings noise,
            noise_recordings.jsonl.gz appear here, last of all the stamp.
        jobs: processes.
        skip_bad: leave out what is bad, rather than refuse.

    Returns:
        By subset: speakers, utterances, hours, words, distinct_words, left_out.

    Raises:
        UserError: something is bad and `skip_bad` is false, or nothing is left of a subset.
    """
    stamp = folder / STAMP
    state = {
        "version": VERSION,
        "fingerprint": corpus.fingerprint(),
        "folders": [str(path) for path in corpus.files()],
        "skip_bad": skip_bad,
    }
    table = _read_stamp(stamp, state)
    if table is not None:
        return table
    good, problems = making.sound_utterances(corpus, jobs)
    noise, bad_noise = making.sound_noise(corpus)
    problems += bad_noise
    if problems and not skip_bad:
        raise UserError(_refusal(problems))
    making.need_utterances(good, problems)
    made = {subset: making.manifests(utterances, jobs) for subset, utterances in good.items()}

    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    files = {_name(part, subset): items for subset, sets in made.items() for part, items in zip(PARTS, sets)}
    if noise:
        files[NOISE] = making.noise_manifest(noise)
    for old in (*folder.glob("librispeech_*.jsonl.gz"), *folder.glob(NOISE)):
        if old.name not in files:  # of a subset that is gone: later stages take all they find
            old.unlink()
    for name, items in files.items():
        with atomic(folder / name) as beside:
            items.to_file(beside)
    write_text(folder / LEFT_OUT, "".join(f"{problem.utterance}\t{problem}\n" for problem in problems))
    table = {subset: _count(subset, sets[1], problems) for subset, sets in made.items()}
    write_json(stamp, {**state, "files": list(files), "table": table})
    return table


def _name(part: str, subset: str) -> str:
    return f"librispeech_{part}_{subset}.jsonl.gz"


def _read_stamp(stamp: Path, state: dict) -> dict | None:
    """The table of an earlier call, if it saw the same corpus and its manifests are there."""
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if any(found.get(key) != value for key, value in state.items()):
        return None
    return found["table"] if all((stamp.parent / name).is_file() for name in found["files"]) else None


def _refusal(problems: list[Problem]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(p.kind for p in problems).most_common())
    return (
        f"{len(problems)} bad in the corpus: {kinds}; first: {problems[0]}; mend or remove what is bad, "
        "or leave it out with --skip-bad 1"
    )


def _count(subset: str, supervisions, problems: list[Problem]) -> dict:
    words = [word for supervision in supervisions for word in supervision.text.split()]
    return {
        "speakers": len({supervision.speaker for supervision in supervisions}),
        "utterances": len(supervisions),
        "hours": round(sum(supervision.duration for supervision in supervisions) / 3600, 4),
        "words": len(words),
        "distinct_words": len(set(words)),
        "left_out": sum(problem.subset == subset for problem in problems),
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
    if args.nj < 1:
        raise UserError(f"--nj {args.nj}: at least one process is needed")
    if not 0 < args.mini_scale <= 3:
        raise UserError(f"--mini-scale {args.mini_scale}: give a number above 0, up to 3")
    logging.getLogger().setLevel(logging.ERROR)
    kind = find(args.corpus)
    download_dir = args.download_dir or Path("download") / kind.name()
    data_dir = args.data_dir or Path("data") / kind.name()
    corpus = kind(Settings(download_dir, args.seed, args.mini_scale, bool(args.full_libri), args.nj))
    folder = data_dir / "manifests"
    with hold(data_dir):
        corpus.obtain()
        table = prepare(corpus, folder, args.nj, bool(args.skip_bad))
    print(show(table))
    left_out = (folder / LEFT_OUT).read_text(encoding="utf-8").count("\n")
    if left_out:
        print(f"{left_out} utterances are bad and left out: see {folder / LEFT_OUT}")
    print(f"manifests in {folder}")


if __name__ == "__main__":
    main()
