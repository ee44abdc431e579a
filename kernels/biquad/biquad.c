/* The contract of biquad: cascades of second-order sections over channels. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "kernels/rows.h"

enum { X, SECTIONS, STATE, Y };
enum { COEFFICIENTS = 5, BLOCK = 64 }; /* BIQUAD_BLOCK of biquad.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(channels, n)", true},
    {"sections", FH_ROLE_IN, FH_F32, "(channels, sections, 5): b0, b1, b2, a1, a2", false},
    {"state", FH_ROLE_INOUT, FH_F32, "(channels, sections, 2)", false},
    {"y", FH_ROLE_OUT, FH_F32, "(channels, n)", false},
};

static fh_status biquad_check(const fh_view_desc *v, int64_t *out_count) {
  static const int ranks[] = {2, 3, 3, 2};
  for (int i = X; i <= Y; i++) {
    FH_TRY(fh_check_view("biquad", &params[i], &v[i], ranks[i], ranks[i]));
    FH_TRY(fh_check_extent("biquad", &params[i], &v[i], 0, "channels", v[X].shape[0], "x"));
  }
  FH_TRY(fh_check_extent("biquad", &params[Y], &v[Y], 1, "n", v[X].shape[1], "x"));
  FH_TRY(fh_check_extent("biquad", &params[SECTIONS], &v[SECTIONS], 2, "5", COEFFICIENTS, "b0, b1, b2, a1, a2"));
  FH_TRY(fh_check_extent("biquad", &params[STATE], &v[STATE], 1, "sections", v[SECTIONS].shape[1], "sections"));
  FH_TRY(fh_check_extent("biquad", &params[STATE], &v[STATE], 2, "2", 2, "the two delays of a section"));
  FH_TRY(fh_check_count("biquad", &params[SECTIONS], &v[SECTIONS], out_count));
  return fh_check_count("biquad", &params[X], &v[X], out_count);
}

static fh_status biquad_bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(biquad_check(v, &count));
  if (count == 0) return FH_OK;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1], sections = v[SECTIONS].shape[1];
  fh_stage *stage = fh_add_stage(out, 0, (channels + 15) / 16, 16.0 * 9.0 * (double)n * (double)(sections + 1));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, SECTIONS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_INOUT, STATE, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_temp(0));
  const int64_t *xs = v[X].strides, *cs = v[SECTIONS].strides, *ss = v[STATE].strides, *ys = v[Y].strides;
  FH_PUSH_I64(stage, channels, n, sections, xs[0], xs[1], cs[0], cs[1], cs[2], ss[0], ss[1], ss[2], ys[0], ys[1]);
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)stage->items * 16 * BLOCK * sizeof(float);
  out->flops = 9.0 * (double)count * (double)sections;
  out->bytes = 8.0 * (double)count + 4.0 * (double)(channels * sections) * (COEFFICIENTS + 4);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

static double at3(const fh_view_desc *v, const void *data, int64_t i, int64_t j, int64_t k) {
  return (double)((const float *)data)[i * v->strides[0] + j * v->strides[1] + k * v->strides[2]];
}

/* One section over signal[0, n), in place; s[2] is its state. Returns the largest sum of magnitudes that a step adds up. */
static double run_section(const double *c, double *s, double *signal, int64_t n) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) {
    const double x = signal[i], y = c[0] * x + s[0];
    const double sum = fabs(c[0] * x) + fabs(s[0]) + fabs(c[1] * x) + fabs(s[1]) + fabs(c[3] * y) + fabs(c[2] * x) + fabs(c[4] * y);
    if (!(sum <= most)) most = sum; /* a NaN stays */
    s[0] = c[1] * x + s[1] - c[3] * y;
    s[1] = c[2] * x - c[4] * y;
    signal[i] = y;
  }
  return most;
}

static void load_section(const fh_view_desc *v, void *const *data, int64_t channel, int64_t section, double *c, double *s) {
  for (int k = 0; k < COEFFICIENTS; k++) c[k] = at3(&v[SECTIONS], data[SECTIONS], channel, section, k);
  for (int k = 0; k < 2; k++) s[k] = at3(&v[STATE], data[STATE], channel, section, k);
}

static void biquad_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1];
  const int64_t *xs = v[X].strides, *ss = v[STATE].strides, *ys = v[Y].strides;
  double *signal = malloc((size_t)(n + 1) * sizeof *signal), c[COEFFICIENTS], s[2];
  if (!signal) abort();
  for (int64_t channel = 0; channel < channels && n > 0; channel++) {
    for (int64_t i = 0; i < n; i++) signal[i] = (double)((const float *)data[X])[channel * xs[0] + i * xs[1]];
    for (int64_t j = 0; j < v[SECTIONS].shape[1]; j++) {
      load_section(v, data, channel, j, c, s);
      run_section(c, s, signal, n);
      for (int k = 0; k < 2; k++) ((float *)data[STATE])[channel * ss[0] + j * ss[1] + k * ss[2]] = (float)s[k];
    }
    for (int64_t i = 0; i < n; i++) ((float *)data[Y])[channel * ys[0] + i * ys[1]] = (float)signal[i];
  }
  free(signal);
}

/* Sum of the magnitudes of the first n values of a section's response to an impulse. */
static double gain(const double *c, int64_t n, double *signal) {
  double sum = 0, s[2] = {0, 0};
  for (int64_t i = 0; i < n; i++) signal[i] = i == 0;
  run_section(c, s, signal, n);
  for (int64_t i = 0; i < n; i++) sum += fabs(signal[i]);
  return sum;
}

