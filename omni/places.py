"""Where a model holds parameters, and whether it still holds the same ones there."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple

from torch import nn

from .targets import Owned, parameters_of


class Places:
    """The parameters `names` of `model`, and every place where a module holds one of them.

    A model may be given other Parameter objects: by a new nn.Parameter or module, load_state_dict(assign=True), weight
    norm or a parametrization put on or taken off, a weight that is tied or untied. What was found before would then be
    a weight that nobody computes with. `check` sees that in microseconds: it walks from the model to each parameter
    over the dictionaries of the modules, and compares objects.
    """

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        self.model = model
        owned = parameters_of(model)
        self.owned: Dict[str, Owned] = {name: owned[name] for name in names}
        self._links = self._walk()

    def check(self) -> None:
        """Raises RuntimeError, which names the first of the parameters that the model holds no longer.

        Where a module was exchanged for another one that took the very parameters over (quantisation-aware training
        does that), `owned` tells the new module.
        """
        try:
            for module, kind, key, held in self._links:
                if getattr(module, kind)[key] is not held:
                    break
            else:
                return
        except (KeyError, AttributeError, RuntimeError):  # the last from a ScriptModule
            pass
        now = parameters_of(self.model)
        where = {name: one.parameter for one in now.values() for name, _, _ in one.holders}
        for name, before in self.owned.items():
            for held_as, _, _ in before.holders:
                if where.get(held_as) is not before.parameter:
                    there = "another parameter there" if held_as in where else "no parameter of that name"
                    raise RuntimeError(
                        f"{held_as}: the model has {there} since this Supernet was made (a new nn.Parameter or module, "
                        "load_state_dict(assign=True), weight norm, a parametrization or an untied weight do that): "
                        "make the Supernet anew, and the optimizer with it"
                    )
        first = {id(one.parameter): one for one in now.values()}
        self.owned = {name: first[id(before.parameter)] for name, before in self.owned.items()}
        self._links = self._walk()

    def _walk(self) -> List[Tuple[nn.Module, str, str, Any]]:
        """(module, name of one of its dictionaries, key, what it must hold there), without repetition."""
        links: Dict[Tuple[int, str, str], Tuple[nn.Module, str, str, Any]] = {}
        for one in self.owned.values():
            for name, holder, leaf in one.holders:
                module = self.model
                for key in name.split(".")[:-1]:
                    child = module._modules[key]
                    links[id(module), "_modules", key] = (module, "_modules", key, child)
                    module = child
                links[id(holder), "_parameters", leaf] = (holder, "_parameters", leaf, one.parameter)
        return list(links.values())
