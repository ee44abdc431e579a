/* The contract of axpy: y = alpha x + y. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elementwise.h"

enum { X, Y };
enum { PIECE = 1024 }; /* AXPY_PIECE of axpy.k */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_F32, "(...), rank 1 to 3", true},
    {"y", FH_ROLE_INOUT, FH_F32, "that of x", false},
};

static const fh_scalar_param scalars_of[] = {{"alpha", 'f', 1.0, "factor of x"}};

static fh_status axpy_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  int64_t count = 0;
  FH_TRY(fh_check_rows("axpy", params, views, Y, &count));
  if (count == 0) return FH_OK;

  fh_axis axes[FH_WALK_RANK];
  fh_walk(views, axes);
  const int64_t pieces = (axes[2].extent + PIECE - 1) / PIECE;
  const int64_t items = axes[0].extent * axes[1].extent * pieces;
  fh_stage *stage = fh_add_stage(out, 0, items, 2.0 * (double)count / (double)items);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_INOUT, Y, 0));
  fh_push(stage, fh_op_f32((float)scalars[0].f));
  FH_PUSH_I64(stage, axes[1].extent, axes[2].extent, pieces);
  fh_walk_operands(stage, axes, X);
  fh_walk_operands(stage, axes, Y);
  out->flops = 2.0 * (double)count;
  out->bytes = 12.0 * (double)count;
  return FH_OK;
}

/* The product and the sum are exact in double (the sum but for a rounding that cannot be seen after the one to float), so this
 * is the value the contract fixes: one rounded multiply, one rounded add. */
static void axpy_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_rows x = fh_rows_of(&views[X]), y = fh_rows_of(&views[Y]);
  const float alpha = (float)scalars[0].f;
  for (int64_t row = 0; row < x.rows; row++) {
    for (int64_t i = 0; i < x.d; i++) {
      float *to = (float *)data[Y] + fh_rows_at(&y, row, i);
      const float product = (float)((double)alpha * (double)((const float *)data[X])[fh_rows_at(&x, row, i)]);
      *to = (float)((double)product + (double)*to);
    }
  }
}

static bool axpy_case_at(int i, fh_case *out) {
  static const double alphas[] = {-1.7, 1.0, 0.3, 0.0};
  if (!fh_rows_case(i, out)) return false;
  out->views[Y] = out->views[X];
  out->scalars[0].f = alphas[i % 4];
  return true;
}

static bool axpy_bench_at(int i, fh_case *out) {
  if (!fh_unary_bench_at(i, out)) return false;
  out->scalars[0].f = 0.7;
  return true;
}

/* ---- blocks of threads ---- */
enum { N_OPERAND = 4, PIECES_OPERAND = 5 };

static void wide_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_wide_shape(bound->stages[0].operands[N_OPERAND].i, multiprocessors, out);
}
static const char *wide_unfit(const fh_bound *bound) { return fh_wide_unfit(bound, PIECES_OPERAND); }

const fh_kernel_contract fh_contract_axpy = {
    .name = "axpy",
    .version = 1,
    .summary = "y = alpha x + y, in place in y",
    .formula = "y[i] = alpha x[i] + y[i] (Lawson et al., BLAS, 1979)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(1) | FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2) | FH_RANK(3)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES("axpy"),
    FH_EXACT_WITHIN(0, 0, "one rounded multiply, one rounded add: the result is fixed"),
    .bind = axpy_bind,
    .reference = axpy_reference,
    .case_at = axpy_case_at,
    .bench_at = axpy_bench_at,
    FH_BLOCKS({"wide", "axpy_wide", "axpy_block", FH_BLOCK_PORTABLE, false, FH_EXACT, wide_shape, wide_unfit, 0.9}),
};
