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
declare -A pythons
for stack in $stacks; do
  pythons[$stack]=$(tools/setup_env.sh --stack "$stack")
done
# Side by side, a core each: what the last one says stands here as it comes, the other's when it is done.
first=${stacks% *} last=${stacks##* } other=
once=()
[ "$first" = "$last" ] || once=(-m "not one_stack")
log=$(mktemp)
trap '[ -z "$other" ] || kill "$other" 2>/dev/null || :; rm -f "$log"' EXIT
if [ "$first" != "$last" ]; then
  "${pythons[$first]}" -m pytest -p no:cacheprovider "$@" >"$log" 2>&1 &
  other=$!
fi
failed=
echo "== stack $last: pytest $*"
"${pythons[$last]}" -m pytest -p no:cacheprovider "${once[@]}" "$@" || {
  [ $? = 5 ] && [ -n "$other" ]  # 5: no test is left, all that was asked for runs in the other stack
} || failed=$last
if [ -n "$other" ]; then
  wait "$other" || failed="$first $failed"
  echo "== stack $first: pytest $*"
  cat "$log"
fi
[ -z "$failed" ] || { echo "failed: $failed" >&2; exit 1; }
