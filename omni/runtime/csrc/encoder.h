/* One step of the recipe's streaming encoder (front end, then Emformer layers; Shi et al. 2021) for a batch of streams.
 *
 * The mathematics is that of egs/librispeech/omni_sparsity/model/encoder.py, `infer`. Nothing is allocated.
 */
#ifndef OMNI_ENCODER_H
#define OMNI_ENCODER_H

#include "kernels.h"

typedef struct {
    const omni_sparse *sparse; /* NULL where the matrix is dense */
    const omni_dense *dense;
} omni_linear;

typedef struct {
    const float *weight, *bias;
} omni_norm;

typedef struct {
    omni_norm input, feed_forward, output;
    omni_linear key_value, query, out, up, down;
} omni_layer;

typedef struct {
    int32_t stack, features, projected; /* feature frames in one of the encoder's, their width, and after projection */
    int32_t dim, heads, hidden, layers, convolutions, kernel;
    int32_t segment, right, left;       /* frames: what a step yields, sees ahead, and remembers */
    int32_t activation;                 /* OMNI_RELU, OMNI_GELU or OMNI_SILU, of the feed-forward parts */
    float mean, deviation;              /* of the features */
    omni_linear projection, stacked;
    const omni_linear *convs;           /* convolutions of them */
    omni_norm norm;
    const float *positions;             /* (left + segment + right, dim): what is added to a frame, by its number */
    const omni_layer *layer;            /* layers of them */
} omni_encoder;

/* Floats of a stream's state. It begins as zeros. */
size_t omni_encoder_state(const omni_encoder *encoder);

/* Floats of memory that a step wants; they need not be kept between steps. */
size_t omni_encoder_work(const omni_encoder *encoder, int32_t streams);

/* x (streams, (segment + right) * stack, features): feature frames, the right context comes again with the next step.
 * frames (streams): encoder frames of x that are there; the rest is silence. past (streams): frames of the steps
 * before, a multiple of segment; moved on. state (streams pointers). y (streams, segment, dim). */
void omni_encoder_step(const omni_encoder *encoder, int32_t streams, const float *x, const int32_t *frames,
                       int64_t *past, float *const *state, float *y, float *work);

void omni_linear_apply(const omni_linear *w, const float *x, float *y, int64_t rows, float *scratch);

#endif
