"""Cuts whose folder was moved, or is read from another project root than it was made in.

Stage 1 writes the path of features as it was called, mostly relative to the project root, as icefall's scripts want it.
From another root that path is not there; or worse, it is another clone's, with other features.
"""

from __future__ import annotations

from pathlib import Path

from lhotse import CutSet
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
        if cut.has_features and (path := cut.features.storage_path) not in here:
            here[path] = _find(Path(path), manifest)
            moved |= here[path] != path
    if not moved:
        return cuts
    return CutSet.from_cuts(
        fastcopy(cut, features=fastcopy(cut.features, storage_path=here[cut.features.storage_path]))
        if cut.has_features else cut
        for cut in cuts
    )


def _find(path: Path, manifest: Path) -> str:
    beside = manifest.parent / path.parent.name / path.name
    if beside.exists():
        return str(path) if path.exists() and path.samefile(beside) else str(beside)
    if path.is_absolute() and path.exists():
        return str(path)  # icefall's, say, kept elsewhere
    raise UserError(f"{manifest}: its features are not in {beside}; run stage 1 again, or move them with the manifest")
