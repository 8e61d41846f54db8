# Read by CMake right after kaldifeat's own project() call (CMAKE_PROJECT_kaldifeat_INCLUDE). The deferred
# call runs at the end of kaldifeat's CMakeLists.txt, when its targets are known.

# The time goes into reading torch's headers. Compiling as published took 265 s of one core (g++ 12),
# with five sources a unit 70 s, with one unit a library 36 s, and 29 s so with -O1. What runs later is
# torch's code: fbank by -O1 and by -O3 gave the same numbers at the same speed.
set(CMAKE_CXX_FLAGS_RELEASE "-O1 -DNDEBUG")
add_compile_options(-include cstdint)  # torch 1.13's headers miss it, and from g++ 13 on no other brings it
cmake_language(DEFER CALL omni_adjust_targets)

function(omni_adjust_targets)
  # A program of kaldifeat's own that `install` would build and nobody would run.
  set_target_properties(test_kaldifeat PROPERTIES EXCLUDE_FROM_ALL ON)

  # One compilation unit a library (0: no limit to what a unit holds).
  set_target_properties(kaldifeat_core _kaldifeat PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)

  # As published, the installed module does not find its own library. Relative paths keep the wheel movable.
  set_target_properties(kaldifeat_core _kaldifeat PROPERTIES INSTALL_RPATH_USE_LINK_PATH OFF)
  set_target_properties(_kaldifeat PROPERTIES INSTALL_RPATH "$ORIGIN/kaldifeat/lib:$ORIGIN/torch/lib")
  set_target_properties(kaldifeat_core PROPERTIES INSTALL_RPATH "$ORIGIN/../../torch/lib")
endfunction()
