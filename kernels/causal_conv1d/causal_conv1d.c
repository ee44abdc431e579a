/* The contract of causal_conv1d: a short causal filter for each channel of sequences. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"
#include "kernels/unaligned.h"

enum { X, WEIGHTS, BIAS, STATE, NEXT, Y };
enum { WHOLE, KEEP };  /* entries */
enum { PIECE = 1024 }; /* CONV_PIECE of causal_conv1d.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(batch, channels, n)", false},
    {"weights", FH_ROLE_IN, FH_F32, "(channels, k), k >= 1", false},
    {"bias", FH_ROLE_IN, FH_F32, "(channels)", false},
    {"state", FH_ROLE_IN, FH_F32, "(batch, channels, k - 1)", true},
    {"next", FH_ROLE_OUT, FH_F32, "(batch, channels, k - 1)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(batch, channels, n)", false},
};
static const fh_scalar_param scalars_of[] = {{"silu", 'i', 0, "0 none, 1 y = silu(sum)"}};

static fh_status check(const fh_view_desc *v) {
  static const int ranks[] = {3, 2, 1, 3, 3, 3};
  for (int i = X; i <= Y; i++) FH_TRY(fh_check_view("causal_conv1d", &params[i], &v[i], ranks[i], ranks[i]));
  const int64_t batch = v[X].shape[0], channels = v[X].shape[1], taps = v[WEIGHTS].shape[1];
  if (taps < 1) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_causal_conv1d: weights has no taps, expected one for each channel at least");
  FH_TRY(fh_check_extent("causal_conv1d", &params[WEIGHTS], &v[WEIGHTS], 0, "channels", channels, "x"));
  FH_TRY(fh_check_extent("causal_conv1d", &params[BIAS], &v[BIAS], 0, "channels", channels, "x"));
  for (int i = STATE; i <= Y; i++) {
    FH_TRY(fh_check_extent("causal_conv1d", &params[i], &v[i], 0, "batch", batch, "x"));
    FH_TRY(fh_check_extent("causal_conv1d", &params[i], &v[i], 1, "channels", channels, "x"));
  }
  FH_TRY(fh_check_extent("causal_conv1d", &params[STATE], &v[STATE], 2, "k - 1", taps - 1, "weights"));
  FH_TRY(fh_check_extent("causal_conv1d", &params[NEXT], &v[NEXT], 2, "k - 1", taps - 1, "weights"));
  return fh_check_extent("causal_conv1d", &params[Y], &v[Y], 2, "n", v[X].shape[2], "x");
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check(v));
  if (scalars[0].i != 0 && scalars[0].i != 1)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_causal_conv1d: silu is %" PRId64 ", expected 0 or 1", scalars[0].i);
  int64_t count = 0, states = 0;
  FH_TRY(fh_check_count("causal_conv1d", &params[X], &v[X], &count));
  FH_TRY(fh_check_count("causal_conv1d", &params[STATE], &v[STATE], &states));
  if (count == 0 && states == 0) return FH_OK;
  const int64_t channels = v[X].shape[1], n = v[X].shape[2], taps = v[WEIGHTS].shape[1], past = taps - 1;
  const int64_t pieces = (n + PIECE - 1) / PIECE, lines = v[X].shape[0] * ((channels + 15) / 16);
  if (n > 0) {
    fh_stage *whole = fh_add_stage(out, WHOLE, lines * pieces, 16.0 * (2.0 * (double)taps + 20) * (double)(n < PIECE ? n : PIECE));
    fh_push_views(whole, params, X, Y);
    fh_push(whole, fh_op_temp(0));
    FH_PUSH_I64(whole, channels, n, taps, pieces, scalars[0].i);
    fh_push_strides(whole, v, X, Y);
    out->temp_count = 1;
    int64_t bytes;
    if (__builtin_mul_overflow(lines * pieces, 3 * 16 * taps * (int64_t)sizeof(float), &bytes))
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_causal_conv1d: %" PRId64 " taps of %" PRId64 " channels, more than memory holds", taps,
                       channels);
    out->temp_bytes[0] = (size_t)bytes;
  }
  if (pieces != 1 && past > 0) { /* without samples the state stays, which is a copy */
    fh_stage *keep = fh_add_stage(out, KEEP, lines, 16.0 * (double)past);
    fh_push(keep, fh_op_view(FH_OPERAND_IN, X, 0));
    fh_push(keep, fh_op_view(FH_OPERAND_IN, STATE, 0));
    fh_push(keep, fh_op_view(FH_OPERAND_OUT, NEXT, 0));
    FH_PUSH_I64(keep, channels, n, past);
    fh_push_strides(keep, v, X, X);
    fh_push_strides(keep, v, STATE, NEXT);
  }
  out->flops = (2.0 * (double)taps + (scalars[0].i ? 20 : 0)) * (double)count;
  out->bytes = 8.0 * (double)count + 8.0 * (double)states + 4.0 * (double)channels * (double)(taps + 1);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

