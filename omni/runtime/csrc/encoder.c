#include "encoder.h"

#include "elementwise.h"

#define EPSILON 1e-5f /* of torch's LayerNorm */

static int32_t width(const omni_linear *w) { return w->sparse ? w->sparse->inputs : w->dense->inputs; }
static int32_t outputs(const omni_linear *w) { return w->sparse ? w->sparse->outputs : w->dense->outputs; }

/* Rows that lie one behind the other. */
void omni_linear_apply(const omni_linear *w, const float *x, float *y, int64_t rows, float *scratch) {
    if (w->sparse)
        omni_sparse_apply(w->sparse, x, width(w), y, outputs(w), rows, scratch);
    else
        omni_dense_apply(w->dense, x, width(w), y, outputs(w), rows, scratch);
}

OMNI_CLONES static void layer_norm(const omni_norm *norm, const float *x, float *y, int64_t rows, int32_t dim) {
    for (int64_t row = 0; row < rows; row++, x += dim, y += dim) {
        float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int32_t i = 0; i < dim; i++) sum += x[i];
        float mean = sum / dim;
#pragma omp simd reduction(+ : squares)
        for (int32_t i = 0; i < dim; i++) squares += (x[i] - mean) * (x[i] - mean);
        float scale = 1.0f / sqrtf(squares / dim + EPSILON);
#pragma omp simd
        for (int32_t i = 0; i < dim; i++) y[i] = (x[i] - mean) * scale * norm->weight[i] + norm->bias[i];
    }
}

OMNI_CLONES static void activate(int32_t kind, float *x, int64_t count) {
    if (kind == OMNI_SILU) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) x[i] = x[i] / (1.0f + omni_exp(-x[i]));
    } else if (kind == OMNI_GELU) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) x[i] = 0.5f * x[i] * (1.0f + omni_erf(x[i] * 0.70710678f));
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) x[i] = x[i] > 0 ? x[i] : 0;
    }
}

OMNI_CLONES static void add(float *x, const float *y, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) x[i] += y[i];
}

/* Of one stream and one head. Keys and values, `pitch` floats from frame to frame: first those of the left context (in
 * any order: a softmax has none), then those of this step. */
OMNI_CLONES static void attend(const float *query, int64_t query_pitch, int32_t queries, const float *const *key,
                               const float *const *value, const int32_t *counts, int64_t step_pitch, int64_t left_pitch,
                               int32_t dim, float *weights, float *out, int64_t out_pitch) {
    float scale = 1.0f / sqrtf((float)dim);
    for (int32_t row = 0; row < queries; row++, query += query_pitch, out += out_pitch) {
        float largest = -INFINITY, total = 0;
        int32_t all = 0;
        for (int32_t part = 0; part < 2; part++) {
            int64_t pitch = part ? step_pitch : left_pitch;
            for (int32_t frame = 0; frame < counts[part]; frame++) {
                const float *k = key[part] + frame * pitch;
                float dot = 0;
#pragma omp simd reduction(+ : dot)
                for (int32_t i = 0; i < dim; i++) dot += query[i] * k[i];
                dot *= scale;
                weights[all++] = dot;
                largest = dot > largest ? dot : largest;
            }
        }
#pragma omp simd reduction(+ : total)
        for (int32_t frame = 0; frame < all; frame++) {
            weights[frame] = omni_exp(weights[frame] - largest);
            total += weights[frame];
        }
        memset(out, 0, sizeof(float) * dim);
        all = 0;
        for (int32_t part = 0; part < 2; part++) {
            int64_t pitch = part ? step_pitch : left_pitch;
            for (int32_t frame = 0; frame < counts[part]; frame++) {
                const float *v = value[part] + frame * pitch;
                float share = weights[all++] / total;
#pragma omp simd
                for (int32_t i = 0; i < dim; i++) out[i] += share * v[i];
            }
        }
    }
}

/* Where the parts of `work` begin, in floats. */
typedef struct {
    size_t features, projected, x, y, wide, end;
} places;

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

static places plan(const omni_encoder *e, int32_t streams) {
    size_t rows = (size_t)streams * (e->segment + e->right), input = rows * e->stack;
    size_t wide = most(most((size_t)e->kernel * e->dim, e->hidden), 3 * (size_t)e->dim); /* windows; hidden; q, k, v */
    places at;
    at.features = 0;
    at.projected = at.features + input * e->features;
    at.x = at.projected + input * e->projected;
    at.y = at.x + rows * e->dim;
    at.wide = at.y + rows * e->dim;
    at.end = at.wide + rows * wide + e->left + e->segment + e->right;
    return at;
}

static size_t scratch_of(const omni_encoder *e, int32_t streams) {
    size_t rows = (size_t)streams * (e->segment + e->right);
    size_t floats = omni_scratch(e->features, rows * e->stack);
    int32_t widths[] = {e->projected * e->stack, e->kernel * e->dim, e->dim, e->hidden};
    for (int i = 0; i < 4; i++) floats = most(floats, omni_scratch(widths[i], rows));
    return floats;
}

size_t omni_encoder_work(const omni_encoder *e, int32_t streams) {
    return plan(e, streams).end + scratch_of(e, streams);
}

/* For each convolution its last kernel - 1 inputs; for each layer `left` keys, then `left` values, each a ring in which
 * frame n lies at n modulo left. */
static size_t before_layers(const omni_encoder *e) { return (size_t)e->convolutions * (e->kernel - 1) * e->dim; }

size_t omni_encoder_state(const omni_encoder *e) {
    return before_layers(e) + (size_t)e->layers * 2 * e->left * e->dim;
}

