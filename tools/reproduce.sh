#!/usr/bin/env bash
# The experiment that decides: one supernet against models trained for one size each. tools/reproduce.sh --help
#   tools/reproduce.sh [--corpus mini] [--budget 2] [--seeds "1 2 3"] [--parallel 2] [--ablations 0] [--reuse FILE]
#       [--plan] [--stack auto|k2|modern]
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stack=auto
for ((i = 1; i <= $#; i++)); do
  next=$((i + 1))
  case ${!i} in
    --stack) stack=${!next:-} ;;
    --stack=*) stack=${!i#*=} ;;
  esac
done
[ -n "$stack" ] || { echo "error: --stack wants k2, modern or auto" >&2; exit 2; }
python=$(tools/setup_env.sh --stack "$stack")
export PYTHONPATH=$PWD GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-2000}
exec "$python" -m egs.librispeech.omni_sparsity.experiments "$@"
