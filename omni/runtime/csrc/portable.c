/* Any processor: vectors of the compiler's own, which become what the target has. */
#include "internal.h"

#define TARGET
#define NAME(x) portable_##x
#define LANES 8
#define MAX_ROWS 6
#define MAX_ROWS_2 3
#define REGISTERS 6

typedef float four __attribute__((vector_size(16))); /* of gcc and clang: what registers most processors have */

typedef struct {
    four low, high;
} vec;

INLINE vec load(const float *p)
{
    vec a;
    memcpy(&a, p, sizeof a);
    return a;
}

INLINE vec load_int8(const int8_t *p)
{
    return (vec){{p[0], p[1], p[2], p[3]}, {p[4], p[5], p[6], p[7]}};
}

INLINE void store(float *p, vec a) { memcpy(p, &a, sizeof a); }
INLINE vec broadcast(const float *p) { return (vec){{*p, *p, *p, *p}, {*p, *p, *p, *p}}; }
INLINE vec zero(void) { return (vec){{0}, {0}}; }
INLINE vec muladd(vec a, vec b, vec c) { return (vec){c.low + a.low * b.low, c.high + a.high * b.high}; }
INLINE vec add(vec a, vec b) { return (vec){a.low + b.low, a.high + b.high}; }

#include "tiles.h"

const omni_kernels omni_portable = {"portable", portable_sparse, portable_dense};

void omni_plain(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows)
{
    const int64_t R = w->block_rows, C = w->block_cols, groups = w->outputs / R;
    for (int64_t m = 0; m < rows; m++, x += ldx, y += ldy) {
        for (int64_t o = 0; o < w->outputs; o++)
            y[o] = 0;
        for (int64_t g = 0; g < groups; g++) {
            for (int64_t b = start_at(w, g); b < start_at(w, g + 1); b++) {
                const float *at = x + column_at(w->column, b, w->column_bytes) * C;
                for (int64_t i = 0; i < C * R; i++) {
                    const int64_t place = b * C * R + i;
                    const float value = w->type == OMNI_INT8 ? (float)((const int8_t *)w->values)[place]
                                                             : float_at(w->values, place, 0);
                    y[g * R + i % R] += value * at[i / R];
                }
            }
        }
        for (int64_t o = 0; o < w->outputs; o++)
            y[o] = y[o] * float_at(w->scale, o, 1) + float_at(w->bias, o, 0);
    }
}
