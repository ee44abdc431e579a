/* The contract of l2_normalize: rows scaled to length 1. SPDX-License-Identifier: Apache-2.0
 *
 * A NaN in a row makes the row NaN. The sum of squares is an f32: above 3.4e38 (elements near 1e19) the row becomes 0, and
 * rows so small that squares underflow (elements below 1e-19) are divided by eps or by an inaccurate norm. */
#include "kernels/norm_blocks.h"
#include "kernels/rows.h"
#include "kernels/tile/rows.h"

#include <float.h>
#include <math.h>

enum { X, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static const fh_scalar_param scalars_of[] = {{"eps", 'f', 1e-12, "least norm to divide by; 0 or at least 1.2e-38"}};

static fh_status l2_normalize_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fh_check_rows("l2_normalize", params, views, Y, &count));
  const float eps = (float)scalars[0].f;
  if (!(eps == 0 || (eps >= FLT_MIN && eps <= FLT_MAX)))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_l2_normalize: eps is %g, expected 0 or a number from %g to %g", scalars[0].f, (double)FLT_MIN,
                     (double)FLT_MAX);
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = fh_add_rows_stage(out, 0, &x, 3);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_f32(eps));
  fh_push(stage, fh_op_i64(fh_norm_stream(&x)));
  fh_norm_operands(stage, &x, &y);
  out->bytes = 8.0 * (double)count;
  return FH_OK;
}

static void l2_normalize_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  const float *from = data[X];
  const double eps = (double)(float)scalars[0].f;
  for (int64_t row = 0; row < x.rows; row++) {
    double squares = 0;
    for (int64_t i = 0; i < x.d; i++) {
      const double v = (double)from[fh_rows_at(&x, row, i)];
      squares += v * v;
    }
    const double norm = sqrt(squares), by = eps > norm ? eps : norm;
    for (int64_t i = 0; i < x.d; i++) ((float *)data[Y])[fh_rows_at(&y, row, i)] = (float)((double)from[fh_rows_at(&x, row, i)] / by);
  }
}

/* The rest of a case from the shape of x. */
static bool l2_normalize_complete(int i, fh_case *out) {
  out->views[Y] = out->views[X];
  out->scalars[0].f = i % 3 == 2 ? 1.5 : 1e-12;
  return true;
}

static bool l2_normalize_case_at(int i, fh_case *out) { return fh_rows_case(i, out) && l2_normalize_complete(i, out); }
static bool l2_normalize_bench_at(int i, fh_case *out) { return fh_rows_bench(i, out) && l2_normalize_complete(i, out); }

const fh_kernel_contract fh_contract_l2_normalize = {
    .name = "l2_normalize",
    .version = 1,
    .summary = "rows divided by their Euclidean norm, in place allowed",
    .formula = "y[r,i] = x[r,i] / max(sqrt(sum_j x[r,j]^2), eps)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(2) | FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("l2_normalize"),
    FH_EXACT_WITHIN(0x1p-17, 0x1p-149,
                    "u = 2^-24: the sum of squares is within (d / 64 + 8) u (Higham 2002, 4.2, 64 running sums), halved by the root; "
                    "root, reciprocal and product add 3 u: under 128 u for d up to 15000"),
    .bind = l2_normalize_bind,
    .reference = l2_normalize_reference,
    .case_at = l2_normalize_case_at,
    .bench_at = l2_normalize_bench_at,
    FH_TUNED_ROWS(l2_normalize, fh_rows_unfit_short),
    FH_BLOCKS_OF_ROWS(l2_normalize, norm),
};
