"""A strategy at work on one supernet, for a training loop of your own; and `Plan`, the older way to name a strategy."""

from __future__ import annotations

from typing import Any

from .settings import Given
from .spec import Spec
from .strategies import Strategy, chosen
from .strategies.base import Subnets
from .supernet import Supernet


class Curriculum:
    """What `strategy` says of the supernet `net`, see `omni.Strategy`. `progress` is the share of the training that is
    done.

        curriculum = omni.Curriculum(net, omni.strategy_class("smallest_first")())
        for step in range(steps):
            curriculum.prepare(step, max(0, step - 1) / steps, step / steps)
            for kind, spec in curriculum.subnets(step, step / steps):
                with net.active(spec, hold=curriculum.held(spec, step / steps)):
                    compute(model, batch).backward()
    """

    def __init__(self, net: Supernet, strategy: Strategy) -> None:
        self.net, self.strategy = net, strategy

    def prepare(self, step: int, before: float, progress: float) -> None:
        """What changes before a step: blocks are ranked anew where it is time. `before`: progress at the step
        before."""
        self.strategy.prepare(self.net, step, before, progress)

    def subnets(self, step: int, progress: float) -> Subnets:
        """(kind, spec) of every sub-network that trains at this step; the largest, if it is one of them, comes
        first."""
        return self.strategy.subnets(self.net, step, progress)

    def held(self, spec: Spec, progress: float) -> Spec | None:
        """The sub-network whose weights a step of `spec` leaves as they are; None: of none."""
        return self.strategy.held(self.net, spec, progress)

    def ends(self) -> Subnets:
        """(kind, spec) of what is to be watched on held-out data."""
        return self.strategy.watched(self.net)

    def smallest(self, progress: float) -> Spec:
        """The smallest sub-network that has trained by then."""
        return self.strategy.smallest(self.net, progress)


def Plan(sampling: str = "single", first: str = "smallest", **settings: Any) -> Strategy:  # noqa: N802, a class once
    """A strategy by the names that settings had before there were strategies.

    Args:
        sampling: "single", "sandwich", "dense" or "gradual"; first: of "single", "smallest" or "largest".
        settings: of the strategy.

    Raises:
        ValueError: a setting that went (docs/method.md says which), or a value that makes no sense.
    """
    name = f"{first}_first" if sampling == "single" else sampling
    given = [Given("strategy", name, "omni.Plan"), *(Given(key, value, "omni.Plan") for key, value in settings.items())]
    return chosen(given, [])[0]
