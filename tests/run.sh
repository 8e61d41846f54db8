#!/usr/bin/env bash
# Every check of the project, in both stacks (all stages at toy size among them): sets up what it needs.
#   tests/run.sh [--stack k2|modern|both] [arguments of pytest]
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stacks="k2 modern"
if [ "${1:-}" = --stack ]; then
  case ${2:-} in
    k2 | modern) stacks=$2 ;;
    both) ;;
    *) echo "error: --stack ${2:-}: want k2, modern or both" >&2; exit 2 ;;
  esac
  shift 2
fi
[ $# -gt 0 ] || set -- tests
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
for stack in $stacks; do
  tools/setup_env.sh --stack "$stack" >/dev/null
done
# Side by side, a core each; what the last one says stands here as it comes, the other's when it is done.
logs=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || :; rm -rf "$logs"' EXIT
failed=
for stack in $stacks; do
  python=$(tools/setup_env.sh --stack "$stack")
  if [ "$stack" = "${stacks##* }" ]; then
    echo "== stack $stack: pytest $*"
    "$python" -m pytest -p no:cacheprovider "$@" || failed=$stack
  else
    "$python" -m pytest -p no:cacheprovider "$@" >"$logs/$stack" 2>&1 &
  fi
done
for stack in $stacks; do
  [ "$stack" != "${stacks##* }" ] || continue
  wait $! || failed="$stack $failed"
  echo "== stack $stack: pytest $*"
  cat "$logs/$stack"
done
[ -z "$failed" ] || { echo "failed: $failed" >&2; exit 1; }
