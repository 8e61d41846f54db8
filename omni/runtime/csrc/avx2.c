/* AVX2 with FMA: 8 floats a register, 16 registers. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "internal.h"

#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) avx2_##x
#include "lanes8.h"
#include "tiles.h"

const omni_kernels omni_avx2 = {"avx2", avx2_sparse, avx2_dense};
#endif
