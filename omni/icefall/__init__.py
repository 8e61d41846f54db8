"""Supernets in icefall recipes. No edit:

    python -m omni.icefall zipformer/train.py --omni-config zipformer -- --world-size 4 --exp-dir zipformer/exp ...

or three lines in a recipe's train.py, see `attach`. What comes out is an ordinary checkpoint of the recipe, of the
whole network; `python -m omni.bake` makes ordinary checkpoints of its sub-networks.
"""

from .plugin import Plugin, attach, step
from .settings import Settings, read_settings

__all__ = ["Plugin", "Settings", "attach", "read_settings", "step"]
