#!/usr/bin/env bash
# Every check of the project: sets up what it needs, runs the tests, then all stages at toy size.
#   tests/run.sh [arguments of pytest]        with arguments: only pytest, with them
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup_env.sh --venv .venv
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
if [ $# -gt 0 ]; then
  exec .venv/bin/python -m pytest "$@"
fi
.venv/bin/python -m pytest tests
