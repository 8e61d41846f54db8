#!/usr/bin/env bash
# One training, every size: from an empty machine to tables of word error rate per sparsity. ./run.sh --help
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=6
corpus=mini
download_dir=
data_dir=
exp_dir=
config=
loss=
num_epochs=
max_duration=
sparsities="0 0.5 0.7 0.8 0.9"
specs=
values=int8
decoding_method=greedy_search
nj=$(nproc 2>/dev/null || echo 2)
world_size=1
num_nodes=1
node_rank=0
master=127.0.0.1:29500
seed=42
mini_scale=1.0
skip_bad=0
full_libri=0
fbank=auto
stack=auto
python=
set_args=()

recipe=egs/librispeech/omni_sparsity
recipe_module=egs.librispeech.omni_sparsity
export PYTHONPATH=$PWD  # nothing else: a k2 or lhotse of another project must not come first
# Threads that wait for each other spin, by default for so long that one other busy process makes a training of as many
# threads as cores many times slower. So much shorter that it helps there, and not yet so short that it costs alone.
export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-4000}
# torch 1.13's matrix products take a slow path on AMD, which this variable turns off; on Intel it would turn AVX-512
# off.
if grep -q AuthenticAMD /proc/cpuinfo 2>/dev/null && grep -qw avx2 /proc/cpuinfo; then
  export MKL_DEBUG_CPU_TYPE=${MKL_DEBUG_CPU_TYPE:-5}
fi
# lhotse makes this empty folder whenever it is imported, and has no setting for it
[ -e ~/.lhotse ] || trap 'rmdir ~/.lhotse/tools ~/.lhotse 2>/dev/null || :' EXIT

help() {
  cat <<'EOF'
usage: ./run.sh [--name value]...     with none: all stages, corpus mini, on two cores and no GPU

  stage        what it makes                                       minutes (mini, two cores)
  environment  .venv (or .venv-modern), kaldifeat built            4
  0 corpus     speech in LibriSpeech layout, checked manifests     2.5
  1 features   80-bin fbank, speed perturbation, noise             2.5
  2 lang       sentencepiece BPE                                   0
  3 train      the supernet, pruned RNN-T loss                     19
  4 subnets    averaged checkpoint, sub-networks cut out of it     0.2
  5 decode     every dev and test set x sub-network                1
  6 report     results.json RESULTS.md pareto.png report.html      0.1

  --stage N --stop-stage N   first and last stage                  (0 6)
  --corpus C                 mini | codes, synthetic; mini_librispeech
                             | librispeech, downloaded; a file of
                             your own: docs/corpora.md           (mini)
  --download-dir DIR         a corpus that is there, or its place  (download/C)
  --data-dir DIR             manifests, features, lang             (data/C)
  --exp-dir DIR              checkpoints, logs, results            (exp/C)
  --config FILE              model and training                    (conf/ by corpus)
  --set section.name=value   change one setting of it; repeatable
  --loss auto|k2|native      k2's loss, or the same in PyTorch     (auto: k2 where it is)
  --num-epochs N             epochs                                (configuration)
  --max-duration S           seconds of audio in a batch           (configuration)
  --sparsities "S S ..."     shares of zeros to add, 0 to below 1  (0 0.5 0.7 0.8 0.9)
  --specs "FILE ..."         more sub-networks to add, as spec files (omni.save_spec)
  --values T                 int8 | float16 | float32, as shipped  (int8)
  --decoding-method M        search of stage 5, as icefall names it  (greedy_search)
  --nj N --world-size N      processes for data; for training      (cores; 1)
  --num-nodes N --node-rank R --master HOST:PORT
                             stage 3 on N machines that share the
                             folders; R is this one's number       (1 0 127.0.0.1:29500)
  --full-libri 0|1           librispeech: 100 or 960 hours         (0)
  --skip-bad 0|1             leave broken utterances out           (0: stop and name them)
  --fbank B                  auto | kaldifeat | lhotse             (auto)
  --seed N --mini-scale X    of a synthetic one; 0.02 is a toy     (42 1.0)
  --stack S                  auto | k2 | modern: Python 3.10 and k2,
                             or Python 3.11 and torch 2.13         (auto: k2 where its wheel fits)
  --python PATH              use this Python, make no environment
Every stage skips what is whole and goes on from where it was stopped.
EOF
}

