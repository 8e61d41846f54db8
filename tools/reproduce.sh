#!/usr/bin/env bash
# The experiment that decides: one supernet against models trained for one size each. tools/reproduce.sh --help
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
conditions=egs/librispeech/omni_sparsity/conf/reproduce

help() {
  cat <<'EOF'
usage: tools/reproduce.sh [--name value]...

Trains every system of a condition by calls of run.sh, and writes table.json, TABLE.md and pareto.png. What is done is
passed over, what was stopped goes on.

  --corpus C              file in conf/reproduce (also --condition)  (mini)
  --budget N              so many times the epochs, of all systems   (1)
  --seeds "1 2 3"         seeds of the trainings                     (as the condition says)
  --sparsities "0.5 0.9"  sizes to compare, beside 0                 (as the condition says)
  --specs "FILE ..."      more sub-networks of omni and the dense    (as the condition says)
                          model, as spec files
  --only "omni dense"     train these alone: dense, pruned, omni or an ablation's name
  --ablations 0|1         0: without the ablations                   (1)
  --parallel N            trainings side by side                     (1)
  --reuse FILE            take trainings of the same settings from a trainings.json
  --out DIR               folders of the trainings, and the table    (exp/C/reproduce)
  --plan                  print the trainings, their time and disk; train nothing
  --stack auto|k2|modern  environment, as for run.sh                 (auto)
  --help

A table of trainings that are there, and the comparison at equal total training (--against), need no training:
  python -m egs.librispeech.omni_sparsity.experiments.compare --help
EOF
}

fail() { echo "error: $1" >&2; exit 2; }

# What can be told to be wrong is told before minutes go into an environment; Python checks the values.
stack=auto
corpus=mini
plan=0
given=("$@")
while [ $# -gt 0 ]; do
  name=${1%%=*}
  case $name in
    --help | -h) help; exit 0 ;;
    --plan) plan=1; shift; continue ;;
    --corpus | --condition | --budget | --seeds | --sparsities | --specs | --only) ;;
    --ablations | --parallel | --reuse | --out | --stack) ;;
    *) fail "$1: no such option; tools/reproduce.sh --help lists them" ;;
  esac
  if [ "$name" != "$1" ]; then
    value=${1#*=}
    shift
  else
    [ $# -gt 1 ] || fail "$name wants a value; tools/reproduce.sh --help"
    value=$2
    shift 2
  fi
  case $name in
    --corpus | --condition) corpus=$value ;;
    --stack) stack=$value ;;
    --reuse) [ -f "$value" ] || fail "--reuse $value: no such file" ;;
  esac
done
case $stack in auto | k2 | modern) ;; *) fail "--stack $stack: want k2, modern or auto" ;; esac
if [ ! -f "$conditions/$corpus.yaml" ] || [ "$corpus" != "${corpus##*/}" ]; then
  there=$(cd "$conditions" && ls ./*.yaml | sed 's|^\./||; s|\.yaml$||' | paste -sd, | sed 's/,/, /g')
  fail "--corpus $corpus: no such condition; there are $there"
fi
[ "$plan" = 0 ] || echo "--plan measures training steps on this machine, so the environment comes first" >&2

python=$(tools/setup_env.sh --stack "$stack")
export PYTHONPATH=$PWD GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-4000}
exec "$python" -m egs.librispeech.omni_sparsity.experiments ${given[@]+"${given[@]}"}
