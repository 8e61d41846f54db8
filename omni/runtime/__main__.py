"""Speech to text without torch: a line a file, its name and what was said.

    python -m omni.runtime MODEL.omni.safetensors FILE.wav... [--method beam] [--stream]

Reads what libsndfile reads (WAV, FLAC, Ogg, MP3), of one channel and any sampling rate.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import List

from ..errors import UserError, cli

PIECE = 0.1  # seconds that --stream takes at a time


def transcribe(recognizer, file, as_it_comes: bool) -> str:
    """
    Args:
        recognizer: Recognizer.
        file: AudioFile.
        as_it_comes: print the text so far, and how many seconds were heard, whenever it changes.

    Raises:
        ValueError: the audio is damaged or out of range.
    """
    stream, seconds, shown = recognizer.stream(), 0.0, ""
    for block in file.blocks(*([round(PIECE * file.rate)] if as_it_comes else [])):
        stream.accept(block, file.rate)
        recognizer.decode([stream])
        if as_it_comes:
            seconds += len(block) / file.rate
            if stream.text != shown:
                shown = stream.text
                print(f"{seconds:8.2f} s  {shown}", flush=True)
    stream.finish()
    recognizer.decode([stream])
    return stream.text


@cli
def main(arguments: List[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m omni.runtime", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="<name>.omni.safetensors")
    parser.add_argument("files", nargs="+", metavar="FILE", help="audio of one channel")
    parser.add_argument("--method", default="greedy", help="greedy, or beam: better and slower (greedy)")
    parser.add_argument("--beam", type=int, help="hypotheses of --method beam (4)")
    parser.add_argument("--blank-penalty", type=float, help="taken off blank's logit (what MODEL was decoded with)")
    parser.add_argument("--stream", action="store_true", help="print the text so far as it comes, too")
    args = parser.parse_args(arguments)
    try:
        from .audio import AudioFile
        from .recognizer import Recognizer

        files = [AudioFile(file) for file in args.files]
        options = {} if args.beam is None else {"beam": args.beam}
        recognizer = Recognizer(args.model, args.method, args.blank_penalty, **options)
        for file in files:
            try:
                text = transcribe(recognizer, file, args.stream)
            except ValueError as error:
                named = str(error).startswith(str(file.path))
                raise UserError(str(error) if named else f"{file.path}: {error}") from None
            print(f"{file.path}\t{text}", flush=True)
    except (ValueError, ImportError) as error:
        raise UserError(str(error)) from None


if __name__ == "__main__":
    main()
