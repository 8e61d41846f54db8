"""python -m omni.icefall TRAIN.py --omni-config CONFIG [--set name=value] -- <the recipe's own arguments>

Trains an icefall recipe as a supernet, with not one line of it changed: its train.py runs as it is, with its own
arguments, checkpoints, averaging and processes, and each batch trains one sub-network.

    cd egs/librispeech/ASR
    python -m omni.icefall zipformer/train.py --omni-config zipformer --set steps=100000 -- \\
        --world-size 4 --num-epochs 30 --exp-dir zipformer/exp --causal 1 --full-libri 0
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .host import host, launch
from .settings import read_settings, split_arguments


def main() -> None:
    own, rest = split_arguments(sys.argv[1:])
    parser = argparse.ArgumentParser(prog="python -m omni.icefall", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="the recipe's train.py")
    parser.add_argument("--omni-config", required=True, help="a YAML or JSON file, or a name such as zipformer")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE",
                        help="change one setting; may be given many times")
    args = parser.parse_args(own)
    try:
        settings = read_settings(args.omni_config, args.changes)
        host(args.train, settings)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None
    launch(args.train, settings, rest)


if __name__ == "__main__":
    main()
