#include "greedy.h"

#include "elementwise.h"

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

size_t omni_joiner_work(const omni_joiner *j, int32_t streams) {
    size_t scratch = most(omni_scratch(j->dim, streams), omni_scratch(j->joint, streams));
    return (size_t)streams * ((size_t)j->dim + j->joint + j->vocabulary) + scratch;
}

OMNI_CLONES static void add_tanh(const float *x, const float *y, float *out, int32_t count) {
#pragma omp simd
    for (int32_t i = 0; i < count; i++) out[i] = 1.0f - 2.0f / (1.0f + omni_exp(2.0f * (x[i] + y[i])));
}

static void embed(const omni_joiner *j, int32_t symbol, int32_t first, float *out) {
    size_t at = (size_t)symbol * j->dim + first;
    float scale = j->embedding_scale ? j->embedding_scale[symbol] : 1.0f;
    for (int32_t i = 0; i < OMNI_GROUP; i++)
        out[i] = scale * (j->type == OMNI_INT8 ? (float)((const int8_t *)j->embedding)[at + i]
                                               : ((const float *)j->embedding)[at + i]);
}

/* Of one stream: the convolution over its last symbols, and relu. */
static void predict(const omni_joiner *j, const int32_t *context, float *out) {
    for (int32_t first = 0; first < j->dim; first += OMNI_GROUP) {
        float seen[OMNI_CONTEXT][OMNI_GROUP] = {{0}};
        for (int32_t u = 0; u < OMNI_CONTEXT; u++)
            if (context[u] >= 0) embed(j, context[u], first, seen[u]);
        for (int32_t i = first; i < first + OMNI_GROUP; i++) {
            const float *weight = j->convolution + (size_t)i * OMNI_GROUP * OMNI_CONTEXT;
            float sum = 0;
            for (int32_t k = 0; k < OMNI_GROUP; k++)
                for (int32_t u = 0; u < OMNI_CONTEXT; u++) sum += weight[k * OMNI_CONTEXT + u] * seen[u][k];
            out[i] = sum > 0 ? sum : 0;
        }
    }
}

void omni_predict(const omni_joiner *j, int32_t streams, const int32_t *context, float *history, float *work) {
    for (int32_t s = 0; s < streams; s++) predict(j, context + s * OMNI_CONTEXT, work + (size_t)s * j->dim);
    omni_linear_apply(&j->decoder, work, history, streams, work + (size_t)streams * j->dim);
}

void omni_greedy(const omni_joiner *j, int32_t streams, int32_t frames, const float *projected, const int32_t *there,
                 float penalty, int32_t *context, float *history, int32_t *symbols, float *work) {
    float *joined = work, *logits = joined + (size_t)streams * j->joint;
    float *rest = logits + (size_t)streams * j->vocabulary;
    for (int32_t t = 0; t < frames; t++) {
        for (int32_t s = 0; s < streams; s++)
            add_tanh(projected + ((size_t)s * frames + t) * j->joint, history + (size_t)s * j->joint,
                     joined + (size_t)s * j->joint, j->joint);
        omni_linear_apply(&j->output, joined, logits, streams, rest);
        for (int32_t s = 0; s < streams; s++) {
            float *row = logits + (size_t)s * j->vocabulary;
            int32_t best = 0, *last = context + s * OMNI_CONTEXT;
            row[j->blank] -= penalty;
            for (int32_t v = 1; v < j->vocabulary; v++)
                if (row[v] > row[best]) best = v; /* the first of equal ones, as torch's argmax */
            if (t >= there[s]) best = j->blank;
            symbols[(size_t)s * frames + t] = best;
            if (best == j->blank) continue;
            memmove(last, last + 1, sizeof(int32_t) * (OMNI_CONTEXT - 1));
            last[OMNI_CONTEXT - 1] = best;
            omni_predict(j, 1, last, history + (size_t)s * j->joint, rest);
        }
    }
}
