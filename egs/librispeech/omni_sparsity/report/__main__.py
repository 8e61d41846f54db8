"""Stage 6. `python -m egs.librispeech.omni_sparsity.report --exp-dir exp/mini --data-dir data/mini`; see the package's
docstring.

Everything is computed before anything is written, so bad input leaves the files of an earlier report alone.
The same input gives the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from omni.files import atomic, write_json, write_text
from omni.errors import UserError, cli


@cli
def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m egs.librispeech.omni_sparsity.report",
        description="results.json, RESULTS.md, pareto.png and report.html of an experiment (stage 6)",
    )
    parser.add_argument(
        "--exp-dir", type=Path, default=Path("exp/mini"), help="what stages 4 and 5 wrote into"
    )
    parser.add_argument(
        "--data-dir", type=Path, help="for the audio of the worst utterances [data/<name of exp-dir>]"
    )
    parser.add_argument(
        "--command", help="what made this experiment, to be shown in the reports [./run.sh ...]"
    )
    args = parser.parse_args(arguments)
    exp_dir: Path = args.exp_dir
    data_dir: Path = args.data_dir or Path("data") / exp_dir.name
    if not exp_dir.is_dir():
        raise UserError(f"{exp_dir} is not a folder: --exp-dir wants the one that stages 4 and 5 wrote into")

    from egs.librispeech.omni_sparsity.report import audio, page, plot, results, table, worst

    decoded = results.collect(exp_dir)
    rows = [entry.row for entry in decoded]
    name = exp_dir.resolve().name
    commands = [args.command or _command(exp_dir, data_dir)]
    cases = worst.worst(decoded)
    html = page.report_html(name, decoded, cases, audio.clips(cases, data_dir), commands)
    markdown = table.results_md(name, rows, commands)
    picture = plot.png(rows)

    write_json(exp_dir / "results.json", rows)
    write_text(exp_dir / "RESULTS.md", markdown)
    with atomic(exp_dir / "pareto.png") as beside:
        beside.write_bytes(picture)
    write_text(exp_dir / "report.html", html)

    print("\n\n".join(table.plain(each) for each in table.tables(rows)))
    print(f"\n{table.how_measured()}\n")
    for file in ("results.json", "RESULTS.md", "pareto.png", "report.html"):
        print(exp_dir / file)


def _command(exp_dir: Path, data_dir: Path) -> str:
    """The call of run.sh that writes into these folders; --command is better where others were given."""
    corpus = data_dir.resolve().name
    here = Path.cwd()
    if exp_dir.is_absolute() and exp_dir.is_relative_to(here):
        exp_dir = exp_dir.relative_to(here)
    parts = ["./run.sh"]
    if corpus != "mini":
        parts += ["--corpus", corpus]
    if exp_dir != Path("exp") / corpus:
        parts += ["--exp-dir", str(exp_dir)]
    return " ".join(parts)


if __name__ == "__main__":
    main()
