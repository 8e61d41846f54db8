#!/usr/bin/env bash
# Every check of the project: sets up what it needs, runs the tests (all stages at toy size among them), then those of
# omni again with the newest torch.
#   tests/run.sh [arguments of pytest]        with arguments: only pytest in the k2 stack, with them
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/setup_env.sh --venv .venv
if [ $# -gt 0 ]; then
  export PYTHONPATH=$PWD OMP_NUM_THREADS=1
  exec .venv/bin/python -m pytest "$@"
fi
PYTHONPATH=$PWD OMP_NUM_THREADS=1 .venv/bin/python -m pytest tests
tests/modern.sh
