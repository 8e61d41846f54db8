"""Settings as dataclass fields that know their unit and range.

    @dataclass
    class Train:
        base_lr: float = setting(1e-3, "learning rate at its highest", above=0)
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Mapping, Sequence


def setting(default: Any, doc: str, unit: str = "", low: float | None = None, high: float | None = None,
            above: float | None = None, below: float | None = None, choices: Sequence[str] = ()) -> Any:
    """A dataclass field with its documentation, unit and range.

    Args:
        low, high: ends that are allowed; above, below: ends that are not.
    """
    metadata = {"doc": doc, "unit": unit, "low": low, "high": high, "above": above, "below": below,
                "choices": tuple(choices)}
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
    ends = [("at least", m.get("low")), ("at most", m.get("high")), ("more than", m.get("above")), ("less than", m.get("below"))]
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
                raise ValueError(f"{prefix}{field.name} {value}: want {range_of(field)}")


def _within(value: Any, m: Mapping[str, Any]) -> bool:
    if m["choices"]:
        return value in m["choices"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return (math.isfinite(value) and (m["low"] is None or value >= m["low"]) and (m["high"] is None or value <= m["high"])
                and (m["above"] is None or value > m["above"]) and (m["below"] is None or value < m["below"]))
    return True
