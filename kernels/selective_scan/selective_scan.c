/* The contract of selective_scan: the state space recurrence of Mamba over packed sequences. SPDX-License-Identifier: Apache-2.0
 *
 * Offsets that do not ascend break the contract: a launch refuses them; a text stays within its operands with any. */
#include <math.h>
#include <stdlib.h>

#include "kernels/arithmetic.h"
#include "kernels/rows.h"
#include "kernels/segments.h"

enum { U, DELTA, A, B, C, SKIP, BIAS, GATE, OFFSETS, STATE, NEXT, Y, VIEWS };
enum { SOFTPLUS, GATED };

static const fh_view_param params[] = {
    {"u", FH_ROLE_IN, FH_F32, "(samples, channels)", false},
    {"delta", FH_ROLE_IN, FH_F32, "(samples, channels)", false},
    {"a", FH_ROLE_IN, FH_F32, "(channels, states)", false},
    {"b", FH_ROLE_IN, FH_F32, "(samples, states)", false},
    {"c", FH_ROLE_IN, FH_F32, "(samples, states)", false},
    {"skip", FH_ROLE_IN, FH_F32, "(channels)", false},
    {"bias", FH_ROLE_IN, FH_F32, "(channels)", false},
    {"gate", FH_ROLE_IN, FH_F32, "(samples, channels)", false},
    {"offsets", FH_ROLE_IN, FH_I64, "(sequences + 1), ascending from 0 to samples", false},
    {"state", FH_ROLE_IN, FH_F32, "(sequences, channels, states)", true},
    {"next", FH_ROLE_OUT, FH_F32, "(sequences, channels, states)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(samples, channels)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"softplus", 'i', 0, "0 delta as it is, 1 softplus(delta + bias)"},
    {"gated", 'i', 0, "0 y as it is, 1 y silu(gate)"},
};

/* The names of the extents of each view. */
static const char *const symbols[VIEWS][3] = {
    [U] = {"samples", "channels"},
    [DELTA] = {"samples", "channels"},
    [A] = {"channels", "states"},
    [B] = {"samples", "states"},
    [C] = {"samples", "states"},
    [SKIP] = {"channels"},
    [BIAS] = {"channels"},
    [GATE] = {"samples", "channels"},
    [STATE] = {"sequences", "channels", "states"},
    [NEXT] = {"sequences", "channels", "states"},
    [Y] = {"samples", "channels"},
};

/* What a symbol stands for, and which operand says so. */
static int64_t extent_of(const fh_view_desc *v, const char *symbol, const char **out_like) {
  const int view = symbol[1] == 't' ? A : symbol[1] == 'e' ? STATE : U; /* states, sequences; samples, channels */
  *out_like = params[view].name;
  return view == A ? v[A].shape[1] : view == STATE ? v[STATE].shape[0] : v[U].shape[symbol[0] == 'c'];
}

static fh_status check(const fh_view_desc *v, const fh_value *scalars) {
  for (int i = U; i < VIEWS; i++) {
    const int rank = i == OFFSETS ? 1 : symbols[i][2] ? 3 : symbols[i][1] ? 2 : 1;
    FH_TRY(fh_check_view("selective_scan", &params[i], &v[i], rank, rank));
  }
  for (int i = U; i < VIEWS; i++) {
    for (int k = 0; k < 3 && symbols[i][k]; k++) {
      const char *like;
      const int64_t want = extent_of(v, symbols[i][k], &like);
      FH_TRY(fh_check_extent("selective_scan", &params[i], &v[i], k, symbols[i][k], want, like));
    }
    int64_t count;
    FH_TRY(fh_check_count("selective_scan", &params[i], &v[i], &count));
  }
  FH_TRY(fh_check_edges("selective_scan", &params[OFFSETS], &v[OFFSETS], v[STATE].shape[0], "sequences in state"));
  for (int i = SOFTPLUS; i <= GATED; i++)
    if (scalars[i].i != 0 && scalars[i].i != 1)
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_selective_scan: %s is %" PRId64 ", expected 0 or 1", scalars_of[i].name, scalars[i].i);
  if (v[STATE].shape[0] == 0 && v[U].shape[0] > 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_selective_scan: u has %" PRId64 " samples, but state has no sequence that they belong to",
                     v[U].shape[0]);
  return FH_OK;
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check(v, scalars));
  const int64_t samples = v[U].shape[0], channels = v[U].shape[1], states = v[A].shape[1], sequences = v[STATE].shape[0];
  if (sequences == 0 || channels == 0) return FH_OK;
  out->flops = (double)samples * (double)channels * (20.0 * (double)states + (scalars[SOFTPLUS].i ? 40 : 0) + (scalars[GATED].i ? 25 : 4));
  const int64_t items = sequences * ((channels + 15) / 16);
  fh_stage *stage = fh_add_stage(out, 0, items, out->flops / (double)items);
  fh_push_views(stage, params, U, Y);
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, samples, channels, states, scalars[SOFTPLUS].i, scalars[GATED].i);
  fh_push_strides(stage, v, U, Y);
  int64_t floats;
  if (__builtin_mul_overflow(items, 32 * states + 1, &floats) || floats > INT64_MAX / 4)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_selective_scan: %" PRId64 " states of %" PRId64 " channels, more than memory holds", states,
                     channels);
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)floats * sizeof(float);
  out->bytes = 4.0 * ((double)samples * ((3.0 + (double)scalars[GATED].i) * (double)channels + 2.0 * (double)states) +
                      (double)channels * (double)states * (1 + 2.0 * (double)sequences));
  return FH_OK;
}

