"""The corpora, a file each: its name is what run.sh --corpus takes, its one class derives from local.corpus.Corpus.

A corpus of your own is a file anywhere: --corpus path/to/mine.py. docs/corpora.md.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from local.corpus import Corpus
from omni.errors import UserError


def names() -> list[str]:
    """The corpora that are here, sorted; none is imported."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def find(corpus: str) -> type[Corpus]:
    """The class of a corpus.

    Args:
        corpus: one of `names()`, or the path of a Python file.

    Raises:
        UserError: it is neither, or the file has no corpus or several.
    """
    if corpus.endswith(".py"):
        module = _from_file(Path(corpus))
    elif corpus in names():
        module = importlib.import_module(f"{__name__}.{corpus}")
    else:
        raise UserError(f"--corpus {corpus}: want {', '.join(names())} or the path of a Python file (docs/corpora.md)")
    classes = [
        value for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Corpus) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise UserError(f"--corpus {corpus}: want one class that derives from local.corpus.Corpus, not {len(classes)}")
    lacks = sorted(classes[0].__abstractmethods__) + ([] if hasattr(classes[0], "config") else ["config"])
    if lacks:
        raise UserError(f"--corpus {corpus}: {classes[0].__name__} does not say {', '.join(lacks)} (docs/corpora.md)")
    return classes[0]


def config_of(corpus: Corpus) -> str:
    """Its default configuration: a name in the recipe's conf/, or the path of a .yaml file."""
    if not corpus.config.endswith(".yaml"):
        return corpus.config
    return str(Path(sys.modules[type(corpus).__module__].__file__).parent / corpus.config)


def key_of(corpus: str) -> str:
    """What stands for a corpus in the key of stage 0: its name; of a file the path and a digest of what it says."""
    if not corpus.endswith(".py"):
        return corpus
    return f"{corpus}#{hashlib.sha256(Path(corpus).read_bytes()).hexdigest()[:12]}"


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"--corpus {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"given.{path.stem}", path)  # not in place of a library of that name
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a file of somebody else raises
        line = str(error).partition("\n")[0]
        raise UserError(f"--corpus {path}: {type(error).__name__} while it was read: {line}") from error
    return module
