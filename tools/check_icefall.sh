#!/usr/bin/env bash
# omni.icefall, omni.bake and omni.sweep on real icefall recipes, at toy size, in the k2 stack.
#   tools/check_icefall.sh ICEFALL_DIR [--recipes "zipformer ..."] [--work exp/icefall] [--epochs N] [--coverage]
#     [--python PATH]
# ICEFALL_DIR: a checkout of k2-fsa/icefall; nothing is written into it. What it needs beyond this project's environment
# goes into WORK. For each recipe: a supernet is trained by the launcher, stopped and resumed, and beside it a dense
# model for as long; averages of both are baked at three sparsities and decoded by the recipe's own scripts. --coverage:
# only count what the settings that ship prune of each recipe's encoder, of all six recipes; minutes. --python: of the
# k2 stack; no environment is made then.
set -eou pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() { echo "error: $*" >&2; exit 2; }
icefall=${1:-}
[ -n "$icefall" ] || fail "want the folder of an icefall checkout: tools/check_icefall.sh ICEFALL_DIR"
shift
known="zipformer pruned_transducer_stateless7_streaming pruned_stateless_emformer_rnnt2"
recipes=$known
work=$root/exp/icefall
python=
asked=
coverage=
sparsities="0 0.5 0.7"
while [ $# -gt 0 ]; do
  case $1 in
    --recipes) recipes=${2:?--recipes wants names of folders}; shift ;;
    --work) work=${2:?--work wants a folder}; shift ;;
    --epochs) asked=${2:?--epochs wants a number}; shift ;;
    --python) python=${2:?--python wants a program}; shift ;;
    --coverage) coverage=1 ;;
    *) fail "unknown option $1" ;;
  esac
  shift
done
[[ ${asked:-3} =~ ^[0-9]+$ ]] && [ "${asked:-3}" -ge 3 ] || fail "--epochs $asked: want at least 3"
for recipe in $recipes; do
  case " $known " in *" $recipe "*) ;; *) fail "--recipes $recipe: this check has toy sizes for ${known// /, }" ;; esac
done
[ -d "$icefall/egs/librispeech/ASR" ] || fail "$icefall/egs/librispeech/ASR: no such folder; want a checkout of icefall"
icefall=$(cd "$icefall" && pwd)
if [ -n "$python" ]; then
  program=$(command -v "$python") || fail "--python $python: not a program"
  python=$(cd "$(dirname "$program")" && pwd)/$(basename "$program")
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
cd "$root"
[ -n "$python" ] || python=$(tools/setup_env.sh --stack k2)

# ---- what icefall needs beside the environment -----------------------------------------------------------------
site=$work/site
if [ ! -f "$site/.done" ]; then
  "$python" -m pip install -q --no-deps --target "$site" pypinyin==0.50.0 dill==0.3.9 \
    onnx==1.16.2 onnxruntime==1.18.1 sympy==1.12 mpmath==1.3.0 flatbuffers==24.3.25 >"$work/pip.log" 2>&1 ||
    fail "pip: $(tail -n 1 "$work/pip.log")"
  touch "$site/.done"
fi
export PYTHONPATH=$root:$icefall:$site OMP_NUM_THREADS=1
# as run.sh: torch 1.13's matrix products take a slow path on AMD, which this variable turns off
if grep -q AuthenticAMD /proc/cpuinfo 2>/dev/null && grep -qw avx2 /proc/cpuinfo; then
  export MKL_DEBUG_CPU_TYPE=${MKL_DEBUG_CPU_TYPE:-5}
fi

