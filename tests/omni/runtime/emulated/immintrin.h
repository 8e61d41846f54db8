/* The few operations on 512-bit registers that avx512.c uses, by the compiler's own vectors: what its loops do can be
 * tested on a processor without AVX-512 (-DAVX512='"avx2,fma"'). That the instructions do the same is not. */
#ifndef EMULATED_IMMINTRIN_H
#define EMULATED_IMMINTRIN_H

#include_next <immintrin.h>
#include <string.h>

#define EMULATION static inline __attribute__((always_inline, target("avx2,fma")))

typedef float floats __attribute__((vector_size(64)));
typedef int ints __attribute__((vector_size(64)));

EMULATION floats emulated_load(const float *p)
{
    floats a;
    memcpy(&a, p, sizeof a);
    return a;
}

EMULATION ints emulated_widen(__m128i a)
{
    signed char bytes[16];
    ints wide;
    memcpy(bytes, &a, sizeof bytes);
    for (int i = 0; i < 16; i++)
        wide[i] = bytes[i];
    return wide;
}

EMULATION floats emulated_convert(ints a) { return __builtin_convertvector(a, floats); }
EMULATION floats emulated_all(float a) { return a - (floats){0}; }
EMULATION void emulated_store(float *p, floats a) { memcpy(p, &a, sizeof a); }

#define __m512 floats
#define _mm512_loadu_ps(p) emulated_load(p)
#define _mm512_cvtepi8_epi32(a) emulated_widen(a)
#define _mm512_cvtepi32_ps(a) emulated_convert(a)
#define _mm512_storeu_ps(p, a) emulated_store(p, a)
#define _mm512_set1_ps(a) emulated_all(a)
#define _mm512_setzero_ps() emulated_all(0)
#define _mm512_fmadd_ps(a, b, c) ((a) * (b) + (c))
#define _mm512_add_ps(a, b) ((a) + (b))

#endif
