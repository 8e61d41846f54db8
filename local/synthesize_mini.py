"""Makes the `mini` corpus: spoken commands by eSpeak NG, in LibriSpeech layout, from a seed. Part of stage 0.

    python -m local.synthesize_mini --download-dir download/mini --seed 42 --nj 2

At --scale 1.0: 8 hours of training speech by 294 voices, and 21 minutes by 12 others each in dev-clean,
dev-other, test-clean and test-other; beside them noise/, recordings for noise augmentation. A second call
finds all there; a killed call is continued.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from local.mini.designs import DESIGNS
from omni.errors import UserError, cli


def get_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", default="mini", help=f"{' | '.join(DESIGNS)} (default mini)")
    parser.add_argument("--download-dir", type=Path, help="where the corpus goes (default download/<corpus>)")
    parser.add_argument("--seed", type=int, default=42, help="decides every sentence, voice and sample")
    parser.add_argument("--nj", type=int, default=2, help="processes; changes no byte of the result")
    parser.add_argument("--scale", type=float, default=1.0, help="size: 0.02 is a toy, 1.0 the corpus")
    return parser


@cli
def main(arguments: list[str] | None = None) -> None:
    """Entry point. `arguments` default to the command line's."""
    args = get_parser().parse_args(arguments)
    if args.corpus not in DESIGNS:
        raise UserError(f"--corpus {args.corpus}: there are {', '.join(DESIGNS)}")
    if args.nj < 1:
        raise UserError(f"--nj {args.nj}: at least one process is needed")
    if not 0 < args.scale <= 3:
        raise UserError(f"--scale {args.scale}: give a number above 0, up to 3")
    from local.mini.build import build

    started = time.monotonic()
    folder = args.download_dir or Path("download") / args.corpus
    made = build(folder, args.seed, args.scale, args.nj, args.corpus)
    seconds = time.monotonic() - started
    print(f"{args.corpus} corpus in {folder}: {f'made in {seconds:.0f} s' if made else 'already there'}")


if __name__ == "__main__":
    main()
