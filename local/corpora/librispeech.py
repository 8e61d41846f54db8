"""`librispeech`: 100 or 960 hours of read books, downloaded from openslr.org/12 where they are not there yet."""

from __future__ import annotations

from pathlib import Path

from local.download import fill
from local.layout import LibriSpeechLayout

HOURS_100 = ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")
HOURS_960 = (*HOURS_100, "train-clean-360", "train-other-500")


class LibriSpeech(LibriSpeechLayout):
    """A partial copy will do: what is there is used."""

    options = ("full_libri",)

    @property
    def config(self) -> str:
        return "librispeech" if self.settings.full_libri else "librispeech-100h"

    def obtain(self) -> None:
        fill(self.folder, HOURS_960 if self.settings.full_libri else HOURS_100)

    def subsets(self) -> list[Path]:
        """All, or of 960 hours those that belong to the 100."""
        found = super().subsets()
        if not self.settings.full_libri and any(path.name == "train-clean-100" for path in found):
            return [path for path in found if path.name in HOURS_100 or path.name not in HOURS_960]
        return found
