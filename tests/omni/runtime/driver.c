/* Multiplies random matrices of many shapes by every instruction set that runs here, and compares with double.
 *
 *     driver                exit 0: all as they should be; 1: the first that is not, on stderr
 *
 * Every array is as long as it must be and no longer, and begins at an odd address where the API allows it, so that a
 * sanitizer sees each read and write past an end. With -DEMULATED, the loops of AVX-512 alone, on a processor that has
 * it not: see emulated/immintrin.h.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static uint32_t seed = 1;

static uint32_t number(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static float real(void) { return (float)number(2001) / 1000.0f - 1.0f; }

/* `bytes` bytes of a block of their own, the first at an odd address; the block is kept in *block. */
static void *odd(size_t bytes, char **block)
{
    *block = malloc(bytes + 1);
    return *block + 1;
}

static void put(void *array, size_t place, float value)
{
    memcpy((char *)array + 4 * place, &value, sizeof value);
}

static float get(const void *array, size_t place)
{
    float value;
    memcpy(&value, (const char *)array + 4 * place, sizeof value);
    return value;
}

/* y and what it should be: the weight w (O, K) in double, scale and bias or NULL. Returns 1 where they differ. */
static int differs(const double *w, const void *scale, const void *bias, const float *x, int64_t ldx, const float *y,
                   int64_t ldy, int M, int O, int K)
{
    for (int m = 0; m < M; m++) {
        for (int o = 0; o < O; o++) {
            double sum = 0, size = 1;
            for (int k = 0; k < K; k++) {
                sum += w[o * K + k] * x[m * ldx + k];
                size += fabs(w[o * K + k] * x[m * ldx + k]);
            }
            sum = sum * (scale ? get(scale, o) : 1) + (bias ? get(bias, o) : 0);
            if (!(fabs(sum - y[m * ldy + o]) <= 1e-5 * size)) {
                fprintf(stderr, "row %d output %d: %g, want %g; ", m, o, y[m * ldy + o], sum);
                return 1;
            }
        }
        for (int64_t i = O; i < ldy && m < M - 1; i++)
            if (y[m * ldy + i] != 7) {
                fprintf(stderr, "row %d: written past the last output; ", m);
                return 1;
            }
    }
    return 0;
}

