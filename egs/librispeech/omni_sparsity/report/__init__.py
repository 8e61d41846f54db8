"""Stage 6: what was decoded, as results.json, RESULTS.md, pareto.png and report.html.

    python -m egs.librispeech.omni_sparsity.report --exp-dir exp/mini --data-dir data/mini

results.py collects the rows, bootstrap.py their intervals, table.py and plot.py show them, worst.py picks
utterances to listen to, audio.py fetches their sound and page.py (with html_table.py, page.css and page.js) puts
everything into one HTML file. Nothing here imports torch or k2, so that a report takes seconds; lhotse is imported only
for audio that is not a plain file.
"""
