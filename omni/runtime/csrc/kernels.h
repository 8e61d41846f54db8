/* y = x W^T [* scale] [+ bias] for a block-sparse or a dense W, on one thread.
 *
 * Activations are float32 and row-major: x is (rows, inputs) with ldx floats from row to row, y is (rows, outputs) with
 * ldy. Weights are float32, or int8 with one scale an output: they are widened in registers, the sums are float32, so
 * that nothing has to be calibrated. A zero that is not stored is not multiplied: NaN and infinity of x reach only the
 * outputs that keep a block at their column.
 *
 * The functions check nothing but the numbers named at each of them: omni/runtime/kernels.py checks the arrays once,
 * when a matrix is made. They allocate nothing and write nothing but y and scratch, so that any number of threads may
 * share a matrix.
 */
#ifndef OMNI_KERNELS_H
#define OMNI_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OMNI_PANEL 16 /* outputs that lie together in a dense matrix */
#define OMNI_TILE 12  /* rows of x, at most, that are multiplied at once */

enum { OMNI_FLOAT32 = 0, OMNI_INT8 = 1 }; /* type of the values */

/* Blocks of `block_rows` outputs x `block_cols` inputs, in the order of their row groups, within a group by rising
 * column. Fast for blocks of a multiple of 8 rows and of 1 column (8x1 above all), with uint16_t columns; any other is
 * multiplied by a plain loop. As values lie column by column, R x C blocks are R x 1 blocks with more columns said: a
 * caller can say them so, and omni/runtime/kernels.py does. The arrays may have any alignment. */
typedef struct {
    int32_t outputs, inputs;        /* multiples of block_rows and block_cols */
    int32_t block_rows, block_cols;
    int32_t type;                   /* of values */
    int32_t column_bytes;           /* 2: uint16_t, 4: uint32_t */
    const int32_t *start;           /* outputs / block_rows + 1: group g has the blocks start[g] to start[g + 1] - 1 */
    const void *column;             /* of each block: its first input / block_cols */
    const void *values;             /* of each block: column by column, block_rows values each */
    const float *scale;             /* outputs, or NULL for 1 */
    const float *bias;              /* outputs, or NULL for 0 */
} omni_sparse;

/* Panels of 16 outputs: values are (ceil(outputs / 16), inputs, 16), what lies past the last output is ignored. */
typedef struct {
    int32_t outputs, inputs;
    int32_t type;
    const void *values;
    const float *scale, *bias;      /* as above */
} omni_dense;

/* Floats of scratch that either operation wants for `rows` rows of `inputs`; they need not be kept between calls. */
size_t omni_scratch(int32_t inputs, int64_t rows);

/* y (rows, outputs) = x (rows, inputs) W^T * scale + bias. x, y and scratch do not overlap.
 * Returns 0; -1 if the matrix says a type, a block or a width of columns that there is not. */
int omni_sparse_apply(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                      float *scratch);
int omni_dense_apply(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                     float *scratch);

/* The instruction set in use: "portable", "avx2", "avx512" or "neon". The best that the processor and the operating
 * system have, unless omni_use said another. */
const char *omni_isa(void);

/* Uses the named instruction set from now on, in all threads. Returns 0; -1, and changes nothing, if this library or
 * this machine has it not. */
int omni_use(const char *name);

#ifdef __cplusplus
}
#endif
#endif
