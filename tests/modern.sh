#!/usr/bin/env bash
# The tests of omni with the newest torch, in an environment of their own (.venv-modern, Python 3.11 if there is one).
#   tests/modern.sh [arguments of pytest]
set -eou pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv-modern
requirements=tests/requirements-modern.txt
py=$PWD/$venv/bin/python

# Every candidate is tried by running it: a pyenv shim may refuse to run.
find_python() {
  local path
  for path in python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python python3.12 python3.13 python3 python3.10 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[0-3]*/bin/python; do
    if "$path" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' </dev/null >/dev/null 2>&1; then
      echo "$path"
      return 0
    fi
  done
  echo "error: no Python 3.10 or later with venv and ensurepip found (Debian, Ubuntu: apt install python3-venv)" >&2
  return 2
}

if ! cmp -s "$requirements" "$venv/.installed"; then # written last: what a killed install left is made anew
  rm -rf "$venv"
  python=$(find_python)
  echo "making $venv from $python: $(grep -o '^torch==[0-9.]*' "$requirements")"
  "$python" -m venv "$venv"
  if ! "$py" -m pip install --disable-pip-version-check -q -r "$requirements" >"$venv/install.log" 2>&1; then
    echo "error: $requirements could not be installed: $(grep -m 1 ERROR "$venv/install.log"); log: $venv/install.log" >&2
    exit 2
  fi
  cp "$requirements" "$venv/.installed"
fi
export PYTHONPATH=$PWD OMP_NUM_THREADS=1
[ $# -gt 0 ] || set -- tests/omni tests/docs
exec "$py" -m pytest "$@"
