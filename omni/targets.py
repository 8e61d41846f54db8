"""Which parameters of a model masks apply to, and why the others stay dense."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

from torch import nn

from .structures import Blocks, Structure, parse_structure


@dataclass(frozen=True)
class Range:
    """The sparsities that a group of weights may take: `low` (the largest sub-network) to `high` (the smallest).

    Args:
        structure: what goes at once: "unstructured", blocks of output features by inputs ("8x1"), or N:M ("2:4"; then
            `high` is at most 1 - N/M).

    Raises:
        ValueError: low and high out of order or out of what the structure can do, an unknown structure.
    """

    low: float = 0.0
    high: float = 0.9
    structure: str = "8x1"

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high < 1.0:
            raise ValueError(f"Range({self.low}, {self.high}): want 0 <= low <= high < 1")
        limit = parse_structure(self.structure).limit
        if self.high > limit:
            raise ValueError(f"Range({self.low}, {self.high}): structure '{self.structure}' goes to {limit:g}")


Config = Mapping[str, Range] | Range


@dataclass(frozen=True)
class Target:
    """A weight that masks apply to."""

    weight: nn.Parameter
    structure: Structure
    low: float
    high: float

    @property
    def blocks(self) -> Blocks:
        """The blocks that its zeros come in, for `pack`."""
        return self.structure if isinstance(self.structure, Blocks) else Blocks(1, 1)


@dataclass(frozen=True)
class Owned:
    """A parameter under its first name, and every (name, module, attribute) that holds it: more than one if tied."""

    parameter: nn.Parameter
    holders: Tuple[Tuple[str, nn.Module, str], ...]

    def assign(self, value: nn.Parameter) -> None:
        """Puts `value` in the parameter's place wherever it is held."""
        for _, module, leaf in self.holders:
            if isinstance(module, nn.RNNBase):
                setattr(module, leaf, value)  # it keeps a list of its own in step
            else:
                module._parameters[leaf] = value  # what setattr does in the end, five times faster

    def holds(self, value: nn.Parameter) -> bool:
        """Whether `value` stands in the parameter's place wherever it is held."""
        return all(module._parameters.get(leaf) is value for _, module, leaf in self.holders)


def parameters_of(model: nn.Module) -> Dict[str, Owned]:
    """{first name: Owned}, in the order of `model.named_parameters()`; a tied parameter once."""
    holders: Dict[nn.Parameter, List[Tuple[str, nn.Module, str]]] = {}
    for path, module in model.named_modules(remove_duplicate=False):
        for leaf, parameter in module.named_parameters(recurse=False):
            holders.setdefault(parameter, []).append((f"{path}.{leaf}" if path else leaf, module, leaf))
    return {name: Owned(value, tuple(holders[value])) for name, value in model.named_parameters()}


def matching(model: nn.Module, patterns: Sequence[str]) -> Dict[str, str]:
    """{first name: pattern} of the parameters that have a name which a pattern matches whole; the first match counts.

    Raises:
        ValueError: not a regular expression, or a pattern that matches nothing.
    """
    owned = parameters_of(model)
    found: Dict[str, str] = {}
    for pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern {pattern!r}: not a regular expression ({error})") from None
        hits = [name for name, one in owned.items() if any(compiled.fullmatch(held[0]) for held in one.holders)]
        if not hits:
            raise ValueError(f"pattern {pattern!r} matches no parameter; the first are {', '.join(list(owned)[:4])}")
        for name in hits:
            found.setdefault(name, pattern)
    return {name: found[name] for name in owned if name in found}


@dataclass(frozen=True)
class Choice:
    """What becomes of one parameter: a target, or None (dense), and why."""

    parameter: nn.Parameter
    target: Target | None
    why: str


def choose(model: nn.Module, config: Config) -> Dict[str, Choice]:
    """{parameter name: Choice} for every parameter of `model`.

    Args:
        config: {regular expression that matches a whole parameter name: Range}, the first match counts; or one Range:
            of every Linear, Conv, RNN, LSTM, GRU and MultiheadAttention weight that is a whole number of its blocks.
            The latter leaves biases, norms, embeddings and depthwise convolutions dense, and what is tied to one.

    Raises:
        ValueError: a pattern that matches nothing, a weight that is not a whole number of blocks, no weight at all.
    """
    defaults = isinstance(config, Range)
    patterns = {} if defaults else matching(model, list(config))
    choices = {}
    for name, owned in parameters_of(model).items():
        if nn.parameter.is_lazy(owned.parameter):
            raise ValueError(f"{name}: not initialised yet; run the model once before it becomes a supernet")
        if defaults:
            why = _why_dense(owned)
            allowed = None if why else config
        else:
            allowed = config[patterns[name]] if name in patterns else None
            why = "" if allowed else "no pattern matches"
        target = None
        if allowed:
            structure, shape = parse_structure(allowed.structure), owned.parameter.shape
            if structure.divides(shape):
                target = Target(owned.parameter, structure, allowed.low, allowed.high)
                why = " = ".join(type(module).__name__ for _, module, _ in owned.holders)
            else:
                why = f"shape {tuple(shape)} is not a whole number of {structure} blocks"
                if not defaults:
                    raise ValueError(f"{name}: {why}")
        choices[name] = Choice(owned.parameter, target, why)
    if not any(choice.target for choice in choices.values()):
        raise ValueError(f"{config}: no weight of {type(model).__name__} to prune")
    return choices


_WEIGHTS = (  # types of modules, and the names of their weights
    ((nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d), "weight"),
    ((nn.RNNBase, nn.RNNCellBase), "weight_(ih|hh|hr).*"),
    ((nn.MultiheadAttention,), "(in|q|k|v)_proj_weight"),
)


def _why_dense(owned: Owned) -> str:
    """Why a parameter is no default target; "" if it is one. Every module that holds it must agree."""
    for index, (name, module, leaf) in enumerate(owned.holders):
        kind = type(module).__name__
        if owned.parameter.dim() < 2:
            why = "bias, norm or other vector"
        elif isinstance(module, nn.modules.conv._ConvNd) and 1 < module.groups == module.in_channels:
            why = "depthwise convolution"
        elif any(isinstance(module, types) and re.fullmatch(names, leaf) for types, names in _WEIGHTS):
            continue
        else:
            why = f"{kind}: dense unless a pattern names it"
        return why if index == 0 else f"tied to {name} ({why})"
    return ""
