"""The picture: word error rate against the size of the file that would ship, one line a test set."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from egs.librispeech.omni_sparsity.report.results import Row
from egs.librispeech.omni_sparsity.report.table import is_test

TITLE = "Word error rate against model size"
# Seen apart by the colour-blind, on white and on black; the markers say the same without colour.
_COLOURS = ("#2f7fc1", "#d9730d", "#2a9d6f", "#b8579b")
_MARKERS = ("o", "s", "^", "D")
_LINES = ("-", "--", ":")  # decoding methods
_LOG_RATIO = 12.0  # a larger span of error rates is unreadable on a linear axis
_INK = "#1b1f24"  # all text and axes; the SVG replaces it by the page's own colour


def png(rows: Sequence[Row]) -> bytes:
    """The picture on white, 1440 x 864 pixels."""
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure = _draw(rows, 9.0, 5.4, TITLE)
        figure.set_facecolor("white")
        FigureCanvasAgg(figure)
        out = io.BytesIO()
        # matplotlib would write its version into the file
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    return out.getvalue()


def svg(rows: Sequence[Row], wide: bool) -> str:
    """The picture as an <svg> element for HTML: transparent, in the colour and the fonts of its surroundings.

    Args:
      wide: for a desktop; otherwise for the width of a phone, with the same size of letters.
    """
    name = "wide" if wide else "narrow"
    # The salt makes the ids inside the picture the same in each run.
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, "svg.fonttype": "none", "svg.hashsalt": name}):
        figure = _draw(rows, *((8.4, 4.6) if wide else (3.9, 4.3)))
        figure.patch.set_alpha(0.0)
        FigureCanvasSVG(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]  # without the XML prologue, which HTML does not know
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", text)
    text = text.replace(_INK, "currentColor")
    # Clip paths and markers are numbered alike in both pictures where their shapes are: keep the ids apart.
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    label = _described(rows)
    return text.replace("<svg ", f'<svg class="{name}" role="img" aria-label="{label}" ', 1).strip()


def _draw(rows: Sequence[Row], width: float, height: float, title: str = "") -> Figure:
    """Width and height in inches."""
    rows = [row for row in rows if is_test(row["test_set"])] or list(rows)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    sets = sorted({row["test_set"] for row in rows})
    methods = sorted({row["method"] for row in rows})
    for number, test_set in enumerate(sets):
        for style, method in zip(_LINES * len(methods), methods, strict=False):
            line = sorted(
                (row for row in rows if row["test_set"] == test_set and row["method"] == method),
                key=lambda row: (row["size_bytes"], -row["sparsity"]),
            )
            sizes = [row["size_bytes"] / 1e6 for row in line]
            colour = _COLOURS[number % len(_COLOURS)]
            axes.fill_between(
                sizes,
                [row["ci95"][0] for row in line],
                [row["ci95"][1] for row in line],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
            axes.plot(
                sizes,
                [row["wer"] for row in line],
                style,
                color=colour,
                linewidth=2,
                markersize=6,
                marker=_MARKERS[number % len(_MARKERS)],
                label=test_set if len(methods) == 1 else f"{test_set}, {method}",
            )
    unit = _scale(axes, rows)
    _name_sparsities(axes, rows)
    if title:
        axes.set_title(title, fontsize=13, color=_INK, loc="left", pad=10)
    axes.set_xlabel("size of the model's file, MB", color=_INK)
    axes.set_ylabel(f"word error rate, {unit}", color=_INK)
    axes.tick_params(colors=_INK)
    axes.grid(True, color="#8a93a0", alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_color(_INK)
        spine.set_visible(side in ("left", "bottom"))
    # Below the axes: flat curves leave no corner free, on a phone least of all.
    legend = figure.legend(
        frameon=False,
        labelcolor=_INK,
        title="numbers: sparsity; bands: 95% interval",
        loc="outside lower center",
        ncols=2 if len(methods) == 1 or width > 6 else 1,
    )
    legend.get_title().set_color(_INK)
    legend.get_title().set_fontsize("small")
    return figure


def _scale(axes, rows: Sequence[Row]) -> str:
    """Axes from zero, or a logarithmic one for error rates that differ a lot. Returns their unit."""
    sizes = [row["size_bytes"] / 1e6 for row in rows]
    rates = [row["wer"] for row in rows]
    axes.set_xlim(0, 1.08 * max(sizes))
    if min(rates) > 0 and max(rates) > _LOG_RATIO * min(rates):
        axes.set_yscale("log")
        lows = [row["ci95"][0] for row in rows if row["ci95"][0] > 0] + [min(rates)]
        axes.set_ylim(0.8 * min(lows), 1.35 * max(row["ci95"][1] for row in rows))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter("")
        return "% (log scale)"
    axes.set_ylim(0, 1.12 * max(max(row["ci95"][1] for row in rows), 0.1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7))
    return "%"


def _name_sparsities(axes, rows: Sequence[Row]) -> None:
    """Writes each sparsity to the right of the highest band at its size: error rates fall to the right."""
    highest: dict[float, Row] = {}
    for row in rows:
        if row["sparsity"] not in highest or row["ci95"][1] > highest[row["sparsity"]]["ci95"][1]:
            highest[row["sparsity"]] = row
    for sparsity, row in highest.items():
        axes.annotate(
            f"{sparsity:g}",
            (row["size_bytes"] / 1e6, row["ci95"][1]),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=10,
            color=_INK,
        )


def _described(rows: Sequence[Row]) -> str:
    """What the picture shows, for those who cannot see it; the table beside it has the numbers."""
    sizes = [row["size_bytes"] / 1e6 for row in rows]
    return f"{TITLE}: a line for each test set over files of {min(sizes):.2f} to {max(sizes):.2f} MB"
