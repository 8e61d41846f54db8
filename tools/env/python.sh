# Which stack this machine takes, and the Python for it. Sourced by tools/setup_env.sh.
#   k2      Python 3.10, torch 1.13.1 and k2 of requirements.txt
#   modern  Python 3.11 to 3.13, the torch of tools/env/modern.txt, the native loss

why_310="k2's wheel on PyPI is for CPython 3.10 alone"

no_ensurepip() {
  local version
  version=$("$1" --version 2>/dev/null | sed -E 's/^Python ([0-9]+\.[0-9]+).*/\1/')
  echo "lacks the module ensurepip (Debian, Ubuntu: the package python$version-venv)"
}

# fits STACK PYTHON. Every candidate is tried by running it: a pyenv shim named python3.10 may refuse to run.
fits() {
  local lowest=10 highest=10
  [ "$1" = k2 ] || lowest=11 highest=13
  "$2" -c "import sys
want = sys.implementation.name == 'cpython' and sys.maxsize > 2**32
want = want and (3, $lowest) <= sys.version_info[:2] <= (3, $highest)
raise SystemExit(not want)" </dev/null >/dev/null 2>&1
}

makes_environments() { "$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1; }

# candidates VERSION...: one path a line, best first.
candidates() {
  local version name base uv_python data_home=${XDG_DATA_HOME:-${HOME:-}/.local/share}
  for version in "$@"; do
    type -ap "python$version"
    for base in "${PYENV_ROOT:-}" "$(pyenv root 2>/dev/null)" "${HOME:-}/.pyenv"; do
      [ -n "$base" ] && ls -d "$base/versions/$version"*/bin/python 2>/dev/null | sort -Vr
    done
    uv_python=$(UV_PYTHON_DOWNLOADS=never uv python find "$version" 2>/dev/null) && echo "$uv_python"
    ls -d "${UV_PYTHON_INSTALL_DIR:-$data_home/uv/python}/cpython-$version"*/bin/"python$version" 2>/dev/null | sort -Vr
    for base in "${CONDA_EXE:+${CONDA_EXE%/*/*}}" "${MAMBA_ROOT_PREFIX:-}" \
      "${HOME:-}"/{miniconda3,miniforge3,mambaforge,anaconda3}; do
      [ -n "$base" ] && ls -d "$base/bin/python$version" "$base"/envs/*/bin/"python$version" 2>/dev/null
    done
  done
  for name in python3 python; do type -ap "$name"; done
}

versions_of() { if [ "$1" = k2 ]; then echo 3.10; else echo 3.11 3.12 3.13; fi; }

# find_python STACK: sets `python`, or returns 1 with the reason in `refused`.
find_python() {
  local path
  python= refused=
  while IFS= read -r path; do
    fits "$1" "$path" || continue
    if makes_environments "$path"; then python=$path; return 0; fi
    refused="; $path $(no_ensurepip "$path")"
  done < <(candidates $(versions_of "$1"))
  return 1
}

# given_python STACK PATH: sets `python`, or ends.
given_python() {
  local want="a Python 3.10 that runs ($why_310; for a newer one: --stack modern)"
  [ "$1" = k2 ] || want="a Python 3.11 to 3.13 that runs"
  python=$(command -v "$2") || die "--python $2: no such program"
  fits "$1" "$python" || die "--python $2: not $want"
  makes_environments "$python" || die "--python $2: it $(no_ensurepip "$python")"
}

# obtain_python STACK: fetches one into $venv/.python where the network allows, by uv (from PyPI if it is not here), or
# conda. Sets `python`.
obtain_python() {
  local tool name version
  version=$(versions_of "$1")
  version=${version%% *}
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
      "$tool" python install "$version" </dev/null >>"$log" 2>&1
    python=$(ls -d "$venv/.python/cpython-$version"*/bin/"python$version" 2>/dev/null | head -n 1)
    rm -rf "$venv/.uv"
    [ -n "$python" ] && fits "$1" "$python" && return 0
  fi
  for name in mamba conda micromamba; do
    command -v "$name" >/dev/null || continue
    "$name" create -y -q -p "$venv/.python" "python=$version" </dev/null >>"$log" 2>&1 || continue
    python=$venv/.python/bin/python$version
    fits "$1" "$python" && return 0
  done
  return 1
}

# Why the k2 stack cannot serve this machine; nothing if it can.
no_k2_here() {
  local machine capability
  machine=$(uname -sm)
  [ "$machine" = "Linux x86_64" ] || { echo "k2's wheel on PyPI is for Linux x86_64, this is $machine"; return; }
  for capability in $(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null); do
    case $capability in
      [1-8].[0-9]) ;;
      [0-9]*.[0-9]*)
        echo "k2's torch 1.13 has no code for this GPU (compute capability $capability)"
        return
        ;;
    esac
  done
}

# choose_stack: sets `stack` (k2 | modern) and `why`, for --stack auto.
choose_stack() {
  stack=modern
  why=$(no_k2_here)
  [ -z "$why" ] || return 0
  if [ -n "$wanted_python" ]; then
    fits modern "$wanted_python" && { why="$why_310, $wanted_python is newer"; return 0; }
  elif [ ! -f "$root/.venv/.omni_ok" ] && ! find_python k2 && find_python modern; then
    why="$why_310, none is here$refused"
    return 0
  fi
  stack=k2 why="k2's wheel fits this machine"
}
