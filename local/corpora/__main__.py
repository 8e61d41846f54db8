"""What run.sh must know of a corpus before it begins, a line each: default configuration, options, key.

    python -m local.corpora --corpus mini
"""

from __future__ import annotations

import argparse
from pathlib import Path

from local.corpora import config_of, find, key_of
from local.corpus import Settings
from omni.errors import cli


@cli
def main(arguments: list[str] | None = None) -> None:
    """Entry point. `arguments` default to the command line's."""
    parser = argparse.ArgumentParser(prog="python -m local.corpora", description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--full-libri", type=int, choices=(0, 1), default=0)
    args = parser.parse_args(arguments)
    corpus = find(args.corpus)(Settings(Path(), full_libri=bool(args.full_libri)))
    print(config_of(corpus), " ".join(corpus.options), key_of(args.corpus), sep="\n")


if __name__ == "__main__":
    main()
