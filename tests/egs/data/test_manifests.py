"""Manifests that others made: what cannot be used is named, with the cut, before any work."""

import copy
import gzip
import json

import pytest
from lhotse import load_manifest

from egs.librispeech.omni_sparsity.data.manifests import check_audio, open_cuts
from omni.errors import UserError


@pytest.fixture
def lines(data_dir):
    """The cuts of a set, as dictionaries."""
    with gzip.open(data_dir / "fbank" / "librispeech_cuts_test-clean.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


@pytest.fixture
def write(tmp_path):
    def write(lines):
        path = tmp_path / "cuts.jsonl.gz"
        with gzip.open(path, "wt", encoding="utf-8") as file:
            file.writelines(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        return path

    return write


def test_what_is_whole_is_what_lhotse_loads(data_dir, lines, write):
    path = data_dir / "fbank" / "librispeech_cuts_test-clean.jsonl.gz"
    assert list(open_cuts(path, 80)) == list(load_manifest(path))
    lines[0]["supervisions"][0]["text"] = "ON\u2028OFF\x85"  # no ends of lines
    assert list(open_cuts(write([*lines, "\n"]), 80))[0].supervisions[0].text == "ON\u2028OFF\x85"
    assert len(open_cuts(data_dir / "fbank" / "noise_cuts.jsonl.gz", 80, texts=False)) == 1


FAULTS = {  # how the second cut is changed -> what is said of it
    "no supervision": (lambda cut: cut.update(supervisions=[]), "has 0 supervisions; want one"),
    "two": (lambda cut: cut.update(supervisions=2 * cut["supervisions"]), "has 2 supervisions; want one"),
    "null": (lambda cut: cut["supervisions"][0].update(text=None), "its text is null; want words"),
    "no text": (lambda cut: cut["supervisions"][0].pop("text"), "its text is null; want words"),
    "a number": (lambda cut: cut["supervisions"][0].update(text=5), "its text is 5; want words"),
    "blanks": (lambda cut: cut["supervisions"][0].update(text=" \u3000"), "its text is empty"),
    "late": (lambda cut: cut["supervisions"][0].update(start=0.3), r"its supervision is of 0\.3 to .* trim_to_superv"),
    "too long": (lambda cut: cut["supervisions"][0].update(duration=9.0), "its supervision is of 0 to 9 s"),
    "40 bins": (lambda cut: cut["features"].update(num_features=40), "its features have 40 bins; want 80"),
    "shift": (lambda cut: cut["features"].update(frame_shift=0.0125), r"frames are 0\.0125 s apart; want 0\.01 s"),
    "none": (lambda cut: cut.pop("features"), "has no features; stage 1 computes them"),
    "gone": (lambda cut: cut["features"].update(storage_path="no/where.lca"), "features no/where.lca are not there"),
    "0 s": (lambda cut: cut.update(duration=0.0), r"its duration is 0\.0 s; want more than 0"),
    "nan": (lambda cut: cut.update(duration=float("nan")), "its duration is nan s"),
    "longer": (lambda cut: cut.update(duration=99.0), r"its features are of 0 to [\d.]+ s, it is of 0 to 99 s"),
    "another": (lambda cut: cut["supervisions"][0].update(recording_id="b"), "lhotse refuses it: .*recording_id"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_cut_that_cannot_be_used_is_named(lines, write, name):
    change, why = FAULTS[name]
    change(lines[1])
    path = write(lines)
    with pytest.raises(UserError, match=f"^{path}: cut utt-201: .*{why}"):
        open_cuts(path, 80)


def test_ids_come_once(lines, write):
    path = write([*lines, lines[2]])
    with pytest.raises(UserError, match="cut utt-202: comes twice, again in line 9"):
        open_cuts(path, 80)
    with pytest.raises(UserError, match="line 2: .*id|cut 7: its id is a number"):
        open_cuts(write([lines[0], {**lines[1], "id": 7}]), 80)


@pytest.mark.parametrize("line", ["{", "[]\n", "5\n", "null\n", '{"id": "a"}\n', '{"type": "Cat"}\n', "\udcff"])
def test_a_line_that_is_no_cut_is_named(lines, write, tmp_path, line):
    path = tmp_path / "cuts.jsonl.gz"
    with gzip.open(path, "wb") as file:
        file.write((json.dumps(lines[0]) + "\n").encode() + line.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=f"^{path}: line 2: no cut of lhotse's"):
        open_cuts(path, 80)


def test_other_manifests_of_lhotse_are_no_cuts(lines, write):
    with pytest.raises(UserError, match="line 1: no cut of lhotse's"):
        open_cuts(write(lines[0]["supervisions"]), 80)


def test_a_file_that_is_not_whole_is_named(lines, write, tmp_path):
    path = write(lines)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-4], b"plain text\n", whole[:40] + b"\xff" * 40 + whole[80:]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=f"^{path}: (not a whole gzip file|line 1: )"):
            open_cuts(path, 80)
    for empty in (b"", gzip.compress(b""), gzip.compress(b"\n\n")):
        path.write_bytes(empty)
        with pytest.raises(UserError, match=f"^{path}: holds no cut"):
            open_cuts(path, 80)
    with pytest.raises(UserError, match="not there; stage 1 makes it"):
        open_cuts(tmp_path / "no.jsonl.gz", 80)


def test_an_archive_is_looked_for_once_however_many_cuts_it_holds(lines, write, monkeypatch):
    from pathlib import Path

    looked, real = [], Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: looked.append(path) or real(path))
    open_cuts(write(lines), 80)
    assert len(lines) > 3 and len(looked) == 3  # where it is named, beside the manifest, and whether both are one


def test_mixed_cuts_are_looked_into(data_dir, lines, write):
    cuts = list(open_cuts(data_dir / "fbank" / "librispeech_cuts_test-clean.jsonl.gz", 80))
    mixed = cuts[0].mix(next(iter(open_cuts(data_dir / "fbank" / "noise_cuts.jsonl.gz", 80, texts=False))), snr=10)
    mixed = mixed.truncate(duration=cuts[0].duration, preserve_id=True).to_dict()
    assert len(open_cuts(write([mixed]), 80)) == 1
    broken = copy.deepcopy(mixed)
    broken["tracks"][1]["cut"]["features"]["storage_path"] = "no/where.lca"
    with pytest.raises(UserError, match="its features no/where.lca are not there"):
        open_cuts(write([broken]), 80)


def test_audio_is_wanted_where_features_are_made_from_it(data_dir, tmp_path):
    cuts = open_cuts(data_dir / "fbank" / "librispeech_cuts_test-clean.jsonl.gz", 80)
    with pytest.raises(UserError, match="cuts: cut utt-200: has no recording, which data.on_the_fly needs"):
        check_audio(cuts, "cuts")
