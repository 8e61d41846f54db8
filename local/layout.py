"""Where a corpus lies: finds the subsets of a folder in LibriSpeech layout, or downloads LibriSpeech."""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from local.mini.designs import DESIGNS
from omni.files import write_text
from omni.errors import UserError, is_full_disk

KINDS = ("train", "dev", "test")
_100H = ("train-clean-100", "dev-clean", "dev-other", "test-clean", "test-other")
_960H = _100H + ("train-clean-360", "train-other-500")
# The real mini LibriSpeech has no test set: LibriSpeech's own are added, as in icefall.
_MINI = ("train-clean-5", "dev-clean-2", "test-clean", "test-other")
_STARTED = ".downloading"  # in a folder that we fill: what is there may be half a corpus


def parts(corpus: str, full_libri: bool) -> tuple[str, ...]:
    """The archives that `corpus` is made of; none for one that is synthesised."""
    if corpus in DESIGNS:
        return ()
    if corpus == "mini_librispeech":
        return _MINI
    return _960H if full_libri else _100H


def find_subsets(download_dir: Path) -> list[Path]:
    """The subsets (train*, dev*, test* with speaker/chapter/ beneath) of `download_dir` or its child."""
    for root in (download_dir, download_dir / "LibriSpeech"):
        if root.is_dir():
            named = (path for path in sorted(root.iterdir()) if path.name.startswith(KINDS))
            subsets = [path for path in named if _is_subset(path)]
            if subsets:
                return subsets
    return []


def _is_subset(path: Path) -> bool:
    if not path.is_dir():
        return False
    return any(next(path.glob(f"*/*/{pattern}"), None) for pattern in ("*.trans.txt", "*.flac"))


def locate(corpus: str, download_dir: Path, full_libri: bool) -> list[Path]:
    """The subset folders to use, after a download where the corpus is not there yet.

    Args:
        corpus: one of DESIGNS, "mini_librispeech" or "librispeech".
        download_dir: holds the subsets, or LibriSpeech/ with them, or nothing yet.
        full_libri: of librispeech, all 960 hours; else train-clean-360 and train-other-500 stay out where
            train-clean-100 is there.

    Returns:
        Folders, sorted by name; at least one of each of train, dev and test.

    Raises:
        UserError: the folder is no LibriSpeech, lacks a set, or cannot be downloaded.
    """
    occupied = download_dir.is_file() or download_dir.is_dir() and any(download_dir.iterdir())
    if corpus in DESIGNS:
        from local.mini.build import unfinished

        if not occupied or unfinished(download_dir):
            raise UserError(
                f"{download_dir} holds no whole {corpus} corpus: run python -m local.synthesize_mini --corpus {corpus} "
                f"--download-dir {download_dir} first, it makes what is missing"
            )
    if corpus not in DESIGNS and (not occupied or (download_dir / _STARTED).is_file()):
        download(download_dir, parts(corpus, full_libri))
    subsets = find_subsets(download_dir)
    if not subsets:
        raise UserError(
            f"{download_dir} is not in LibriSpeech layout: neither it nor its LibriSpeech/ has a folder "
            "such as train-clean-100/<speaker>/<chapter>/ with .flac and .trans.txt files; give "
            "--download-dir the right one"
        )
    for kind in KINDS:
        if not any(path.name.startswith(kind) for path in subsets):
            names = ", ".join(path.name for path in subsets)
            raise UserError(
                f"{subsets[0].parent} has {names} but no {kind} set: one folder each of train*, dev* and "
                "test* is needed"
            )
    if corpus == "librispeech" and not full_libri and any(path.name == "train-clean-100" for path in subsets):
        subsets = [path for path in subsets if path.name not in ("train-clean-360", "train-other-500")]
    return subsets


def download(download_dir: Path, names: tuple[str, ...]) -> None:
    """Downloads and unpacks archives of LibriSpeech by lhotse; goes on where a killed call stopped.

    Args:
        download_dir: LibriSpeech/<name>/ appears in it, and the archives beside it.
        names: such as "dev-clean-2".

    Raises:
        UserError: no network, or an archive that does not unpack.
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # read when tqdm is imported: its bars would fill a log
    from lhotse.recipes import download_librispeech

    download_dir.mkdir(parents=True, exist_ok=True)
    write_text(download_dir / _STARTED, "\n".join(names) + "\n")
    for name in names:
        try:
            download_librispeech(download_dir, dataset_parts=name)
        except (tarfile.ReadError, EOFError) as error:
            raise UserError(
                f"{download_dir / name}.tar.gz does not unpack ({error}): run the same command again, it "
                "downloads the rest; if that does not help, delete the file"
            ) from error
        except OSError as error:  # urllib's errors and timeouts are OSErrors
            if is_full_disk(error):
                raise
            _forget_if_nothing_came(download_dir, name)
            files = ", ".join(f"{name}.tar.gz" for name in names)
            raise UserError(
                f"cannot download {files} from www.openslr.org/resources ({_reason(error)}): get them from "
                "openslr.org/12 and /31 elsewhere, unpack them and give the folder with --download-dir"
            ) from error
    (download_dir / _STARTED).unlink()


def _forget_if_nothing_came(download_dir: Path, name: str) -> None:
    """After a failed first download, leaves `download_dir` as it was: it can then take a copy by hand."""
    archive = download_dir / f"{name}.tar.gz"
    if archive.is_file() and archive.stat().st_size == 0:
        archive.unlink()
    if not any(path.name != _STARTED for path in download_dir.iterdir()):
        (download_dir / _STARTED).unlink()
        download_dir.rmdir()


def _reason(error: OSError) -> str:
    url = getattr(error, "url", None)
    return f"{error}" + (f" at {urlsplit(url).path}" if url else "")


def fingerprint(subsets: list[Path]) -> str:
    """A digest that changes when a file beneath `subsets` comes, goes, or changes in size or time."""
    digest = hashlib.sha256()
    for subset in subsets:
        for folder, children, _ in os.walk(subset, followlinks=True):
            children.sort()
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                if entry.is_file():
                    state = entry.stat()
                    path = os.path.relpath(entry.path, subset.parent)
                    digest.update(f"{path}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
