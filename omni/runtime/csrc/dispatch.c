/* Which instruction set is used, and the functions of kernels.h. */
#include <stdlib.h>

#include "internal.h"

static const omni_kernels *in_use; /* NULL until the first use: two threads that both find it write the same */

static const omni_kernels *const all[] = { /* the best first */
#if defined(__x86_64__)
    &omni_avx512, &omni_avx2,
#elif defined(__aarch64__)
    &omni_neon,
#endif
    &omni_portable};

/* Whether the processor has it, and the operating system keeps its registers: __builtin_cpu_supports asks for both. */
static int runs(const omni_kernels *one)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (one == &omni_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (one == &omni_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
#endif
    return one != NULL;
}

int omni_use(const char *name)
{
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i]->name, name) && runs(all[i])) {
            __atomic_store_n(&in_use, all[i], __ATOMIC_RELEASE);
            return 0;
        }
    return -1;
}

static const omni_kernels *kernels(void)
{
    const omni_kernels *found = __atomic_load_n(&in_use, __ATOMIC_ACQUIRE);
    for (size_t i = 0; !found; i++)
        if (runs(all[i]))
            found = all[i];
    __atomic_store_n(&in_use, found, __ATOMIC_RELEASE);
    return found;
}

const char *omni_isa(void) { return kernels()->name; }

size_t omni_scratch(int32_t inputs, int64_t rows)
{
    return (size_t)inputs * (rows < OMNI_TILE ? (size_t)rows : OMNI_TILE);
}

static int known(int32_t type) { return type == OMNI_FLOAT32 || type == OMNI_INT8; }

int omni_sparse_apply(const omni_sparse *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                      float *scratch)
{
    if (!known(w->type) || w->block_rows < 1 || w->block_cols < 1 || (w->column_bytes != 2 && w->column_bytes != 4))
        return -1;
    if (w->block_rows % 8 == 0 && w->block_cols == 1 && w->column_bytes == 2)
        kernels()->sparse(w, x, ldx, y, ldy, rows, scratch);
    else
        omni_plain(w, x, ldx, y, ldy, rows);
    return 0;
}

int omni_dense_apply(const omni_dense *w, const float *x, int64_t ldx, float *y, int64_t ldy, int64_t rows,
                     float *scratch)
{
    if (!known(w->type))
        return -1;
    kernels()->dense(w, x, ldx, y, ldy, rows, scratch);
    return 0;
}
