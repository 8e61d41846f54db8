#!/usr/bin/env bash
# Makes the project's environment: a Python (found or fetched), the pinned packages of a stack, kaldifeat from source,
# and a check by importing. Needs no root, leaves nothing outside the environment's folder but pip's cache, may be
# killed at any moment and called again; called when all is there it returns at once. Prints the path of the
# environment's Python; what happens meanwhile goes to standard error.
set -u -o pipefail

usage() {
  cat <<'EOF'
usage: tools/setup_env.sh [options]
  --stack STACK     k2: Python 3.10, torch 1.13.1, k2
                    modern: Python 3.11 to 3.13, torch 2.13, the loss in PyTorch
                    auto: k2 where its wheel fits this machine, else modern   (auto)
  --venv DIR        where the environment is made         (.venv; of modern .venv-modern)
  --python PATH     the Python to make it from            (searched: PATH, pyenv, uv, conda)
  --no-kaldifeat    leave kaldifeat out (lhotse's own fbank serves)
  --kaldifeat       build kaldifeat though it was left out or failed before
  --dry-run         print what would be used, change nothing
EOF
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 2
. "$root/tools/env/steps.sh"
. "$root/tools/env/python.sh"
. "$root/tools/kaldifeat/build.sh"

stack=auto
venv=
wanted_python=
kaldifeat=auto # auto | on | off
dry_run=0
while [ $# -gt 0 ]; do
  case $1 in
    --stack) stack=${2:?--stack wants k2, modern or auto}; shift ;;
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

# What other tools set for their own packages must not leak into this environment.
unset PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV MAKEFLAGS
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PYTHONNOUSERSITE=1

why=
case $stack in
  auto) choose_stack ;;
  k2)
    why=$(no_k2_here)
    case $why in *wheel*) die "--stack k2: $why (--stack modern needs no k2)" ;; esac
    [ -z "$why" ] || note "$why: training will run on the CPU (--stack modern uses the GPU)"
    ;;
  modern) ;;
  *) die "--stack $stack: want k2, modern or auto" ;;
esac
case $stack in
  k2) : "${venv:=$root/.venv}" && requirements=requirements.txt needs_gb=6 python_name="Python 3.10" ;;
  modern) : "${venv:=$root/.venv-modern}" && requirements=tools/env/modern.txt needs_gb=3 python_name="Python 3.11" ;;
esac
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
py=$venv/bin/python
[ "$stack" = k2 ] || [ -z "$why" ] || note "stack $stack: $why"

# ---- is it whole already? --------------------------------------------------------------------------------------
# .omni_ok     written last: the key of what was installed, and what became of kaldifeat
# .omni_state  who made the environment (ours | adopted), and `installing` or the key of the packages that are whole
# The key changes with the requirements, so that changed ones are installed by the next call.
setup_version=1
checksum() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
files=("$root/$requirements" "$root/tools/kaldifeat/requirements.txt")
[ "$stack" = modern ] || files+=("$root/tools/env/k2.txt")
key=$(cat "${files[@]}" | checksum) || exit 2
key=$setup_version-${key%% *}

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

finish() {
  echo "$py"
  exit 0
}

if [ $dry_run = 1 ]; then
  echo "stack: $stack${why:+ ($why)}"
  is_whole && echo "state: whole" || echo "state: to do"
  echo "environment: $venv"
  if [ -n "$wanted_python" ]; then
    given_python "$stack" "$wanted_python"
  else
    find_python "$stack" || python="none here$refused; would be fetched by uv or conda"
  fi
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
is_whole && finish

# ---- one set-up at a time --------------------------------------------------------------------------------------
# The lock is on the project's folder itself, so no file is left behind; it ends with the last process that holds it, so
# a pip that outlives a killed set-up is waited for.
exec 9<"$root"
if command -v flock >/dev/null && ! flock -n 9; then
  note "another set-up of this project is running; waiting for it"
  flock 9
fi
is_whole && finish

plain_tmp=
cleanup() {
  stop_ticker
  rm -rf "$venv/.build" ${plain_tmp:+"$plain_tmp"}
}
trap cleanup EXIT
trap 'echo >&2; echo "stopped; the same command goes on from here" >&2; exit 130' INT TERM

