"""Finding a corpus, and downloading one from a stand-in on this disk."""

from __future__ import annotations

import functools
import tarfile
from pathlib import Path

import pytest

from local.layout import download, find_subsets, fingerprint, locate, parts
from omni.errors import UserError


def _names(subsets: list[Path]) -> list[str]:
    return [path.name for path in subsets]


def test_either_the_folder_or_its_child_holds_the_subsets(libri):
    expected = ["dev-clean", "test-clean", "train-clean-100"]
    assert _names(find_subsets(libri)) == _names(find_subsets(libri / "LibriSpeech")) == expected


def test_what_is_no_subset_is_passed_over(libri):
    (libri / "LibriSpeech" / "test-empty").mkdir()
    (libri / "LibriSpeech" / "noise").mkdir()
    (libri / "LibriSpeech" / "train.txt").write_text("")
    assert len(find_subsets(libri)) == 3


def test_a_partial_corpus_works_with_what_is_there(libri):
    found = locate("librispeech", libri, full_libri=False)
    assert len(found) == 3


@pytest.mark.parametrize("kind", ["train", "dev", "test"])
def test_a_corpus_without_a_set_is_refused(libri, kind):
    (gone,) = (libri / "LibriSpeech").glob(f"{kind}*")
    gone.rename(libri / "elsewhere")
    with pytest.raises(UserError, match=f"no {kind} set"):
        locate("librispeech", libri, full_libri=False)


@pytest.mark.parametrize("make", [lambda d: (d / "x").mkdir(parents=True), lambda d: d.write_text("a file")])
def test_what_is_not_librispeech_is_refused(tmp_path, make):
    make(tmp_path / "d")
    with pytest.raises(UserError, match="not in LibriSpeech layout"):
        locate("librispeech", tmp_path / "d", full_libri=False)


def test_100_hours_are_taken_of_960_unless_asked(libri):
    root = libri / "LibriSpeech"
    (root / "train-clean-360").symlink_to(root / "train-clean-100")
    assert "train-clean-360" not in _names(locate("librispeech", libri, full_libri=False))
    assert "train-clean-360" in _names(locate("librispeech", libri, full_libri=True))
    (root / "train-clean-100").rename(root / "train-other-500")
    (root / "train-clean-360").unlink()
    assert "train-other-500" in _names(locate("librispeech", libri, full_libri=False))


def test_mini_must_be_whole(toy, tmp_path):
    with pytest.raises(UserError, match="local.synthesize_mini"):
        locate("mini", tmp_path / "nothing", full_libri=False)
    assert len(locate("mini", toy, full_libri=False)) == 5
    half = tmp_path / "half"
    half.mkdir()
    (half / "mini.json").write_text((toy / "mini.json").read_text())
    with pytest.raises(UserError, match="local.synthesize_mini"):
        locate("mini", half, full_libri=False)


def test_fingerprint_sees_every_change(libri):
    subsets = find_subsets(libri)
    one = fingerprint(subsets)
    assert fingerprint(subsets) == one
    file = next(subsets[0].rglob("*.flac"))
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    two = fingerprint(subsets)
    file.unlink()
    assert len({one, two, fingerprint(subsets)}) == 3


@pytest.fixture
def openslr(tmp_path, libri, monkeypatch) -> Path:
    """A stand-in for the server, as file:// addresses: /12 and /31 hold small archives of the real names."""
    import lhotse.recipes

    server = tmp_path / "server"
    content = {path.name.split("-")[0]: path for path in (libri / "LibriSpeech").iterdir()}
    for name in set(parts("librispeech", True)) | set(parts("mini_librispeech", False)):
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
    found = _names(locate("mini_librispeech", target, full_libri=False))
    assert found == ["dev-clean-2", "test-clean", "test-other", "train-clean-5"]
    for archive in openslr.rglob("*.tar.gz"):
        archive.unlink()
    assert _names(locate("mini_librispeech", target, full_libri=False)) == found


def test_goes_on_after_a_download_that_was_killed(openslr, tmp_path):
    target = tmp_path / "new"
    download(target, ("dev-clean",))
    (target / ".downloading").write_text("")  # as a call leaves it that is killed after its first archive
    assert len(locate("librispeech", target, full_libri=False)) == 5


def test_an_archive_that_is_cut_short_is_one_line(openslr, tmp_path):
    archive = openslr / "12" / "dev-other.tar.gz"
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(UserError, match=r"dev-other\.tar\.gz does not unpack"):
        locate("librispeech", tmp_path / "new", full_libri=False)


def test_without_a_network_the_files_are_named_and_nothing_is_left(openslr, tmp_path):
    (openslr / "31" / "train-clean-5.tar.gz").unlink()
    with pytest.raises(UserError, match=r"train-clean-5\.tar\.gz, dev-clean-2\.tar\.gz.*--download-dir"):
        locate("mini_librispeech", tmp_path / "new", full_libri=False)
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_not_called_a_missing_network(openslr, tmp_path, monkeypatch):
    import lhotse.recipes

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lhotse.recipes, "download_librispeech", full)
    with pytest.raises(OSError, match="No space"):
        download(tmp_path / "new", ("dev-clean",))


def test_960_hours_have_all_parts():
    assert len(parts("librispeech", True)) == 7 and len(parts("librispeech", False)) == 5
    assert {name.split("-")[0] for name in parts("mini_librispeech", False)} == {"train", "dev", "test"}
    assert parts("mini", False) == ()
