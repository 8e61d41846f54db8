"""`mini_librispeech`: 5 hours of LibriSpeech for training, from openslr.org/31."""

from __future__ import annotations

from local.download import fill
from local.layout import LibriSpeechLayout

# The real mini LibriSpeech has no test set: LibriSpeech's own are added, as in icefall.
PARTS = ("train-clean-5", "dev-clean-2", "test-clean", "test-other")


class MiniLibriSpeech(LibriSpeechLayout):
    config = "librispeech-100h"

    def obtain(self) -> None:
        fill(self.folder, PARTS)
