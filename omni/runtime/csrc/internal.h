/* What the files of the library share: how numbers are read at any alignment, and the table that each ISA fills. */
#ifndef OMNI_INTERNAL_H
#define OMNI_INTERNAL_H

#include <string.h>

#include "kernels.h"

#define INLINE static inline __attribute__((always_inline, unused))

/* What an instruction set has: the operations of kernels.h, for matrices that were found to be in order. */
typedef struct {
    const char *name;
    void (*sparse)(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows, float *xt);
    void (*dense)(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows, float *xt);
} omni_kernels;

extern const omni_kernels omni_portable;
#if defined(__x86_64__)
extern const omni_kernels omni_avx2, omni_avx512, omni_avx512_halves;
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

INLINE float float_at(const float *values, int64_t place, float otherwise)
{
    if (values)
        memcpy(&otherwise, (const char *)values + place * 4, sizeof otherwise);
    return otherwise;
}

/* `rows` in tiles of at most `most`, of nearly one size: how many rows the next tile has. */
INLINE int next_tile(int64_t rows, int most)
{
    int64_t tiles = (rows + most - 1) / most;
    return (int)((rows + tiles - 1) / tiles);
}

#endif