/* One matrix, sparse with blocks of R x C, or dense where R is 0. Returns 1 where something is wrong. */
static int one(int O, int K, int R, int C, int type, int bytes, int percent, int with_scale, int M)
{
    const int dense = R == 0, groups = dense ? 0 : O / R, wide = dense ? 0 : K / C, size = type == OMNI_INT8 ? 1 : 4;
    const int64_t ldx = K + number(4), ldy = O + number(4);
    double *w = calloc((size_t)O * K, sizeof *w);
    char *blocks[6];
    void *start = odd(4 * (groups + 1), &blocks[0]), *column = odd((size_t)bytes * groups * wide, &blocks[1]);
    size_t count = dense ? (size_t)(O + 15) / 16 * 16 * K : 0;
    int32_t kept = 0;
    char *keep = calloc(groups * wide + 1, 1);
    for (int g = 0; g < groups; g++) {
        memcpy((char *)start + 4 * g, &kept, 4);
        for (int c = 0; c < wide; c++)
            if (g != 1 && (int)number(100) >= percent) { /* group 1 is empty */
                const uint16_t narrow = (uint16_t)c;
                const uint32_t broad = (uint32_t)c;
                memcpy((char *)column + bytes * kept, bytes == 2 ? (const void *)&narrow : (const void *)&broad, bytes);
                keep[g * wide + c] = 1;
                kept++;
            }
    }
    memcpy((char *)start + 4 * groups, &kept, 4);
    char *exact_block, *exact = odd((size_t)bytes * kept, &exact_block); /* no longer than what is kept */
    memcpy(exact, column, (size_t)bytes * kept);
    count = dense ? count : (size_t)kept * R * C;
    char *values = odd(count * size, &blocks[2]);
    memset(values, 0, count * size);
    size_t place = 0;
    for (int g = 0; g < groups; g++)
        for (int c = 0; c < wide; c++)
            for (int i = 0; keep[g * wide + c] && i < R * C; i++, place++) {
                const int value = (int)number(255) - 127;
                w[(g * R + i % R) * K + c * C + i / R] = type == OMNI_INT8 ? value : value / 64.0;
                if (type == OMNI_INT8)
                    values[place] = (char)value;
                else
                    put(values, place, (float)value / 64.0f);
            }
    for (int o = 0; dense && o < O; o++)
        for (int k = 0; k < K; k++) {
            const int value = (int)number(255) - 127;
            place = (size_t)(o / 16) * K * 16 + k * 16 + o % 16;
            w[o * K + k] = type == OMNI_INT8 ? value : value / 64.0;
            if (type == OMNI_INT8)
                values[place] = (char)value;
            else
                put(values, place, (float)value / 64.0f);
        }
    void *scale = odd(4 * O, &blocks[3]), *bias = odd(4 * O, &blocks[4]);
    for (int o = 0; o < O; o++) {
        put(scale, o, 0.5f + real() / 4);
        put(bias, o, real());
    }
    if (!with_scale)
        scale = bias = NULL;
    float *x = malloc(((M - 1) * ldx + K) * sizeof *x), *y = malloc(((M - 1) * ldy + O) * sizeof *y);
    float *scratch = malloc(omni_scratch(K, M) * sizeof *scratch);
    for (int64_t i = 0; i < (M - 1) * ldx + K; i++)
        x[i] = real();
    for (int64_t i = 0; i < (M - 1) * ldy + O; i++)
        y[i] = 7;
    const omni_sparse sparse = {O, K, R, C, type, bytes, start, exact, values, scale, bias};
    const omni_dense whole = {O, K, type, values, scale, bias};
#if defined(EMULATED)
    if (dense)
        omni_avx512.dense(&whole, x, ldx, y, ldy, M, scratch);
    else if (R % 8 == 0 && C == 1 && bytes == 2)
        omni_avx512.sparse(&sparse, x, ldx, y, ldy, M, scratch);
    else
        omni_plain(&sparse, x, ldx, y, ldy, M);
    const int failed = 0;
#else
    const int failed = dense ? omni_dense_apply(&whole, x, ldx, y, ldy, M, scratch)
                             : omni_sparse_apply(&sparse, x, ldx, y, ldy, M, scratch);
#endif
    const int wrong = failed || differs(w, scale, bias, x, ldx, y, ldy, M, O, K);
    if (wrong)
        fprintf(stderr, "%s: %dx%d blocks %dx%d type %d columns of %d rows %d failed\n", omni_isa(), O, K, R, C, type,
                bytes, M);
    for (int i = 0; i < 5; i++)
        free(blocks[i]);
    free(exact_block), free(keep), free(w), free(x), free(y), free(scratch);
    return wrong;
}

int main(void)
{
#if defined(EMULATED)
    static const char *const isas[] = {"portable"};
#else
    static const char *const isas[] = {"portable", "avx2", "avx512", "neon"};
#endif
    static const int shapes[][4] = {{32, 21, 8, 1},  {48, 20, 16, 1}, {48, 7, 24, 1}, {64, 10, 32, 1}, {16, 24, 8, 4},
                                    {24, 9, 8, 3},   {12, 10, 1, 1},  {12, 10, 4, 1}, {6, 8, 2, 2},    {8, 1, 8, 1},
                                    {16, 13, 0, 0},  {37, 17, 0, 0},  {3, 1, 0, 0},   {32, 6, 0, 0}};
    int done = 0;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        if (omni_use(isas[i]))
            continue;
        const int before = done;
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int M = 1; M <= 33; M += M < 14 ? 1 : 19)
                for (int type = 0; type < 2; type++, done++) {
                    const int bytes = M % 5 == 4 ? 4 : 2, percent = (int)number(4) * 33;
                    if (one(shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3], type, bytes, percent, M % 3, M))
                        return 1;
                }
#if defined(EMULATED)
        printf("avx512, emulated %d\n", done - before);
#else
        printf("%s %d\n", isas[i], done - before);
#endif
    }
    return done == 0;
}
