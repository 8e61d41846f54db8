"""What a supernet would prune, as a table."""

from __future__ import annotations

from torch import nn

from .targets import Config, choose


def describe(model: nn.Module, config: Config) -> str:
    """A table of every parameter: how sparse `Supernet(model, config)` would make it, or why it stays dense.

    The last lines give what can be reached: the sparsity of the targeted weights and of all parameters when every
    weight is at the low, and at the high end of its range, in whole blocks.

    Raises:
        ValueError: as `Supernet`.
    """
    choices = choose(model, config)
    rows = [("parameter", "shape", "structure", "sparsity", "why")]
    zeros = [0, 0]
    for name, choice in choices.items():
        target, shape = choice.target, choice.parameter.shape
        span = f"{target.low:g} to {target.high:g}" if target else "0"
        rows.append((name, "x".join(map(str, shape)), str(target.structure) if target else "dense", span, choice.why))
        if target:
            for end, sparsity in enumerate((target.low, target.high)):
                zeros[end] += target.structure.dropped(shape, sparsity) * target.structure.unit
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]) for row in rows]
    everything = sum(choice.parameter.numel() for choice in choices.values())
    targeted = sum(choice.parameter.numel() for choice in choices.values() if choice.target)
    for words, count in (("targeted weights", targeted), ("all parameters", everything)):
        lines.append(f"{words}: {count}, sparsity {zeros[0] / count:.4f} to {zeros[1] / count:.4f}")
    return "\n".join(lines)
