/* The contract of softmax over rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/rows.h"

#include <math.h>

enum { X, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static fh_status softmax_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  *out = (fh_bound){0};
  int64_t count = 0;
  FH_TRY(fh_check_rows("softmax", params, views, Y, &count));
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = &out->stages[0];
  out->stage_count = 1;
  stage->items = x.rows;
  stage->flops_per_item = 22.0 * (double)x.d;
  stage->operands[0] = fh_op_view(FH_OPERAND_IN, X, 0);
  stage->operands[1] = fh_op_view(FH_OPERAND_OUT, Y, 0);
  stage->operands[2] = fh_op_i64(fh_rows_stream(count));
  stage->operand_count = 3;
  fh_rows_operands(stage, &x, &y);
  out->flops = stage->flops_per_item * (double)x.rows;
  out->bytes = 8.0 * (double)count;
  return FH_OK;
}

static void softmax_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  const float *from = data[X];
  float *to = data[Y];
  for (int64_t row = 0; row < x.rows; row++) {
    double max = -(double)INFINITY, sum = 0;
    for (int64_t i = 0; i < x.d; i++) max = fmax(max, (double)from[fh_rows_at(&x, row, i)]);
    for (int64_t i = 0; i < x.d; i++) sum += exp((double)from[fh_rows_at(&x, row, i)] - max);
    for (int64_t i = 0; i < x.d; i++) {
      const double e = exp((double)from[fh_rows_at(&x, row, i)] - max);
      to[fh_rows_at(&y, row, i)] = (float)(e / sum);
    }
  }
}

/* The rest of a case from the shape of x. */
static void softmax_complete(int i, fh_case *out) {
  (void)i;
  out->views[Y] = out->views[X];
}

static bool softmax_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_rows_case(i, &out->views[X], out->label)) return false;
  softmax_complete(i, out);
  return true;
}

/* Logits as a classifier has them: most near 0, some large, so that small results are tried too. */
static void softmax_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  (void)index;
  int64_t count = 1;
  for (int32_t i = 0; i < c->views[X].rank; i++) count *= c->views[X].shape[i];
  for (int64_t i = 0; i < count; i++) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    const float unit = (float)(seed >> 40) * 0x1p-23f - 1.0f;
    ((float *)data)[i] = (seed >> 33) % 7 == 0 ? 60.0f * unit : 4.0f * unit;
  }
}

static bool softmax_bench_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_rows_bench(i, &out->views[X], out->label)) return false;
  softmax_complete(i, out);
  return true;
}

static const char *const entries[] = {"softmax"};

const fh_kernel_contract fh_contract_softmax = {
    .name = "softmax",
    .version = 1,
    .summary = "softmax over the last dimension, in place allowed",
    .formula = "y[r,i] = exp(x[r,i] - max_j x[r,j]) / sum_j exp(x[r,j] - max)",
    .views = params,
    .view_count = 2,
    .entries = entries,
    .entry_count = 1,
    .dialect_numerics = FH_EXACT,
    .bound_rel = 0x1p-16,
    .bound_abs = 0x1p-125,
    .bound_source =
        "u = 2^-24: rounding x - max, at most 88 in size, moves exp by 88 u; exp (4 + 88 / 4) u; the sum of d terms "
        "(d / 32 + 6) u; reciprocal and product 2 u; together under 256 u for d up to 4000. Exponentials under 2^-125.9 are 0",
    .bind = softmax_bind,
    .reference = softmax_reference,
    .case_at = softmax_case_at,
    .bench_at = softmax_bench_at,
    .fill = softmax_fill,
};
