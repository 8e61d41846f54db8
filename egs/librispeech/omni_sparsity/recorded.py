"""Settings as trainings record them: in clear, beside the defaults of that day.

    {"settings": {"train.base_lr": 0.002, ...}, "defaults": {"train.base_lr": 0.001, ...}}

`settings` are those that differ from the defaults. Two trainings are alike where every setting has the same value in
both; one that only one of them knows counts as alike while it has its default. So a setting that comes, or goes, with
its default voids no evidence, and a default that changes does.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List

from omni.errors import UserError

from .config import Config

Flat = Dict[str, Any]
Record = Dict[str, Flat]


def record(config: Config) -> Record:
    """What a training of `config` writes down of what shapes its model."""
    return changes(flat(config.shaping()), defaults(config))


def defaults(config: Config) -> Flat:
    """Of what shapes a training of `config`: the settings of its strategy, and of no other."""
    whole = {**flat(Config().shaping()), **flat({"omni": dataclasses.asdict(type(config.omni.strategy)())})}
    return {name: whole[name] for name in flat(config.shaping())}


def changes(values: Flat, defaults: Flat) -> Record:
    return {"settings": {name: value for name, value in values.items() if value != defaults[name]},
            "defaults": defaults}


def differences(recorded: Record, now: Record) -> List[str]:
    """What a recorded training had otherwise than one of `now` would: a clause for each setting, [] if they are
    alike."""
    there, here = ({**of["defaults"], **of["settings"]} for of in (recorded, now))
    found = []
    for name in sorted({*there, *here}):
        if name in there and name in here:
            if there[name] != here[name]:
                found.append(f"{name} was {there[name]}, is {here[name]}")
        elif name in there and there[name] != recorded["defaults"][name]:
            found.append(f"{name} was {there[name]}, is no setting any more")
        elif name in here and here[name] != now["defaults"][name]:
            found.append(f"{name} was no setting, is {here[name]}")
    return found


def require_same(exp_dir: Path, config: Config) -> None:
    """
    Raises:
        UserError: <exp-dir>/settings.json says that the experiment was begun with other settings.
    """
    path = exp_dir / "settings.json"
    if not path.is_file():
        return
    try:
        found = differences(json.loads(path.read_text(encoding="utf-8")), record(config))
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a record of settings: remove it, the checkpoints hold them too") from None
    if found:
        raise UserError(f"{path}: this experiment was begun with other settings ({'; '.join(found)}): give the same "
                        f"ones, or another --exp-dir, or remove {exp_dir}")


def flat(sections: Dict[str, Dict[str, Any]]) -> Flat:
    """{section: {name: value}} -> {"section.name": value}, as JSON gives it back: keys of dictionaries are strings."""
    return {f"{section}.{name}": _plain(value)
            for section, values in sections.items() for name, value in values.items()}


def _plain(value: Any) -> Any:
    return {str(key): _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