command_line="./run.sh${*:+ $*}"

fail() {
  echo "error: $*" >&2
  exit 2
}

log() {
  echo "$(date '+%Y-%m-%d %H:%M:%S') $*"
}

# ---- options ---------------------------------------------------------------------------------------------------
while [ $# -gt 0 ]; do
  case $1 in
    --help | -h) help; exit 0 ;;
    --set) [ $# -ge 2 ] || fail "--set wants section.name=value"; set_args+=(--set "$2"); shift 2 ;;
    --stage | --stop-stage | --corpus | --download-dir | --data-dir | --exp-dir | --config | --loss | --num-epochs | \
      --max-duration | --sparsities | --specs | --values | --decoding-method | --nj | --world-size | --seed | \
      --mini-scale | --skip-bad | --full-libri | --fbank | --stack | --python | --num-nodes | --node-rank | --master)
      [ $# -ge 2 ] || fail "$1 wants a value (./run.sh --help)"
      name=${1#--}
      printf -v "${name//-/_}" %s "$2"
      shift 2
      ;;
    *) fail "unknown option $1 (./run.sh --help lists them)" ;;
  esac
done

whole() { [[ $2 =~ ^[0-9]+$ ]] || fail "$1 $2: want a whole number"; }
whole --stage "$stage"; whole --stop-stage "$stop_stage"; whole --nj "$nj"; whole --seed "$seed"
whole --world-size "$world_size"; whole --num-nodes "$num_nodes"; whole --node-rank "$node_rank"
[ "$stage" -le 6 ] || fail "--stage $stage: stages are 0 to 6"
[ "$stop_stage" -le 6 ] || fail "--stop-stage $stop_stage: stages are 0 to 6"
[ "$stage" -le "$stop_stage" ] || fail "--stage $stage is after --stop-stage $stop_stage"
[ "$nj" -ge 1 ] || fail "--nj $nj: want at least 1"
[[ $mini_scale =~ ^[0-9]*\.?[0-9]+$ ]] && awk -v x="$mini_scale" 'BEGIN { exit !(x > 0 && x <= 3) }' ||
  fail "--mini-scale $mini_scale: want a number above 0, up to 3, such as 1 or 0.02"
[ "$world_size" -ge 1 ] || fail "--world-size $world_size: want at least 1"
[ "$num_nodes" -ge 1 ] || fail "--num-nodes $num_nodes: want at least 1"
[ "$node_rank" -lt "$num_nodes" ] || fail "--node-rank $node_rank: want 0 to $((num_nodes - 1))"
[ "$node_rank" = 0 ] || [ "$stage$stop_stage" = 33 ] ||
  fail "--node-rank $node_rank: other machines take part in stage 3 alone: --stage 3 --stop-stage 3"
[[ $master =~ ^[^:]+:[0-9]+$ ]] || fail "--master $master: want HOST:PORT of machine 0"
for flag in skip_bad full_libri; do
  [[ ${!flag} =~ ^[01]$ ]] || fail "--${flag/_/-} ${!flag}: want 0 or 1"
done
case $fbank in auto | kaldifeat | lhotse) ;; *) fail "--fbank $fbank: want auto, kaldifeat or lhotse" ;; esac
case $values in int8 | float16 | float32) ;; *) fail "--values $values: want int8, float16 or float32" ;; esac
case $stack in auto | k2 | modern) ;; *) fail "--stack $stack: want auto, k2 or modern" ;; esac
case $corpus in
  *.py) [ -f "$corpus" ] || fail "--corpus $corpus: no such file" ;;
  *)
    [ -f "local/corpora/$corpus.py" ] ||
      fail "--corpus $corpus: want" \
        "$(cd local/corpora && printf '%s, ' [!_]*.py | sed 's/[.]py//g')or a Python file (docs/corpora.md)"
    ;;
