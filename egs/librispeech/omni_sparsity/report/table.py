"""Results as tables: the cells once, and three ways to set them (plain text, Markdown, page.py's HTML)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from egs.librispeech.omni_sparsity.report.bootstrap import LEVEL, RESAMPLES
from egs.librispeech.omni_sparsity.report.results import Row


@dataclass(frozen=True)
class Table:
    """A heading, the columns' names and the cells, all text."""

    title: str
    header: list[str]
    body: list[list[str]]


def tables(rows: Sequence[Row]) -> list[Table]:
    """For each decoding method a table of the test sets, then one of the others; a line for each sparsity."""
    found = []
    methods = sorted({row["method"] for row in rows})
    for title, wanted in (("WER on the test sets", True), ("WER on the dev sets", False)):
        for method in methods:
            mine = [row for row in rows if row["method"] == method and is_test(row["test_set"]) is wanted]
            if mine:
                found.append(_table(f"{title}, {method}", mine))
    return found


def _table(title: str, rows: Sequence[Row]) -> Table:
    sets = sorted({row["test_set"] for row in rows})
    by_place = {(row["sparsity"], row["test_set"]): row for row in rows}
    body = []
    for sparsity in sorted({row["sparsity"] for row in rows}):
        line = [by_place[sparsity, test_set] for test_set in sets]
        body.append(
            [
                f"{sparsity:g}",
                f"{line[0]['params_nonzero']:,}",
                megabytes(line[0]["size_bytes"]),
                *(wer_cell(row) for row in line),
            ]
        )
    return Table(title, ["sparsity", "non-zero parameters", "size, MB", *sets], body)


def is_test(test_set: str) -> bool:
    """Whether a set is one to report; dev sets and others come second."""
    return test_set.startswith("test")


def megabytes(size_bytes: int) -> str:
    """Bytes in units of 10^6, e.g. 4.94."""
    return f"{size_bytes / 1e6:.2f}"


def wer_cell(row: Row) -> str:
    """e.g. `3.06 [2.81, 3.32]`: word error rate and its interval, in percent."""
    return f"{row['wer']:.2f} [{row['ci95'][0]:.2f}, {row['ci95'][1]:.2f}]"


def parameters_line(rows: Sequence[Row]) -> str:
    """The size of the dense model, in icefall's words."""
    total = rows[0]["params_total"]
    return f"Number of model parameters: {total}, i.e., {total / 1e6:.2f} M"


def losses(rows: Sequence[Row]) -> str:
    """The loss back ends that the models were trained with, e.g. k2 1.23.4."""
    return ", ".join(sorted({str(row["loss_backend"]) for row in rows}))


def how_measured() -> str:
    """What the numbers of the tables are."""
    return (
        f"Word error rate in percent, with the {100 * LEVEL:.0f}% interval of a bootstrap over utterances "
        f"({RESAMPLES:,} resamples). Size: the file that would ship, 1 MB = 1,000,000 bytes."
    )


def plain(table: Table) -> str:
    """Columns of equal width for a terminal, numbers to the right."""
    lines = [table.header, *table.body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
    return "\n".join(
        [table.title]
        + ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    )


def markdown(table: Table) -> str:
    """A GitHub table under a heading of the second level."""
    lines = [table.header, ["---:"] * len(table.header), *table.body]
    return f"## {table.title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def results_md(name: str, rows: Sequence[Row], commands: Sequence[str]) -> str:
    """RESULTS.md as icefall writes it: the number of parameters, the tables, the exact commands."""
    parts = [
        f"# WER against model size: {name}",
        parameters_line(rows),
        f"One trained model; every line below is a part of it, cut out without re-training. {how_measured()} "
        f"Loss: {losses(rows)}.",
        *(markdown(table) for table in tables(rows)),
        "![Word error rate against model size](pareto.png)",
        "Beside this file: report.html, the worst utterances to read and hear; results.json, every number.",
        "## Commands\n\n" + "\n".join(f"    {command}" for command in commands),
    ]
    return "\n\n".join(parts) + "\n"
