"""What a package offers by name: its modules. A file in the package is an entry, its name the file's.

    decoding/methods/greedy_search.py    `--decoding-method greedy_search`
    subnets/formats/pt.py                files that end in .pt
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import List

from omni.errors import UserError


def names(package: ModuleType) -> List[str]:
    """Of all entries, sorted; imports none of them."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def check(package: ModuleType, name: str, what: str) -> None:
    """
    Args:
        what: was asked for by that name, for the error.

    Raises:
        UserError: there is none of that name.
    """
    if name not in names(package):
        raise UserError(f"{what} {name}: want one of {', '.join(names(package))}")


def load(package: ModuleType, name: str, what: str) -> ModuleType:
    """The module `name` of `package`; arguments and errors as `check`."""
    check(package, name, what)
    return importlib.import_module(f"{package.__name__}.{name}")
