"""Which sub-networks train when: one strategy a file. To add one: a file here with a class under `@strategy("name")`;
or, outside, a file of your own, named `path/to/file.py:Class`."""

from .base import Strategy, strategy, strategy_class, strategy_names
from .dense import Dense
from .gradual import Gradual
from .largest_first import LargestFirst
from .sandwich import Sandwich
from .section import SHIPPED, chosen
from .smallest_first import SmallestFirst

__all__ = ["SHIPPED", "Dense", "Gradual", "LargestFirst", "Sandwich", "SmallestFirst", "Strategy", "chosen", "strategy",
           "strategy_class", "strategy_names"]
