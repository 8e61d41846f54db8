"""What a strategy is, and the registry of them."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Callable, ClassVar, Dict, List, Tuple, Type

from ..schedule import gradual_sparsity
from ..settings import check, setting, share

if TYPE_CHECKING:  # settings are read by programs that should not wait for torch
    from ..spec import Spec
    from ..supernet import Supernet

Subnets = List[Tuple[str, Dict[str, float]]]  # (kind, spec): kind is one of KINDS
KINDS = ("max", "min", "random", "pruned")  # the largest, the smallest, one between, the one size that trains alone

_REGISTRY: Dict[str, Type[Strategy]] = {}
_LARGE = 10**6  # parts of a training in which `gradual_sparsity` counts


@dataclass
class Strategy:
    """Which sub-networks of a supernet train at which step: pure functions of (seed, step, progress), so that a resumed
    training sees what the stopped one would have seen, and processes agree. `progress` is the share of the training
    that is done, 0 to 1. A strategy of your own needs `subnets` alone:

        @omni.strategy("coin")
        class Coin(omni.Strategy):
            def subnets(self, net, step, progress):
                return [net.pick(step, {0.0: 0.5, 0.9: 0.5})]

    Fields are its settings. `of_one_size`: it trains one size alone, so that no parameters are kept for several;
    `system`: what results call its sub-networks; `one_pass`: one sub-network a step, as a host's training loop wants
    it.

    Raises:
        ValueError: a setting out of its range.
    """

    name: ClassVar[str] = ""
    system: ClassVar[str] = "omni"
    of_one_size: ClassVar[bool] = False
    one_pass: ClassVar[bool] = True

    refresh_every: int = setting(100, "steps between two rankings of the blocks", unit="steps", low=1)

    def __post_init__(self) -> None:
        check(self)

    def subnets(self, net: Supernet, step: int, progress: float) -> Subnets:
        """(kind, spec) of every sub-network that trains at this step; the largest, if it is one of them, comes
        first."""
        raise NotImplementedError(f"{type(self).__name__}.subnets")

    def prepare(self, net: Supernet, step: int, before: float, progress: float) -> None:
        """What changes before a step: blocks are ranked anew where it is time, among those that the smallest size has
        kept.

        Args:
            before: progress at the step before.
        """
        if step % self.refresh_every == 0 and progress < 1.0:
            from ..structures import Blocks

            smallest = self.smallest(net, progress)  # N:M has no ranking within another
            net.refresh(exact=True, within={name: sparsity for name, sparsity in smallest.items()
                                            if isinstance(net.targets[name].structure, Blocks)})

    def smallest(self, net: Supernet, progress: float) -> Spec:
        """The smallest sub-network that has trained by then: what it dropped stays dropped in the ranking."""
        return net.largest()

    def held(self, net: Supernet, spec: Spec, progress: float) -> Spec | None:
        """The sub-network whose weights a step of `spec` leaves as they are; None: of none."""
        return None

    def watched(self, net: Supernet) -> Subnets:
        """(kind, spec) of what is to be seen on held-out data."""
        return [("max", net.largest()), ("min", net.smallest())]

    def settled(self) -> float:
        """The share of the training after which no size changes any more: no average of weights reaches across it."""
        return 0.0


def strategy(name: str) -> Callable[[Type[Strategy]], Type[Strategy]]:
    """Registers a strategy under `name`; the class becomes a dataclass.

    Raises:
        ValueError: another class has the name.
    """

    def register(kind: Type[Strategy]) -> Type[Strategy]:
        known = _REGISTRY.get(name)
        if known is not None and (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
            raise ValueError(f"strategy {name!r}: {known.__module__}.{known.__qualname__} has this name already")
        kind = _dataclass(kind)
        kind.name = name
        _REGISTRY[name] = kind
        return kind

    return register


def strategy_names() -> List[str]:
    return sorted(_REGISTRY)


def strategy_class(name: str) -> Type[Strategy]:
    """The strategy of that name, or of a file: "path/to/file.py:Class".

    Raises:
        ValueError: no such strategy, file or class; one line.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    path, colon, wanted = name.rpartition(":")
    if not (colon and path.endswith(".py")):
        raise ValueError(f"strategy {name!r}: want one of {', '.join(strategy_names())}, or path/to/file.py:Class")
    if not Path(path).is_file():
        raise ValueError(f"strategy {name!r}: {path}: no such file")
    kind = getattr(_load(Path(path), name), wanted, None)
    if not (inspect.isclass(kind) and issubclass(kind, Strategy)):
        raise ValueError(f"strategy {name!r}: {path} has no class {wanted} that is an omni.Strategy")
    try:
        kind = _dataclass(kind)
    except (TypeError, ValueError) as error:  # a setting without a default, a default of {}
        raise ValueError(f"strategy {name!r}: {path}: {wanted}: {error}") from None
    kind.name = name  # results and checkpoints say the file too
    return kind


def _dataclass(kind: Type[Strategy]) -> Type[Strategy]:
    """A class that is one already stays as it is: made one again, its settings would lose their ranges."""
    return kind if "__dataclass_fields__" in vars(kind) else dataclass(kind)


def _load(path: Path, name: str):
    spec = importlib.util.spec_from_file_location(f"omni_strategy {path.resolve()}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for what annotations name
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise ValueError(f"strategy {name!r}: {path}: {type(error).__name__}: {error}") from None
    return module


@dataclass
class Shrinking(Strategy):
    """Strategies that begin dense and whose smallest sub-network then grows sparser, fast at first."""

    dense_until: float = share(0.2, "share of the training before which the dense network trains alone")
    grow_until: float = share(0.6, "share of the training at which the smallest has reached its sparsity")

    def top(self, net: Supernet) -> float:
        """The sparsity that the smallest grows to: the end of the widest range."""
        return max(target.high for target in net.targets.values())

    def sparsity(self, net: Supernet, progress: float) -> float:
        """Of the smallest, by then (Zhu & Gupta 2017, see `gradual_sparsity`)."""
        top = self.top(net)
        if progress < self.dense_until:
            return 0.0
        if progress >= self.grow_until:
            return top
        return gradual_sparsity(*(int(_LARGE * x) for x in (progress, self.dense_until, self.grow_until)), top)

    def smallest(self, net: Supernet, progress: float) -> Spec:
        return net.smallest(self.sparsity(net, progress))

    def settled(self) -> float:
        return self.grow_until


def check_sizes(sizes: Dict[float, float]) -> None:
    """Raises ValueError where `sizes` is not {sparsity: share}, with a share above 0."""
    good = all(isinstance(x, (int, float)) and 0.0 <= x < float("inf") for x in (*sizes, *sizes.values()))
    if not good or max(sizes, default=1.0) >= 1.0:
        raise ValueError(f"sizes {sizes}: want {{sparsity: share}}, sparsities from 0 to below 1")
    if not sum(sizes.values()) > 0.0:
        raise ValueError(f"sizes {sizes}: want a share above 0")
