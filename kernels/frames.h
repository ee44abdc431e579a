/* What the contracts of kernels on frames of a signal share: fft, stft, log_mel. SPDX-License-Identifier: Apache-2.0
 *
 * The text works on groups of 16 frames, each with two halves of scratch (kernels/dialect/fft.h). */
#ifndef FOGHORN_KERNELS_FRAMES_H_
#define FOGHORN_KERNELS_FRAMES_H_

#include <math.h>
#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"
#include "kernels/signal_tables.h"

static inline int64_t fh_bins(int64_t n) { return n / 2 + 1; }

/* The length of a transform is one that the text can do, and `table` is that of fh_fft_table for it. */
static inline fh_status fh_check_transform(const char *kernel, int64_t n, const fh_view_param *table_param, const fh_view_desc *table) {
  if (!fh_fft_length_ok(n))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: a transform of length n = %" PRId64
                     ", expected 2^a 3^b 5^c from 1 to %d\n  pad the frames with zeros to such a length",
                     kernel, n, FH_FFT_MAX);
  FH_TRY(fh_check_view(kernel, table_param, table, 1, 1));
  return fh_check_extent(kernel, table_param, table, 0, "2 n", 2 * n, "the transform");
}

/* Floats of one half of the scratch of a group: n / 2 + 1 complex numbers in 16 lanes, or n where n is odd. */
static inline int64_t fh_frames_area(int64_t n) { return 32 * (n % 2 ? n + 1 : n / 2 + 1); }

/* How groups become items: as many items as 64 MiB of scratch serve. */
typedef struct fh_groups {
  int64_t count, per_item, items;
  size_t scratch_bytes;
} fh_groups;

static inline fh_groups fh_groups_of(int64_t count, int64_t n) {
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a frame has a sample at least */
  const int64_t bytes = 2 * fh_frames_area(n) * (int64_t)sizeof(float), most = fh_most(1, (INT64_C(64) << 20) / bytes);
  fh_groups g = {.count = count, .per_item = fh_divide_up(count, most)};
  g.items = fh_divide_up(count, g.per_item);
  g.scratch_bytes = (size_t)(g.items * bytes);
  return g;
}

/* Operations on a group: 2.5 n log2 n for a real transform, and the window. */
static inline double fh_transform_flops(int64_t n) { return 2.5 * (double)n * log2((double)n + 1) + 4 * (double)n; }

/* ---- frames of a signal ---------------------------------------------------------------------------- */

/* How a signal is cut: frame f holds the samples f hop ... f hop + n - 1 of the signal with `pad` samples added at both ends. */
typedef enum fh_pad_mode { FH_PAD_MODE_NONE, FH_PAD_MODE_REFLECT, FH_PAD_MODE_ZEROS, FH_PAD_MODES } fh_pad_mode;

typedef struct fh_frames {
  int64_t channels, samples, n, hop, pad, frames;
  fh_pad_mode mode;
  /* Groups of 16 frames; those of [first_inner, first_right) lie within the signal, the others are read from copies of its ends. */
  int64_t of_channel, first_inner, first_right;
  int64_t left, right_at, edge, pieces; /* of kernels/dialect/frames.h */
} fh_frames;

enum { FH_FRAMES_PIECE = 1024 }; /* of kernels/dialect/frames.h */

/* The scalar parameters 0 and 1 of every kernel on frames. */
#define FH_FRAMES_SCALARS                                                 \
  {"hop", 'i', 160, "samples from one frame to the next, 1 to 2^31 - 1"}, \
      {"pad", 'i', FH_PAD_MODE_REFLECT, "n / 2 samples more at both ends: 0 none, 1 mirrored, 2 zeros"}

/* Most frames that the signal has. */
static inline int64_t fh_frames_most(const fh_frames *f) {
  const int64_t padded = f->samples + 2 * f->pad;
  return f->samples == 0 || padded < f->n ? 0 : 1 + (padded - f->n) / f->hop;
}

/* The same for a case. */
static inline int64_t fh_frames_in(int64_t samples, int64_t n, int64_t hop, fh_pad_mode mode) {
  const fh_frames f = {.samples = samples, .n = n, .hop = hop, .pad = mode == FH_PAD_MODE_NONE ? 0 : n / 2};
  return fh_frames_most(&f);
}

