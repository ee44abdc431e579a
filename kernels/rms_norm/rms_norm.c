/* The contract of rms_norm over rows. SPDX-License-Identifier: Apache-2.0
 *
 * A NaN in a row makes the row NaN. The sum of squares is an f32: above 3.4e38 (elements near 1e19) the row becomes 0. */
#include "kernels/norm_blocks.h"
#include "kernels/rows.h"
#include "kernels/tile/rows.h"

#include <math.h>

enum { X, GAMMA, Y };

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(rows, d), (d) or (n, rows, d)", true},
    {"gamma", FH_ROLE_IN, FH_F32, "(d)", false},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};

static const fh_scalar_param scalars_of[] = {{"eps", 'f', 1e-6, "added to the mean of squares; not negative"}};

static fh_status rms_norm_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  const double eps = scalars[0].f;
  int64_t count = 0;
  FH_TRY(fh_check_rows("rms_norm", params, views, Y, &count));
  FH_TRY(fh_check_row_weights("rms_norm", params, views, GAMMA));
  FH_TRY(fh_check_eps("rms_norm", eps));
  if (count == 0) return FH_OK;

  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  fh_stage *stage = fh_add_rows_stage(out, 0, &x, 4);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, GAMMA, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_f32((float)eps));
  FH_PUSH_I64(stage, fh_norm_stream(&x), views[GAMMA].strides[0]);
  fh_norm_operands(stage, &x, &y);
  out->bytes = 8.0 * (double)count + 4.0 * (double)x.d;
  return FH_OK;
}

static void rms_norm_reference(const fh_view_desc *v, void *const *data, const fh_value *scalars) {
  const fh_rows x = fh_rows_of(&v[X]), y = fh_rows_of(&v[Y]);
  const float *from = data[X], *gamma = data[GAMMA];
  for (int64_t row = 0; row < x.rows; row++) {
    double squares = 0;
    for (int64_t i = 0; i < x.d; i++) squares += (double)from[fh_rows_at(&x, row, i)] * (double)from[fh_rows_at(&x, row, i)];
    const double root = sqrt(squares / (double)x.d + (double)(float)scalars[0].f);
    for (int64_t i = 0; i < x.d; i++)
      ((float *)data[Y])[fh_rows_at(&y, row, i)] =
          (float)((double)from[fh_rows_at(&x, row, i)] / root * (double)gamma[i * v[GAMMA].strides[0]]);
  }
}

/* The rest of a case from the shape of x. */
static bool rms_norm_complete(int i, fh_case *out) {
  const int64_t d = out->views[X].shape[out->views[X].rank - 1];
  out->views[Y] = out->views[X];
  out->views[GAMMA] = fh_compact(FH_F32, 1, &d);
  out->scalars[0].f = i % 2 ? 1e-3 : 1e-6;
  return true;
}

static bool rms_norm_case_at(int i, fh_case *out) { return fh_rows_case(i, out) && rms_norm_complete(i, out); }
static bool rms_norm_bench_at(int i, fh_case *out) { return fh_rows_bench(i, out) && rms_norm_complete(i, out); }

const fh_kernel_contract fh_contract_rms_norm = {
    .name = "rms_norm",
    .version = 1,
    .summary = "rows divided by the root of their mean square, in place allowed",
    .formula = "y[r,i] = x[r,i] / sqrt(sum_j x[r,j]^2 / d + eps) gamma[i] (Zhang and Sennrich: Root Mean Square Layer Normalization, 2019)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), 0, FH_RANK(2) | FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("rms_norm"),
    FH_EXACT_WITHIN(
        0x1p-17, 0x1p-126,
        "u = 2^-24: the mean of squares is within (d / 64 + 9) u (Higham 2002, 4.2, 64 running sums), halved by the root; eps, root, "
        "reciprocal and two products add 5 u: under 128 u for d up to 14000; products below 2^-126 round by what they are"),
    .bind = rms_norm_bind,
    .reference = rms_norm_reference,
    .case_at = rms_norm_case_at,
    .bench_at = rms_norm_bench_at,
    FH_TUNED_ROWS(rms_norm, fh_rows_unfit_long),
    FH_BLOCKS_OF_ROWS(rms_norm, norm),
};
