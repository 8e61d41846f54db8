/* The loops of every instruction set. A file that includes this has defined, for vectors of LANES floats:
 *
 *     LANES, NAME(x)            8 or 16; the name of x for this instruction set
 *     TARGET                    attributes of each function: the instructions that it may use
 *     MAX_ROWS, MAX_ROWS_2      rows of x that are multiplied at once by one and by two vectors of weights: what the
 *                               registers hold
 *     REGISTERS                 accumulators that are enough to hide the latency of a multiply-add
 *     vec                       the type
 *     load, load_int8           from unaligned floats; from int8, widened
 *     store, broadcast, zero, muladd(a, b, c) = a * b + c, add
 *
 * A strip is 1 or 2 vectors of outputs that are accumulated at once. Of V vectors and M rows there are V * M
 * accumulators, and where that is too few to hide the latency, one set of them for each of U neighbouring blocks.
 * V, M, U and the types are constants wherever these functions are called: each call is code of its own.
 */

INLINE TARGET vec NAME(weights)(const char *values, int type)
{
    return type == OMNI_INT8 ? load_int8((const int8_t *)values) : load((const float *)values);
}

/* acc += one column of a block by its M activations, which lie `ld` floats apart. */
INLINE TARGET void NAME(step)(vec *acc, const char *values, const float *x, int64_t ld, int type, int V, int M)
{
    vec w[2];
#pragma GCC unroll 2
    for (int v = 0; v < V; v++)
        w[v] = NAME(weights)(values + v * LANES * (type == OMNI_INT8 ? 1 : 4), type);
#pragma GCC unroll 16
    for (int m = 0; m < M; m++) {
        vec one = broadcast(x + m * ld);
#pragma GCC unroll 2
        for (int v = 0; v < V; v++)
            acc[v * M + m] = muladd(w[v], one, acc[v * M + m]);
    }
}

/* The same for one row of fewer outputs than a vector has. */
static __attribute__((noinline, unused)) void NAME(finish_few)(const float *sums, const float *scale, const float *bias,
                                                               float *y, int64_t o, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        y[o + i] = sums[i] * float_at(scale, o + i, 1) + float_at(bias, o + i, 0);
}

/* y = acc * scale + bias for the outputs o to o + V * LANES - 1, of which the first `valid` are there. */
INLINE TARGET void NAME(finish)(const vec *acc, const float *scale, const float *bias, float *y, int64_t ldy,
                                int64_t o, int64_t valid, int V, int M)
{
    static const float one = 1;
#pragma GCC unroll 2
    for (int v = 0; v < V; v++) {
        const int64_t first = o + v * LANES, left = valid - v * LANES;
        if (left >= LANES) {
            const vec by = scale ? load((const float *)((const char *)scale + first * 4)) : broadcast(&one);
            const vec plus = bias ? load((const float *)((const char *)bias + first * 4)) : zero();
#pragma GCC unroll 16
            for (int m = 0; m < M; m++)
                store(y + m * ldy + first, muladd(acc[v * M + m], by, plus));
        } else {
            float sums[LANES];
#pragma GCC unroll 16
            for (int m = 0; m < M; m++) {
                store(sums, acc[v * M + m]);
                NAME(finish_few)(sums, scale, bias, y + m * ldy, first, left);
            }
        }
    }
}

INLINE TARGET void NAME(clear)(vec *acc, int count)
{
#pragma GCC unroll 32
    for (int i = 0; i < count; i++)
        acc[i] = zero();
}

/* acc[0] += the others: U sets of `count`. */
INLINE TARGET void NAME(collect)(vec *acc, int count, int U)
{
#pragma GCC unroll 4
    for (int u = 1; u < U; u++)
#pragma GCC unroll 32
        for (int i = 0; i < count; i++)
            acc[i] = add(acc[i], acc[u * count + i]);
}

#define MOST (MAX_ROWS + 2 * MAX_ROWS_2 + REGISTERS) /* accumulators: not less than any call uses */

/* How many neighbouring blocks have accumulators of their own. */
#define SETS(V, M) ((V) * (M) * 4 <= REGISTERS ? 4 : (V) * (M) * 2 <= REGISTERS ? 2 : 1)

/* One strip of every row group: outputs `first` to first + V * LANES - 1 of each, for M rows in xt (inputs, M). */
SPECIALIZED TARGET void NAME(strip)(const omni_sparse *w, int64_t first, const float *xt, float *y, int64_t ldy,
                                    int type, int V, int M)
{
    const int U = SETS(V, M), N = V * M, AHEAD = U > 2 ? U : 2;
    const int64_t size = type == OMNI_INT8 ? 1 : 4, stride = w->block_rows * size;
    const int64_t groups = w->outputs / w->block_rows;
    int64_t b = start_at(w, 0);
    const char *values = (const char *)w->values + b * stride + first * size;
    for (int64_t g = 0; g < groups; g++) {
        const int64_t end = start_at(w, g + 1);
        vec acc[MOST];
        NAME(clear)(acc, N * U);
#define STEP(u, b)                                                                                                     \
    NAME(step)(acc + (u) * N, values, xt + opaque(column_at(w->column, b, 2) * M), 1, type, V, M), values += stride
        for (; b + AHEAD <= end; b += AHEAD)
#pragma GCC unroll 4
            for (int u = 0; u < AHEAD; u++)
                STEP(u % U, b + u);
        for (; b < end; b++)
            STEP(0, b);
#undef STEP
        NAME(collect)(acc, N, U);
        NAME(finish)(acc, w->scale, w->bias, y, ldy, g * w->block_rows + first, V * LANES, V, M);
    }
}