static fh_status inspect(const fh_view_desc *v, const void *const *data, const fh_value *scalars, fh_bound *bound, char note[FH_NOTE]) {
  (void)scalars;
  (void)bound;
  fh_segment_sizes sizes;
  const int64_t samples = v[U].shape[0], sequences = v[STATE].shape[0];
  FH_TRY(fh_check_offsets("selective_scan", &params[OFFSETS], &v[OFFSETS], data[OFFSETS], samples, &sizes));
  const int64_t first = fh_offset_at(&v[OFFSETS], data[OFFSETS], 0), last = fh_offset_at(&v[OFFSETS], data[OFFSETS], sequences);
  if (first != 0 || last != samples)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_selective_scan: offsets go from %" PRId64 " to %" PRId64 ", expected 0 to %" PRId64
                     ", the samples of u\n  next step: give slices of u, delta, b, c and y that begin and end with the sequences",
                     first, last, samples);
  if (note)
    snprintf(note, FH_NOTE, "%" PRId64 " sequences, longest %" PRId64 ", mean %.3g, %" PRId64 " empty", sequences, sizes.longest,
             (double)samples / (double)sequences, sizes.empty);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

static double at(const fh_view_desc *v, void *const *data, int view, int64_t i, int64_t j, int64_t k) {
  const fh_view_desc *d = &v[view];
  return (double)((const fh_f32_any *)data[view])[i * d->strides[0] + j * d->strides[1] + k * d->strides[2]];
}
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double silu(double x) { return x < -1000 ? -0.0 : x / (1 + exp(-x)); }

/* A channel of a sequence, and how far an evaluation in floats may be off: u = 2^-24; delta is within 12 u of softplus; a product with it
 * rounds once; exp is within (4 + |x| / 4) u, which its argument's error adds 13 |x| u to; a result below 2^-125.9 is 0. An update rounds
 * three times, a sum of s terms s times (Higham 2002, eq. 3.5), silu is within 2^-20 u. */
typedef struct channel {
  int64_t states;
  double *h, *error; /* of each state */
} channel;

static void start(const fh_view_desc *v, void *const *data, int64_t sequence, int64_t of, channel *c) {
  c->states = v[A].shape[1];
  for (int64_t e = 0; e < c->states; e++) {
    c->h[e] = at(v, data, STATE, sequence, of, e);
    c->error[e] = 0;
  }
}