static float at3(const fh_view_desc *v, const void *data, int64_t i, int64_t j, int64_t k) {
  return ((const fh_f32_any *)data)[i * v->strides[0] + j * v->strides[1] + k * v->strides[2]];
}
/* Sample t of a channel; a negative t counts back into the state. */
static float sample(const fh_view_desc *v, void *const *data, int64_t b, int64_t c, int64_t t) {
  return t < 0 ? at3(&v[STATE], data[STATE], b, c, v[STATE].shape[2] + t) : at3(&v[X], data[X], b, c, t);
}

/* Output i before f, and the sum of magnitudes that scales its error. */
static double sum_at(const fh_view_desc *v, void *const *data, int64_t b, int64_t c, int64_t i, double *out_magnitude) {
  const int64_t taps = v[WEIGHTS].shape[1];
  double sum = (double)((const fh_f32_any *)data[BIAS])[c * v[BIAS].strides[0]];
  *out_magnitude = fabs(sum);
  for (int64_t j = 0; j < taps; j++) {
    const double w = (double)((const fh_f32_any *)data[WEIGHTS])[c * v[WEIGHTS].strides[0] + j * v[WEIGHTS].strides[1]];
    const double term = w * (double)sample(v, data, b, c, i - taps + 1 + j);
    sum += term;
    *out_magnitude += fabs(term);
  }
  return sum;
}
static double finish(double sum, int64_t silu) { return !silu ? sum : sum < 0 ? sum * exp(sum) / (1 + exp(sum)) : sum / (1 + exp(-sum)); }

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const int64_t channels = v[X].shape[1], n = v[X].shape[2], past = v[STATE].shape[2], *ns = v[NEXT].strides, *ys = v[Y].strides;
  double unused;
  for (int64_t line = 0; line < v[X].shape[0] * channels; line++) {
    const int64_t b = line / channels, c = line % channels;
    for (int64_t i = 0; i < n; i++)
      ((fh_f32_any *)data[Y])[b * ys[0] + c * ys[1] + i * ys[2]] = (float)finish(sum_at(v, data, b, c, i, &unused), scalars[0].i);
    for (int64_t i = 0; i < past; i++) /* upwards: in place, what is read lies higher */
      ((fh_f32_any *)data[NEXT])[b * ns[0] + c * ns[1] + i * ns[2]] = sample(v, data, b, c, n - past + i);
  }
}

/* A sum of k products and a bias in any order is within (k + 1) u sum of magnitudes, u = 2^-24 (Higham 2002, eq. 3.5); silu has slopes up
 * to 1.1 and its own error. The next state must be samples as they are. */
static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t channels = v[X].shape[1], n = v[X].shape[2], taps = v[WEIGHTS].shape[1], states = v[X].shape[0] * channels * (taps - 1);
  for (int64_t i = 0; i < v[X].shape[0] * channels * n; i++) {
    double magnitude;
    const double sum = sum_at(v, want, i / n / channels, i / n % channels, i % n, &magnitude), exact = finish(sum, c->scalars[0].i);
    const double g = (double)((const float *)got[Y])[i], w = (double)((const float *)want[Y])[i];
    if (g == w || (isnan(g) && isnan(w)) || !isfinite(magnitude)) continue;
    if (!(fabs(g - exact) <= 1.1 * (double)(taps + 2) * (0x1p-24 * magnitude + 0x1p-149) + 0x1p-20 * fabs(exact) + 0x1p-140))
      return "a sample is off by more than (k + 1) u sum |weights| |x|";
  }
  for (int64_t i = 0; i < states; i++) {
    const float g = ((const float *)got[NEXT])[i], w = ((const float *)want[NEXT])[i];
    if (!(g == w || (isnan(g) && isnan(w)))) return "the next state is not the last samples";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t batch, channels, n, taps, silu;
} shape;

static const shape cases[] = {
    {2, 5, 21, 4, 1},  {0, 3, 4, 2, 0},   {2, 0, 4, 2, 0},    {2, 3, 0, 4, 0},    {1, 1, 1, 1, 0},     {2, 19, 1, 4, 1},
    {1, 16, 2, 4, 1},  {1, 17, 3, 9, 0},  {2, 15, 5, 3, 0},   {1, 3, 16, 20, 1},  {1, 33, 15, 2, 1},   {2, 2, 67, 31, 0},
    {3, 1, 129, 4, 1}, {1, 18, 64, 1, 1}, {1, 2, 1024, 4, 0}, {1, 2, 1025, 4, 1}, {2, 17, 1030, 3, 0}, {1, 1, 2100, 1100, 0},
};
/* Mamba's step and prompt, a Conformer's depthwise convolution. */
static const shape benches[] = {{1, 1536, 1, 4, 1}, {16, 1536, 1, 4, 1},  {1, 1536, 128, 4, 1},  {1, 1536, 2048, 4, 1},
                                {8, 5120, 1, 4, 1}, {2, 5120, 512, 4, 1}, {4, 512, 1000, 31, 0}, {3, 97, 1003, 3, 0}};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t x[] = {s->batch, s->channels, s->n}, weights[] = {s->channels, s->taps}, state[] = {s->batch, s->channels, s->taps - 1};
  *out = (fh_case){.views = {fh_compact(FH_F32, 3, x), fh_compact(FH_F32, 2, weights), fh_compact(FH_F32, 1, &s->channels),
                             fh_compact(FH_F32, 3, state), fh_compact(FH_F32, 3, state), fh_compact(FH_F32, 3, x)}};
  out->scalars[0].i = s->silu;
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 "x%" PRId64 ", %" PRId64 " taps%s", s->batch, s->channels, s->n, s->taps,
           s->silu ? ", silu" : "");
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