# ---- 1: the empty environment ----------------------------------------------------------------------------------
total=$SECONDS
owner=adopted packages=
[ -f "$venv/.omni_state" ] && read -r owner packages <"$venv/.omni_state"
if [ "$owner" = ours ] && { [ "$packages" = installing ] || ! fits "$stack" "$py"; }; then
  # What a killed pip left half-written looks whole to the next one.
  note "a set-up of $venv was stopped half-way, or its Python is gone: beginning it again"
  rm -rf "$venv" || die "$venv cannot be removed"
fi
if [ -e "$venv" ] && [ -n "$(ls -A "$venv" 2>/dev/null)" ]; then
  [ -f "$venv/pyvenv.cfg" ] && fits "$stack" "$py" ||
    die "$venv is not an environment of $python_name for stack $stack: remove it, or give another folder by --venv"
  log=$venv/setup.log
  rm -f "$venv/.omni_ok"
else
  # a wrong --python ends here, before anything is made
  if [ -n "$wanted_python" ]; then given_python "$stack" "$wanted_python"; else find_python "$stack" || python=; fi
  mkdir -p "$venv" || die "$venv cannot be made"
  free=$(df -Pk "$venv" | awk 'NR == 2 { print int($4 / 1024 / 1024) }')
  [ "${free:-99}" -ge $needs_gb ] || {
    rmdir "$venv"
    die "$venv: making the environment takes $needs_gb GB of disk, $free GB are free there: free some," \
      "or --venv DIR on another disk"
  }
  log=$venv/setup.log
  owner=ours packages=installing
  put "$venv/.omni_state" "$owner $packages"
  : >"$log"
  step 1 "$python_name"
  if [ -z "$python" ]; then
    note "no $python_name here$refused; trying to fetch one"
    obtain_python "$stack" || {
      why=$(first_error)
      rm -rf "$venv"
      version=${python_name#Python }
      ways="pyenv install $version, uv python install $version, conda create -n py${version/./} python=$version,"
      ways+=" apt install python$version-venv"
      [ "$stack" = modern ] || ways+="; $why_310"
      die "no $python_name found$refused, and none could be fetched ($why):" \
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

install_packages() {
  # k2 anew, whatever is there: that of another Python has the same version.
  [ "$stack" = modern ] || pip_install --force-reinstall --no-deps -r "$root/tools/env/k2.txt" || return
  pip_install -r "$root/$requirements"
}

# ---- 2: packages -----------------------------------------------------------------------------------------------
if [ "$packages" != "$key" ]; then
  [ "$owner" = adopted ] || put "$venv/.omni_state" "ours installing"
  step 2 "packages of $requirements (one or two minutes)"
  pip_version=$("$py" -c 'import pip; print(pip.__version__.split(".")[0])' 2>>"$log") ||
    die "$py has no pip; log: $log"
  if [ "$stack" = k2 ] && [ "$pip_version" -ge 24 ]; then # refuses the file name of k2's wheel
    pip_install 'pip<24' || die "pip<24 could not be installed: $(first_error); log: $log"
  fi
  if ! install_packages; then
    reason=$(first_error)
    # pip then says "no version found", which sends one looking in the wrong place
    grep -q -E 'connection broken|NewConnectionError|NameResolutionError' "$log" &&
      reason="the package index was not reached; $reason"
    die "pip could not install the packages: $reason; log: $log"
  fi
  put "$venv/.omni_state" "$owner $key"
  done_step
fi

# ---- 3: kaldifeat ----------------------------------------------------------------------------------------------
fallback="lhotse's own fbank will be used"
again="tools/setup_env.sh --stack $stack --kaldifeat"
case $venv in "$root/.venv" | "$root/.venv-modern") ;; *) again+=" --venv $venv" ;; esac
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

# ---- 4: does it all import? ------------------------------------------------------------------------------------
step 4 "check: import everything, a transducer loss, a kaldifeat fbank"
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
echo "environment ready after $((SECONDS - total)) s: $venv" >&2
finish
