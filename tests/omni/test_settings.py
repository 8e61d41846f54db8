"""Settings: values of every kind as people write them; what is wrong ends in one line that names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List

import pytest

from omni.settings import Given, build, check, names, parse_override, range_of, read_yaml, setting, share


@dataclass
class Train:
    rate: float = setting(1e-3, "of learning", above=0)
    steps: int = setting(10, "of training", unit="steps", low=1)
    prune_to: float = setting(0.8, "sparsity", low=0.0, below=1.0)
    dropout: float = share(0.1, "of all")
    workers: int = setting(2, "processes", high=4)
    masks: bool = setting(True, "whether")
    device: str = setting("cpu", "where", choices=("cpu", "cuda"))
    bins: List[float] = setting([0.5, 0.9], "edges", low=0.0, high=1.0)
    sizes: Dict[float, float] = setting({0.0: 1.0}, "shares")

    def __post_init__(self) -> None:
        if self.steps == 13:
            raise ValueError("steps 13: want another number")


def given(name, value, where="file.yaml"):
    return Given(name, value, where)


def test_defaults_are_each_builts_own():
    one, other = build(Train, []), build(Train, [])
    one.bins.append(1.0)
    one.sizes[0.9] = 1.0
    assert other == Train() and other.bins == [0.5, 0.9] and other.sizes == {0.0: 1.0}


@pytest.mark.parametrize("name, value, built", [
    ("rate", "1e-2", 0.01), ("rate", 1, 1.0), ("rate", "2", 2.0), ("steps", "20", 20), ("steps", 20, 20),
    ("steps", 1e5, 100000),
    ("masks", False, False),
    ("device", "cuda", "cuda"), ("bins", [0, 1], [0.0, 1.0]), ("bins", [], []),
    ("sizes", {0: 1, 0.9: 2}, {0.0: 1.0, 0.9: 2.0}),
    ("workers", -3, -3), ("dropout", 0, 0.0), ("dropout", 1, 1.0), ("prune_to", 0, 0.0),
])
def test_values_as_people_write_them(name, value, built):
    found = getattr(build(Train, [given(name, value)]), name)
    assert found == built and type(found) is type(built)
    assert not isinstance(found, dict) or list(map(type, found)) == [float] * len(found)


def test_the_last_value_counts_and_a_dictionary_is_not_merged():
    found = build(Train, [given("steps", 2), given("sizes", {0.5: 1}), given("steps", 3), given("sizes", {0.9: 1})])
    assert found.steps == 3 and found.sizes == {0.9: 1.0}


@pytest.mark.parametrize("name, value, says", [
    ("depth", 3, "file.yaml: no setting train.depth; there are rate, steps, prune_to"),
    ("rate", "fast", "file.yaml: train.rate wants float, not 'fast'"), ("steps", 1.5, "train.steps wants int, not 1.5"),
    ("steps", "a", "train.steps wants int"), ("steps", None, "train.steps wants int, not None"),
    ("masks", 1, "train.masks wants bool, not 1"),
    ("masks", "yes", "wants bool"), ("bins", 0.5, "train.bins wants list of float, not 0.5"),
    ("bins", ["a"], "list of float"),
    ("sizes", [0.5], "train.sizes wants dict"), ("sizes", {"a": 1}, "train.sizes wants dict"),
    ("device", ["cpu"], "wants str"),
    ("rate", 0, "train.rate 0.0: want more than 0"), ("rate", float("nan"), "train.rate nan: want more than 0"),
    ("rate", float("inf"), "train.rate inf"),
    ("steps", 0, "train.steps 0: want at least 1"),
    ("prune_to", 1.0, "train.prune_to 1.0: want at least 0 and less than 1"),
    ("dropout", 1.1, "train.dropout 1.1: want from 0 to 1"), ("workers", 5, "train.workers 5: want at most 4"),
    ("device", "tpu", "train.device tpu: want one of cpu, cuda"),
    ("bins", [0.5, 2.0], r"train.bins \[0.5, 2.0\]: want from 0 to 1"),
    ("steps", 13, "train.steps 13: want another number"),
    ("rate", "${b}", "train.rate wants float"), ("device", "${b}", "train.device wants str"),
    ("bins", ["${b}"], "list of float"),
    ("sizes", {0.5: "${b}"}, "train.sizes wants dict"),
])
def test_what_is_wrong_is_one_line_that_names_it(name, value, says):
    with pytest.raises(ValueError, match=says) as raised:
        build(Train, [given(name, value)], "train.")
    assert "\n" not in str(raised.value)


def test_check_is_of_any_dataclass_of_settings():
    check(Train())
    with pytest.raises(ValueError, match="^x.dropout -0.1: want from 0 to 1$"):
        check(Train(dropout=-0.1), "x.")


def test_ranges_in_words():
    words = {one: range_of(Train.__dataclass_fields__[one]) for one in names(Train)}
    assert words == {
        "rate": "more than 0", "steps": "at least 1", "prune_to": "at least 0 and less than 1",
        "dropout": "from 0 to 1",
        "workers": "at most 4", "masks": "", "device": "one of cpu, cuda", "bins": "from 0 to 1", "sizes": "",
    }


@pytest.mark.parametrize("text, name, value", [
    ("train.steps=3", "train.steps", 3), ("a=1e-2", "a", 0.01), ("a=", "a", None), ("a=b=c", "a", "b=c"),
    ("a=[0.5, 0.9]", "a", [0.5, 0.9]),
    ("a={0: 1, 0.9: 2}", "a", {0: 1, 0.9: 2}), ("a=true", "a", True), ('a="true"', "a", "true"),
])
def test_an_override(text, name, value):
    assert parse_override(text) == Given(name, value, f"--set {text}")


@pytest.mark.parametrize("text, says", [
    ("steps", "--set steps: want name=value"), ("=3", "--set =3: want name=value"),
    ("a=[1", r"--set a=\[1: the value is not YAML"),
    ("a={", "the value is not YAML"), ("a=b: c: d", "not YAML"),
])
def test_an_override_that_is_none(text, says):
    with pytest.raises(ValueError, match=says) as raised:
        parse_override(text)
    assert "\n" not in str(raised.value)


def test_a_yaml_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("# nothing else\ntrain:\n  rate: 1e-2\n  sizes: {0: 1}\n", encoding="utf-8")
    assert read_yaml(path) == {"train": {"rate": 0.01, "sizes": {0: 1}}}
    for text in ("", "# nothing\n", "\ufeff"):
        path.write_text(text, encoding="utf-8")
        assert read_yaml(path) == {}


@pytest.mark.parametrize("content, says", [
    (None, "a.yaml: no such file"), (b"a: [1", "a.yaml: not YAML: "), (b"- 1\n- 2\n", "a.yaml: want names and values"),
    (b"a: 1\na: 2\n", "a.yaml: not YAML: .*duplicate"), (b"a: \xff\n", "a.yaml: cannot be read"),
    (b"a\t: {\n", "a.yaml: not YAML: "), (b"7", "a.yaml: "),
])
def test_a_file_that_is_not_yaml_of_names_and_values(tmp_path, content, says):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=says) as raised:
        read_yaml(path)
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_yaml(tmp_path)