static double step(const fh_view_desc *v, void *const *data, const fh_value *scalars, int64_t t, int64_t of, channel *c,
                   double *out_error) {
  const double unit = 0x1p-24, x = at(v, data, U, t, of, 0), raw = at(v, data, DELTA, t, of, 0);
  const double dt = scalars[SOFTPLUS].i ? softplus((double)((float)raw + (float)at(v, data, BIAS, of, 0, 0))) : raw;
  double sum = 0, error = 0, magnitude = 0;
  for (int64_t e = 0; e < c->states; e++) {
    const double power = dt * at(v, data, A, of, e, 0), keep = exp(power), b = at(v, data, B, t, e, 0), weight = at(v, data, C, t, e, 0);
    const double off = keep * unit * (5 + 14 * fabs(power)) + 0x1p-125;
    c->error[e] = (keep + off) * c->error[e] + off * fabs(c->h[e]) + 16 * unit * fabs(dt * x * b);
    c->h[e] = keep * c->h[e] + dt * x * b;
    c->error[e] += unit * (fabs(c->h[e]) + c->error[e]) + 0x1p-145;
    sum += weight * c->h[e];
    error += fabs(weight) * c->error[e];
    magnitude += fabs(weight * c->h[e]);
  }
  const double through = at(v, data, SKIP, of, 0, 0) * x, gate = scalars[GATED].i ? silu(at(v, data, GATE, t, of, 0)) : 1;
  error += (double)(c->states + 2) * unit * (magnitude + error + fabs(through));
  sum += through;
  *out_error = fabs(gate) * error * (1 + 0x1p-19) + 0x1p-19 * fabs(gate * sum) + 0x1p-140;
  return sum * gate;
}

static void channel_new(const fh_view_desc *v, channel *c) {
  c->h = malloc((size_t)(2 * v[A].shape[1] + 1) * sizeof *c->h);
  if (!c->h) abort();
  c->error = c->h + v[A].shape[1];
}

static int64_t within(int64_t offset, int64_t low, int64_t samples) { return offset < low ? low : offset > samples ? samples : offset; }

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const int64_t channels = v[U].shape[1], samples = v[U].shape[0];
  channel c;
  double unused;
  channel_new(v, &c);
  for (int64_t line = 0; line < v[STATE].shape[0] * channels; line++) {
    const int64_t sequence = line / channels, of = line % channels;
    const int64_t begin = within(fh_offset_at(&v[OFFSETS], data[OFFSETS], sequence), 0, samples);
    const int64_t end = within(fh_offset_at(&v[OFFSETS], data[OFFSETS], sequence + 1), begin, samples);
    start(v, data, sequence, of, &c);
    for (int64_t t = begin; t < end; t++)
      ((fh_f32_any *)data[Y])[t * v[Y].strides[0] + of * v[Y].strides[1]] = (float)step(v, data, scalars, t, of, &c, &unused);
    for (int64_t e = 0; e < c.states; e++)
      ((fh_f32_any *)data[NEXT])[sequence * v[NEXT].strides[0] + of * v[NEXT].strides[1] + e * v[NEXT].strides[2]] = (float)c.h[e];
  }
  free(c.h);
}

/* Past 2^120 a float may have become infinite. */
static bool close_to(double got, double want, double error) {
  return !isfinite(want) || !isfinite(error) || fabs(want) + error > 0x1p120 || fabs(got - want) <= error;
}

