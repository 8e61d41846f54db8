/* AVX-512 on half registers, 8 floats, for blocks whose rows are no multiple of 16: there are 32 registers, and a
 * multiply-add broadcasts its activation itself. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "internal.h"

#define TARGET __attribute__((target(AVX512)))
#define NAME(x) halves_##x
#define LANES 8
#define MAX_ROWS 12
#define MAX_ROWS_2 6
#define REGISTERS 12

typedef __m256 vec;

INLINE TARGET vec load(const float *p) { return _mm256_loadu_ps(p); }
INLINE TARGET vec load_int8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
INLINE TARGET void store(float *p, vec a) { _mm256_storeu_ps(p, a); }
INLINE TARGET vec broadcast(const float *p) { return _mm256_broadcast_ss(p); }
INLINE TARGET vec zero(void) { return _mm256_setzero_ps(); }
INLINE TARGET vec muladd(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
INLINE TARGET vec add(vec a, vec b) { return _mm256_add_ps(a, b); }

#include "tiles.h"

const omni_kernels omni_avx512_halves = {"avx512 halves", halves_sparse, halves_dense};
#endif
