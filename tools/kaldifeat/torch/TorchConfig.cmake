# Answers kaldifeat's find_package(Torch): the config inside a CUDA build of torch stops without a CUDA
# toolkit, which a machine that only runs torch has no need of. kaldifeat calls ATen's CPU-side interface
# alone (that dispatches to CUDA when the tensors lie there), so these two libraries are all it must link.
# TORCH_DIR (torch's folder) is set by kaldifeat's cmake/torch.cmake before it looks for this file.
execute_process(
  COMMAND "${PYTHON_EXECUTABLE}" -c "import torch; print(int(torch.compiled_with_cxx11_abi()))"
  OUTPUT_VARIABLE cxx11_abi OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# Must be as torch itself was compiled, or no symbol with a std::string in it links.
set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=${cxx11_abi}")
set(TORCH_INCLUDE_DIRS "${TORCH_DIR}/include" "${TORCH_DIR}/include/torch/csrc/api/include")

add_library(torch INTERFACE)
target_include_directories(torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_compile_options(torch INTERFACE ${TORCH_CXX_FLAGS})
target_link_libraries(torch INTERFACE "${TORCH_DIR}/lib/libtorch_cpu.so" "${TORCH_DIR}/lib/libc10.so")
set(TORCH_LIBRARIES torch)
set(Torch_FOUND TRUE)
