#!/usr/bin/env bash
# Makes the project's environment: a Python 3.10 (found or fetched), the pinned packages, kaldifeat from
# source, and a check by importing. Needs no root, leaves nothing outside the environment's folder but
# pip's cache, may be killed at any moment and called again; called when all is there it returns at once.
set -u -o pipefail

usage() {
  cat <<'EOF'
usage: tools/setup_env.sh [options]
  --venv DIR        where the environment is made                   (.venv in the project)
  --python PATH     the Python 3.10 to make it from                 (searched: PATH, pyenv, uv, conda)
  --no-kaldifeat    leave kaldifeat out (lhotse's own fbank serves)
  --kaldifeat       build kaldifeat though it was left out or failed before
  --dry-run         print what would be used, change nothing
EOF
}

ticker= # the process that shows the seconds of a step on a terminal
stop_ticker() {
  [ -n "$ticker" ] || return 0
  kill "$ticker" 2>/dev/null
  wait "$ticker" 2>/dev/null
  ticker=
  printf '\r\033[K'
}

die() {
  stop_ticker
  echo "error: $*" >&2
  exit 2
}

note() { echo "note: $*" >&2; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
venv=$root/.venv
wanted_python=
kaldifeat=auto # auto | on | off
dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --venv) venv=${2:?--venv wants a folder}; shift ;;
    --python) wanted_python=${2:?--python wants a program}; shift ;;
    --no-kaldifeat) kaldifeat=off ;;
    --kaldifeat) kaldifeat=on ;;
    --dry-run) dry_run=1 ;;
    --help | -h) usage; exit 0 ;;
    *) die "unknown option $1 (tools/setup_env.sh --help lists them)" ;;
  esac
  shift
done
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
py=$venv/bin/python

# ---- is it whole already? ------------------------------------------------------------------------------
# .omni_ok     written last: the key of what was installed, and what became of kaldifeat
# .omni_state  who made the environment (ours | adopted), and `installing` or the key of the packages that are
#              whole
# The key changes with requirements.txt, so that a changed one is installed by the next call.
setup_version=1
key=$(cat "$root/requirements.txt" "$root/tools/kaldifeat/requirements.txt" | sha256sum) || exit 2
key=$setup_version-${key%% *}

compiler() {
  local name
  for name in ${CXX:+"$CXX"} c++ g++ clang++; do
    command -v "$name" >/dev/null && { echo "$name"; return 0; }
  done
  return 1
}

# Why kaldifeat cannot be built here; nothing if it can.
no_compiler() {
  if ! compiler >/dev/null; then
    echo "no C++ compiler (g++ or clang++)"
  elif ! command -v make >/dev/null; then
    echo "no make"
  fi
}

is_whole() {
  local stamp state
  [ -x "$py" ] && [ -f "$venv/.omni_ok" ] || return 1
  { read -r stamp && read -r state; } <"$venv/.omni_ok" || return 1
  [ "$stamp" = "$key" ] || return 1
  case $kaldifeat.$state in
    *.yes | off.* | auto.off | auto.failed) return 0 ;;
    auto.no-compiler) [ -n "$(no_compiler)" ] ;; # one was installed since: build
    *) return 1 ;;
  esac
}

[ $dry_run = 0 ] && is_whole && exit 0

# ---- find a Python 3.10 --------------------------------------------------------------------------------
# What other tools set for their own packages must not leak into this environment.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV MAKEFLAGS
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONNOUSERSITE=1

why_310="k2's wheel on PyPI is for CPython 3.10 alone"
no_ensurepip="lacks the module ensurepip (Debian, Ubuntu: the package python3.10-venv)"

is_310() {
  "$1" -c 'import sys
is_310 = sys.version_info[:2] == (3, 10) and sys.implementation.name == "cpython" and sys.maxsize > 2**32
raise SystemExit(not is_310)' </dev/null >/dev/null 2>&1
}

