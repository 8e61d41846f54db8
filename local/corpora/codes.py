"""`codes`: 17 minutes of mini's voices that spell; small enough for a whole training in minutes, to compare methods."""

from __future__ import annotations

from local.corpora.mini import Mini


class Codes(Mini):
    """As mini, of another design: local/mini/designs.py."""

    config = "codes"
