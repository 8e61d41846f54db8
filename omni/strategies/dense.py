"""The dense model: the baseline of the largest size."""

from __future__ import annotations

from .base import Strategy, Subnets, strategy


@strategy("dense")
class Dense(Strategy):
    """The largest sub-network alone, from beginning to end. No block is ranked: what is cut out of a dense model
    without training ("oneshot") is ranked by its last weights."""

    system = "dense"
    of_one_size = True

    def subnets(self, net, step, progress) -> Subnets:
        return [("max", net.largest())]

    def prepare(self, net, step, before, progress) -> None:
        pass

    def watched(self, net) -> Subnets:
        return [("max", net.largest())]
