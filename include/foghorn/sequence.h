/* Sequence models: rows of a table, attention, causal convolution, selective scan, sampling. SPDX-License-Identifier: Apache-2.0
 *
 * What foghorn/kernels.h says of its calls holds here, too. All results are EXACT: the same bits on every device, in pieces and whole.
 *
 * A model's state between calls is a view of yours, zeros before the first sample. A call reads `state` and writes `next`: two views, so
 * that a prompt's state can be kept and gone on from many times, or the very same one, in place. No result depends on which. */
#ifndef FOGHORN_SEQUENCE_H_
#define FOGHORN_SEQUENCE_H_

#include <foghorn/context.h>

FH_EXTERN_C_BEGIN

/* y[r,:] = scale table[ids[r],:]. table (m,d), ids i32 (n) in [0,m), y (n,d). Before each launch ids are looked at on the host: one that is
 * out of range is refused with its value and its place. */
FH_API FH_MUST_USE fh_status fh_embedding(fh_queue *queue, const fh_view *table, const fh_view *ids, float scale, const fh_view *y,
                                          fh_event *out_event);

/* y[b,h,i,:] = sum over j of w[j] v[b,g,j,:] / sum over j of w[j], w[j] = exp(scale q[b,h,i,:] k[b,g,j,:]), in one pass over keys and
 * values and without the matrix of scores. q (batch, heads, queries, d), k (batch, kv_heads, keys, d), v (batch, kv_heads, keys, dv), y
 * (batch, heads, queries, dv); heads is a multiple of kv_heads, g = h kv_heads / heads. All keys count, or, `causal`, those up to i + keys
 * - queries: the last query sees them all, so a step is one query over the keys so far. A query that sees no key gives 0; what it does not
 * see does not matter, NaN or not. A query's result does not depend on which others are in the call: where it sees the same keys, a step
 * has the bits of the prompt. `devprobe kernels attention` states the error bound. */
FH_API FH_MUST_USE fh_status fh_attention(fh_queue *queue, const fh_view *q, const fh_view *k, const fh_view *v, const fh_view *y,
                                          bool causal, float scale, fh_event *out_event);

/* y[b,c,i] = f(bias[c] + sum over j < k of weights[c,j] x[b,c,i-k+1+j]), added in the order of j; f is silu, or nothing. x and y
 * (batch, channels, n), weights (channels, k), bias (channels), a view of one 0 with stride 0 where there is none; state and next (batch,
 * channels, k - 1): the samples before x and those before what follows it, oldest first. Channels may lie side by side (strides say so). A
 * sequence in pieces of any sizes gives the same bits as in one. The sum is within (k + 1) u (|bias| + sum |weights| |x|), u = 2^-24. */
FH_API FH_MUST_USE fh_status fh_causal_conv1d(fh_queue *queue, const fh_view *x, const fh_view *weights, const fh_view *bias,
                                              const fh_view *state, const fh_view *next, const fh_view *y, bool silu, fh_event *out_event);

/* The operands of fh_selective_scan. Sequences of any lengths lie one behind the other: sequence i is the samples offsets[i] to
 * offsets[i+1] - 1. So one call is a prompt (offsets 0, n), a batch of prompts, or a step of many sequences (offsets 0, 1, 2, ...). */
typedef struct fh_selective_scan_operands {
  const fh_view *u, *delta; /* (samples, channels) */
  const fh_view *a;         /* (channels, states), below 0 in models; a state that grows by more than e^88 in a step is infinite */
  const fh_view *b, *c;     /* (samples, states) */
  const fh_view *skip;      /* (channels) */
  const fh_view *bias;      /* (channels): dt = softplus(delta + bias); NULL: dt = delta */
  const fh_view *gate;      /* (samples, channels): y is multiplied by silu(gate); NULL: it is not */
  const fh_view *offsets;   /* i64 (sequences + 1), ascending from 0 to samples; looked at on the host before each launch */
  const fh_view *state;     /* (sequences, channels, states) */
  const fh_view *next;      /* the same */
  const fh_view *y;         /* (samples, channels) */
} fh_selective_scan_operands;

/* h = exp(dt a) h + dt u b, y = sum over the states of c h + skip u, sample by sample (Gu and Dao: Mamba, 2023). Sums are added in the
 * order of states. A sequence in pieces gives the same bits as in one. */
FH_API FH_MUST_USE fh_status fh_selective_scan(fh_queue *queue, const fh_selective_scan_operands *operands, fh_event *out_event);

/* How fh_sample draws. All zeros: the most likely token. */
typedef struct fh_sampling {
  float temperature; /* logits are divided by it; 0: the largest logit, the first of equals, and nothing is drawn */
  float top_p;       /* after top_k, only the most likely tokens that have this part of the rest together; 0 or 1: all */
  int64_t top_k;     /* only the k most likely tokens; 0: all. What is equally likely as the last that is kept stays, too */
  uint64_t seed;     /* of the random numbers */
  uint64_t offset;   /* of this call: another one for each call, so that calls are independent */
} fh_sampling;

/* ids[r] = a token drawn with probability exp(logits[r,i] / temperature) / sum of that over what top_k and top_p keep. logits (rows, n)
 * with n up to 2^24, ids i32 (rows). A NaN is never drawn; a row without a number above -infinity gives -1. The numbers are those of Philox
 * 4x32-10 at counter (row, offset) under the key `seed`: the same on every device, for any number of threads, and 24 bits of each are used.
 */
FH_API FH_MUST_USE fh_status fh_sample(fh_queue *queue, const fh_view *logits, const fh_view *ids, const fh_sampling *how,
                                       fh_event *out_event);

FH_EXTERN_C_END

#endif /* FOGHORN_SEQUENCE_H_ */
