"""The picture: word error rate against the size of the file that ships, one line a test set."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from egs.librispeech.omni_sparsity.report.results import Row
from egs.librispeech.omni_sparsity.report.table import is_test, megabytes, wer_cell
from egs.librispeech.omni_sparsity.subnets.subnet import is_uniform, label

TITLE = "Word error rate against model size"
# Seen apart by the colour-blind, on white and on black; the markers say the same without colour.
_COLOURS = ("#2f7fc1", "#d9730d", "#2a9d6f", "#b8579b")
_MARKERS = ("o", "s", "^", "D")
_LINES = ("-", "--", ":")  # decoding methods
_LOG_RATIO = 12.0  # a larger span of error rates is unreadable on a linear axis
_ROWS, _HIGH, _LETTER = 3, 12, 6.2  # of labels: rows, and points for a row and for a letter
_SPACES = {"": "http://www.w3.org/2000/svg", "xlink": "http://www.w3.org/1999/xlink"}
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
    text = _named(out.getvalue(), rows)
    text = re.sub(r'\s+xmlns(:xlink)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", text)
    text = text.replace(_INK, "currentColor")
    # Clip paths and markers are numbered alike in both pictures where their shapes are: keep the ids apart.
    text = re.sub(r'id="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(url\(|href=")#', rf"\1#{name}-", text)
    label = _described(rows)
    return text.replace("<svg ", f'<svg class="{name}" role="img" aria-label="{label}" ', 1).strip()


def _named(text: str, rows: Sequence[Row]) -> str:
    """The SVG without its prologue and metadata; each line says of which set it is, each point what it shows."""
    for prefix, space in _SPACES.items():
        ElementTree.register_namespace(prefix, space)
    root = ElementTree.fromstring(text)
    for metadata in root.findall(f"{{{_SPACES['']}}}metadata"):
        root.remove(metadata)
    points = {f"set.{number}.{part}": (test_set, line) for number, (test_set, _, lines) in enumerate(_series(rows))
              for part, line in lines.items()}
    for group in root.iter(f"{{{_SPACES['']}}}g"):
        gid = group.get("id", "")
        if gid.startswith("set."):
            test_set, line = points[gid.replace(".band", ".line")]
            group.set("data-set", test_set)
            for mark, row in zip(list(group.iter(f"{{{_SPACES['']}}}use")), line if ".band" not in gid else ()):
                ElementTree.SubElement(mark, f"{{{_SPACES['']}}}title").text = (
                    f"{label(row)}, {row['test_set']}: {wer_cell(row)} % at {megabytes(row['bytes'])} MB"
                )
    return ElementTree.tostring(root, encoding="unicode")


def _series(rows: Sequence[Row]) -> list[tuple[str, str, dict[str, list[Row]]]]:
    """(test set, method, {"line": uniform sub-networks, "points": the others}), each smallest file first."""
    rows = _shown(rows)
    places = sorted({(row["test_set"], row["method"]) for row in rows})
    found = []
    for place in places:
        here = sorted((row for row in rows if (row["test_set"], row["method"]) == place),
                      key=lambda row: (row["bytes"], -row["sparsity"]))
        found.append((*place, {"line": [row for row in here if is_uniform(row["name"])],
                               "points": [row for row in here if not is_uniform(row["name"])]}))
    return found


def _shown(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if is_test(row["test_set"])] or list(rows)


def _draw(rows: Sequence[Row], width: float, height: float, title: str = "") -> Figure:
    """Width and height in inches."""
    rows = _shown(rows)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    sets = sorted({row["test_set"] for row in rows})
    methods = sorted({row["method"] for row in rows})
    for number, (test_set, method, lines) in enumerate(_series(rows)):
        colour = _COLOURS[sets.index(test_set) % len(_COLOURS)]
        look = {"color": colour, "marker": _MARKERS[sets.index(test_set) % len(_MARKERS)]}
        name = test_set if len(methods) == 1 else f"{test_set}, {method}"
        line, points = lines["line"], lines["points"]
        sizes = [row["bytes"] / 1e6 for row in line]
        if line:
            lows, highs = zip(*(row["ci95"] for row in line))
            band = axes.fill_between(sizes, lows, highs, color=colour, alpha=0.18, linewidth=0)
            band.set_gid(f"set.{number}.band")
            axes.plot(sizes, [row["wer"] for row in line], _LINES[methods.index(method) % len(_LINES)], linewidth=2,
                      markersize=6, label=name, gid=f"set.{number}.line", **look)
        if points:
            axes.plot([row["bytes"] / 1e6 for row in points], [row["wer"] for row in points], linestyle="none",
                      markersize=9, markerfacecolor="none", markeredgewidth=2, gid=f"set.{number}.points",
                      label=None if line else name, **look)
    unit = _scale(axes, rows)
    above = _name_sizes(axes, rows, width - 0.8)
    if title:
        axes.set_title(title, fontsize=13, color=_INK, loc="left", pad=10 + _HIGH * above)
    axes.set_xlabel("size of the model's file, MB", color=_INK)
    axes.set_ylabel(f"word error rate, {unit}", color=_INK)
    axes.tick_params(colors=_INK)
    axes.grid(True, axis="y", color="#8a93a0", alpha=0.25, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_color(_INK)
        spine.set_visible(side in ("left", "bottom"))
    # Below the axes: flat curves leave no corner free, on a phone least of all.
    legend = figure.legend(
        frameon=False,
        labelcolor=_INK,
        title=_legend_title(rows),
        loc="outside lower center",
        ncols=2 if len(methods) == 1 or width > 6 else 1,
    )
    legend.get_title().set_color(_INK)
    legend.get_title().set_fontsize("small")
    return figure


def _legend_title(rows: Sequence[Row]) -> str:
    named = any(not is_uniform(row["name"]) for row in rows)
    return f"above: sparsity{' or name (open marks)' if named else ''}; bands: 95% interval"


def _scale(axes, rows: Sequence[Row]) -> str:
    """Axes from zero, or a logarithmic one for error rates that differ a lot. Returns their unit."""
    sizes = [row["bytes"] / 1e6 for row in rows]
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


def _name_sizes(axes, rows: Sequence[Row], inches: float) -> int:
    """Writes each sub-network's label above the axes, where no line is, with a thin line down to its points.

    Labels that would touch go a row up; what finds no place in _ROWS rows is left to the table.

    Args:
      inches: about the width of the axes.
    Returns:
      The number of rows.
    """
    left, right = axes.get_xlim()
    ends = [-1.0] * _ROWS  # in points: where the last label of each row ends
    for size, text in sorted({(row["bytes"] / 1e6, label(row).replace("sparsity ", "")) for row in rows}):
        middle = 72.0 * inches * (size - left) / (right - left)
        half = 0.5 * _LETTER * len(text) + 3.0
        axes.axvline(size, color="#8a93a0", alpha=0.35, linewidth=0.8, linestyle=(0, (2, 2)), zorder=0)
        for row in range(_ROWS):
            if ends[row] <= middle - half:
                ends[row] = middle + half
                axes.annotate(text, (size, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3 + _HIGH * row),
                              textcoords="offset points", ha="center", va="bottom", fontsize=10, color=_INK)
                break
    return sum(end > 0 for end in ends)


def _described(rows: Sequence[Row]) -> str:
    """What the picture shows, for those who cannot see it; the table beside it has the numbers."""
    sizes = [row["bytes"] / 1e6 for row in rows]
    return f"{TITLE}: a line for each test set over files of {min(sizes):.2f} to {max(sizes):.2f} MB"
