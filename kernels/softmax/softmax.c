/* The contract of softmax over rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/norm_blocks.h"
#include "kernels/rows.h"
#include "kernels/tile/rows.h"

#include <math.h>

enum { X, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static fh_status softmax_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fh_check_rows("softmax", params, views, Y, &count));
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = fh_add_rows_stage(out, 0, &x, 22);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_norm_operands(stage, &x, &y);
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
static bool softmax_complete(int i, fh_case *out) {
  (void)i;
  out->views[Y] = out->views[X];
  return true;
}

static bool softmax_case_at(int i, fh_case *out) { return fh_rows_case(i, out) && softmax_complete(i, out); }
static bool softmax_bench_at(int i, fh_case *out) { return fh_rows_bench(i, out) && softmax_complete(i, out); }

/* Logits as a classifier has them: most near 0, some large, so that small results are tried too. */
static void softmax_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  (void)index;
  const int64_t count = fh_elements(&c->views[X]);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t random = fh_next_random(&seed);
    ((float *)data)[i] = (random >> 33) % 7 == 0 ? 60.0f * fh_uniform(random) : 4.0f * fh_uniform(random);
  }
}

const fh_kernel_contract fh_contract_softmax = {
    .name = "softmax",
    .version = 1,
    .summary = "softmax over the last dimension, in place allowed",
    .formula = "y[r,i] = exp(x[r,i] - max_j x[r,j]) / sum_j exp(x[r,j] - max)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_ENTRIES("softmax"),
    FH_EXACT_WITHIN(0x1p-16, 0x1p-125,
                    "u = 2^-24: rounding x - max, at most 88 in size, moves exp by 88 u; exp (4 + 88 / 4) u; the sum of d terms "
                    "(d / 32 + 6) u; reciprocal and product 2 u; together under 256 u for d up to 4000. Exponentials under 2^-125.9 are 0"),
    .bind = softmax_bind,
    .reference = softmax_reference,
    .case_at = softmax_case_at,
    .bench_at = softmax_bench_at,
    .fill = softmax_fill,
    FH_TUNED_ROWS(softmax, fh_rows_unfit_short),
    FH_BLOCKS_OF_ROWS(softmax, softmax),
};