esac
corpus_name=$(basename "$corpus" .py)
: "${download_dir:=download/$corpus_name}" "${data_dir:=data/$corpus_name}" "${exp_dir:=exp/$corpus_name}"
# matplotlib's settings and its list of fonts, else left in the home folder
export MPLCONFIGDIR=${MPLCONFIGDIR:-$exp_dir/.matplotlib}
[ -z "$config" ] || [ -f "$config" ] || fail "--config $config: no such file"
read -ra spec_files <<<"$specs"
for file in ${spec_files[@]+"${spec_files[@]}"}; do
  [ -f "$file" ] || fail "--specs $file: no such file"
done
methods=$(cd "$recipe/decoding/methods" && echo [a-z]*.py)
[[ " $methods " = *" $decoding_method.py "* ]] ||
  fail "--decoding-method $decoding_method: want one of ${methods//.py/}"
[ -z "$loss" ] || set_args+=(--set "loss.backend=$loss")
[ -z "$num_epochs" ] || { whole --num-epochs "$num_epochs"; set_args+=(--set "train.num_epochs=$num_epochs"); }
[ -z "$max_duration" ] || set_args+=(--set "data.max_duration=$max_duration")

# ---- environment -----------------------------------------------------------------------------------------------
if [ -z "$python" ] && [ "$stack" = auto ] && [ -n "${VIRTUAL_ENV:-${CONDA_PREFIX:-}}" ] &&
  python -c 'import torch, lhotse, sentencepiece, kaldialign' 2>/dev/null; then
  python=$(command -v python)
fi
[ -n "$python" ] || python=$(tools/setup_env.sh --stack "$stack")
python=${python#"$PWD/"}
[ -x "$(command -v "$python")" ] || fail "--python $python: not a program"
about_corpus=$("$python" -m local.corpora --corpus "$corpus" --full-libri "$full_libri")
{ read -r default_config && read -r corpus_options && read -r corpus_key; } <<<"$about_corpus"
[[ $default_config == *.yaml ]] || default_config=$recipe/conf/$default_config.yaml
: "${config:=$default_config}"
[ -f "$config" ] || fail "--config $config: no such file"
settings=(--config "$config" ${set_args[@]+"${set_args[@]}"})
# Says what is wrong with a setting or a sparsity now, not after an hour of training.
vocab_size=$("$python" -m "$recipe_module.config" "${settings[@]}" --sparsities "$sparsities" --print model.vocab_size)

# ---- stages ----------------------------------------------------------------------------------------------------
mkdir -p "$exp_dir/log" "$data_dir" || fail "$exp_dir or $data_dir cannot be made"

# run NUMBER COMMAND...: standard output also goes to the log; so does standard error, unless it is a terminal that
# shows progress bars.
run() {
  local why log_file=$exp_dir/log/stage$1.log
  shift
  why=$( { echo "# $*" >>"$log_file"; } 2>&1) || fail "$log_file cannot be written: ${why##*: }"
  if [ -t 2 ]; then
    "$@" | tee -a "$log_file"
  else
    { "$@" 2>&1 1>&3 | tee -a "$log_file" >&2; } 3>&1 | tee -a "$log_file"
  fi
}

# done_already FILE KEY: whether a data stage ended with the settings KEY. Data of other settings are never overwritten.
done_already() {
  [ -f "$1" ] || return 1
  [ "$(cat "$1")" = "$2" ] ||
    fail "$data_dir was made with other settings ($(cat "$1"); now: $2): remove it or give another --data-dir"
}

# mark FILE KEY: that a data stage ended. Whole or absent, also when two runs end at the same instant.
mark() {
  local why
  why=$( { printf '%s\n' "$2" >"$1.tmp.$$" && mv "$1.tmp.$$" "$1"; } 2>&1) && return
  rm -f "$1.tmp.$$"
  fail "$1 cannot be written: ${why##*: }"
}

wanted() {
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ]
}

