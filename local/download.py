"""Downloads parts of LibriSpeech by lhotse's recipe, and goes on where a killed call stopped."""

from __future__ import annotations

import os
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

from omni.errors import UserError, is_full_disk
from omni.files import write_text

_STARTED = ".downloading"  # in a folder that we fill: what is there may be half a corpus


def fill(folder: Path, names: tuple[str, ...]) -> None:
    """Downloads the archives `names` if nothing is in `folder` yet, or a download of them was killed."""
    occupied = folder.is_file() or folder.is_dir() and any(folder.iterdir())
    if not occupied or (folder / _STARTED).is_file():
        download(folder, names)


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
