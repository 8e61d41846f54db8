"""Cuts whose folder was moved, or is read from another project root than it was made in.

Stage 1 writes the path of features as it was called, mostly relative to the project root, as icefall's scripts want it.
From another root that path is not there; or worse, it is another clone's, with other features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict

from lhotse.cut import Cut
from lhotse.utils import fastcopy

from omni.errors import UserError


def features_beside(cut: Cut, manifest: Path, known: Dict[str, str]) -> Cut:
    """`cut` with the features that lie beside its manifest: <manifest's folder>/<folder>/<file> of what it names.

    Args:
        cut: from `manifest`; one without features of its own, in memory or of a mix, is returned as it is.
        manifest: <data-dir>/fbank/*.jsonl.gz.
        known: empty at the manifest's first cut; what was found is kept in it.

    Raises:
        UserError: its features are neither there nor, by an absolute path, elsewhere.
    """
    features = getattr(cut, "features", None)
    if features is None or features.storage_type.startswith("memory") or "url" in features.storage_type:
        return cut
    named = features.storage_path
    if named not in known:
        known[named] = _find(cut.id, Path(named), manifest)
    return cut if known[named] == named else fastcopy(cut, features=fastcopy(features, storage_path=known[named]))


def _find(cut_id: str, path: Path, manifest: Path) -> str:
    beside = manifest.parent / path.parent.name / path.name
    if beside.exists():
        return str(path) if path.exists() and path.samefile(beside) else str(beside)
    if path.is_absolute() and path.exists():
        return str(path)  # icefall's, say, kept elsewhere
    raise UserError(
        f"{manifest}: cut {cut_id}: its features {path} are not there, nor in {beside}; run stage 1 again, or move them "
        "with the manifest"
    )
