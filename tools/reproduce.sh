#!/usr/bin/env bash
# The experiment that decides: one supernet against models trained for one size each. tools/reproduce.sh --help
#   tools/reproduce.sh [--corpus mini] [--budget 2] [--seeds "1 2 3"] [--parallel 2] [--ablations 0] [--reuse FILE]
#       [--plan] [--stack auto|k2|modern]
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stack=auto
rest=()
while [ $# -gt 0 ]; do
  case $1 in
    --stack) [ $# -ge 2 ] || { echo "error: --stack wants k2, modern or auto" >&2; exit 2; }; stack=$2; shift ;;
    *) rest+=("$1") ;;
  esac
  shift
done
python=$(tools/setup_env.sh --stack "$stack")
export PYTHONPATH=$PWD GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-2000}
exec "$python" -m tools.reproduce.run ${rest[@]+"${rest[@]}"}
