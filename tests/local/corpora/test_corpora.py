"""The corpora that are here, the ones of others, and the guide's example."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import Recording, RecordingSet, SupervisionSegment, SupervisionSet

from local.corpora import config_of, find, key_of, names
from local.corpus import Settings, from_manifests
from local.prepare_corpus import main
from omni.errors import UserError

ROOT = Path(__file__).parents[3]
CONF = ROOT / "egs" / "librispeech" / "omni_sparsity" / "conf"
REAL = ROOT.parent / "shared" / "an4"


def test_each_file_is_a_corpus_with_a_configuration_that_is_there():
    assert names() == ["codes", "librispeech", "mini", "mini_librispeech"]
    for name in names():
        corpus = find(name)(Settings(Path("x")))
        assert corpus.name() == name and (CONF / f"{config_of(corpus)}.yaml").is_file()
        assert all(hasattr(corpus.settings, option) for option in corpus.options)
        assert key_of(name) == name
    assert config_of(find("librispeech")(Settings(Path("x"), full_libri=True))) == "librispeech"


def test_asking_is_cheap():
    code = "import sys; from local.corpora.__main__ import main; main(['--corpus', 'mini'])\n"
    code += "assert not {'torch', 'lhotse', 'numpy', 'sentencepiece'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "mini\nseed mini_scale\nmini\n"), done.stderr


MINE = """from local.corpus import Corpus
class Mine(Corpus):
    config = 'mine.yaml'
    def utterances(self): yield
"""


def test_a_file_of_ones_own_is_a_corpus(tmp_path):
    path = tmp_path / "random.py"  # called like a library, which must stay what it is
    path.write_text(MINE)
    corpus = find(str(path))(Settings(tmp_path))
    assert corpus.name() == "random" and config_of(corpus) == str(tmp_path / "mine.yaml")
    import random

    assert not hasattr(random, "Mine")
    key = key_of(str(path))
    path.write_text(MINE + "# changed\n")
    assert key.startswith(f"{path}#") and key_of(str(path)) != key


@pytest.mark.parametrize("content, words", [
    (None, "no such file"),
    ("x = 1", "one class that derives from local.corpus.Corpus, not 0"),
    (MINE + MINE.replace("Mine", "Other").partition("\n")[2], "not 2"),
    (MINE.replace("def utterances", "def other"), "Mine does not say utterances"),
    (MINE.replace("config", "conf"), "Mine does not say config"),
    ("def broken(:", "SyntaxError"),
    ("import nowhere_to_be_found", "ModuleNotFoundError"),
])
def test_a_file_that_is_no_corpus_is_one_line(tmp_path, content, words):
    if content is not None:
        (tmp_path / "mine.py").write_text(content)
    with pytest.raises(UserError, match=words):
        find(str(tmp_path / "mine.py"))


@pytest.mark.parametrize("name", ["timit", "__init__", "../text", ""])
def test_an_unknown_name_lists_what_there_is(name):
    with pytest.raises(UserError, match="want codes, librispeech, mini, mini_librispeech or"):
        find(name)


def test_a_corpus_that_is_not_there_is_one_line(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    with pytest.raises(UserError, match="nowhere holds no mine corpus"):
        find(str(tmp_path / "mine.py"))(Settings(tmp_path / "nowhere")).obtain()


# ---- the guide's example ---------------------------------------------------------------------------------------
@pytest.fixture
def an4_py(tmp_path) -> Path:
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/corpora.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "an4.py").write_text(code, encoding="utf-8")
    return tmp_path / "an4.py"


def _small_an4(folder: Path) -> Path:
    """AN4's layout with 103 utterances for training and 2 for testing, of noise."""
    (folder / "etc").mkdir(parents=True)
    for name, place, count in (("an4_train", "an4_clstk", 103), ("an4_test", "an4test_clstk", 2)):
        lines = []
        for index in range(count):
            key = f"{name}-{index:03d}"
            audio = folder / "wav" / place / "abcd" / f"{key}.flac"
            audio.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(audio, np.random.default_rng(index).uniform(-0.1, 0.1, 800), 16000)
            lines.append(f"<s> YES {'ABC'[index % 3]} ＮＯ </s> ({key})\r\n")
        (folder / "etc" / f"{name}.transcription").write_text("".join(lines), encoding="utf-8-sig", newline="")
    return folder


def _prepare(corpus: Path, download: Path, data: Path, *more: str) -> dict[str, list[dict]]:
    """{subset: supervisions}."""
    main(["--corpus", str(corpus), "--download-dir", str(download), "--data-dir", str(data), "--nj", "1", *more])
    found = {}
    for path in sorted((data / "manifests").glob("librispeech_supervisions_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            subset = path.name[len("librispeech_supervisions_") : -len(".jsonl.gz")]
            found[subset] = [json.loads(line) for line in lines]
    return found


def test_the_guides_corpus_becomes_manifests(an4_py, tmp_path):
    found = _prepare(an4_py, _small_an4(tmp_path / "an4"), tmp_path / "data")
    assert {subset: len(rows) for subset, rows in found.items()} == {"dev": 100, "test": 2, "train": 3}
    assert [row["text"] for row in found["train"]] == ["YES A NO", "YES B NO", "YES C NO"]
    assert found["test"][0]["id"] == "an4_test-000" and found["test"][0]["speaker"] == "abcd"


def test_what_is_wrong_with_it_is_named_by_stage_0(an4_py, tmp_path, capsys):
    folder = _small_an4(tmp_path / "an4")
    next((folder / "wav" / "an4_clstk").rglob("*-000.flac")).unlink()
    with pytest.raises(SystemExit):
        _prepare(an4_py, folder, tmp_path / "data")
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "an4_train-000.flac: audio that does not decode (no such file)" in error
    assert len(_prepare(an4_py, folder, tmp_path / "data", "--skip-bad", "1")["train"]) == 2


def test_a_change_of_it_is_looked_at_again(an4_py, tmp_path):
    folder = _small_an4(tmp_path / "an4")
    _prepare(an4_py, folder, tmp_path / "data")
    path = folder / "etc" / "an4_test.transcription"
    path.write_text(path.read_text(encoding="utf-8-sig").replace("YES", "PERHAPS"), encoding="utf-8")
    assert _prepare(an4_py, folder, tmp_path / "data")["test"][0]["text"] == "PERHAPS A NO"


def test_real_an4(an4_py, tmp_path):
    if not (REAL / "etc").is_dir():
        pytest.skip("AN4 (../shared/an4) is not here")
    found = _prepare(an4_py, REAL, tmp_path / "data")
    assert {subset: len(rows) for subset, rows in found.items()} == {"dev": 100, "test": 130, "train": 848}
    assert sum(len(row["text"].split()) for row in found["test"]) == 773


def test_lhotses_manifests_are_a_corpus_too(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    recording = Recording.from_file(tmp_path / "a.wav")
    said = SupervisionSegment("a-1", "a", 0.0, 1.0, text="YES", speaker="s", language="German")
    (found,) = from_manifests("dev", RecordingSet.from_recordings([recording]), SupervisionSet.from_segments([said]))
    assert (found.subset, found.id, found.audio, found.text) == ("dev", "a-1", tmp_path / "a.wav", "YES")
    assert (found.speaker, found.language) == ("s", "German")
    for change in ({"start": 0.5, "duration": 0.5}, {"recording_id": "b"}):
        part = SupervisionSegment(**{"id": "a-1", "recording_id": "a", "start": 0.0, "duration": 1.0, **change})
        with pytest.raises(UserError, match="a-1"):
            list(from_manifests("dev", [recording], [part]))
