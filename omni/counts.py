"""What a sub-network keeps: by weight, in all, in bytes; and what two of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import torch

from .spec import Spec
from .supernet import Supernet


@dataclass(frozen=True)
class Row:
    """One weight, or "other parameters" for all that are not targeted. Counts are of values, bytes as in memory."""

    name: str
    size: int
    nonzero: int
    bytes_dense: int
    bytes_sparse: int  # kept blocks and one bit for every block, or dense where that is smaller: what `pack` stores

    @property
    def sparsity(self) -> float:
        return 1.0 - self.nonzero / self.size if self.size else 0.0


@dataclass(frozen=True)
class Report:
    """Rows of the targeted weights, the other parameters, and the sum; str() is a table."""

    rows: Tuple[Row, ...]

    @property
    def total(self) -> Row:
        counts = ((r.size, r.nonzero, r.bytes_dense, r.bytes_sparse) for r in self.rows)
        return Row("total", *map(sum, zip(*counts)))

    @property
    def sparsity(self) -> float:
        """Of the targeted weights together."""
        size, nonzero = sum(r.size for r in self.rows[:-1]), sum(r.nonzero for r in self.rows[:-1])
        return 1.0 - nonzero / size

    def __str__(self) -> str:
        cells = [("weight", "values", "non-zero", "sparsity", "bytes", "sparse bytes")]
        for r in (*self.rows, self.total):
            cells.append((r.name, str(r.size), str(r.nonzero), f"{r.sparsity:.4f}", str(r.bytes_dense),
                          str(r.bytes_sparse)))
        return "\n".join([*_table(cells), f"targeted weights: sparsity {self.sparsity:.4f}"])


def report(net: Supernet) -> Report:
    """Counts the zeros that the model of `net` has now: inside `active` those of the sub-network, after `prune_` those
    that stay. Counted on the weights, not taken from a spec: a mask that does nothing shows."""
    rows = []
    rest = [0, 0, 0]
    for name, parameter in net.model.named_parameters():
        value = parameter.detach()
        size, nonzero, width = value.numel(), int(torch.count_nonzero(value)), value.element_size()
        if name in net.targets:
            blocks = net.targets[name].blocks
            kept = int((blocks.split(value.contiguous()) != 0).any(dim=3).any(dim=1).sum())
            unit = blocks.unit
            sparse = kept * unit * width + -(-size // unit // 8)
            rows.append(Row(name, size, nonzero, size * width, min(sparse, size * width)))
        else:
            rest = [rest[0] + size, rest[1] + nonzero, rest[2] + size * width]
    return Report((*rows, Row("other parameters", *rest, rest[2])))


@dataclass(frozen=True)
class Comparison:
    """What two sub-networks keep in common; str() is a table.

    Attributes:
        rows: (weight, sparsity of a, sparsity of b, overlap).
        overlap: of all weights together. An overlap is |kept by both| / |kept by one or both| (Jaccard index).
    """

    rows: Tuple[Tuple[str, float, float, float], ...]
    overlap: float

    def __str__(self) -> str:
        cells = [("weight", "sparsity a", "sparsity b", "overlap")]
        cells += [(name, f"{a:.4f}", f"{b:.4f}", f"{both:.4f}") for name, a, b, both in self.rows]
        return "\n".join([*_table(cells), f"all weights: overlap {self.overlap:.4f}"])


def compare(
    spec_a: Spec, spec_b: Spec, net: Supernet | None = None, keys: Sequence[str | None] = (None, None)
) -> Comparison:
    """How much two sub-networks of one supernet share.

    Args:
        net: whose masks are compared, exactly. Without it: as masks of one ranking nest, the sparser one is a part of
            the other, so sparsities alone give the overlap; weights then count alike, as their sizes are not known.
        keys: the sets of masks of a and b.

    Raises:
        ValueError: a sparsity out of [0, 1); a weight or key that `net` does not have.
    """
    for spec in (spec_a, spec_b):
        for name, sparsity in spec.items():
            if not 0.0 <= sparsity < 1.0:
                raise ValueError(f"{name}: sparsity {sparsity}, want 0 <= sparsity < 1")
            if net is not None and name not in net.targets:
                raise ValueError(f"{name}: not a weight that this supernet prunes")
    rows, both_all, any_all = [], 0.0, 0.0
    for name in dict.fromkeys((*spec_a, *spec_b)) if net is None else net.targets:
        a, b = spec_a.get(name, 0.0), spec_b.get(name, 0.0)
        if net is None:
            both, either = 1.0 - max(a, b), 1.0 - min(a, b)
        else:
            kept_a, kept_b = net.mask(name, a, keys[0]), net.mask(name, b, keys[1])
            both, either = int((kept_a & kept_b).sum()), int((kept_a | kept_b).sum())
        rows.append((name, a, b, _share(both, either)))
        both_all, any_all = both_all + both, any_all + either
    return Comparison(tuple(rows), _share(both_all, any_all))


def _share(both: float, either: float) -> float:
    return both / either if either else 1.0  # two that keep nothing are alike


def _table(cells: List[Tuple[str, ...]]) -> List[str]:
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:]))]) for row in cells]