/* Every panel of a dense matrix for M rows of x. */
SPECIALIZED TARGET void NAME(panels)(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy,
                                     int type, int M)
{
    enum { V = OMNI_PANEL / LANES };
    const int U = SETS(V, M), N = V * M;
    const int64_t stride = OMNI_PANEL * (type == OMNI_INT8 ? 1 : 4);
    const char *values = (const char *)w->values;
    for (int64_t o = 0; o < w->outputs; o += OMNI_PANEL) {
        vec acc[MOST];
        int64_t k = 0;
        NAME(clear)(acc, N * U);
        for (; k + 4 <= w->inputs; k += 4)
#pragma GCC unroll 4
            for (int u = 0; u < 4; u++, values += stride)
                NAME(step)(acc + u % U * N, values, x + k + u, ldx, type, V, M);
        for (; k < w->inputs; k++, values += stride)
            NAME(step)(acc, values, x + k, ldx, type, V, M);
        NAME(collect)(acc, N, U);
        NAME(finish)(acc, w->scale, w->bias, y, ldy, o, w->outputs - o, V, M);
    }
}

#define ROWS_3(CASE) CASE(1) CASE(2) CASE(3)
#define ROWS_6(CASE) ROWS_3(CASE) CASE(4) CASE(5) CASE(6)
#define ROWS_12(CASE) ROWS_6(CASE) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) CASE(12)
#define PASTE(a, b) a##b
#define ROWS(most, CASE) PASTE(ROWS_, most)(CASE)

typedef void NAME(strips)(const omni_sparse *w, int64_t first, const float *xt, float *y, int64_t ldy, int M);

INLINE TARGET void NAME(by_rows)(const omni_sparse *w, int64_t first, const float *xt, float *y, int64_t ldy, int type,
                                 int V, int M)
{
#define CASE_1(M) case M: NAME(strip)(w, first, xt, y, ldy, type, 1, M); break;
#define CASE_2(M) case M: NAME(strip)(w, first, xt, y, ldy, type, 2, M); break;
    if (V == 1) {
        switch (M) { ROWS(MAX_ROWS, CASE_1) }
    } else {
        switch (M) { ROWS(MAX_ROWS_2, CASE_2) }
    }
#undef CASE_1
#undef CASE_2
}

#define STRIPS(name, type, V)                                                                                          \
    static TARGET void NAME(name)(const omni_sparse *w, int64_t first, const float *xt, float *y, int64_t ldy, int M)  \
    {                                                                                                                  \
        NAME(by_rows)(w, first, xt, y, ldy, type, V, M);                                                               \
    }

STRIPS(float32_1, OMNI_FLOAT32, 1)
STRIPS(float32_2, OMNI_FLOAT32, 2)
STRIPS(int8_1, OMNI_INT8, 1)
STRIPS(int8_2, OMNI_INT8, 2)

static TARGET void NAME(sparse)(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                                float *xt)
{
    static NAME(strips) *const all[2][2] = {{NAME(float32_1), NAME(float32_2)}, {NAME(int8_1), NAME(int8_2)}};
    const int most = w->block_rows >= 2 * LANES ? MAX_ROWS_2 : MAX_ROWS;
    for (int M; rows > 0; rows -= M, x += M * ldx, y += M * ldy) {
        M = next_tile(rows, most);
        if (M > 1)
            transpose(x, ldx, xt, M, w->inputs);
        for (int64_t first = 0; first < w->block_rows;) {
            const int two = w->block_rows - first >= 2 * LANES;
            all[w->type][two](w, first, M > 1 ? xt : x, y, ldy, M);
            first += two ? 2 * LANES : LANES;
        }
    }
}

#define MOST_DENSE (LANES == OMNI_PANEL ? MAX_ROWS : MAX_ROWS_2)

INLINE TARGET void NAME(dense_rows)(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int type,
                                    int M)
{
#define CASE_D(M) case M: NAME(panels)(w, x, ldx, y, ldy, type, M); break;
#if LANES == OMNI_PANEL
    switch (M) { ROWS(MAX_ROWS, CASE_D) }
#else
    switch (M) { ROWS(MAX_ROWS_2, CASE_D) }
#endif
#undef CASE_D
}

static TARGET void NAME(dense)(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                               float *xt)
{
    (void)xt;
    for (int M; rows > 0; rows -= M, x += M * ldx, y += M * ldy) {
        M = next_tile(rows, MOST_DENSE);
        if (w->type == OMNI_INT8)
            NAME(dense_rows)(w, x, ldx, y, ldy, OMNI_INT8, M);
        else
            NAME(dense_rows)(w, x, ldx, y, ldy, OMNI_FLOAT32, M);
    }
}