static inline void fh_frames_plan(fh_frames *f) {
  f->of_channel = fh_divide_up(f->frames, 16);
  f->first_right = f->of_channel;
  if (f->pad == 0) return;
  const int64_t whole = f->pad + f->samples < f->n ? 0 : fh_least(f->frames, (f->pad + f->samples - f->n) / f->hop + 1);
  f->first_inner = fh_least(f->of_channel, fh_divide_up(fh_divide_up(f->pad, f->hop), 16));
  f->first_right = fh_most(f->first_inner, whole == f->frames ? f->of_channel : whole / 16);
  f->right_at = 16 * f->first_right * f->hop;
  if (f->first_inner > 0) f->left = (fh_least(16 * f->first_inner, f->frames) - 1) * f->hop + f->n;
  f->edge = f->left;
  if (f->first_right < f->of_channel) f->edge += (f->frames - 1) * f->hop + f->n - f->right_at;
  f->pieces = fh_divide_up(f->edge, FH_FRAMES_PIECE);
}

/* Checks x (channels, samples), window (n) and hop and padding, and plans for `frames` frames per channel. */
static inline fh_status fh_frames_of(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int x, int window, int table,
                                     const fh_value *scalars, int64_t frames, fh_frames *out) {
  FH_TRY(fh_check_view(kernel, &params[x], &v[x], 2, 2));
  FH_TRY(fh_check_view(kernel, &params[window], &v[window], 1, 1));
  const int64_t n = v[window].shape[0];
  FH_TRY(fh_check_transform(kernel, n, &params[table], &v[table]));
  if (scalars[0].i < 1 || scalars[0].i > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: hop is %" PRId64 ", expected 1 to 2^31 - 1", kernel, scalars[0].i);
  if (scalars[1].i < 0 || scalars[1].i >= FH_PAD_MODES)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: pad is %" PRId64 ", expected 0 (none), 1 (mirrored) or 2 (zeros)", kernel, scalars[1].i);
  int64_t count;
  FH_TRY(fh_check_count(kernel, &params[x], &v[x], &count));
  *out = (fh_frames){.channels = v[x].shape[0], .samples = v[x].shape[1], .n = n, .hop = scalars[0].i, .mode = (fh_pad_mode)scalars[1].i};
  if (out->mode != FH_PAD_MODE_NONE) out->pad = n / 2;
  out->frames = frames;
  if (out->mode == FH_PAD_MODE_REFLECT && out->samples > 0 && out->samples <= out->pad)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: x has %" PRId64 " samples, expected more than n / 2 = %" PRId64
                     " to mirror\n  pad with zeros instead (pad = 2)",
                     kernel, out->samples, out->pad);
  if (frames > fh_frames_most(out))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: the result has %" PRId64 " frames, expected at most %" PRId64 " of n = %" PRId64 " samples, %" PRId64
                     " apart, in %" PRId64 " + 2 x %" PRId64 " samples",
                     kernel, frames, fh_frames_most(out), n, out->hop, out->samples, out->pad);
  if (frames > 0 && out->channels > 0) fh_frames_plan(out);
  return FH_OK;
}

enum { FH_FRAMES_ENDS, FH_FRAMES_SCRATCH, FH_FRAMES_TEMPS }; /* scratch */

/* The stage that copies the padded ends, where there are any, without operands. */
static inline fh_status fh_frames_add_ends(const char *kernel, const fh_frames *f, int entry, fh_bound *out) {
  out->temp_count = FH_FRAMES_TEMPS;
  FH_TRY(fh_check_scratch(kernel, f->channels, fh_most(1, f->edge), sizeof(float), &out->temp_bytes[FH_FRAMES_ENDS]));
  if (f->edge == 0) return FH_OK;
  fh_add_stage(out, entry, f->channels * f->pieces, FH_FRAMES_PIECE);
  return FH_OK;
}

/* Both stages have the operands of the last one. */
static inline void fh_frames_share_operands(fh_bound *bound) {
  const fh_stage *from = &bound->stages[bound->stage_count - 1];
  for (fh_stage *to = bound->stages; to < from; to++)
    for (to->operand_count = 0; to->operand_count < from->operand_count;) fh_push(to, from->operands[to->operand_count]);
}

/* The stage on frames: items, scratch, views, and the parameters FH_FRAMES_PARAMS. Views before `result` are inputs; what is done with a
 * spectrum costs `more_flops` per frame. */