static const char *compare(const fh_case *k, void *const *got, void *const *want) {
  const fh_view_desc *v = k->views;
  const int64_t channels = v[U].shape[1];
  const char *wrong = NULL;
  channel c;
  channel_new(v, &c);
  for (int64_t line = 0; line < v[STATE].shape[0] * channels && !wrong; line++) {
    const int64_t sequence = line / channels, of = line % channels;
    start(v, want, sequence, of, &c);
    for (int64_t t = fh_offset_at(&v[OFFSETS], want[OFFSETS], sequence); t < fh_offset_at(&v[OFFSETS], want[OFFSETS], sequence + 1); t++) {
      double error;
      const double exact = step(v, want, k->scalars, t, of, &c, &error);
      if (!close_to(at(v, got, Y, t, of, 0), exact, error)) wrong = "a sample is off by more than the roundings of its states";
    }
    for (int64_t e = 0; e < c.states; e++)
      if (!close_to(at(v, got, NEXT, sequence, of, e), c.h[e], c.error[e])) wrong = "a next state is off by more than its roundings";
  }
  free(c.h);
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t sequences, samples, channels, states;
  int softplus, gated;
  fh_skew skew;
} shape;

static const shape cases[] = {
    {3, 14, 5, 4, 1, 1, FH_SKEW_UNIFORM},   {0, 0, 4, 3, 0, 0, FH_SKEW_UNIFORM}, {3, 0, 4, 3, 0, 0, FH_SKEW_UNIFORM},
    {2, 5, 0, 3, 0, 0, FH_SKEW_UNIFORM},    {1, 3, 2, 0, 0, 0, FH_SKEW_UNIFORM}, {1, 1, 1, 1, 0, 0, FH_SKEW_UNIFORM},
    {4, 4, 16, 16, 1, 1, FH_SKEW_SORTED},   {1, 9, 17, 16, 0, 1, FH_SKEW_EQUAL}, {5, 23, 31, 15, 1, 0, FH_SKEW_ZIPF},
    {2, 11, 33, 17, 0, 0, FH_SKEW_UNIFORM}, {1, 40, 2, 33, 1, 1, FH_SKEW_EQUAL}, {7, 60, 20, 8, 1, 1, FH_SKEW_REVERSED},
    {1, 300, 18, 16, 1, 1, FH_SKEW_EQUAL},
};
/* Mamba's sizes: steps of 1 and 16 sequences, a prompt, prompts of many lengths. */
static const shape benches[] = {
    {1, 1, 1536, 16, 1, 1, FH_SKEW_SORTED},    {16, 16, 1536, 16, 1, 1, FH_SKEW_SORTED}, {1, 128, 1536, 16, 1, 1, FH_SKEW_SORTED},
    {1, 1024, 1536, 16, 1, 1, FH_SKEW_SORTED}, {8, 1000, 1536, 16, 1, 1, FH_SKEW_ZIPF},  {3, 101, 97, 15, 0, 0, FH_SKEW_UNIFORM},
};

