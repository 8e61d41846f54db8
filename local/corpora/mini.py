"""`mini`: spoken commands by eSpeak NG, 8 hours of training speech by 294 voices, 21 minutes by 12 others in each other
set; beside them noise/, recordings to mix into training."""

from __future__ import annotations

import time

from local.layout import LibriSpeechLayout


class Mini(LibriSpeechLayout):
    """Synthesised from a seed, in LibriSpeech's layout; a killed synthesis is continued."""

    config = "mini"
    options = ("seed", "mini_scale")

    def obtain(self) -> None:
        from local.mini.build import build

        wanted = self.settings
        began = time.monotonic()
        made = build(self.folder, wanted.seed, wanted.mini_scale, wanted.nj, self.name())
        how = f"made in {time.monotonic() - began:.0f} s" if made else "already there"
        print(f"{self.name()} corpus in {self.folder}: {how}", flush=True)
