/* Stateless predictor, joiner and greedy search, at most one symbol a frame, for a batch of streams.
 *
 * The mathematics is that of egs/librispeech/omni_sparsity/{model/transducer.py, decoding/methods/greedy_search.py}.
 */
#ifndef OMNI_GREEDY_H
#define OMNI_GREEDY_H

#include "encoder.h"

#define OMNI_CONTEXT 2 /* symbols that the predictor sees */
#define OMNI_GROUP 4   /* channels that its convolution mixes */

typedef struct {
    int32_t vocabulary, dim, joint; /* widths of the predictor and of the joiner */
    int32_t blank;
    int32_t type;                   /* of the embedding */
    const void *embedding;          /* (vocabulary, dim) */
    const float *embedding_scale;   /* a symbol each, or NULL for 1 */
    const float *convolution;       /* (dim, OMNI_GROUP, OMNI_CONTEXT) */
    omni_linear decoder, output;    /* of the joiner */
} omni_joiner;

/* Floats of memory that the functions below want for so many streams. */
size_t omni_joiner_work(const omni_joiner *joiner, int32_t streams);

/* context (streams, OMNI_CONTEXT): the last symbols, -1 before the start. history (streams, joint): what the joiner
 * adds to a frame. */
void omni_predict(const omni_joiner *joiner, int32_t streams, const int32_t *context, float *history, float *work);

/* projected (streams, frames, joint): of the encoder, as the joiner projects it. there (streams): frames that count.
 * penalty: taken off blank's logit. context, history: as omni_predict made them; moved on. symbols (streams, frames):
 * blank where none is emitted. */
void omni_greedy(const omni_joiner *joiner, int32_t streams, int32_t frames, const float *projected,
                 const int32_t *there, float penalty, int32_t *context, float *history, int32_t *symbols, float *work);

#endif
