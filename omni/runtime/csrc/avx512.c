/* AVX-512: 16 floats a register, 32 registers. Blocks whose rows are no multiple of 16 go to avx512_halves.c. */
#if defined(__x86_64__)
#include <immintrin.h>

#include "internal.h"

#define TARGET __attribute__((target(AVX512)))
#define NAME(x) avx512_##x
#define LANES 16
#define MAX_ROWS 12
#define MAX_ROWS_2 6
#define REGISTERS 12

typedef __m512 vec;

INLINE TARGET vec load(const float *p) { return _mm512_loadu_ps(p); }
INLINE TARGET vec load_int8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
INLINE TARGET void store(float *p, vec a) { _mm512_storeu_ps(p, a); }
INLINE TARGET vec broadcast(const float *p) { return _mm512_set1_ps(*p); }
INLINE TARGET vec zero(void) { return _mm512_setzero_ps(); }
INLINE TARGET vec muladd(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
INLINE TARGET vec add(vec a, vec b) { return _mm512_add_ps(a, b); }

#include "tiles.h"

static void sparse(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows, float *xt)
{
    if (w->block_rows % LANES == 0)
        avx512_sparse(w, x, ldx, y, ldy, rows, xt);
    else
        omni_avx512_halves.sparse(w, x, ldx, y, ldy, rows, xt);
}

const omni_kernels omni_avx512 = {"avx512", sparse, avx512_dense};
#endif