static bool fill_case(const shape *s, fh_case *out) {
  const int64_t row[] = {s->samples, s->channels}, a[] = {s->channels, s->states}, b[] = {s->samples, s->states};
  const int64_t state[] = {s->sequences, s->channels, s->states}, edges = s->sequences + 1;
  *out = (fh_case){.views = {[U] = fh_compact(FH_F32, 2, row),
                             [DELTA] = fh_compact(FH_F32, 2, row),
                             [A] = fh_compact(FH_F32, 2, a),
                             [B] = fh_compact(FH_F32, 2, b),
                             [C] = fh_compact(FH_F32, 2, b),
                             [SKIP] = fh_compact(FH_F32, 1, &s->channels),
                             [BIAS] = fh_compact(FH_F32, 1, &s->channels),
                             [GATE] = fh_compact(FH_F32, 2, row),
                             [OFFSETS] = fh_compact(FH_I64, 1, &edges),
                             [STATE] = fh_compact(FH_F32, 3, state),
                             [NEXT] = fh_compact(FH_F32, 3, state),
                             [Y] = fh_compact(FH_F32, 2, row)}};
  out->scalars[SOFTPLUS].i = s->softplus;
  out->scalars[GATED].i = s->gated;
  *fh_case_skew(out) = s->skew;
  snprintf(out->label, sizeof out->label, "%" PRId64 " of %" PRId64 "x%" PRId64 ", s=%" PRId64 "%s%s", s->sequences, s->samples,
           s->channels, s->states, s->softplus ? ", softplus" : "", s->gated ? ", gated" : "");
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

/* Steps and decays as trained models have them: delta from 0.02 to 0.7, a from -1 to -states. */
static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *view = &c->views[index];
  float *to = data;
  if (index == OFFSETS) {
    const int64_t sequences = view->shape[0] - 1;
    if (fh_skew_of(c) == FH_SKEW_SORTED) /* all equally long */
      for (int64_t i = 0; i <= sequences; i++) ((int64_t *)data)[i] = c->views[U].shape[0] * i / sequences;
    else
      fh_segments_fill(c, OFFSETS, c->views[U].shape[0], data, seed);
    return;
  }
  fh_fill_uniform(view, to, seed);
  if (index == DELTA)
    for (int64_t i = 0; i < view->shape[0] * view->shape[1]; i++) to[i] = c->scalars[SOFTPLUS].i ? 2 * to[i] - 2 : 0.35f + 0.33f * to[i];
  if (index == A)
    for (int64_t i = 0; i < view->shape[0] * view->shape[1]; i++) to[i] = -(float)(i % view->shape[1] + 1) * (1 + 0.1f * to[i]);
}

/* ---- blocks of threads ---- */
enum { CHANNELS_OPERAND = 14, STATES_OPERAND = 15 };
enum { BLOCK_CHANNELS = 4, BLOCK_STATES = 16, BLOCK_MOST = 65535 }; /* of selective_scan_block.k, and of a grid's second dimension */

static void blocks_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  const fh_stage *stage = &bound->stages[0];
  const int64_t channels = stage->operands[CHANNELS_OPERAND].i;
  const int64_t sequences = stage->items / fh_divide_up(channels, 16);
  *out = (fh_block_shape){.grid = {(uint32_t)fh_divide_up(channels, BLOCK_CHANNELS), (uint32_t)sequences, 1},
                          .threads = BLOCK_CHANNELS * BLOCK_STATES};
}

static const char *blocks_unfit(const fh_bound *bound) {
  const fh_stage *stage = &bound->stages[0];
  const int64_t channels = stage->operands[CHANNELS_OPERAND].i;
  if (stage->operands[STATES_OPERAND].i > BLOCK_STATES) return "a channel has more states than 16 threads";
  if (stage->items / fh_divide_up(channels, 16) > BLOCK_MOST) return "there are more sequences than a grid has rows of blocks";
  return fh_divide_up(channels, BLOCK_CHANNELS) > INT32_MAX ? "there are more channels than a grid has blocks" : NULL;
}

const fh_kernel_contract fh_contract_selective_scan = {
    .name = "selective_scan",
    .version = 1,
    .summary = "the recurrence of a selective state space model over packed sequences, with state",
    .formula =
        "dt = delta or softplus(delta + bias); h[c,e] = exp(dt a[c,e]) h[c,e] + dt u[t,c] b[t,e]; y[t,c] = sum over e of c[t,e] h[c,e] + "
        "skip[c] u[t,c], times silu(gate[t,c]) if gated; for the samples t from offsets[i] to offsets[i+1] of sequence i, h from state[i] "
        "to next[i], which may be the state itself (Gu and Dao 2023)",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("selective_scan"),
    FH_EXACT_WITHIN(
        0, 0, "the roundings of each step, carried on by the decays after it: state by state in compare. Growth over e^88.37 is infinite"),
    .bind = bind,
    .inspect = inspect,
    .inspects = 1u << OFFSETS,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
    FH_BLOCKS(
        {"blocks", "selective_scan_blocks", "selective_scan_block", FH_BLOCK_PORTABLE, false, FH_EXACT, blocks_shape, blocks_unfit, 0.3}),
};
