/* The contract of sample: tokens drawn by temperature, top-k and top-p. SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "kernels/rows.h"
#include "kernels/unaligned.h"

enum { LOGITS, IDS };
enum { TEMPERATURE, TOP_K, TOP_P, SEED, OFFSET };
enum { MOST = 1 << 24, PAD = 64 }; /* a float counts up to 2^24 */

static const fh_view_param params[] = {
    {"logits", FH_ROLE_IN, FH_F32, "(rows, n), 1 <= n <= 2^24", false},
    {"ids", FH_ROLE_OUT, FH_I32, "(rows)", false},
};
static const fh_scalar_param scalars_of[] = {
    {"temperature", 'f', 1, "0: the largest logit, the first of equals"},
    {"top_k", 'i', 0, "only the k most likely; 0: all"},
    {"top_p", 'f', 1, "only the most likely that have this part together; 0 or 1: all"},
    {"seed", 'i', 0, "chooses the stream of random numbers"},
    {"offset", 'i', 0, "the place in the stream: another one for each call"},
};

static fh_status check(const fh_view_desc *v, const fh_value *scalars) {
  FH_TRY(fh_check_view("sample", &params[LOGITS], &v[LOGITS], 2, 2));
  FH_TRY(fh_check_view("sample", &params[IDS], &v[IDS], 1, 1));
  FH_TRY(fh_check_extent("sample", &params[IDS], &v[IDS], 0, "rows", v[LOGITS].shape[0], "logits"));
  if (v[LOGITS].shape[1] < 1 || v[LOGITS].shape[1] > MOST)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: logits has %" PRId64 " columns, expected 1 to 2^24", v[LOGITS].shape[1]);
  const float temperature = (float)scalars[TEMPERATURE].f, top_p = (float)scalars[TOP_P].f;
  if (!(temperature >= 0) || !isfinite(temperature))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: temperature is %g, expected 0 (the largest) or a finite number above it",
                     scalars[TEMPERATURE].f);
  if (scalars[TOP_K].i < 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: top_k is %" PRId64 ", expected 0 (all) or how many tokens may be drawn",
                     scalars[TOP_K].i);
  if (!(top_p >= 0 && top_p <= 1)) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: top_p is %g, expected 0 (all) to 1", scalars[TOP_P].f);
  return FH_OK;
}

/* 1 / temperature as the text has it; infinity stands for the largest alone. */
static float per_temperature(const fh_value *scalars) {
  const float t = (float)scalars[TEMPERATURE].f;
  return t > 0 ? 1.0f / t : (float)INFINITY;
}

static fh_status bind(const fh_view_desc *v, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  FH_TRY(check(v, scalars));
  const int64_t rows = v[LOGITS].shape[0], n = v[LOGITS].shape[1], padded = (n + PAD - 1) / PAD * PAD;
  if (rows == 0) return FH_OK;
  int64_t bytes;
  if (__builtin_mul_overflow(rows, padded * (int64_t)sizeof(float), &bytes))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: logits has %" PRId64 " rows of %" PRId64 ", more than memory holds", rows, n);
  const bool top_k = scalars[TOP_K].i > 0 && scalars[TOP_K].i < n, top_p = scalars[TOP_P].f > 0 && scalars[TOP_P].f < 1;
  fh_stage *stage = fh_add_stage(out, 0, rows, (double)n * (20 + 60.0 * (top_k + top_p)));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, LOGITS, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, IDS, 0));
  fh_push(stage, fh_op_temp(0));
  FH_PUSH_I64(stage, n, padded, scalars[TOP_K].i, scalars[SEED].i, scalars[OFFSET].i, v[LOGITS].strides[0], v[LOGITS].strides[1],
              v[IDS].strides[0]);
  fh_push(stage, fh_op_f32(per_temperature(scalars)));
  fh_push(stage, fh_op_f32((float)scalars[TOP_P].f));
  out->temp_count = 1;
  out->temp_bytes[0] = (size_t)bytes;
  out->flops = stage->flops_per_item * (double)rows;
  out->bytes = 4.0 * (double)rows * (double)(n + 1);
  return FH_OK;
}

