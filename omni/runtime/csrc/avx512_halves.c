/* AVX-512 on half registers, 8 floats, for blocks whose rows are no multiple of 16: there are 32 registers, and a
 * multiply-add broadcasts its activation itself. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "internal.h"

#define TARGET __attribute__((target(AVX512)))
#define NAME(x) halves_##x
#include "lanes8.h"
#include "tiles.h"

const omni_kernels omni_avx512_halves = {"avx512 halves", halves_sparse, halves_dense};
#endif