static bool channel_is_finite(const fh_view_desc *v, void *const *want, int64_t channel) {
  const int64_t n = v[X].shape[1], states = 2 * v[SECTIONS].shape[1];
  bool finite = true;
  for (int64_t i = 0; i < n; i++) finite &= isfinite(((const float *)want[Y])[channel * n + i]) != 0;
  for (int64_t i = 0; i < states; i++) finite &= isfinite(((const float *)want[STATE])[channel * states + i]) != 0;
  return finite;
}

/* A step of a section adds up terms of magnitude M in all and rounds eight times, which is like a disturbance of at most 8 u M at the
 * input of 1 / A; what it was given is off by `off`, which passes through B / A. The states before the launch are gone from `want`; they
 * were below 1 in magnitude, which adds `extra` to the signal. */
static const char *compare_channel(const fh_view_desc *v, void *const *got, void *const *want, int64_t channel, double *signal,
                                   double *work) {
  const int64_t n = v[X].shape[1], sections = v[SECTIONS].shape[1];
  const double u8 = 8 * 0x1p-24;
  double off = 0, extra = 0;
  for (int64_t i = 0; i < n; i++) signal[i] = (double)((const float *)want[X])[channel * n + i];
  for (int64_t j = 0; j < sections; j++) {
    double k[COEFFICIENTS], s[2], zero[2] = {0, 0}, sum = 2;
    load_section(v, want, channel, j, k, s);
    for (int i = 0; i < COEFFICIENTS; i++) sum += fabs(k[i]);
    const double poles[COEFFICIENTS] = {1, 0, 0, k[3], k[4]}, ring = gain(poles, n, work), through = gain(k, n, work);
    const double extra_out = extra * through + 2 * ring;
    const double most = run_section(k, zero, signal, n) + 2 * sum * (extra + extra_out + 2);
    extra = extra_out;
    off = off * through + u8 * (most + sum * off) * ring + 0x1p-120;
    const double state_off = sum * (off + u8 * most);
    for (int i = 0; i < 2 && isfinite(state_off); i++)
      if (!(fabs((double)((const float *)got[STATE])[(channel * sections + j) * 2 + i] - s[i]) <= state_off))
        return "a state is off by more than its section's rounding errors";
  }
  for (int64_t i = 0; i < n && isfinite(off); i++)
    if (!(fabs((double)((const float *)got[Y])[channel * n + i] - (double)((const float *)want[Y])[channel * n + i]) <= off))
      return "a sample is off by more than the sections' rounding errors";
  return NULL;
}

static const char *biquad_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const int64_t channels = v[X].shape[0], n = v[X].shape[1];
  const char *wrong = NULL;
  double *signal = malloc((size_t)(2 * n + 2) * sizeof *signal);
  if (!signal) abort();
  for (int64_t channel = 0; channel < channels && n > 0 && !wrong; channel++)
    if (channel_is_finite(v, want, channel)) wrong = compare_channel(v, got, want, channel, signal, signal + n + 1);
  free(signal);
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct biquad_shape {
  int64_t channels, n, sections;
} biquad_shape;

static const biquad_shape cases[] = {{3, 83, 2},  {0, 5, 1},   {5, 0, 1},   {3, 7, 0},    {1, 1, 1},   {1, 64, 3},   {2, 65, 1},
                                     {15, 16, 4}, {16, 63, 5}, {17, 17, 7}, {33, 130, 2}, {4, 257, 6}, {1, 1000, 4}, {20, 300, 8}};
static const biquad_shape benches[] = {{1, 4800, 1},   {1, 480000, 1},  {1, 480000, 4},   {2, 480000, 4}, {8, 48000, 6},
                                       {16, 48000, 4}, {64, 48000, 10}, {16, 1440000, 2}, {31, 47999, 3}};

static bool biquad_case(const biquad_shape *s, fh_case *out) {
  const int64_t x[] = {s->channels, s->n}, sections[] = {s->channels, s->sections, COEFFICIENTS}, state[] = {s->channels, s->sections, 2};
  *out = (fh_case){
      .views = {fh_compact(FH_F32, 2, x), fh_compact(FH_F32, 3, sections), fh_compact(FH_F32, 3, state), fh_compact(FH_F32, 2, x)}};
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 ", %" PRId64 " sections", s->channels, s->n, s->sections);
  return true;
}

FH_CASES_OF(biquad_case, cases, benches)

/* Sections with poles of radius 0.6 to 0.95. */
static void biquad_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const fh_view_desc *view = &c->views[index];
  fh_fill_uniform(view, data, seed);
  for (int64_t i = 0; index == SECTIONS && i < view->shape[0] * view->shape[1]; i++) {
    float *k = (float *)data + COEFFICIENTS * i;
    const double radius = 0.775 + 0.175 * (double)k[4], angle = 1.5 * (1 + (double)k[3]);
    k[3] = (float)(-2 * radius * cos(angle));
    k[4] = (float)(radius * radius);
  }
}

const fh_kernel_contract fh_contract_biquad = {
    .name = "biquad",
    .version = 1,
    .summary = "cascades of second-order sections, with their state from call to call",
    .formula =
        "per section and sample: y = b0 x + s1, s1 = b1 x + s2 - a1 y, s2 = b2 x - a2 y; the next section takes y (transposed direct "
        "form II; Oppenheim and Schafer, Discrete-Time Signal Processing, 6.3)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2), FH_RANK(3), FH_RANK(3), FH_RANK(2)),
    FH_ENTRIES("biquad"),
    FH_EXACT_WITHIN(0, 0, "eight roundings a step, each passed through the section's own response, section by section in compare"),
    .bind = biquad_bind,
    .reference = biquad_reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = biquad_fill,
    .compare = biquad_compare,
};