/* ---- the oracle ------------------------------------------------------------------------------------ */

/* Philox 4x32-10 (Salmon et al. 2011), word by word as the paper has it. */
static double uniform_of(int64_t row, int64_t offset, int64_t seed) {
  uint32_t c[4] = {(uint32_t)row, (uint32_t)((uint64_t)row >> 32), (uint32_t)offset, (uint32_t)((uint64_t)offset >> 32)};
  uint32_t k[2] = {(uint32_t)seed, (uint32_t)((uint64_t)seed >> 32)};
  for (int round = 0; round < 10; round++, k[0] += UINT32_C(0x9e3779b9), k[1] += UINT32_C(0xbb67ae85)) {
    const uint64_t a = UINT64_C(0xd2511f53) * c[0], b = UINT64_C(0xcd9e8d57) * c[2];
    const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b, (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
    for (int i = 0; i < 4; i++) c[i] = next[i];
  }
  return (double)(c[0] >> 8) * 0x1p-24;
}

/* The weights of a row, and in `order` the same from the largest down. */
typedef struct row {
  int64_t n;
  double *weight, *order;
  double largest; /* logit; -infinity: there is nothing to draw */
} row;

static float logit(const fh_view_desc *v, void *const *data, int64_t r, int64_t i) {
  return ((const fh_f32_any *)data[LOGITS])[r * v[LOGITS].strides[0] + i * v[LOGITS].strides[1]];
}
static int descending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x < y) - (x > y);
}

static void row_load(const fh_view_desc *v, void *const *data, const fh_value *scalars, int64_t r, row *out) {
  out->n = v[LOGITS].shape[1];
  out->largest = -(double)INFINITY;
  for (int64_t i = 0; i < out->n; i++) out->largest = fmax(out->largest, (double)logit(v, data, r, i));
  for (int64_t i = 0; i < out->n; i++) {
    const double x = (double)logit(v, data, r, i);
    const double w = x == out->largest ? 1 : exp((x - out->largest) * (double)per_temperature(scalars));
    out->order[i] = out->weight[i] = isnan(w) || w < 0x1p-126 ? 0 : w;
  }
  qsort(out->order, (size_t)out->n, sizeof *out->order, descending);
}

/* The threshold of what is kept, with top_p a little larger or smaller. */
static double threshold(const row *r, const fh_value *scalars, double factor) {
  const int64_t kept = scalars[TOP_K].i > 0 && scalars[TOP_K].i < r->n ? scalars[TOP_K].i : r->n;
  const double top_p = (double)(float)scalars[TOP_P].f;
  double least = r->order[kept - 1], all = 0, sum = 0;
  if (!(top_p > 0 && top_p < 1)) return least;
  for (int64_t i = 0; i < r->n && r->order[i] >= least; i++) all += r->order[i];
  for (int64_t i = 0; i < r->n && r->order[i] >= least; i++) {
    sum += r->order[i];
    if (sum >= all * top_p * factor) return r->order[i];
  }
  return least;
}

static int64_t draw(const row *r, double least, double part) {
  double all = 0, sum = 0;
  int64_t last = -1;
  for (int64_t i = 0; i < r->n; i++) all += r->weight[i] >= least ? r->weight[i] : 0;
  for (int64_t i = 0; i < r->n && sum <= part * all; i++) {
    if (r->weight[i] < least || r->weight[i] == 0) continue;
    sum += r->weight[i];
    last = i;
  }
  return last;
}

static void rows_new(const fh_view_desc *v, row *r) {
  r->weight = malloc((size_t)v[LOGITS].shape[1] * 2 * sizeof *r->weight);
  if (!r->weight) abort();
  r->order = r->weight + v[LOGITS].shape[1];
}

static int64_t first_largest(const fh_view_desc *v, void *const *data, int64_t r, double largest) {
  int64_t i = 0;
  while ((double)logit(v, data, r, i) != largest) i++;
  return i;
}