makes_environments() { "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; }

# One path a line, best first. Every one is tried by running it: a pyenv shim named python3.10 may refuse to
# run.
candidates() {
  local name base uv_python data_home=${XDG_DATA_HOME:-${HOME:-}/.local/share}
  for name in python3.10 python3 python; do type -ap "$name"; done
  for base in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null)" "${HOME:-}/.pyenv"; do
    [ -n "$base" ] && ls -d "$base"/versions/3.10*/bin/python 2>/dev/null | sort -Vr
  done
  uv_python=$(UV_PYTHON_DOWNLOADS=never uv python find 3.10 2>/dev/null) && echo "$uv_python"
  ls -d "${UV_PYTHON_INSTALL_DIR:-$data_home/uv/python}"/cpython-3.10*/bin/python3.10 2>/dev/null | sort -Vr
  for base in "${CONDA_EXE:+${CONDA_EXE%/*/*}}" "${MAMBA_ROOT_PREFIX:-}" \
    "${HOME:-}"/{miniconda3,miniforge3,mambaforge,anaconda3}; do
    [ -n "$base" ] && ls -d "$base/bin/python3.10" "$base"/envs/*/bin/python3.10 2>/dev/null
  done
}

# Sets `python`, or returns 1 with the reason in `refused`.
find_python() {
  local path
  python= refused=
  if [ -n "$wanted_python" ]; then
    python=$(command -v "$wanted_python") || die "--python $wanted_python: no such program"
    is_310 "$python" || die "--python $wanted_python: not a Python 3.10 that runs ($why_310)"
    makes_environments "$python" || die "--python $wanted_python: it $no_ensurepip"
    return 0
  fi
  while IFS= read -r path; do
    is_310 "$path" || continue
    if makes_environments "$path"; then python=$path; return 0; fi
    refused="; $path $no_ensurepip"
  done < <(candidates)
  return 1
}

# Fetches a Python 3.10 into $venv/.python where the network allows: by uv (from PyPI if it is not here), or
# conda. Sets `python`.
obtain_python() {
  local tool name
  rm -rf "$venv/.python" "$venv/.uv"
  tool=$(command -v uv)
  if [ -z "$tool" ]; then
    for name in python3 python; do
      "$name" -m pip install --target "$venv/.uv" uv </dev/null >>"$log" 2>&1 || continue
      tool=$venv/.uv/bin/uv
      break
    done
  fi
  if [ -n "$tool" ]; then
    UV_PYTHON_INSTALL_DIR=$venv/.python UV_PYTHON_INSTALL_BIN=0 \
      "$tool" python install 3.10 </dev/null >>"$log" 2>&1
    python=$(ls -d "$venv"/.python/cpython-3.10*/bin/python3.10 2>/dev/null | head -n 1)
    rm -rf "$venv/.uv"
    [ -n "$python" ] && is_310 "$python" && return 0
  fi
  for name in mamba conda micromamba; do
    command -v "$name" >/dev/null || continue
    "$name" create -y -q -p "$venv/.python" python=3.10 </dev/null >>"$log" 2>&1 || continue
    python=$venv/.python/bin/python3.10
    is_310 "$python" && return 0
  done
  return 1
}

machine=$(uname -sm)
[ "$machine" = "Linux x86_64" ] || die "this is $machine: k2's wheel on PyPI is for Linux x86_64 alone"

if [ $dry_run = 1 ]; then
  is_whole && echo "state: whole" || echo "state: to do"
  echo "environment: $venv"
  find_python || python="none here$refused; would be fetched by uv or conda"
  echo "python: $python"
  reason=$(no_compiler)
  if [ $kaldifeat = off ]; then
    echo "kaldifeat: left out"
  elif [ -n "$reason" ]; then
    echo "kaldifeat: $reason; lhotse's own fbank will be used"
  else
    echo "kaldifeat: built by $(compiler)"
  fi
  exit 0
fi

# ---- one set-up at a time ------------------------------------------------------------------------------
# The lock is on the project's folder itself, so no file is left behind; it ends with the last process that
# holds it, so a pip that outlives a killed set-up is waited for.
exec 9<"$root"
if command -v flock >/dev/null && ! flock -n 9; then
  note "another set-up of this project is running; waiting for it"
  flock 9
fi
is_whole && exit 0

plain_tmp=
cleanup() {
  stop_ticker
  rm -rf "$venv/.build" ${plain_tmp:+"$plain_tmp"}
}
trap cleanup EXIT
trap 'echo; echo "stopped; the same command goes on from here" >&2; exit 130' INT TERM

