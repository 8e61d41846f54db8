"""The experiment that decides: one supernet against models trained for one size each, on the same budget.

    tools/reproduce.sh --corpus mini [--seeds "1 2 3"]

`condition` reads what is to be compared (conf/reproduce/<condition>.yaml), `jobs` makes calls of run.sh of it, `run`
runs them, `compare` collects their results into table.json, TABLE.md and pareto.png, `trainings` keeps what it needs of
each for `--reuse`.
"""
