"""Downloading a corpus from a stand-in on this disk."""

from __future__ import annotations

import functools
import tarfile
from pathlib import Path

import pytest

from local.corpora import find
from local.corpora.librispeech import HOURS_100, HOURS_960
from local.corpora.mini_librispeech import PARTS
from local.corpus import Settings
from local.download import download
from omni.errors import UserError


def _obtain(corpus: str, folder: Path) -> list[str]:
    found = find(corpus)(Settings(folder))
    found.obtain()
    return [path.name for path in found.subsets()]


@pytest.fixture
def openslr(tmp_path, libri, monkeypatch) -> Path:
    """A stand-in for the server, as file:// addresses: /12 and /31 hold small archives of the real names."""
    import lhotse.recipes

    server = tmp_path / "server"
    content = {path.name.split("-")[0]: path for path in (libri / "LibriSpeech").iterdir()}
    for name in set(HOURS_960) | set(PARTS):
        place = server / ("31" if name.endswith(("-2", "-5")) else "12")
        place.mkdir(parents=True, exist_ok=True)
        with tarfile.open(place / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(content[name.split("-")[0]], arcname=f"LibriSpeech/{name}")
    real = lhotse.recipes.download_librispeech
    monkeypatch.setattr(
        lhotse.recipes, "download_librispeech", functools.partial(real, base_url=server.as_uri())
    )
    return server


def test_downloads_what_is_not_there_and_only_then(openslr, tmp_path):
    target = tmp_path / "new"
    found = _obtain("mini_librispeech", target)
    assert found == ["dev-clean-2", "test-clean", "test-other", "train-clean-5"]
    for archive in openslr.rglob("*.tar.gz"):
        archive.unlink()
    assert _obtain("mini_librispeech", target) == found


def test_goes_on_after_a_download_that_was_killed(openslr, tmp_path):
    target = tmp_path / "new"
    download(target, ("dev-clean",))
    (target / ".downloading").write_text("")  # as a call leaves it that is killed after its first archive
    assert len(_obtain("librispeech", target)) == 5


def test_an_archive_that_is_cut_short_is_one_line(openslr, tmp_path):
    archive = openslr / "12" / "dev-other.tar.gz"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(UserError, match=r"dev-other\.tar\.gz does not unpack"):
        _obtain("librispeech", tmp_path / "new")


def test_without_a_network_the_files_are_named_and_nothing_is_left(openslr, tmp_path):
    (openslr / "31" / "train-clean-5.tar.gz").unlink()
    with pytest.raises(UserError, match=r"train-clean-5\.tar\.gz, dev-clean-2\.tar\.gz.*--download-dir"):
        _obtain("mini_librispeech", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_not_called_a_missing_network(openslr, tmp_path, monkeypatch):
    import lhotse.recipes

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lhotse.recipes, "download_librispeech", full)
    with pytest.raises(OSError, match="No space"):
        download(tmp_path / "new", ("dev-clean",))


def test_960_hours_have_all_parts_and_each_corpus_all_kinds():
    assert len(HOURS_960) == 7 and len(HOURS_100) == 5
    assert {name.split("-")[0] for name in PARTS} == {"train", "dev", "test"}
