"""report.html: picture, tables and the worst utterances in one file that needs no other."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from egs.librispeech.omni_sparsity.decoding.scoring import GAP
from egs.librispeech.omni_sparsity.report import html_table, plot
from egs.librispeech.omni_sparsity.report.audio import Clip
from egs.librispeech.omni_sparsity.report.results import Decoded, Row, Utterance
from egs.librispeech.omni_sparsity.report.table import how_measured, losses, parameters_line, tables
from egs.librispeech.omni_sparsity.report.worst import WORST, Case, choices
from egs.librispeech.omni_sparsity.subnets.subnet import label

_HERE = Path(__file__).parent


def report_html(
    name: str,
    decoded: Sequence[Decoded],
    cases: Sequence[Case],
    clips: dict[tuple[str, str], Clip],
    commands: Sequence[str],
) -> str:
    """The whole page.

    Args:
      name: what was trained, e.g. mini.
      cases: as worst.worst() chose them.
      clips: sound by (test set, cut id); what is not in it is shown without.
      commands: what to type to get this report.
    """
    rows = [entry.row for entry in decoded]
    heading = escape(f"{plot.TITLE}: {name}")
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{heading}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>",
        f"<h1>{heading}</h1>",
        f"<p>{escape(parameters_line(rows))}. One trained model; the smaller ones are parts of it, cut out "
        f'without re-training.</p>\n<p class="soft">{escape(how_measured())}</p>',
        html_table.controls(rows, name),
        f"<figure>\n{plot.svg(rows, wide=True)}\n{plot.svg(rows, wide=False)}\n</figure>",
        html_table.result_tables(tables(rows), rows),
        html_table.side_by_side(rows),
        _worst(choices(decoded), cases, clips),
        f"<h2>How to get this</h2>\n<pre>{escape(chr(10).join(commands))}</pre>",
        _behind(rows),
        f"</main>\n<script>\n{script}</script>\n</body>\n</html>\n",
    ]
    return "\n".join(parts)


def _behind(rows: Sequence[Row]) -> str:
    """What the model was trained with, for those who compare."""
    return (
        f'<p class="soft">Loss: {escape(losses(rows))}. Training: {rows[0]["train_passes"]:,} passes, '
        f"{rows[0]['train_seconds'] / 60:.0f} minutes. All numbers: results.json beside this file.</p>"
    )


def _worst(
    picks: Sequence[tuple[str, str]], cases: Sequence[Case], clips: dict[tuple[str, str], Clip]
) -> str:
    """The section of the worst utterances with its drop-down."""
    many = len({method for _, method in picks}) > 1
    names = [f"{label({'name': name})}, {method}" if many else label({"name": name}) for name, method in picks]
    options = "".join(f'<option value="{i}">{escape(name)}</option>' for i, name in enumerate(names))
    items = "\n".join(_case(case, names, clips.get((case.test_set, case.cut_id), Clip())) for case in cases)
    return (
        f'<section id="worst">\n<h2>The worst {WORST} utterances</h2>\n'
        f"<p>Those with the most errors of each sub-network. {_mark('DOOR', 'FLOOR')} DOOR was heard as FLOOR; "
        f"{_mark('THE', GAP)} THE was missed; {_mark(GAP, 'A')} nobody said A.</p>\n"
        f'<div class="pick"><label>sub-network <select id="pick">{options}</select></label>\n'
        f'<label><input type="checkbox" id="all"> also as the others heard them</label></div>\n'
        f'<p id="none"{" hidden" if cases else ""}>No utterance has an error.</p>\n'
        f"<ol>\n{items}\n</ol>\n</section>"
    )


def _case(case: Case, names: Sequence[str], clip: Clip) -> str:
    """One utterance: its name, its sound, and what each sub-network heard."""
    ranks = "".join(f' data-rank-{index}="{rank}"' for index, rank in sorted(case.ranks.items()))
    lines = "\n".join(
        _line(index, names[index], case.ranks.get(index), case.at[index]) for index in sorted(case.at)
    )
    return (
        f'<li class="case"{ranks}>\n'
        f'<h3>{escape(case.cut_id)} <span class="soft">{escape(case.test_set)}</span></h3>\n'
        f"{_player(case.cut_id, clip)}\n{lines}\n</li>"
    )


def _player(cut_id: str, clip: Clip) -> str:
    if not clip.data:
        return f'<p class="soft">No audio: {escape(clip.missing or "not asked for")}.</p>'
    data = base64.b64encode(clip.data).decode("ascii")
    return (
        f'<audio controls preload="none" aria-label="{escape(cut_id)}" '
        f'src="data:{escape(clip.kind)};base64,{data}"></audio>'
    )


def _line(index: int, name: str, rank: int | None, utterance: Utterance) -> str:
    place = f"no. {rank} at {name}" if rank else f"at {name}"
    errors, words = utterance.errors, utterance.ref_words
    count = f"{errors} error{'s' * (errors != 1)} in {words} word{'s' * (words != 1)}"
    marks = " ".join(_mark(ref, hyp) for ref, hyp in utterance.pairs)
    return f'<p class="line" data-choice="{index}"><b>{escape(place)}: {count}</b> {marks}</p>'


def _mark(ref: str, hyp: str) -> str:
    """A word or an error; brackets, arrow, sign and strike-through tell the kind of error without colour."""
    if ref == hyp:
        return escape(ref)
    if hyp == GAP:
        return f'<span class="del" title="deleted">[&minus;<del>{escape(ref)}</del>]</span>'
    if ref == GAP:
        return f'<span class="ins" title="inserted">[+<ins>{escape(hyp)}</ins>]</span>'
    return (
        f'<span class="sub" title="substituted">[<del>{escape(ref)}</del> &rarr; '
        f"<ins>{escape(hyp)}</ins>]</span>"
    )
