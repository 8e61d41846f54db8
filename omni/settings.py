"""Settings: dataclass fields that know their unit and range, and their values from YAML and command lines, by
OmegaConf.

    @dataclass
    class Train:
        base_lr: float = setting(1e-3, "learning rate at its highest", above=0)

    build(Train, [Given("base_lr", "1e-2", "--set train.base_lr=1e-2")], "train.")

OmegaConf is imported by what reads values alone: dataclasses of settings need it not.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Sequence, Type


class Given(NamedTuple):
    """A value that somebody gave a setting, and where: a file, or "--set name=value"."""

    name: str
    value: Any
    where: str


def setting(default: Any, doc: str, unit: str = "", low: float | None = None, high: float | None = None,
            above: float | None = None, below: float | None = None, choices: Sequence[str] = (),
            how: bool = False) -> Any:
    """A dataclass field with its documentation, unit and range.

    Args:
        low, high: ends that are allowed; above, below: ends that are not.
        how: it says how something is run, and changes nothing of what comes out.
    """
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high, "above": above, "below": below,
                "choices": tuple(choices), "how": how}
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: type(default)(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def share(default: float, doc: str) -> Any:
    """A setting from 0 to 1."""
    return setting(default, doc, unit="share", low=0.0, high=1.0)


def range_of(field: dataclasses.Field) -> str:
    """The range of a field in words: "at least 1", "from 0 to 1", "one of k2, native"; "" if any value will do."""
    m = field.metadata
    if m.get("choices"):
        return "one of " + ", ".join(m["choices"])
    if m.get("low") is not None and m.get("high") is not None:
        return f"from {m['low']:g} to {m['high']:g}"
    ends = [("at least", m.get("low")), ("at most", m.get("high")), ("more than", m.get("above")),
            ("less than", m.get("below"))]
    return " and ".join(f"{words} {end:g}" for words, end in ends if end is not None)


def check(values: Any, prefix: str = "") -> None:
    """
    Args:
        values: a dataclass whose fields `setting` made.
        prefix: of the names in a message, such as "train.".

    Raises:
        ValueError: names the first setting that is out of its range. Of a list, every item is held to the range.
    """
    for field in dataclasses.fields(values):
        value = getattr(values, field.name)
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if field.metadata and not _within(item, field.metadata):
                raise ValueError(f"{prefix}{field.name} {value}: want {range_of(field) or 'a finite number'}")


def names(kind: Any) -> List[str]:
    return [field.name for field in dataclasses.fields(kind)]


def build(kind: Type, given: Iterable[Given], prefix: str = "") -> Any:
    """A `kind` with its defaults and what was given; of a name that was given twice, the last value counts.

    Args:
        kind: a dataclass.
        prefix: of the names in a message, such as "train.".

    Raises:
        ValueError: an unknown name, a value of another type, out of its range missing, or refused by `kind`; one line.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    hints, node = typing.get_type_hints(kind), OmegaConf.structured(kind)
    for name, value, where in given:
        if name not in names(kind):
            raise ValueError(f"{where}: no setting {prefix}{name}; there are {', '.join(names(kind))}")
        try:
            if hints[name] is bool and not isinstance(value, bool):
                raise TypeError
            OmegaConf.update(node, name, _as(hints[name], value), merge=False)
            OmegaConf.to_container(node[name], resolve=True) if OmegaConf.is_config(node[name]) else node[name]
        except (OmegaConfBaseException, TypeError, ValueError):
            raise ValueError(f"{where}: {prefix}{name} wants {_called(hints[name])}, not {value!r}") from None
    if missing := sorted(OmegaConf.missing_keys(node)):
        raise ValueError(f"{prefix}{missing[0]} is missing")
    try:
        built = OmegaConf.to_object(node)
    except ValueError as error:  # of its __post_init__
        raise ValueError(f"{prefix}{error}") from None
    check(built, prefix)
    return built


def read_yaml(path: str | Path) -> Dict[str, Any]:
    """Names and values of a YAML file, {} of an empty one.

    Raises:
        ValueError: no such file, or not YAML of names and values; one line.
    """
    import yaml
    from omegaconf import DictConfig, OmegaConf

    try:
        node = OmegaConf.load(path)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(node, DictConfig):
        raise ValueError(f"{path}: want names and values")
    return OmegaConf.to_container(node)


def parse_override(text: str, form: str = "name=value") -> Given:
    """ "name=value", the value as YAML. `form`: what the message says is wanted.

    Raises:
        ValueError: no "=", or no YAML after it.
    """
    import io

    import yaml
    from omegaconf import OmegaConf

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--set {text}: want {form}")
    try:
        node = OmegaConf.load(io.StringIO(f"value: {value}"))
        return Given(name, OmegaConf.to_container(node)["value"], f"--set {text}")
    except (yaml.YAMLError, OSError, TypeError, KeyError):
        raise ValueError(f"--set {text}: the value is not YAML") from None


def _as(hint: Any, value: Any) -> Any:
    """What YAML reads as the other kind of number is what it means: 1e5 as a count, the key of {0: 0.6} as a share."""
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict) and typing.get_args(hint)[:1] == (float,):
        return {float(key) if isinstance(key, int) else key: item for key, item in value.items()}
    return value


def _called(hint: Any) -> str:
    kind, of = typing.get_origin(hint) or hint, typing.get_args(hint)
    return f"list of {of[0].__name__}" if kind is list else getattr(kind, "__name__", str(kind))


def _within(value: Any, m: Mapping[str, Any]) -> bool:
    if m["choices"]:
        return value in m["choices"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (math.isfinite(value)
                and (m["low"] is None or value >= m["low"]) and (m["high"] is None or value <= m["high"])
                and (m["above"] is None or value > m["above"]) and (m["below"] is None or value < m["below"]))
    return True
