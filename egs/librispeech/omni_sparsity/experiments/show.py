"""TABLE.md and pareto.png of a condition."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Dict, List, Tuple

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from omni.files import atomic
from egs.librispeech.omni_sparsity.experiments.statistics import CLAIM_SEEDS
from egs.librispeech.omni_sparsity.report.bootstrap import LEVEL, RESAMPLES
from egs.librispeech.omni_sparsity.report.table import is_test
from egs.librispeech.omni_sparsity.subnets.subnet import is_uniform, label

Row = Dict[str, Any]
_INK = "#1b1f24"
_STYLE = {  # seen apart by the colour-blind; the markers say the same without colour
    "oneshot": ("#8a93a0", "x", "dense, cut without training"),
    "omni": ("#2f7fc1", "o", "omni: one training"),
    "pruned": ("#d9730d", "s", "each pruned on its own"),
    "dense": ("#1b1f24", "*", "dense, trained on its own"),
}
_BESIDE = 0.014  # of the axis: where the dots of single seeds stand, right (omni) or left (others) of their mean


def markdown(table: Dict[str, Any]) -> str:
    """Of table.json: every system on the test sets, what each training cost, and the ablations."""
    rows = table["rows"]
    parts = [f"# {table['condition']}: one supernet against models trained for one size each\n",
             f"    {table['command']}\n", _how(table)]
    if table["missing"]:
        parts.append(f"**Not trained yet: {', '.join(table['missing'])}.**\n")
    for test_set in sorted({row["test_set"] for row in rows}, key=lambda name: (not is_test(name), name)):
        parts.append(f"## {test_set}\n")
        parts.append(_systems([row for row in rows if row["test_set"] == test_set]))
        parts += [f"Mean of the differences at the pruned sizes that both have: {_difference(mean)}, {mean['claim']}.\n"
                  for mean in table["means"] if (mean["strategy"], mean["test_set"]) == ("omni", test_set)]
    parts.append("## What the trainings cost\n")
    parts.append(_costs(table["totals"]))
    ablations = [row for row in rows if row["system"] == "omni" and row["strategy"] != "omni"]
    if ablations:
        parts.append("## Ablations\n")
        parts.append(_ablations([row for row in rows if row["system"] == "omni" and is_test(row["test_set"])]))
    return "\n".join(parts)


def _how(table: Dict[str, Any]) -> str:
    """What is compared, what the intervals are, and what they do not say."""
    seeds = sorted({seed for row in table["rows"] for seed in row["seeds"]})
    level = f"{100 * LEVEL:.0f}%"
    parts = ["Word error rate in percent; size of the file that ships. `omni / own`: relative difference to the "
             "model trained for that size alone (the dense model, where nothing is pruned); negative: omni is better.",
             {"paper": "Every model of its own has the budget that omni has for all sizes.",
              "equal_total": "Models of their own are of a smaller budget: all of them together had "
                             f"{_own_share(table['totals'])} the passes of omni."}[table["comparison"]]]
    if len(seeds) == 1:
        parts.append(f"One seed ({seeds[0]}). The {level} intervals are those of a bootstrap over utterances "
                     f"({RESAMPLES:,} resamples), paired for a difference. "
                     "They do not say what another seed would give.")
    else:
        parts.append(f"Means over seeds {', '.join(map(str, seeds))}. The {level} intervals are Student's over them, "
                     "on these utterances. Where a row has one seed, they are those of a bootstrap over utterances "
                     f"({RESAMPLES:,} resamples).")
    parts.append('"better" and "worse": neither this interval nor that of the paired bootstrap over utterances holds '
                 '0. Else "undecided".')
    if len(seeds) < CLAIM_SEEDS:
        parts.append(f"**An interval over fewer than {CLAIM_SEEDS} seeds is no claim.**")
    return " ".join(parts) + "\n"


def _systems(rows: List[Row]) -> str:
    by_place = {(row["system"], row["name"]): row for row in rows if row["strategy"] == row["system"]}
    lines = ["| sparsity | size, MB | own model | omni | omni / own | omni is | dense, cut without training |",
             "| ---: | ---: | ---: | ---: | ---: | --- | ---: |"]
    for sparsity, name in sorted({(row["sparsity"], row["name"]) for row in by_place.values()}):
        alone = by_place.get(("pruned", name)) or by_place.get(("dense", name))
        omni, oneshot = by_place.get(("omni", name)), by_place.get(("oneshot", name))
        size = next(row["bytes"] for row in (omni, alone, oneshot) if row)
        first = _short(name) if is_uniform(name) else f"{name} ({sparsity:.2g})"
        lines.append(f"| {first} | {size / 1e6:.2f} | {_cell(alone)} | {_cell(omni)} | {_difference(omni)} | "
                     f"{(omni or {}).get('claim') or ''} | {_cell(oneshot)} |")
    return "\n".join(lines) + "\n"


def _short(name: str) -> str:
    """"0.7" for sparsity-0.7, where a column's heading or a sentence says the rest."""
    return label({"name": name}).replace("sparsity ", "")


