# Builds kaldifeat from PyPI's source package. Sourced by tools/setup_env.sh, whose $py, $venv, $root and `pip_install`
# it uses.

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

# A cmake that knows cmake_language(DEFER) (3.19): the machine's, or PyPI's in the build folder. Puts it on PATH.
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
    -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DCMAKE_CXX_STANDARD=17 \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_INSTALL_INCLUDEDIR=include)
  export KALDIFEAT_MAKE_ARGS KALDIFEAT_CMAKE_ARGS
  # kaldifeat's setup.py does not quote its own path
  case $TMPDIR in *[[:space:]]*) export TMPDIR=$plain_tmp ;; esac
  # no pip cache: a wheel built against another torch may lie there under the same name
  pip_install -v --no-deps --no-build-isolation --no-cache-dir -r "$stand_ins/requirements.txt" &&
    kaldifeat_works
)
