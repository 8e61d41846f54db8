"""Audio files, read block by block with libsndfile (the soundfile package)."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import numpy as np

BLOCK = 1 << 16  # samples


class AudioFile:
    """A file of one channel, checked when it is opened.

    Attributes:
        rate: in Hz.

    Raises:
        ValueError: no such file, none that libsndfile reads, or of several channels; one line that names it.
        ImportError: soundfile is not installed.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import soundfile
        except ImportError:
            raise ImportError("the runtime needs soundfile to read files: pip install soundfile") from None
        self._soundfile, self.path = soundfile, Path(path)
        if self.path.is_dir():
            raise ValueError(f"{path}: a folder, want the files in it")
        if not self.path.is_file():
            raise ValueError(f"{path}: no such file")
        if not self.path.stat().st_size:
            raise ValueError(f"{path}: an empty file")
        try:
            about = soundfile.info(str(self.path))
        except soundfile.SoundFileError as error:
            raise ValueError(f"{path}: not audio that can be read ({_said(error)})") from None
        if about.channels != 1:
            raise ValueError(f"{path}: {about.channels} channels, want one: average them or take one, for instance "
                             "with `sox IN OUT channels 1`")
        self.rate = about.samplerate

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """(N,) float32 each, `size` samples but for the last.

        Raises:
            ValueError: the file ends early or is garbled inside.
        """
        try:
            with self._soundfile.SoundFile(str(self.path)) as file:
                wanted, found = file.frames, 0
                while True:
                    block = file.read(size, dtype="float32")
                    found += len(block)
                    if not len(block):
                        break
                    yield block
        except self._soundfile.SoundFileError as error:
            raise ValueError(f"{self.path}: garbled inside ({_said(error)})") from None
        if found < wanted < 2**62:  # more: a length that is not known
            raise ValueError(f"{self.path}: {found} of {wanted} samples are there, it was cut off")


def _said(error: Exception) -> str:
    return str(error).strip().splitlines()[-1].rpartition(": ")[2].rstrip(".")
