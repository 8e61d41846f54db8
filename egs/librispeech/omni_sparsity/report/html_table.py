"""The tables of report.html, with what page.js needs to sort them, hide sets, mark the best size and compare two.

Without the script they are plain tables. A cell's `data-value` is the number that it sorts by.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape

from egs.librispeech.omni_sparsity.report.results import Row
from egs.librispeech.omni_sparsity.report.table import Table, comma_separated, differences, real_time_factor
from egs.librispeech.omni_sparsity.subnets.subnet import label

# Classes of the columns before those of the sets; a phone leaves some out.
_COLUMNS = ("name", "sparsity", "parameters", "size", "rtf")


def html_table(table: Table, more: dict[tuple[str, str, str], float]) -> str:
    """
    Args:
      more: as table.differences() gives it; shown below the error rates.
    """
    kinds = [f'class="{name}"' for name in _COLUMNS] + [f'data-set="{escape(name)}"' for name in table.sets]
    heads = zip(kinds, table.header, strict=True)
    head = "".join(f'<th scope="col" {kind}>{escape(cell)}</th>' for kind, cell in heads)
    body = []
    for cells, line in zip(table.body, table.lines, strict=True):
        first = line[0]
        values = (first["sparsity"], first["params_nonzero"], first["bytes"], real_time_factor(line))
        parts = [f'<th scope="row" class="name" data-value="{escape(cells[0])}">{escape(cells[0])}</th>']
        parts += [f'<td {kind} data-value="{value}">{escape(cell)}</td>'
                  for kind, value, cell in zip(kinds[1:], values, cells[1:])]
        parts += [_rate(row, more.get((row["name"], row["test_set"], row["method"]))) for row in line]
        body.append(f'<tr data-bytes="{first["bytes"]}">{"".join(parts)}</tr>')
    return (
        f'<h2>{escape(table.title)}</h2>\n<div class="scroll"><table class="results">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody>\n</table></div>"
    )


def _rate(row: Row, change: float | None) -> str:
    """An error rate; its interval and its difference to the dense model below it, so that a phone shows all columns."""
    low, high = row["ci95"]
    hint = (f"{label(row)}, {row['test_set']}: {row['ins']} insertions, {row['del']} deletions, "
            f"{row['sub']} substitutions in {row['ref_words']} words")
    more = "" if change is None else f" <small>{_signed(change)}</small>"
    return (f'<td data-set="{escape(row["test_set"])}" data-value="{row["wer"]}" title="{escape(hint)}">'
            f'{row["wer"]:.2f} <small>{low:.2f}\N{EN DASH}{high:.2f}</small>{more}</td>')


def _signed(percent: float) -> str:
    return f"{percent:+.0f}%".replace("-", "\N{MINUS SIGN}")


def controls(rows: Sequence[Row], name: str) -> str:
    """Which sets are shown, a size in megabytes to stay under, and the rows to take away."""
    sets = sorted({row["test_set"] for row in rows})
    boxes = "\n".join(
        f'<label><input type="checkbox" class="set" value="{escape(each)}" checked> {escape(each)}</label>'
        for each in sets
    )
    largest = max(row["bytes"] for row in rows) / 1e6
    table = base64.b64encode(comma_separated(rows).encode()).decode("ascii")
    return (
        f'<div class="controls" id="controls">\n<fieldset><legend>sets</legend>\n{boxes}\n</fieldset>\n'
        f'<label>best under <input type="number" id="limit" min="0" step="0.1" '
        f'placeholder="{largest:.1f}"> MB</label>\n'
        "</div>\n"
        f'<p><a download="{escape(name)}.csv" href="data:text/csv;base64,{table}">All numbers as CSV</a>. '
        'Below an error rate: its interval, then its difference to the dense model. <span class="scripted">Click a '
        "column's name to sort by it.</span></p>"
    )


def side_by_side(rows: Sequence[Row]) -> str:
    """Two sub-networks beside each other; page.js fills it from the rows that lie here as JSON."""
    keys = ("name", "params_nonzero", "bytes", "test_set", "method", "wer")
    data = json.dumps([{key: row[key] for key in keys} for row in rows], ensure_ascii=True).replace("<", "\\u003c")
    return (
        '<section id="pair" class="scripted">\n<h2>Two side by side</h2>\n'
        '<div class="pair"><label>this <select id="one"></select></label>\n'
        '<label>against <select id="other"></select></label></div>\n'
        '<div class="scroll"><table><thead></thead><tbody></tbody></table></div>\n'
        f'<script type="application/json" id="rows">{data}</script>\n</section>'
    )


def result_tables(tables: Sequence[Table], rows: Sequence[Row]) -> str:
    more = differences(rows)
    return "\n".join(html_table(table, more) for table in tables)
