/* What the files of the library share: how numbers are read at any alignment, and the table that each ISA fills. */
#ifndef OMNI_INTERNAL_H
#define OMNI_INTERNAL_H

#include <string.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline, unused))

/* Functions that are compiled once for each set of constants that they are called with. Tests say `static`: the loads
 * and stores are the same, and the compiler is done ten times as fast. */
#ifndef SPECIALIZED
#define SPECIALIZED INLINE
#endif

/* What an instruction set has: the operations of kernels.h, for matrices that were found to be in order. */
typedef struct {
    const char *name;
    void (*sparse)(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows, float *xt);
    void (*dense)(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows, float *xt);
} omni_kernels;

extern const omni_kernels omni_portable;
#if defined(__x86_64__)
extern const omni_kernels omni_avx2, omni_avx512, omni_avx512_halves;
#ifndef AVX512 /* a test has these instructions emulated */
#define AVX512 "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma"
#endif
#elif defined(__aarch64__)
extern const omni_kernels omni_neon;
#endif

/* Any block, any width of columns. */
void omni_plain(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows);

/* memcpy, for arrays out of a file may have any alignment; compilers make one load of it. */
INLINE int32_t start_at(const omni_sparse *w, int64_t group)
{
    int32_t start;
    memcpy(&start, (const char *)w->start + group * 4, sizeof start);
    return start;
}

INLINE size_t column_at(const void *column, int64_t block, int bytes)
{
    uint16_t narrow;
    uint32_t wide;
    if (bytes == 2) {
        memcpy(&narrow, (const char *)column + block * 2, sizeof narrow);
        return narrow;
    }
    memcpy(&wide, (const char *)column + block * 4, sizeof wide);
    return wide;
}

/* A number that the compiler takes as it is: it would rather compute the address of each of M neighbours anew. */
INLINE size_t opaque(size_t number)
{
    __asm__("" : "+r"(number));
    return number;
}

INLINE float float_at(const float *values, int64_t place, float otherwise)
{
    if (values)
        memcpy(&otherwise, (const char *)values + place * 4, sizeof otherwise);
    return otherwise;
}

INLINE const float *at(const float *first, size_t bytes) { return (const float *)((const char *)first + bytes); }

/* `rows` in tiles of at most `most`, of nearly one size: how many rows the next tile has. */
INLINE int next_tile(int64_t rows, int most)
{
    int64_t tiles = (rows + most - 1) / most;
    return (int)((rows + tiles - 1) / tiles);
}

/* A square of 4 x 4: to (4, *) with `ldt` floats from row to row. */
INLINE void transpose_4(const float *x, int64_t ldx, float *xt, int64_t ldt)
{
#if defined(__SSE__)
    __m128 a = _mm_loadu_ps(x), b = _mm_loadu_ps(x + ldx), c = _mm_loadu_ps(x + 2 * ldx), d = _mm_loadu_ps(x + 3 * ldx);
    _MM_TRANSPOSE4_PS(a, b, c, d);
    _mm_storeu_ps(xt, a);
    _mm_storeu_ps(xt + ldt, b);
    _mm_storeu_ps(xt + 2 * ldt, c);
    _mm_storeu_ps(xt + 3 * ldt, d);
#elif defined(__aarch64__)
    const float32x4x4_t rows = {{vld1q_f32(x), vld1q_f32(x + ldx), vld1q_f32(x + 2 * ldx), vld1q_f32(x + 3 * ldx)}};
    float columns[16];
    vst4q_f32(columns, rows);
    for (int i = 0; i < 4; i++)
        vst1q_f32(xt + i * ldt, vld1q_f32(columns + 4 * i));
#else
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            xt[j * ldt + i] = x[i * ldx + j];
#endif
}

/* xt (K, M) of x (M, K): the activations of a column side by side, in one cache line where M is small. */
INLINE void transpose(const float *x, int64_t ldx, float *xt, int M, int64_t K)
{
    const int64_t fours = M >= 4 ? K / 4 * 4 : 0;
    for (int64_t line = 0; line < fours; line += 16) { /* a cache line: rows may be so far apart that few are kept */
        const int64_t end = line + 16 < fours ? line + 16 : fours;
        for (int m = 0; m < M; m += 4) {
            const int from = m + 4 <= M ? m : M - 4; /* the last square may overlap the one before it */
            for (int64_t k = line; k < end; k += 4)
                transpose_4(x + from * ldx + k, ldx, xt + k * M + from, M);
        }
    }
    for (int64_t k = fours; k < K; k++)
        for (int m = 0; m < M; m++)
            xt[k * M + m] = x[m * ldx + k];
}

#endif
