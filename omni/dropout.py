"""Adaptive dropout: a sub-network that has fewer weights left to overfit with is dropped out less."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Callable, Dict, Iterator, List, Tuple

from torch import nn

Formula = Callable[[float, float], float]

# The Omni-sparsity paper (arXiv:2110.08352) lowers dropout as sparsity rises and does not say how.
FORMULAS: Dict[str, Formula] = {
    "linear": lambda p, density: p * density,  # TODM, arXiv:2309.01947: p * (channels kept / channels)
    "sqrt": lambda p, density: p * density**0.5,  # our own, a milder one
    "dense": lambda p, density: p if density == 1.0 else 0.0,  # AlphaNet, arXiv:2102.07954: on the whole model alone
}


class AdaptiveDropout:
    """The dropout modules of `model`, whose probability follows the sub-network that is active.

    Dropout layers of every kind, and the probability inside nn.MultiheadAttention, LSTM, GRU and RNN. A module that
    was made without dropout stays without.

    Args:
        formula: one of FORMULAS, "none", or a function (probability, density) -> probability; density is the kept
            share of the targeted weights, 1.0 for the dense model.

    Raises:
        ValueError: an unknown formula.
    """

    def __init__(self, model: nn.Module, formula: str | Formula = "none") -> None:
        if not callable(formula) and formula not in (*FORMULAS, "none"):
            raise ValueError(f"dropout {formula!r}: want 'none', {', '.join(map(repr, FORMULAS))} or a function")
        self.formula = None if formula == "none" else formula
        self._places: List[Tuple[nn.Module, str]] = []
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                self._places.append((module, "p"))
            elif isinstance(module, (nn.MultiheadAttention, nn.RNNBase)):
                self._places.append((module, "dropout"))

    @contextmanager
    def follow(self, density: float) -> Iterator[None]:
        """Inside, every probability is what the formula makes of the module's own.

        Raises:
            ValueError: the formula gives something out of [0, 1].
        """
        if self.formula is None:
            yield
            return
        formula = self.formula if callable(self.formula) else FORMULAS[self.formula]
        own = [(module, name, getattr(module, name)) for module, name in self._places]
        try:
            for module, name, p in own:
                scaled = formula(p, density)
                if not 0.0 <= scaled <= 1.0:
                    raise ValueError(f"dropout {p} at density {density}: the formula gives {scaled}, no probability")
                setattr(module, name, scaled)
            yield
        finally:
            for module, name, p in own:
                setattr(module, name, p)