if [ -n "$coverage" ]; then
  cd "$icefall/egs/librispeech/ASR"
  missed=0
  for settings in "$root"/omni/icefall/conf/*.yaml; do
    recipe=$(basename "$settings" .yaml)
    "$python" "$root/tools/check_icefall.py" coverage "$recipe" 2>"$work/coverage.log" ||
      { missed=1; tail -n 1 "$work/coverage.log"; }
  done
  exit "$missed"
fi

# ---- a corpus of tones, which is learnt soon -------------------------------------------------------------------
data=$work/data
vocab=66 # the most that so few words allow: most are one token
if [ ! -f "$work/tones/.done" ]; then
  "$python" tools/tones.py "$work/tones" && touch "$work/tones/.done"
fi
./run.sh --python "$python" --corpus librispeech --config egs/librispeech/omni_sparsity/conf/codes.yaml \
  --set "model.vocab_size=$vocab" --stage 0 --stop-stage 2 --data-dir "$data" --download-dir "$work/tones" \
  --exp-dir "$work/prepare" >"$work/prepare.log" 2>&1 ||
  fail "no corpus: $(tail -n 1 "$work/prepare.log"); all of it: $work/prepare.log"
lang=$data/lang_bpe_$vocab

# ---- toy sizes -------------------------------------------------------------------------------------------------
common=(--bpe-model "$lang/bpe.model" --manifest-dir "$data/fbank" --max-duration 15 --num-workers 1)
batches=780 # of an epoch, about
# The three sizes that are baked, 0.7 above all, after a dense share that is long enough to have learnt the words:
# pruned before that, a toy model does not catch up. They have grown back before epoch 2 of 3 ends, where the average
# begins.
supernet=(--set dense_until=0.55 --set grow_until=0.65 --set "sizes={0.0: 0.2, 0.5: 0.2, 0.7: 0.6}"
  --set "validate=[0.7]")
training=(--full-libri 0 --enable-musan 0 --enable-spec-aug 0 --num-buckets 5 --average-period 20
  --save-every-n 100000 --tensorboard 0)
sizes_of() {
  case $1 in
    zipformer)
      echo --num-encoder-layers 1,1,1,1,1,1 --feedforward-dim 192,192,192,192,192,192 --encoder-dim 96,96,96,96,96,96 \
        --encoder-unmasked-dim 64,64,64,64,64,64 --num-heads 4,4,4,4,4,4 --query-head-dim 16 \
        --cnn-module-kernel 15,15,15,15,15,15 --decoder-dim 96 --joiner-dim 96 --causal 1 --use-ctc 1 ;;
    pruned_transducer_stateless7_streaming)
      echo --num-encoder-layers 1,1,1,1,1 --feedforward-dims 192,192,192,192,192 --nhead 4,4,4,4,4 \
        --encoder-dims 96,96,96,96,96 --attention-dims 64,64,64,64,64 --encoder-unmasked-dims 64,64,64,64,64 \
        --cnn-module-kernels 15,15,15,15,15 --decoder-dim 96 --joiner-dim 96 ;;
    pruned_stateless_emformer_rnnt2)
      echo --num-encoder-layers 4 --attention-dim 96 --nhead 4 --dim-feedforward 192 --left-context-length 64 ;;
  esac
}
learning_of() {  # what leads a toy model off the plateau where it says blank alone
  case $1 in
    zipformer) echo --ctc-loss-scale 0.5 ;;
    pruned_stateless_emformer_rnnt2) echo --lr-factor 20 ;;
  esac
}
epochs_of() {  # long enough that the dense model knows the words well before the first weight is pruned
  case $1 in pruned_stateless_emformer_rnnt2) echo 5 ;; *) echo 3 ;; esac
}
decoding_of() {
  case $1 in zipformer) echo --chunk-size 16 --left-context-frames 64 ;; esac
}

# ---- one recipe after the other --------------------------------------------------------------------------------
logged() {  # LOG COMMAND...
  local log=$out/$1.log
  shift
  "$@" >>"$log" 2>&1 || fail "$recipe: $(tail -n 1 "$log"); all of it: $log"
}
train_of() {  # NAME EPOCHS MORE...
  local exp=$out/$1 last=$2 start=1
  shift 2
  while [ -f "$exp/epoch-$start.pt" ]; do start=$((start + 1)); done
  [ "$start" -le "$last" ] || return 0
  logged "train-${exp##*/}" "$python" -m omni.icefall "$recipe/train.py" --omni-config "$recipe" \
    --set "steps=$((epochs * batches))" "${supernet[@]}" "$@" -- "${common[@]}" "${training[@]}" "${sizes[@]}" \
    "${learning[@]}" --exp-dir "$exp" --num-epochs "$last" --start-epoch "$start"
}
sweep_of() {  # SYSTEM SCRIPT OUT
  logged decode "$python" -m omni.sweep --checkpoint "$out/$1/epoch-$epochs.pt" \
    --since "$out/$1/epoch-$((epochs - 1)).pt" --sparsities "$sparsities" --decode "$recipe/$2" --out "$out/$3" \
    -- "${common[@]}" "${sizes[@]}" "${decoding[@]}"
}
cd "$icefall/egs/librispeech/ASR"
missed=0
for recipe in $recipes; do
  out=$work/$recipe
  mkdir -p "$out"
  epochs=${asked:-$(epochs_of "$recipe")}
  read -ra sizes <<<"$(sizes_of "$recipe")"
  read -ra learning <<<"$(learning_of "$recipe")"
  read -ra decoding <<<"$(decoding_of "$recipe")"
  echo "== $recipe: training, stopped after epoch 2, resumed to $epochs; dense beside it"
  set -m # a process group for each, so that both end whole when one fails or the check is stopped
  (train_of supernet 2 && train_of supernet "$epochs") &
  train_of dense "$epochs" --set strategy=dense &
  set +m
  trainings=$(jobs -p)
  trap 'for training in $trainings; do kill -- "-$training" 2>/dev/null || true; done' EXIT
  wait -n || exit 2
  wait -n || exit 2
  trap - EXIT
  sweep_of supernet decode.py sweep-supernet
  sweep_of dense decode.py sweep-dense
  logged decode "$python" "$recipe/decode.py" "${common[@]}" "${sizes[@]}" "${decoding[@]}" --exp-dir "$out/supernet" \
    --epoch "$epochs" --avg 1 --use-averaged-model 1
  if [ "$recipe" = zipformer ]; then
    sweep_of supernet streaming_decode.py sweep-streaming
    for script in "export.py --jit 1" export-onnx-streaming.py; do
      logged export "$python" "$recipe"/$script --exp-dir "$out/sweep-supernet/sparsity-0.7" --epoch 9999 --avg 1 \
        --use-averaged-model 0 --tokens "$lang/tokens.txt" "${sizes[@]}" "${decoding[@]}"
    done
  fi
  "$python" "$root/tools/check_icefall.py" trained "$recipe" "$out" "$epochs" "$vocab" "${sizes[@]}" || missed=1
done
[ "$missed" = 0 ] || fail "not all as it should be; see FAIL above"
echo "all recipes as they should be: $work"