def _costs(totals: Dict[str, Dict[str, float]]) -> str:
    lines = ["| training | forward-backward passes | minutes |", "| --- | ---: | ---: |"]
    for name, cost in sorted(totals.items()):
        lines.append(f"| {name} | {cost['train_passes']:,.0f} | {cost['train_seconds'] / 60:.1f} |")
    pruned = _own(totals)
    if len(pruned) > 1:
        lines.append(f"| all sizes, each on its own | {sum(c['train_passes'] for c in pruned):,.0f} | "
                     f"{sum(c['train_seconds'] for c in pruned) / 60:.1f} |")
    return "\n".join(lines) + "\n"


def _own(totals: Dict[str, Dict[str, float]]) -> List[Dict[str, float]]:
    return [cost for name, cost in totals.items() if name.split()[0] in ("pruned", "dense")]


def _own_share(totals: Dict[str, Dict[str, float]]) -> str:
    """e.g. "1.24 times"."""
    if "omni" not in totals:
        return "an unknown share of"
    return f"{sum(cost['train_passes'] for cost in _own(totals)) / totals['omni']['train_passes']:.2f} times"


def _ablations(rows: List[Row]) -> str:
    """Each on the seeds that the ablations have: another seed may differ by more than another strategy."""
    strategies = sorted({row["strategy"] for row in rows}, key=lambda name: (name != "omni", name))
    seeds = sorted(set.intersection(*(set(row["seeds"]) for row in rows)))
    if not seeds:
        return "No seed that all have.\n"
    places = sorted({(row["test_set"], row["sparsity"], row["name"]) for row in rows})
    lines = [f"Of seed {', '.join(map(str, seeds))}.\n",
             "| strategy | passes | " + " | ".join(f"{test_set} {_short(name)}" for test_set, _, name in places) + " |",
             "| --- | ---: |" + " ---: |" * len(places)]
    for strategy in strategies:
        mine = {(row["test_set"], row["sparsity"], row["name"]): row for row in rows if row["strategy"] == strategy}
        cells = [f"{_of_seeds(mine[place], seeds):.2f}" if place in mine else "" for place in places]
        passes = next(iter(mine.values()))["passes"]
        lines.append(f"| {strategy} | {passes:,.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _of_seeds(row: Row, seeds: List[int]) -> float:
    by_seed = dict(zip(row["seeds"], row["wer_by_seed"]))
    return sum(by_seed[seed] for seed in seeds) / len(seeds)


def _cell(row: Row | None) -> str:
    return f"{row['wer']:.2f} [{row['ci95'][0]:.2f}, {row['ci95'][1]:.2f}]" if row else ""


def _difference(row: Row | None) -> str:
    if row is None or row["rel_diff_vs_pruned"] is None:
        return ""
    low, high = row["rel_diff_ci95"]
    return f"{row['rel_diff_vs_pruned']:+.1f}% [{low:+.1f}, {high:+.1f}]"


def _ends(row: Row) -> List[float]:
    """What the picture must hold of a row."""
    return row["ci95"] if row["interval"] == "bootstrap-utterances" else row["wer_by_seed"]


def _points(rows: List[Row]) -> Tuple[List[float], List[float]]:
    """Sizes in MB, and word error rates."""
    return [row["bytes"] / 1e6 for row in rows], [row["wer"] for row in rows]


def _intervals(axes, line: List[Row], colour: str, beside: float) -> None:
    """
    Args:
        beside: MB, how far right of their mean the dots of single seeds stand.
    """
    sizes, _ = _points(line)
    if all(row["interval"] == "bootstrap-utterances" for row in line):
        low, high = zip(*(row["ci95"] for row in line))
        axes.fill_between(sizes, low, high, color=colour, alpha=0.12, linewidth=0)
        if len(line) == 1:  # a band of no width
            axes.plot(2 * sizes, line[0]["ci95"], color=colour, alpha=0.4)
    else:
        for size, row in zip(sizes, line):
            place = [size + beside] * len(row["seeds"])
            axes.plot(place, row["wer_by_seed"], ".", color=colour, alpha=0.6, markersize=6)


def picture(rows: List[Row], path: Path) -> None:
    """Word error rate against size, a panel for each test set, 1440 pixels wide.

    One seed has the band of its interval; of several each is a dot, as an interval over so few would fill the picture.
    A line is of uniform sub-networks; those by a spec are open marks.
    """
    rows = [row for row in rows if is_test(row["test_set"]) and row["strategy"] == row["system"]]
    sets = sorted({row["test_set"] for row in rows})
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure = Figure(figsize=(4.5 * max(2, len(sets)), 4.8), layout="constrained", facecolor="white")
        for axes, test_set in zip(figure.subplots(1, len(sets), squeeze=False)[0], sets):
            here = [row for row in rows if row["test_set"] == test_set]
            trained = [end for row in here if row["system"] != "oneshot" for end in _ends(row)]
            top = 1.15 * max(trained or [100.0])  # what was cut without training may leave the picture
            widths = [row["bytes"] / 1e6 for row in here]
            beside = _BESIDE * (max(widths) - min(widths))
            for system, (colour, marker, said) in _STYLE.items():
                mine = sorted((row for row in here if row["system"] == system), key=lambda row: row["bytes"])
                if mine and min(row["wer"] for row in mine) > top:
                    said += " (above the picture)"
                look = {"color": colour, "marker": marker}
                line = [row for row in mine if is_uniform(row["name"])]
                if line:
                    _intervals(axes, line, colour, beside if system == "omni" else -beside)
                    axes.plot(*_points(line), linewidth=1.8, label=said, **look)
                brought = [row for row in mine if not is_uniform(row["name"])]
                if brought:
                    axes.plot(*_points(brought), linestyle="none", markersize=9, markerfacecolor="none",
                              label=f"{said}, by a spec", **look)
            axes.set_ylim(0, top)
            axes.set_title(test_set, loc="left", color=_INK)
            axes.set_xlabel("size of the model's file, MB", color=_INK)
            axes.grid(True, color="#8a93a0", alpha=0.25)
            axes.spines[["top", "right"]].set_visible(False)
        first = figure.axes[0]
        seeds = max(len(row["seeds"]) for row in rows)
        how = "mean, and a dot for each seed" if seeds > 1 else f"with {100 * LEVEL:.0f}% over utterances"
        first.set_ylabel(f"word error rate, % ({how})", color=_INK)
        title = "own models: a smaller budget each" if rows[0].get("comparison") == "equal_total" else None
        first.legend(frameon=False, fontsize="small", title=title, title_fontsize="small", alignment="left",
                     loc="lower left")  # small models are the worse ones
        FigureCanvasAgg(figure)
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=160, metadata={"Software": None})
    with atomic(path) as beside:
        beside.write_bytes(out.getvalue())