static void reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  row one;
  rows_new(v, &one);
  for (int64_t r = 0; r < v[LOGITS].shape[0]; r++) {
    int64_t id = -1;
    row_load(v, data, scalars, r, &one);
    if (isinf(one.largest) && one.largest < 0)
      id = -1;
    else if (isinf(per_temperature(scalars)))
      id = first_largest(v, data, r, one.largest);
    else
      id = draw(&one, threshold(&one, scalars, 1), uniform_of(r, scalars[OFFSET].i, scalars[SEED].i));
    ((fh_i32_any *)data[IDS])[r * v[IDS].strides[0]] = (int32_t)id;
  }
  free(one.weight);
}

/* The exponent is at most 88 and off by 2 u of it, exp by (4 + 88 / 4) u, u = 2^-24: a weight is within 204 u < 2^-16. So a threshold is
 * uncertain by as much, and, since sums are within 2^-15 too, by the weights that are added between top_p (1 - 2^-14) and top_p (1 +
 * 2^-14). Another token than the oracle's is right if the point that was drawn lies in its part of the sum, but for these. */
static bool may_be(const row *r, const fh_value *scalars, double part, int64_t id) {
  const double slack = 0x1p-14, high = threshold(r, scalars, 1 - slack) * (1 + slack), low = threshold(r, scalars, 1 + slack) * (1 - slack);
  double all = 0, near = 0, before = 0, least = high, most = low; /* near: the weights that rounding may put on the other side */
  if (id < 0 || id >= r->n || r->weight[id] < low || r->weight[id] == 0) return false;
  for (int64_t i = 0; i < r->n; i++) {
    const double w = r->weight[i];
    if (w < low) continue;
    all += w;
    if (i < id) before += w;
    if (w > high) continue;
    near += w;
    least = fmin(least, w);
    most = fmax(most, w);
  }
  const double give = (least < most ? 2 * near : 0) + 4 * slack * all; /* equals stay together */
  return part * all >= before - give && part * all <= before + r->weight[id] + give;
}

static const char *compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_view_desc *v = c->views;
  const char *wrong = NULL;
  row one;
  rows_new(v, &one);
  for (int64_t r = 0; r < v[LOGITS].shape[0] && !wrong; r++) {
    const int32_t g = ((const int32_t *)got[IDS])[r], w = ((const int32_t *)want[IDS])[r];
    if (g == w) continue;
    row_load(v, want, c->scalars, r, &one);
    if (w < 0 || isinf(per_temperature(c->scalars)) ||
        !may_be(&one, c->scalars, uniform_of(r, c->scalars[OFFSET].i, c->scalars[SEED].i), g))
      wrong = "a token in whose part of the sum the number drawn does not fall";
  }
  free(one.weight);
  return wrong;
}

/* ---- cases --------------------------------------------------------------------------------------- */

typedef struct shape {
  int64_t rows, n;
  double temperature;
  int64_t top_k;
  double top_p;
} shape;

static bool fill_case(const shape *all, int count, int i, fh_case *out) {
  if (i < 0 || i >= count) return false;
  const shape *s = &all[i];
  const int64_t logits[] = {s->rows, s->n};
  *out = (fh_case){.views = {fh_compact(FH_F32, 2, logits), fh_compact(FH_I32, 1, &s->rows)}};
  out->scalars[TEMPERATURE].f = s->temperature;
  out->scalars[TOP_K].i = s->top_k;
  out->scalars[TOP_P].f = s->top_p;
  out->scalars[SEED].i = INT64_C(0x123456789abcdef) * (i + 1);
  out->scalars[OFFSET].i = i;
  snprintf(out->label, sizeof out->label, "%" PRId64 "x%" PRId64 ", T=%g, k=%" PRId64 ", p=%g", s->rows, s->n, s->temperature, s->top_k,
           s->top_p);
  return true;
}

