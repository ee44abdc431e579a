/* The contract of dot: inner products of rows. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y, Z };
enum { ROWS_STAGE, COLUMNS_STAGE, JOIN_STAGE }; /* entries */

static const fh_view_param params[] = {
    {"x", FH_ROLE_IN, FH_ELEMENT, "(d), (rows, d) or (n, rows, d)", false},
    {"y", FH_ROLE_IN, FH_ELEMENT, "that of x", false},
    {"z", FH_ROLE_OUT, FH_ELEMENT, "that of x without its last dimension, or (1) for all of x", false},
};

static fh_status dot_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)scalars;
  fh_bound_clear(out);
  fh_reduction r;
  FH_TRY(fh_reduction_of("dot", params, views, X, Z, &r));
  FH_TRY(fh_check_view("dot", &params[Y], &views[Y], 1, 3));
  FH_TRY(fh_check_same_shape("dot", params, views, X, Y));
  if (r.results == 0) return FH_OK;

  const fh_rows y = fh_rows_of(&views[Y]);
  fh_reduction_lay(&r, r.columns && fh_reduction_by_columns(&y));
  if (r.x.rows > 0) {
    fh_stage *stage = fh_add_stage(out, r.columns ? COLUMNS_STAGE : ROWS_STAGE, r.items, 2 * fh_reduction_work(&r));
    fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
    fh_push(stage, fh_op_view(FH_OPERAND_IN, Y, 0));
    fh_push(stage, r.joined ? fh_op_temp(0) : fh_op_view(FH_OPERAND_OUT, Z, 0));
    fh_push(stage, fh_op_i64(r.chunks));
    fh_reduction_push_x(stage, &r);
    FH_PUSH_I64(stage, y.s0, y.s1, y.step);
    fh_reduction_push_place(stage, &r);
    fh_push(stage, fh_op_view(FH_OPERAND_OUT, Z, 0));
    FH_PUSH_I64(stage, r.x.rows, r.joined, r.results, r.n1, r.ys0, r.ys1);
  }
  out->temp_count = r.joined > 0 || r.x.rows == 0; /* the join alone writes the result of no rows */
  if (out->temp_count) {
    fh_stage *stage = fh_add_stage(out, JOIN_STAGE, r.results, (double)r.joined);
    fh_push(stage, fh_op_temp(0));
    fh_push(stage, fh_op_view(FH_OPERAND_OUT, Z, 0));
    FH_PUSH_I64(stage, r.joined, r.n1, r.ys0, r.ys1);
  }
  out->temp_bytes[0] = fh_reduction_scratch(&r);
  out->flops = 2.0 * (double)r.results * (double)r.of_each;
  out->bytes = (double)sizeof(fh_element) * (out->flops + (double)r.results);
  return FH_OK;
}

/* The result, and the sum of magnitudes that bounds its error. */
static fh_wide product_of(const fh_view_desc *views, void *const *data, const fh_reduction *r, int64_t result, fh_wide *out_size) {
  const fh_rows y = fh_rows_of(&views[Y]);
  fh_wide sum = 0;
  *out_size = 0;
  for (int64_t e = 0; e < r->of_each; e++) {
    const fh_wide a = (fh_wide)((const fh_element *)data[X])[fh_reduction_at(r, &r->x, result, e)];
    const fh_wide b = (fh_wide)((const fh_element *)data[Y])[fh_reduction_at(r, &y, result, e)];
    sum += a * b;
    *out_size += fabs(a * b);
  }
  return sum;
}

static void dot_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  (void)scalars;
  const fh_reduction r = fh_reduction_bound(params, views, X, Z);
  fh_wide size;
  for (int64_t i = 0; i < r.results; i++)
    ((fh_element *)data[Z])[fh_reduction_result_at(&r, i)] = (fh_element)product_of(views, data, &r, i, &size);
}

static const char *dot_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_reduction r = fh_reduction_bound(params, c->views, X, Z);
  for (int64_t i = 0; i < r.results; i++) {
    const int64_t at = fh_reduction_result_at(&r, i);
    const fh_wide found = (fh_wide)((const fh_element *)got[Z])[at], expected = (fh_wide)((const fh_element *)want[Z])[at];
    if (isnan(expected) ? isnan(found) : found == expected) continue;
    fh_wide size;
    product_of(c->views, want, &r, i, &size);
    if (!(fabs(found - expected) <= (fh_wide)(fh_reduction_terms(&r) + 1) * FH_UNIT * size + (fh_wide)r.of_each * FH_LEAST))
      return "a product is off by more than t u sum |x y|";
  }
  return NULL;
}

static bool dot_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_reduction_case(i, true, &out->views[X], &out->views[Z], out->label)) return false;
  out->views[Y] = out->views[X];
  return true;
}

static bool dot_bench_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_reduction_bench(i, &out->views[X], &out->views[Z], out->label)) return false;
  out->views[Y] = out->views[X];
  return true;
}

/* ---- blocks of threads: block/pieces.h and block/column_pieces.h, for floats ---- */

#ifndef FH_OF_DOUBLES
static const fh_pieces_operands pieces_places = {
    .chunks = 3, .n1 = 4, .d = 5, .x_step = 8, .y_step = 11, .rows = 16, .joined = 17, .results = 18};
FH_PIECES_FUNCTIONS(dot);
#define BLOCKS_OF_FLOATS FH_PIECES_BLOCKS(dot),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(dot) = {
    .name = FH_NAME_OF("dot"),
    .version = 1,
    .summary = "inner products over the last dimension, or over all",
    .formula = "z[r] = sum_i x[r,i] y[r,i]",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2)),
    FH_ENTRIES(FH_ENTRY_OF("dot", "rows"), FH_ENTRY_OF("dot", "columns"), FH_ENTRY_OF("dot", "join")),
    FH_EXACT_WITHIN(512 * FH_UNIT, 512 * FH_UNIT, "(t + 1) u sum |x y|, u = " FH_UNIT_TEXT ", t as for a sum (reduce), in compare"),
    .bind = dot_bind,
    .reference = dot_reference,
    .case_at = dot_case_at,
    .bench_at = dot_bench_at,
    .compare = dot_compare,
    BLOCKS_OF_FLOATS};