static void front_end(const omni_encoder *e, int32_t streams, const float *input, float *const *state, float *work,
                      const places *at, float *scratch) {
    int32_t frames = e->segment + e->right, dim = e->dim, context = e->kernel - 1;
    int64_t rows = (int64_t)streams * frames, count = rows * e->stack * e->features;
    float *features = work + at->features, *projected = work + at->projected, *x = work + at->x, *y = work + at->y;
    float *window = work + at->wide, unit = 1.0f / e->deviation;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) features[i] = (input[i] - e->mean) * unit;
    omni_linear_apply(&e->projection, features, projected, rows * e->stack, scratch);
    omni_linear_apply(&e->stacked, projected, x, rows, scratch);
    activate(OMNI_SILU, x, rows * dim);
    for (int32_t conv = 0; conv < e->convolutions; conv++) {
        for (int32_t s = 0; s < streams; s++) {
            float *cache = state[s] + (size_t)conv * context * dim, *mine = x + (size_t)s * frames * dim;
            float *to = window + (size_t)s * frames * e->kernel * dim;
            for (int32_t t = 0; t < frames; t++, to += (size_t)e->kernel * dim) { /* frames t - context to t */
                int32_t old = t < context ? context - t : 0;
                memcpy(to, cache + (size_t)t * dim, sizeof(float) * old * dim);
                memcpy(to + (size_t)old * dim, mine + (size_t)(t - context + old) * dim,
                       sizeof(float) * (e->kernel - old) * dim);
            }
            for (int32_t i = 0; i < context; i++) { /* the last that will not come again, or still older ones */
                int32_t t = e->segment - context + i;
                memcpy(cache + (size_t)i * dim, t < 0 ? cache + (size_t)(t + context) * dim : mine + (size_t)t * dim,
                       sizeof(float) * dim);
            }
        }
        omni_linear_apply(&e->convs[conv], window, y, rows, scratch);
        activate(OMNI_SILU, y, rows * dim);
        add(x, y, rows * dim);
    }
    layer_norm(&e->norm, x, x, rows, dim);
}

static void layer_step(const omni_encoder *e, const omni_layer *layer, int32_t streams, const int64_t *past,
                       float *const *state, size_t offset, float *work, const places *at, float *scratch) {
    int32_t frames = e->segment + e->right, dim = e->dim, head = dim / e->heads;
    int64_t rows = (int64_t)streams * frames;
    float *x = work + at->x, *y = work + at->y, *query = work + at->wide, *key_value = query + rows * dim;
    float *weights = work + at->end - (e->left + frames);
    layer_norm(&layer->input, x, y, rows, dim);
    omni_linear_apply(&layer->query, y, query, rows, scratch);
    omni_linear_apply(&layer->key_value, y, key_value, rows, scratch);
    for (int32_t s = 0; s < streams; s++) {
        float *keys = state[s] + offset, *values = keys + (size_t)e->left * dim;
        const float *own = key_value + (size_t)s * frames * 2 * dim;
        int32_t counts[2] = {past[s] < e->left ? (int32_t)past[s] : e->left, frames};
        for (int32_t h = 0; h < e->heads; h++) {
            int32_t at_head = h * head;
            const float *key[2] = {keys + at_head, own + at_head}, *value[2] = {values + at_head, own + dim + at_head};
            attend(query + (size_t)s * frames * dim + at_head, dim, frames, key, value, counts, 2 * dim, dim, head,
                   weights, y + (size_t)s * frames * dim + at_head, dim);
        }
        for (int32_t t = e->segment > e->left ? e->segment - e->left : 0; t < e->segment; t++) {
            size_t place = (size_t)((past[s] + t) % e->left) * dim;
            memcpy(keys + place, own + (size_t)t * 2 * dim, sizeof(float) * dim);
            memcpy(values + place, own + ((size_t)t * 2 + 1) * dim, sizeof(float) * dim);
        }
    }
    float *hidden = work + at->wide;
    omni_linear_apply(&layer->out, y, hidden, rows, scratch);
    add(x, hidden, rows * dim);
    layer_norm(&layer->feed_forward, x, y, rows, dim);
    omni_linear_apply(&layer->up, y, hidden, rows, scratch);
    activate(e->activation, hidden, rows * e->hidden);
    omni_linear_apply(&layer->down, hidden, y, rows, scratch);
    add(x, y, rows * dim);
    layer_norm(&layer->output, x, x, rows, dim);
}

void omni_encoder_step(const omni_encoder *e, int32_t streams, const float *input, const int32_t *frames, int64_t *past,
                       float *const *state, float *output, float *work) {
    places at = plan(e, streams);
    int32_t all = e->segment + e->right, dim = e->dim, period = e->left + all;
    float *x = work + at.x, *scratch = work + at.end;
    front_end(e, streams, input, state, work, &at, scratch);
    for (int32_t s = 0; s < streams; s++)
        for (int32_t t = 0; t < all; t++) {
            float *row = x + ((size_t)s * all + t) * dim;
            if (t < frames[s])
                add(row, e->positions + (size_t)((past[s] + t) % period) * dim, dim);
            else
                memset(row, 0, sizeof(float) * dim);
        }
    for (int32_t i = 0; i < e->layers; i++)
        layer_step(e, &e->layer[i], streams, past, state, before_layers(e) + (size_t)i * 2 * e->left * dim, work, &at,
                   scratch);
    for (int32_t s = 0; s < streams; s++) {
        memcpy(output + (size_t)s * e->segment * dim, x + (size_t)s * all * dim, sizeof(float) * e->segment * dim);
        past[s] += e->segment;
    }
}