corpus_key="corpus=$corpus_key download_dir=$download_dir skip_bad=$skip_bad"
for name in $corpus_options; do
  corpus_key+=" $name=${!name}"
done
fbank_key="fbank=$fbank"

if wanted 0; then
  if done_already "$data_dir/.stage0" "$corpus_key"; then
    log "stage 0: $data_dir/manifests is there"
  else
    log "stage 0: corpus $corpus"
    run 0 "$python" -m local.prepare_corpus --corpus "$corpus" --download-dir "$download_dir" --data-dir "$data_dir" \
      --nj "$nj" --skip-bad "$skip_bad" --seed "$seed" --mini-scale "$mini_scale" --full-libri "$full_libri"
    mark "$data_dir/.stage0" "$corpus_key"
  fi
fi

if wanted 1; then
  if done_already "$data_dir/.stage1" "$fbank_key"; then
    log "stage 1: $data_dir/fbank is there"
  else
    log "stage 1: features"
    run 1 "$python" -m local.compute_fbank --data-dir "$data_dir" --nj "$nj" --backend "$fbank"
    mark "$data_dir/.stage1" "$fbank_key"
  fi
fi

if wanted 2; then
  log "stage 2: lang"
  run 2 "$python" -m local.train_bpe --data-dir "$data_dir" --vocab-size "$vocab_size" \
    --lang-dir "$data_dir/lang_bpe_$vocab_size"
fi

if wanted 3; then
  log "stage 3: train"
  launch=("$python" -m)
  if [ "$num_nodes" -gt 1 ]; then
    launch=("$python" -m torch.distributed.run --nnodes "$num_nodes" --node_rank "$node_rank"
      --nproc_per_node "$world_size" --master_addr "${master%:*}" --master_port "${master##*:}" -m)
  elif [ "$world_size" -gt 1 ]; then
    launch=("$python" -m torch.distributed.run --standalone --nproc_per_node "$world_size" -m)
  fi
  # torchrun would give each process one thread
  [ $((num_nodes * world_size)) = 1 ] ||
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$((nj > world_size ? nj / world_size : 1))}
  train=(run 3 "${launch[@]}" "$recipe_module.training" "${settings[@]}" --data-dir "$data_dir" --exp-dir "$exp_dir")
  if [ $((num_nodes * world_size)) = 1 ]; then
    "${train[@]}"
  else
    "${train[@]}" || fail "a process of the training ended (why: above, and $exp_dir/log/train*.log);" \
      "the same command goes on from the last checkpoint"
  fi
fi

if wanted 4; then
  log "stage 4: subnets"
  run 4 "$python" -m "$recipe_module.subnets" "${settings[@]}" --data-dir "$data_dir" --exp-dir "$exp_dir" \
    --sparsities "$sparsities" --values "$values" --command "$command_line" \
    --specs ${spec_files[@]+"${spec_files[@]}"}
  # for whoever runs these files here (python -m omni.runtime)
  built=$("$python" -m omni.runtime.build 2>&1) || log "omni.runtime has no compiled kernels: ${built##*$'\n'}"
fi

if wanted 5; then
  log "stage 5: decode"
  run 5 "$python" -m "$recipe_module.decoding" "${settings[@]}" --data-dir "$data_dir" --exp-dir "$exp_dir" \
    --decoding-method "$decoding_method"
fi

if wanted 6; then
  log "stage 6: report"
  run 6 "$python" -m "$recipe_module.report" --exp-dir "$exp_dir" --data-dir "$data_dir" --command "$command_line"
fi
log "done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
if wanted 6; then
  log "next: open $exp_dir/report.html; the table is in $exp_dir/RESULTS.md, the sub-networks in $exp_dir/subnets"
fi