# step NUMBER TEXT: says what begins; on a terminal, what the log says last and the seconds tick below until
# `done_step`.
step() {
  echo "[setup $1/4] $2"
  printf '\n==== %s\n' "$2" >>"$log"
  began=$SECONDS
  [ -t 1 ] || return 0
  (
    trap - EXIT INT TERM
    exec 9<&-
    while sleep 1 && kill -0 $$ 2>/dev/null; do
      printf '\r\033[K  %d s  %s' $((SECONDS - began)) "$(tail -n 1 "$log" | tr -d '\r' | cut -c 1-70)"
    done
  ) &
  ticker=$!
}

done_step() {
  stop_ticker
  echo "            ${1:-done} in $((SECONDS - began)) s"
}

# What the log first complains of in this step, for the one line that we print.
first_error() {
  local line
  line=$(awk '
    /^==== / { found = ""; open = 0; next }
    open && NF { sub(/^ +/, ""); found = found " " $0; open = 0 }
    found == "" && tolower($0) ~ /(^|[^a-z])error(:| at )|no space left on device/ {
      found = $0; sub(/^ +/, "", found); open = /:$/
    }
    END { print substr(found, 1, 300) }' "$log")
  echo "${line:-no error line}"
}

put() { printf '%s\n' "${@:2}" >"$1.tmp" && mv "$1.tmp" "$1" || die "$1 cannot be written (disk full?)"; }

# ---- 1: the empty environment --------------------------------------------------------------------------
total=$SECONDS
owner=adopted packages=
[ -f "$venv/.omni_state" ] && read -r owner packages <"$venv/.omni_state"
if [ "$owner" = ours ] && { [ "$packages" = installing ] || ! is_310 "$py"; }; then
  # What a killed pip left half-written looks whole to the next one.
  note "a set-up of $venv was stopped half-way, or its Python is gone: beginning it again"
  rm -rf "$venv" || die "$venv cannot be removed"
fi
if [ -e "$venv" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
  [ -f "$venv/pyvenv.cfg" ] && is_310 "$py" ||
    die "$venv is not an environment of Python 3.10 ($why_310): remove it, or give another folder by --venv"
  log=$venv/setup.log
  rm -f "$venv/.omni_ok"
else
  find_python || python= # a wrong --python ends here, before anything is made
  mkdir -p "$venv" || die "$venv cannot be made"
  log=$venv/setup.log
  owner=ours packages=installing
  put "$venv/.omni_state" "$owner $packages"
  free=$(df -Pk "$venv" | awk 'NR == 2 { print int($4 / 1024 / 1024) }')
  [ "${free:-99}" -ge 5 ] || die "$venv: the environment takes 4 GB, $free GB of disk are free there"
  : >"$log"
  step 1 "Python 3.10"
  if [ -z "$python" ]; then
    note "no Python 3.10 here$refused; trying to fetch one"
    obtain_python || {
      why=$(first_error)
      rm -rf "$venv"
      ways="pyenv install 3.10, uv python install 3.10, conda create -n py310 python=3.10,"
      ways+=" apt install python3.10-venv"
      die "no Python 3.10 found ($why_310)$refused, and none could be fetched ($why):" \
        "install one ($ways) or give its path by --python"
    }
  fi
  "$python" -m venv "$venv" >>"$log" 2>&1 || die "$python -m venv failed ($(first_error)); log: $log"
  done_step "$("$py" --version) from $python"
fi
rm -rf "$venv/.build"
mkdir -p "$venv/.build" || die "$venv/.build cannot be made"
# pip unpacks gigabytes: /tmp may be small, and what a kill leaves here is removed by the next call.
export TMPDIR=$venv/.build

pip_install() { "$py" -m pip install --progress-bar off "$@" >>"$log" 2>&1; }

# ---- 2: packages ---------------------------------------------------------------------------------------
if [ "$packages" != "$key" ]; then
  [ "$owner" = adopted ] || put "$venv/.omni_state" "ours installing"
  step 2 "packages of requirements.txt (2 GB; one or two minutes)"
  pip_version=$("$py" -c 'import pip; print(pip.__version__.split(".")[0])' 2>>"$log") ||
    die "$py has no pip; log: $log"
  if [ "$pip_version" -ge 24 ]; then # refuses the file name of k2's wheel
    pip_install 'pip<24' || die "pip<24 could not be installed: $(first_error); log: $log"
  fi
  if ! pip_install -r "$root/requirements.txt"; then
    reason=$(first_error)
    # pip then says "no version found", which sends one looking in the wrong place
    grep -q -E 'connection broken|NewConnectionError|NameResolutionError' "$log" &&
      reason="the package index was not reached; $reason"
    die "pip could not install the packages: $reason; log: $log"
  fi
  put "$venv/.omni_state" "$owner $key"
  done_step
fi

# ---- 3: kaldifeat --------------------------------------------------------------------------------------
kaldifeat_works() {
  "$py" -c 'import torch, kaldifeat; kaldifeat.Fbank(kaldifeat.FbankOptions())(torch.zeros(16000))' \
    </dev/null >>"$log" 2>&1
}

# By hand, not by pip: what a killed pip left has no list of its files.
remove_kaldifeat() {
  local site
  site=$("$py" -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && [ -n "$site" ] || return 1
  rm -rf "$site"/kaldifeat "$site"/kaldifeat-*.dist-info "$site"/_kaldifeat.*
}

# A cmake that knows cmake_language(DEFER) (3.19): the machine's, or PyPI's in the build folder. Puts it on
# PATH.
ensure_cmake() {
  local major minor
  IFS=. read -r major minor _ < <(cmake --version 2>/dev/null | sed -n 's/^cmake version //p')
  [ "${major:-0}" -gt 3 ] || { [ "${major:-0}" = 3 ] && [ "$minor" -ge 19 ]; } && return 0
  pip_install --target "$venv/.build/cmake" 'cmake>=3.19' || return 1
  PATH=$venv/.build/cmake/cmake/data/bin:$PATH
}

build_kaldifeat() (
  remove_kaldifeat && ensure_cmake || exit 1
  stand_ins=$root/tools/kaldifeat
  KALDIFEAT_MAKE_ARGS=-j$(nproc 2>/dev/null || echo 2)
  KALDIFEAT_CMAKE_ARGS=$(printf '%q ' -G "Unix Makefiles" -DCMAKE_BUILD_TYPE=Release \
    "-DPYTHON_EXECUTABLE=$py" \
    "-DFETCHCONTENT_SOURCE_DIR_PYBIND11=$stand_ins/pybind11" \
    "-DTorch_DIR=$stand_ins/torch" \
    "-DCMAKE_PROJECT_kaldifeat_INCLUDE=$stand_ins/project.cmake" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_INCLUDEDIR=include)
  export KALDIFEAT_MAKE_ARGS KALDIFEAT_CMAKE_ARGS
  # kaldifeat's setup.py does not quote its own path
  case $TMPDIR in *[[:space:]]*) export TMPDIR=$plain_tmp ;; esac
  # no pip cache: a wheel built against another torch may lie there under the same name
  pip_install -v --no-deps --no-build-isolation --no-cache-dir -r "$stand_ins/requirements.txt" &&
    kaldifeat_works
)

fallback="lhotse's own fbank will be used"
again="tools/setup_env.sh --kaldifeat"
[ "$venv" = "$root/.venv" ] || again+=" --venv $venv"
reason=$(no_compiler)
if [ $kaldifeat = off ]; then
  outcome=off
elif kaldifeat_works; then
  outcome=yes
elif [ -n "$reason" ]; then
  outcome=no-compiler
  note "$reason: kaldifeat is left out, $fallback (to have it: install g++ and make, then run $again)"
else
  step 3 "kaldifeat from source (about a minute)"
  case $venv in *[[:space:]]*) plain_tmp=$(TMPDIR= mktemp -d) ;; esac
  if build_kaldifeat; then
    outcome=yes
    done_step
  else
    outcome=failed
    done_step failed
    note "kaldifeat could not be built ($(first_error)), $fallback; log: $log; to try again: $again"
    remove_kaldifeat
  fi
fi

# ---- 4: does it all import? ----------------------------------------------------------------------------
step 4 "check: import everything, a k2 loss, a kaldifeat fbank"
(cd "$root" && "$py" -m tools.preflight --this-python --import-all) >"$venv/.build/check" 2>&1
code=$?
cat "$venv/.build/check" >>"$log"
if [ $code != 0 ]; then
  done_step failed
  cat "$venv/.build/check" >&2
  die "the environment is installed but does not work (lines above); log: $log"
fi
put "$venv/.omni_ok" "$key" "$outcome"
done_step
echo "environment ready after $((SECONDS - total)) s: $venv"
