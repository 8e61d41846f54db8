#!/usr/bin/env bash
# The experiment that decides: trains all systems of a condition one after the other, and compares them.
#   tools/reproduce.sh [--corpus C] [--condition C] [--seeds "1 2 3"] [--ablations 0|1] [--stack auto|k2|modern] [--plan]
# Stopped, it goes on from where it was; a table of what is done is written after every training.
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH=$PWD

fail() {
  echo "error: $*" >&2
  exit 2
}

condition=mini
seeds=
ablations=1
stack=auto
plan=0
called="tools/reproduce.sh${*:+ $*}"
while [ $# -gt 0 ]; do
  case $1 in
    --plan) plan=1; shift; continue ;;
    --corpus | --condition | --seeds | --ablations | --stack) [ $# -ge 2 ] || fail "$1 wants a value" ;;
    --help | -h) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) fail "unknown option $1 (tools/reproduce.sh --help lists them)" ;;
  esac
  case $1 in
    --corpus | --condition) condition=$2 ;;
    --seeds) seeds=$2 ;;
    --ablations) ablations=$2 ;;
    --stack) stack=$2 ;;
  esac
  shift 2
done
[[ $ablations =~ ^[01]$ ]] || fail "--ablations $ablations: want 0 or 1"

python=$(tools/setup_env.sh --stack "$stack")
select=(--condition "$condition" --seeds "$seeds")
jobs=$("$python" -m tools.reproduce.jobs "${select[@]}" --ablations "$ablations")
if [ $plan = 1 ]; then
  echo "$jobs"
  echo "$(wc -l <<<"$jobs") trainings"
  exit 0
fi
compare() { "$python" -m tools.reproduce.compare "${select[@]}" --command "$called"; }
number=0
while IFS= read -r job; do
  number=$((number + 1))
  echo "== $number of $(wc -l <<<"$jobs"): $job"
  eval "$job --python $(printf %q "$python")" </dev/null
  compare >/dev/null
done <<<"$jobs"
compare
