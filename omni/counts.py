"""What a sub-network keeps: by weight, in all, in bytes; and what two of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

import torch
from torch import Tensor, nn

from .packing import unpack
from .spec import Spec, spec_of
from .structures import Blocks, parse_structure
from .supernet import Supernet
from .targets import Config, Range, choose


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


@dataclass(frozen=True, repr=False)
class Report:
    """Rows of the targeted weights, the other parameters, and the sum; printed it is a table."""

    rows: Tuple[Row, ...]

    @property
    def total(self) -> Row:
        counts = ((r.size, r.nonzero, r.bytes_dense, r.bytes_sparse) for r in self.rows)
        return Row("total", *map(sum, zip(*counts)))

    @property
    def sparsity(self) -> float:
        """Of the targeted weights together."""
        size, nonzero = sum(r.size for r in self.rows[:-1]), sum(r.nonzero for r in self.rows[:-1])
        return 1.0 - nonzero / size if size else 0.0

    def __repr__(self) -> str:
        cells = [("weight", "values", "non-zero", "sparsity", "bytes", "sparse bytes")]
        for r in (*self.rows, self.total):
            cells.append((r.name, str(r.size), str(r.nonzero), f"{r.sparsity:.4f}", str(r.bytes_dense),
                          str(r.bytes_sparse)))
        return "\n".join([*_table(cells), f"targeted weights: sparsity {self.sparsity:.4f}"])


def report(what: Supernet | nn.Module | Mapping[str, Any], config: Config | None = None) -> Report:
    """Counts zeros. They are counted on the weights, not taken from a spec: a mask that does nothing shows.

    Args:
        what: a supernet: what its model has now, inside `active` the sub-network's zeros, after `prune_` those that
            stay. A model: of the weights that `Supernet(model, config)` would prune. What `pack` gave: of the weights
            that it stored sparse. A state dict: of all tensors of two dimensions or more that are a whole number of
            blocks.
        config: of a model, as for `Supernet`; of a state dict a Range, whose structure counts. None: `Range()`.

    Raises:
        ValueError: as `Supernet`; as `unpack`.
        RuntimeError: the supernet's model holds other parameters than it did.
        TypeError: something else.
    """
    values, blocks = _weights(what, config)
    rows = []
    rest = [0, 0, 0]
    for name, value in values.items():
        value = value.detach()
        size, nonzero, width = value.numel(), int(torch.count_nonzero(value)), value.element_size()
        if name in blocks:
            kept = int((blocks[name].split(value.contiguous()) != 0).any(dim=3).any(dim=1).sum())
            unit = blocks[name].unit
            sparse = kept * unit * width + -(-size // unit // 8)
            rows.append(Row(name, size, nonzero, size * width, min(sparse, size * width)))
        else:
            rest = [rest[0] + size, rest[1] + nonzero, rest[2] + size * width]
    return Report((*rows, Row("other parameters", *rest, rest[2])))


def _weights(what: Any, config: Config | None) -> Tuple[Dict[str, Tensor], Mapping[str, Blocks]]:
    """{name: values}, and the blocks of those that are counted as weights."""
    if isinstance(what, Supernet):
        if config is not None:
            raise TypeError("report(net) takes no config: a supernet has its own")
        return dict(what.model.named_parameters()), what.blocks
    if isinstance(what, nn.Module):
        choices = choose(what, Range() if config is None else config)
        return dict(what.named_parameters()), {n: one.target.blocks for n, one in choices.items() if one.target}
    if not isinstance(what, Mapping):
        raise TypeError(f"report of {type(what).__name__}: want a Supernet, a model, a state dict, or what pack gave")
    if "omni_pack" in what:
        return unpack(what), {name: Blocks(*entry["blocks"]) for name, entry in what["sparse"].items()}
    for name, value in what.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"report: {name} is no tensor but {type(value).__name__}; want a state dict, name: tensor")
    structure = parse_structure((config or Range()).structure)
    blocks = structure if isinstance(structure, Blocks) else Blocks(1, 1)
    return dict(what), {name: blocks for name, value in what.items() if structure.divides(value.shape)}


@dataclass(frozen=True, repr=False)
class Comparison:
    """What two sub-networks keep in common; printed it is a table.

    Attributes:
        rows: (weight, sparsity of a, sparsity of b, overlap).
        overlap: of all weights together. An overlap is |kept by both| / |kept by one or both| (Jaccard index).
    """

    rows: Tuple[Tuple[str, float, float, float], ...]
    overlap: float

    def __repr__(self) -> str:
        cells = [("weight", "sparsity a", "sparsity b", "overlap")]
        cells += [(name, f"{a:.4f}", f"{b:.4f}", f"{both:.4f}") for name, a, b, both in self.rows]
        return "\n".join([*_table(cells), f"all weights: overlap {self.overlap:.4f}"])


def compare(
    spec_a: Spec | float, spec_b: Spec | float, net: Supernet | None = None, keys: Sequence[str | None] = (None, None)
) -> Comparison:
    """How much two sub-networks of one supernet share.

    Args:
        net: whose masks are compared, exactly. Without it: as masks of one ranking nest, the sparser one is a part of
            the other, so sparsities alone give the overlap; weights then count alike, as their sizes are not known.
        keys: the sets of masks of a and b.

    Raises:
        ValueError: a sparsity out of [0, 1); a weight or key that `net` does not have.
        TypeError: no specs; a number stands for one only where there is a `net`.
    """
    if net is not None:
        spec_a, spec_b = spec_of(spec_a, net), spec_of(spec_b, net)
    for spec in (spec_a, spec_b):
        if not isinstance(spec, Mapping):
            raise TypeError(f"compare of {spec!r:.60}: want {{parameter name: sparsity}}, or compare(a, b, net)")
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
