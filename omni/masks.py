"""The masks of all sub-networks: one ranking of the blocks of each weight, one set of rankings for each key."""

from __future__ import annotations

from typing import Any, Dict, Mapping

import torch
from torch import Tensor

from .criteria import Criterion, importance
from .ranking import Ranking, share_out
from .spec import Spec
from .structures import Blocks
from .targets import Target


class Masks:
    """Rankings of the blocks of `targets` by `criterion`.

    A key is a label with masks of its own, such as a language (one mask per language: ASR Pathways,
    arXiv:2209.05735). The set without a label has the key None.
    """

    def __init__(self, targets: Mapping[str, Target], criterion: str | Criterion) -> None:
        self.targets, self.criterion = targets, criterion
        self._rankings: Dict[str | None, Dict[str, Ranking]] = {}

    def refresh(self, key: str | None = None, exact: bool = False, within: Spec | None = None) -> None:
        """Ranks by the weights' present importance; all weights or, if one is refused, none. See Supernet.refresh.

        Raises:
            ValueError: importance is negative or not a number, or a criterion's is not of the weight's shape; `within`
                where what goes at once is not a block.
        """
        rankings = {}
        with torch.no_grad():
            for name, target in self.targets.items():
                values = importance(self.criterion, name, target.weight)
                try:
                    rankings[name] = target.structure.rank(values, exact)
                    if within is not None and name in within:
                        rankings[name] = self._after(name, rankings[name], within[name], key)
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        self._rankings[key] = rankings

    def _after(self, name: str, ranking: Ranking, sparsity: float, key: str | None) -> Ranking:
        structure = self.targets[name].structure
        if not isinstance(structure, Blocks):  # a group may want to lose other values now than those that it lost
            raise ValueError(f"structure '{structure}' cannot be ranked within a sub-network, only blocks can")
        return ranking.after(self._rankings[key][name], structure.dropped(self.targets[name].weight.shape, sparsity))

    def check(self, key: str | None) -> None:
        """Raises ValueError if `key` was never ranked."""
        if key not in self._rankings:
            known = ", ".join(repr(one) for one in self._rankings)
            raise ValueError(f"key {key!r} was never ranked (known: {known}); call refresh(key={key!r}) first")

    def mask(self, name: str, sparsity: float, key: str | None = None) -> Tensor:
        """bool, broadcasts to what the structure's `split` returns; on the weight's device."""
        target, ranking = self.targets[name], self._rankings[key][name]
        ranking.codes = ranking.codes.to(target.weight.device)  # where the model may have moved since
        return target.structure.mask(ranking, target.weight.shape, sparsity)

    def budget(self, sparsity: float) -> Spec:
        """Per-weight sparsities from one ranking of the blocks of all weights; see Supernet.global_ranking."""
        pools, units, floors = [], [], []
        for name, target in self.targets.items():
            structure, shape = target.structure, target.weight.shape
            floors.append(structure.dropped(shape, target.low))
            units.append(structure.unit)
            with torch.no_grad():
                scores = structure.scores(importance(self.criterion, name, target.weight)).flatten().sort().values
            pools.append(scores[floors[-1] : structure.dropped(shape, target.high)])
        values = round(sparsity * sum(target.weight.numel() for target in self.targets.values()))
        counts = share_out(pools, units, values - sum(count * unit for count, unit in zip(floors, units)))
        return {
            name: (floor + count) * unit / target.weight.numel()
            for (name, target), floor, count, unit in zip(self.targets.items(), floors, counts, units)
        }

    def state_dict(self) -> Dict[str, Any]:
        """{"ranks": {name: codes}, "keyed": {key: {name: codes}}}."""
        codes = {key: {n: ranking.codes for n, ranking in one.items()} for key, one in self._rankings.items()}
        return {"ranks": codes.pop(None), "keyed": codes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave.

        Raises:
            ValueError: it was made with other targets or structures.
        """
        shapes = {name: ranking.codes.shape for name, ranking in self._rankings[None].items()}
        sets = {None: state["ranks"], **state.get("keyed", {})}
        if any({name: codes.shape for name, codes in one.items()} != shapes for one in sets.values()):
            raise ValueError("this state was made with other targets or structures")
        self._rankings = {key: {n: Ranking(codes) for n, codes in one.items()} for key, one in sets.items()}