static inline fh_stage *fh_frames_bind(const fh_frames *f, const fh_view_desc *v, int x, int window, int table, int result, int entry,
                                       double more_flops, fh_bound *out) {
  const fh_groups groups = fh_groups_of(f->channels * f->of_channel, f->n);
  const double work = fh_transform_flops(f->n) + more_flops; /* on a frame */
  fh_stage *stage = fh_add_stage(out, entry, groups.items, 16 * work * (double)groups.per_item);
  for (int i = 0; i < result; i++) fh_push(stage, fh_op_view(FH_OPERAND_IN, i, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, result, 0));
  fh_push(stage, fh_op_temp(FH_FRAMES_ENDS));
  fh_push(stage, fh_op_temp(FH_FRAMES_SCRATCH));
  out->temp_bytes[FH_FRAMES_SCRATCH] = groups.scratch_bytes;
  out->flops = work * (double)f->channels * (double)f->frames;
  FH_PUSH_I64(stage, f->n, fh_frames_area(f->n), groups.count, groups.per_item, f->frames, f->of_channel, f->hop, f->pad, f->first_inner,
              f->first_right, f->left, f->right_at, f->edge, v[x].strides[0], v[x].strides[1], v[window].strides[0], v[table].strides[0],
              f->pieces, f->samples, f->mode == FH_PAD_MODE_ZEROS);
  return stage;
}

/* Sample j of frame `frame`, times the window. */
static inline double fh_frames_sample(const fh_frames *f, const fh_view_desc *x, const float *data, const fh_view_desc *window,
                                      const float *by, int64_t channel, int64_t frame, int64_t j) {
  int64_t at = frame * f->hop + j - f->pad;
  if (at < 0 || at >= f->samples) {
    if (f->mode == FH_PAD_MODE_ZEROS) return 0.0 * (double)by[j * window->strides[0]];
    at = at < 0 ? -at : 2 * (f->samples - 1) - at;
  }
  return (double)data[channel * x->strides[0] + at * x->strides[1]] * (double)by[j * window->strides[0]];
}

/* A whole frame into `out`, if that is not NULL; returns its norm. */
static inline double fh_frames_frame(const fh_frames *f, const fh_view_desc *x, const float *data, const fh_view_desc *window,
                                     const float *by, int64_t channel, int64_t frame, double *out) {
  double sum = 0;
  for (int64_t j = 0; j < f->n; j++) {
    const double value = fh_frames_sample(f, x, data, window, by, channel, frame, j);
    if (out) out[j] = value;
    sum += value * value;
  }
  return sqrt(sum);
}

/* ---- oracles ------------------------------------------------------------------------------------- */

/* All bins of one frame of n samples, in double, from the definition. `turn` holds cos and sin of 2 pi j / n, j < n. */
static inline void fh_transform_oracle(const double *frame, int64_t n, const double *turn, double *out) {
  for (int64_t k = 0; k <= n / 2; k++) {
    double re = 0, im = 0;
    for (int64_t j = 0, at = 0; j < n; j++, at = (at + k) % n) {
      re += frame[j] * turn[2 * at];
      im -= frame[j] * turn[2 * at + 1];
    }
    out[2 * k] = re;
    out[2 * k + 1] = im;
  }
}

static inline double *fh_oracle_turn(int64_t n) {
  double *turn = malloc((size_t)n * 2 * sizeof *turn);
  if (!turn) abort();
  for (int64_t j = 0; j < n; j++) {
    turn[2 * j] = cos(2 * FH_PI * (double)j / (double)n);
    turn[2 * j + 1] = sin(2 * FH_PI * (double)j / (double)n);
  }
  return turn;
}

/* How far a bin of a frame of norm `norm` may be off. The vector of results is off by at most log2(n) eta / (1 - log2(n) eta) of its own
 * norm, which is sqrt(n) times that of the frame, with eta below 7 u for radix 2 (Higham 2002, theorem 24.2; u = 2^-24). 10 u and three
 * passes more hold for the window, the larger radices and the step from complex to real. NaN where the frame is not finite: its bins
 * are not defined. The smallest normal number is for results that underflow. */
#define FH_TRANSFORM_BOUND "10 u (log2 n + 3) sqrt(n) ||frame||, u = 2^-24 (Higham 2002, theorem 24.2), bin by bin in compare"
static inline double fh_transform_bound(int64_t n, double norm) {
  return 10 * 0x1p-24 * (log2((double)n) + 3) * sqrt((double)n) * norm + 0x1p-126;
}

#endif /* FOGHORN_KERNELS_FRAMES_H_ */
