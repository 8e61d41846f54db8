"""Cuts whose folder was moved, or is read from another project root than it was made in.

Stage 1 writes the path of features as it was called, mostly relative to the project root, as icefall's scripts want it.
From another root that path is not there; or worse, it is another clone's, with other features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from lhotse import CutSet
from lhotse.cut import Cut
from lhotse.utils import fastcopy

from omni.errors import UserError


def features_beside(cuts: CutSet, manifest: Path) -> CutSet:
    """`cuts` with the features that lie beside their manifest: <manifest's folder>/<folder>/<file> of what they name.

    Args:
        cuts: loaded from `manifest`.
        manifest: <data-dir>/fbank/*.jsonl.gz.

    Raises:
        UserError: features are neither there nor, by an absolute path, elsewhere.
    """
    here: dict[str, str] = {}
    moved = False
    for cut in cuts:
        if (path := _path(cut)) is not None and path not in here:
            here[path] = _find(Path(path), manifest)
            moved |= here[path] != path
    if not moved:
        return cuts
    return CutSet.from_cuts(
        cut if (path := _path(cut)) is None else fastcopy(cut, features=fastcopy(cut.features, storage_path=here[path]))
        for cut in cuts
    )


def beside(path: Path, manifest: Path) -> Path:
    """Where features lie that stage 1 wrote together with `manifest`, wherever both went."""
    return manifest.parent / path.parent.name / path.name


def _path(cut: Cut) -> Optional[str]:
    """Of the features of a cut; None if it has none in a file of its own."""
    features = getattr(cut, "features", None)
    if features is None or features.storage_type.startswith("memory") or "url" in features.storage_type:
        return None
    return features.storage_path


def _find(path: Path, manifest: Path) -> str:
    near = beside(path, manifest)
    if near.exists():
        return str(path) if path.exists() and path.samefile(near) else str(near)
    if path.is_absolute() and path.exists():
        return str(path)  # icefall's, say, kept elsewhere
    raise UserError(f"{manifest}: its features are not in {near}; run stage 1 again, or move them with the manifest")