/* ---- blocks of threads: causal_conv1d_block.k, whose numbers these are ---- */
enum { CHANNELS_OPERAND = 7, N_OPERAND, TAPS_OPERAND, PIECES_OPERAND, XT_OPERAND = 14, YT_OPERAND = 26 };
enum { BLOCK_THREADS = 256, BLOCK_LEAST = 8, BLOCK_TAPS = 64, CHANNEL_THREADS = 128, STRIP = 16, SHORT = 32, MOST_BATCHES = 65535 };

static int64_t operand(const fh_bound *bound, int place) { return bound->stages[0].operands[place].i; }

/* Sequences: an item is a piece of 16 channels of one. */
static int64_t batches(const fh_bound *bound) {
  const int64_t lines = fh_divide_up(operand(bound, CHANNELS_OPERAND), 16);
  return fh_divide_up(bound->stages[0].items, lines * operand(bound, PIECES_OPERAND));
}
static void grid_of(const fh_bound *bound, int64_t rows, int64_t samples, uint32_t threads, fh_block_shape *out) {
  const int64_t pieces = fh_divide_up(operand(bound, N_OPERAND), samples);
  *out = (fh_block_shape){.grid = {(uint32_t)(fh_divide_up(operand(bound, CHANNELS_OPERAND), rows) * pieces), (uint32_t)batches(bound), 1},
                          .threads = threads};
}

static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  int64_t lanes = BLOCK_LEAST;
  while (lanes < BLOCK_THREADS && 4 * lanes < operand(bound, N_OPERAND)) lanes *= 2;
  grid_of(bound, BLOCK_THREADS / lanes, 4 * lanes, BLOCK_THREADS, out);
}
static void channels_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  grid_of(bound, CHANNEL_THREADS, STRIP, CHANNEL_THREADS, out);
}

/* A row of samples that neighbouring threads read by whole lines. */
static bool side_by_side(const fh_bound *bound) {
  return operand(bound, N_OPERAND) >= SHORT && operand(bound, XT_OPERAND) == 1 && operand(bound, YT_OPERAND) == 1;
}
static const char *unfit(const fh_bound *bound, int64_t most_taps) {
  if (bound->stages[0].entry != WHOLE) return "there are no samples";
  if (operand(bound, TAPS_OPERAND) > most_taps) return "a channel has more taps than a block takes";
  if (batches(bound) > MOST_BATCHES) return "there are more sequences than a grid has rows of blocks";
  return operand(bound, CHANNELS_OPERAND) > INT32_MAX / fh_divide_up(operand(bound, N_OPERAND), STRIP) ? "a grid has fewer blocks" : NULL;
}
static const char *rows_unfit(const fh_bound *bound) {
  const char *reason = unfit(bound, BLOCK_TAPS);
  return reason ? reason : side_by_side(bound) ? NULL : "the samples of a channel are few, or do not lie side by side";
}
static const char *channels_unfit(const fh_bound *bound) {
  const char *reason = unfit(bound, STRIP + 1);
  return reason ? reason : side_by_side(bound) ? "the samples of a channel lie side by side" : NULL;
}

const fh_kernel_contract fh_contract_causal_conv1d = {
    .name = "causal_conv1d",
    .version = 1,
    .summary = "a causal filter for each channel, with bias, silu and state",
    .formula =
        "y[b,c,i] = f(bias[c] + sum over j < k of weights[c,j] x[b,c,i-k+1+j]), added in the order of j, f = silu or nothing; samples "
        "before x are the state, oldest first; next is the state after x, and may be the state itself",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(3), 0, 0, FH_RANK(3), FH_RANK(3), FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("causal_conv1d", "causal_conv1d_state"),
    FH_EXACT_WITHIN(
        0, 0,
        "(k + 1) u (|bias| + sum |weights| |x|) (Higham 2002, eq. 3.5) through silu, whose own error is 2^-20; sample by sample in "
        "compare"),
    .bind = bind,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .compare = compare,
    FH_BLOCKS({"rows", "causal_conv1d_rows", "causal_conv1d_block", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, rows_unfit, 0.8},
              {"channels", "causal_conv1d_channels", "causal_conv1d_block", FH_BLOCK_PORTABLE, false, FH_EXACT, channels_shape,
               channels_unfit, 0.6}),
};