static bool case_at(int i, fh_case *out) {
  static const shape all[] = {
      {9, 83, 0.8, 20, 0.9},  {0, 5, 1, 0, 1},       {3, 1, 1, 0, 1},      {5, 2, 1, 1, 0.5},     {20, 15, 1, 0, 1},
      {20, 16, 0, 3, 0.5},    {20, 17, 2, 5, 1},     {30, 64, 1, 0, 0.5},  {30, 65, 0.3, 64, 0},  {12, 1000, 1, 50, 0.95},
      {7, 1024, 1.5, 0, 0.7}, {7, 1025, 5, 1024, 1}, {5, 2100, 0.1, 0, 1}, {12, 5100, 1, 0, 0.6},
  };
  return fill_case(all, FH_LENGTH(all), i, out);
}

static bool bench_at(int i, fh_case *out) {
  static const shape all[] = {{1, 50257, 0.8, 50, 0.95}, {1, 50257, 1, 0, 1},        {1, 50257, 0, 0, 1},  {16, 50257, 0.8, 50, 0.95},
                              {16, 50257, 0.8, 0, 0.9},  {64, 32000, 0.8, 40, 0.95}, {7, 1009, 1, 10, 0.9}};
  return fill_case(all, FH_LENGTH(all), i, out);
}

/* Logits as language models have them, few of them large; in small rows a fifth are whole numbers, so that there are ties. */
static void fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t n = c->views[index].shape[1], count = c->views[index].shape[0] * n;
  float *x = data;
  fh_fill_uniform(&c->views[index], x, seed);
  for (int64_t i = 0; i < count; i++) {
    const float cube = x[i] * x[i] * x[i];
    x[i] = n > 5000 ? 12 * cube * x[i] * x[i] : i % 5 == 0 ? roundf(8 * x[i]) : 3 * cube;
  }
}

/* ---- blocks of threads: a block to a row ---- */

enum { N_OPERAND = 3, PER_TEMPERATURE_OPERAND = 11, THREADS = 512, DRAW_LEAST = 256 };

static void row_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)bound->stages[0].items, 1, 1}, .threads = THREADS};
}
static const char *any_unfit(const fh_bound *bound) {
  return bound->stages[0].items > INT32_MAX ? "a grid has no more blocks than 2^31 - 1" : NULL;
}
static const char *largest_unfit(const fh_bound *bound) {
  return isinf(bound->stages[0].operands[PER_TEMPERATURE_OPERAND].f) ? any_unfit(bound) : "the temperature is above 0";
}
static const char *draw_unfit(const fh_bound *bound) {
  const fh_operand *op = bound->stages[0].operands;
  if (isinf(op[PER_TEMPERATURE_OPERAND].f)) return "the temperature is 0: the largest is looked for";
  return op[N_OPERAND].i < DRAW_LEAST ? "short rows leave threads without work" : any_unfit(bound);
}
static const fh_block_step drawn[] = {{"sample_draw", row_shape}};

const fh_kernel_contract fh_contract_sample = {
    .name = "sample",
    .version = 1,
    .summary = "a token of each row of logits, by temperature, top-k and top-p",
    .formula =
        "P(i) = w[i] / sum of w over what is kept, w = exp((x - max x) / temperature); top_k keeps the k largest, then top_p the largest "
        "that have together this part of the rest; ties with the last stay, NaN is never kept. The point drawn is word 0 of Philox 4x32-10 "
        "at counter (row, offset) under key seed, its high 24 bits, over 2^24 (Salmon et al. 2011). A row without a number above "
        "-infinity gives -1",
    FH_VIEWS(params),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("sample"),
    FH_EXACT_WITHIN(
        0, 0, "the token of exact arithmetic, or one whose part of the sum ends within 2^-12 of the point drawn, by the errors of weights"),
    .bind = bind,
    .reference = reference,
    .case_at = case_at,
    .bench_at = bench_at,
    .fill = fill,
    .compare = compare,
    FH_BLOCKS({"largest", "sample_largest", "sample_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, row_shape, largest_unfit, 0.8},
              {"draw", "sample_weights", "sample_sm60", FH_BLOCK_PORTABLE, false, FH_EXACT, row_shape, draw_unfit, 0.5, .rest = drawn,
               .rest_count = 1}),
};
