/* The contract of histogram: counts of floats in equal bins. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tally.h"

enum { X, COUNTS };
enum { LOW, HIGH };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(n)", false},
    {"counts", FH_ROLE_OUT, FH_I32, "(bins)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"low", 'f', 0, "lower edge of the first bin"},
    {"high", 'f', 1, "upper edge of the last bin, which holds it; above low"},
};

enum { MOST_BINS = 1 << 24 }; /* whole numbers that f32 tells apart */

static fh_status check(const fh_view_desc *v, const fh_value *scalars) {
  for (int i = X; i <= COUNTS; i++) FH_TRY(fh_check_view("histogram", &params[i], &v[i], 1, 1));
  FH_TRY(fh_tally_check("histogram", &params[X], v[X].shape[0], v[COUNTS].shape[0]));
  const float low = (float)scalars[LOW].f, high = (float)scalars[HIGH].f;
  if (!(low < high) || !isfinite(low) || !isfinite(high) || !isfinite(high - low))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_histogram: low is %g and high %g, expected low < high, both finite, as is their difference",
                     scalars[LOW].f, scalars[HIGH].f);
  if (v[COUNTS].shape[0] > MOST_BINS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_histogram: counts has %" PRId64 " bins, expected at most %d", v[COUNTS].shape[0], MOST_BINS);
  return FH_OK;
}

/* Bins per unit of x. Of a range so narrow that it overflows the largest float will do: the bin is cut to the last one. */
static float scale_of(int64_t bins, float low, float high) {
  const double scale = (double)bins / ((double)high - (double)low);
  return scale < 0x1.fffffep127 ? (float)scale : 0x1.fffffep127f;
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check(v, scalars));
  const int64_t n = v[X].shape[0], k = v[COUNTS].shape[0];
  if (k == 0) return FH_OK;
  const fh_tally t = fh_tally_of(n, k);
  const float low = (float)scalars[LOW].f, high = (float)scalars[HIGH].f;
  fh_stage *chunk = fh_tally_bind(&t, n, k, X, COUNTS, v, out);
  const float floats[] = {low, high, scale_of(k, low, high), (float)(k - 1)};
  for (int i = 0; i < FH_LENGTH(floats); i++) fh_push(chunk, fh_op_f32(floats[i]));
  out->flops = 6.0 * (double)n;
  return FH_OK;
}

/* In float, like the text: which of two bins a value at their edge is in is a matter of rounding, and the contract fixes it. */
static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const float low = (float)scalars[LOW].f, high = (float)scalars[HIGH].f, scale = scale_of(v[COUNTS].shape[0], low, high);
  const int64_t bins = v[COUNTS].shape[0];
  fh_i32_any *counts = data[COUNTS];
  for (int64_t j = 0; j < bins; j++) counts[j * v[COUNTS].strides[0]] = 0;
  for (int64_t i = 0; i < v[X].shape[0] && bins > 0; i++) {
    const float x = ((const fh_f32_any *)data[X])[i * v[X].strides[0]];
    if (!(x >= low && x <= high)) continue;
    const float above = x - low, place = above * scale;
    const int64_t bin = place < (float)(bins - 1) ? (int64_t)place : bins - 1;
    counts[bin * v[COUNTS].strides[0]]++;
  }
}

typedef struct shape {
  int64_t n, bins;
  double low, high;
  fh_skew skew;
} shape;

static const shape cases[] = {
    {101, 13, 0, 1, FH_SKEW_UNIFORM},
    {0, 5, 0, 1, FH_SKEW_UNIFORM},
    {5, 0, 0, 1, FH_SKEW_UNIFORM},
    {1, 1, -1, 1, FH_SKEW_EQUAL},
    {15, 3, 0, 1, FH_SKEW_WILD},
    {16, 16, 0, 1, FH_SKEW_SORTED},
    {17, 17, 0.25, 0.75, FH_SKEW_REVERSED},
    {3000, 64, -2, 3, FH_SKEW_WILD},
    {5000, 1025, 0, 1, FH_SKEW_ZIPF},
    {70000, 100, 0, 1, FH_SKEW_HEAVY},
    {40000, 3, 0, 1e-40, FH_SKEW_WILD},
    {300, 7, -0x1p126, 0x1p126, FH_SKEW_WILD},
    {20000, 5000, 0.1, 0.9, FH_SKEW_UNIFORM},
};
static const shape benches[] = {
    {10, 10, 0, 1, FH_SKEW_UNIFORM},         {4093, 64, 0, 1, FH_SKEW_UNIFORM},      {1000000, 100, 0, 1, FH_SKEW_UNIFORM},
    {1000000, 100, 0, 1, FH_SKEW_ZIPF},      {1000000, 100, 0, 1, FH_SKEW_ZIPF_16},  {1000000, 100, 0, 1, FH_SKEW_HEAVY},
    {1000000, 100, 0, 1, FH_SKEW_SORTED},    {1000000, 100, 0, 1, FH_SKEW_REVERSED}, {1000000, 100, 0, 1, FH_SKEW_EQUAL},
    {1000000, 10007, 0, 1, FH_SKEW_UNIFORM}, {10000000, 256, 0, 1, FH_SKEW_UNIFORM},
};

static bool fill_case(const shape *s, fh_case *out) {
  *out = (fh_case){.views = {fh_compact(FH_F32, 1, &s->n), fh_compact(FH_I32, 1, &s->bins)}};
  out->scalars[LOW].f = s->low;
  out->scalars[HIGH].f = s->high;
  *fh_case_skew(out) = s->skew;
  snprintf(out->label, sizeof out->label, "n=%" PRId64 " bins=%" PRId64 " %s", s->n, s->bins, fh_skew_names[s->skew]);
  return true;
}

FH_CASES_OF(fill_case, cases, benches)

/* Values whose bins have the skew: an id of 4096, and a bit more. Wild ones are outside or at an edge. */
static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  enum { STEPS = 4096 };
  if (index != X) return;
  const fh_skew skew = fh_skew_of(c);
  const double low = c->scalars[LOW].f, high = c->scalars[HIGH].f;
  float *x = data;
  fh_skew_ids(skew == FH_SKEW_WILD ? FH_SKEW_UNIFORM : skew, data, c->views[X].shape[0], STEPS, seed);
  for (int64_t i = 0; i < c->views[X].shape[0]; i++) {
    int32_t step;
    memcpy(&step, &x[i], sizeof step);
    const float inside = (float)(low + (high - low) * ((double)step + fh_skew_unit(&seed)) / STEPS);
    const float wild[] = {(float)low, (float)high, (float)(low - (high - low)), (float)(high + (high - low)), INFINITY, NAN, 0.0f, inside};
    x[i] = skew == FH_SKEW_WILD ? wild[i % 8] : inside;
  }
}

const fh_kernel_contract fh_contract_histogram = {
    .name = "histogram",
    .version = 1,
    .summary = "counts of floats in equal bins between two edges",
    .formula = "counts[j] = how many x in [low, high] have min(trunc((x - low) bins / (high - low)), bins - 1) = j, rounded step by step",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("histogram_chunk", "histogram_combine"),
    FH_EXACT_WITHIN(0, 0, "each operation rounds once: the bin is fixed, and counts are integers"),
    .bind = bind,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    FH_TALLY_BLOCKS(histogram),
};
