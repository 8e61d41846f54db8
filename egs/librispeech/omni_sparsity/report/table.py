"""Results as tables: the cells once, and three ways to set them (plain text, Markdown, page.py's HTML)."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from egs.librispeech.omni_sparsity.report.bootstrap import LEVEL, RESAMPLES
from egs.librispeech.omni_sparsity.report.results import Row


@dataclass(frozen=True)
class Table:
    """A heading, the columns' names and the cells, all text; a line is a sub-network.

    Attributes:
      sets: the test sets, which are the last columns.
      lines: for each line of the body the rows of results.json that it shows, one a set.
    """

    title: str
    header: list[str]
    body: list[list[str]]
    sets: list[str]
    lines: list[list[Row]]


def tables(rows: Sequence[Row]) -> list[Table]:
    """For each decoding method a table of the test sets, then one of the others."""
    found = []
    methods = sorted({row["method"] for row in rows})
    for title, wanted in (("WER on the test sets", True), ("WER on the dev sets", False)):
        for method in methods:
            here = [row for row in rows if row["method"] == method and is_test(row["test_set"]) is wanted]
            if here:
                found.append(_table(f"{title}, {method}", here))
    return found


def _table(title: str, rows: Sequence[Row]) -> Table:
    sets = sorted({row["test_set"] for row in rows})
    by_place = {(row["name"], row["test_set"]): row for row in rows}
    lines = [[by_place[name, test_set] for test_set in sets] for name in names(rows)]
    header = ["sub-network", "sparsity", "non-zero parameters", "size, MB", "real-time factor", *sets]
    body = [
        [
            line[0]["name"],
            f"{line[0]['sparsity']:g}",
            f"{line[0]['params_nonzero']:,}",
            megabytes(line[0]["bytes"]),
            real_time_factor(line),
            *(wer_cell(row) for row in line),
        ]
        for line in lines
    ]
    return Table(title, header, body, sets, lines)


def names(rows: Sequence[Row]) -> list[str]:
    """Of the sub-networks, the densest first."""
    return [name for _, name in sorted({(row["sparsity"], row["name"]) for row in rows})]


def real_time_factor(rows: Sequence[Row]) -> str:
    """Seconds of work for a second of audio, the mean over sets; empty where it was not measured."""
    known = [row["rtf"] for row in rows if row["rtf"] is not None]
    return f"{sum(known) / len(known):.2g}" if known else ""


def differences(rows: Sequence[Row]) -> dict[tuple[str, str, str], float]:
    """{(name, test set, method): percent by which its error rate is above that of the dense model}.

    Empty where no sub-network is dense, or where the dense one makes no error.
    """
    dense = {(row["test_set"], row["method"]): row["wer"] for row in reversed(rows) if row["sparsity"] == 0}
    found = {}
    for row in rows:
        base = dense.get((row["test_set"], row["method"]))
        if base and row["sparsity"] > 0:
            found[row["name"], row["test_set"], row["method"]] = 100.0 * (row["wer"] / base - 1.0)
    return found


def comma_separated(rows: Sequence[Row]) -> str:
    """All rows as CSV, a line each, with the difference to the dense model."""
    out = io.StringIO()
    more = differences(rows)
    flat = []
    for row in rows:
        low, high = row["ci95"]
        change = more.get((row["name"], row["test_set"], row["method"]))
        flat.append({**{key: value for key, value in row.items() if key != "ci95"}, "ci95_low": low, "ci95_high": high,
                     "wer_above_dense_percent": "" if change is None else round(change, 2)})
    writer = csv.DictWriter(out, list(flat[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()


def is_test(test_set: str) -> bool:
    """Whether a set is one to report; dev sets and others come second."""
    return test_set.startswith("test")


def megabytes(size: int) -> str:
    """Bytes in units of 10^6, e.g. 4.94."""
    return f"{size / 1e6:.2f}"


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
        f"({RESAMPLES:,} resamples). Size: the file that ships, 1 MB = 1,000,000 bytes. Real-time factor: "
        f"seconds of work for a second of audio, the mean over the sets."
    )


def plain(table: Table) -> str:
    """Columns of equal width for a terminal, numbers to the right."""
    lines = [table.header, *table.body]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.header))]
    return "\n".join(
        [table.title]
        + ["  ".join(cell.rjust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
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
