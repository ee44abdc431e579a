/* The contract of variance over the last dimension. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y };
enum { SUMS, SQUARES };                         /* scratch */
enum { ROWS_STAGE, COLUMNS_STAGE, JOIN_STAGE }; /* entries */

static const fh_view_param params[] = {FH_REDUCTION_OPERANDS(FH_ELEMENT)};

static const fh_scalar_param scalars_of[] = {
    {"ddof", 'i', 0, "what is taken off the count to divide by: 0 for the variance, 1 for an estimate"}};

static void bind_first(const fh_reduction *r, int64_t divisor, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, r->columns ? COLUMNS_STAGE : ROWS_STAGE, r->items, 4 * fh_reduction_work(r));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, r->joined ? fh_op_temp(SQUARES) : fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_temp(SUMS));
  fh_push(stage, fh_op_i64(r->joined > 0));
  fh_push(stage, fh_op_i64(r->joined ? 1 : divisor));
  fh_push(stage, fh_op_i64(r->chunks));
  fh_reduction_push_x(stage, r);
  fh_reduction_push_place(stage, r);
  fh_push(stage, fh_op_i64(r->x.rows));
}

/* Rows of one chunk are pieces of d; longer ones have whole pieces and what is left. */
static void bind_join(const fh_reduction *r, int64_t divisor, fh_bound *out) {
  const int64_t left = r->x.d % FH_REDUCTION_PIECE;
  const bool even = r->chunks == 1 || left == 0;
  const int64_t full = even ? r->joined : r->chunks - 1, piece = r->chunks == 1 ? r->x.d : FH_REDUCTION_PIECE;
  fh_stage *stage = fh_add_stage(out, JOIN_STAGE, r->results, 4.0 * (double)r->joined);
  fh_push(stage, fh_op_temp(SUMS));
  fh_push(stage, fh_op_temp(SQUARES));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(r->of_each));
  fh_push(stage, fh_op_i64(divisor));
  FH_PUSH_I64(stage, r->joined, full, piece, even ? 0 : left, r->n1, r->ys0, r->ys1);
}

static fh_status variance_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  fh_reduction r;
  FH_TRY(fh_reduction_of("variance", params, views, X, Y, &r));
  FH_TRY(fh_reduction_not_empty("variance", params, views, X, &r));
  if (r.results == 0) return FH_OK;
  const int64_t ddof = scalars[0].i;
  if (ddof < 0 || ddof >= r.of_each)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_variance: ddof is %" PRId64 ", expected 0 to %" PRId64 ", less than the elements of a result",
                     ddof, r.of_each - 1);

  const int64_t divisor = r.of_each - ddof;
  bind_first(&r, divisor, out);
  if (r.joined) bind_join(&r, divisor, out);
  out->temp_count = 2;
  out->temp_bytes[SUMS] = r.joined ? fh_reduction_scratch(&r) : sizeof(fh_element);
  out->temp_bytes[SQUARES] = out->temp_bytes[SUMS];
  out->flops = 4.0 * (double)r.results * (double)r.of_each;
  out->bytes = (double)sizeof(fh_element) * (double)r.results * (double)(r.of_each + 1);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static fh_wide mean_of(const fh_reduction *r, const fh_element *x, int64_t result) {
  fh_wide sum = 0;
  for (int64_t e = 0; e < r->of_each; e++) sum += (fh_wide)x[fh_reduction_at(r, &r->x, result, e)];
  return sum / (fh_wide)r->of_each;
}

static void variance_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_reduction r = fh_reduction_bound(params, views, X, Y);
  const fh_element *x = data[X];
  for (int64_t i = 0; i < r.results; i++) {
    const fh_wide mean = mean_of(&r, x, i);
    fh_wide squares = 0;
    for (int64_t e = 0; e < r.of_each; e++) {
      const fh_wide off = (fh_wide)x[fh_reduction_at(&r, &r.x, i, e)] - mean;
      squares += off * off;
    }
    ((fh_element *)data[Y])[fh_reduction_result_at(&r, i)] = (fh_element)(squares / (fh_wide)(r.of_each - scalars[0].i));
  }
}

/* A mean that is off by t u max|x| adds its square; the squares and their sum are off by 2 t u of themselves. */
static const char *variance_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_reduction r = fh_reduction_bound(params, c->views, X, Y);
  const fh_element *x = want[X];
  for (int64_t i = 0; i < r.results; i++) {
    const int64_t at = fh_reduction_result_at(&r, i);
    const fh_wide found = (fh_wide)((const fh_element *)got[Y])[at], expected = (fh_wide)((const fh_element *)want[Y])[at];
    if (isnan(expected) ? isnan(found) : found == expected) continue;
    fh_wide largest = 0;
    for (int64_t e = 0; e < r.of_each; e++) largest = fmax(largest, fabs((fh_wide)x[fh_reduction_at(&r, &r.x, i, e)]));
    const fh_wide t = (fh_wide)(fh_reduction_terms(&r) + 8) * FH_UNIT, scale = (fh_wide)r.of_each / (fh_wide)(r.of_each - c->scalars[0].i);
    if (!(fabs(found - expected) <= 2 * t * expected + 2 * scale * (t * largest) * (t * largest) + 512 * FH_LEAST))
      return "a variance is off by more than 2 t u of itself and (t u max |x|)^2";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

static bool variance_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_reduction_case(i, false, &out->views[X], &out->views[Y], out->label)) return false;
  const int32_t last = out->views[X].rank - 1;
  out->scalars[0].i = i % 2 && out->views[X].shape[last] > 1;
  return true;
}

static bool variance_bench_at(int i, fh_case *out) {
  *out = (fh_case){0};
  return fh_reduction_bench(i, &out->views[X], &out->views[Y], out->label);
}

/* ---- blocks of threads: for floats, and rows that are one piece ---- */

#ifndef FH_OF_DOUBLES
enum { KEEP_OPERAND = 3, D_OPERAND = 7, STEP_OPERAND = 10, ROWS_OPERAND = 14, FEW = 1024 };

static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_shape(bound->stages[0].operands[ROWS_OPERAND].i, multiprocessors, out);
}
static const char *rows_unfit(const fh_bound *bound, int64_t least, int64_t most) {
  const fh_operand *op = bound->stages[0].operands;
  if (bound->stages[0].entry != ROWS_STAGE) return "it is reduced by columns";
  if (op[KEEP_OPERAND].i) return "results are joined from pieces";
  if (op[STEP_OPERAND].i != 1) return "the elements of a row are not side by side";
  if (op[D_OPERAND].i < FH_PIECES_LEAST) return FH_PIECES_SHORT;
  return op[D_OPERAND].i < least || op[D_OPERAND].i > most ? "the other variant keeps as many elements in registers as a row has" : NULL;
}
static const char *few_unfit(const fh_bound *bound) { return rows_unfit(bound, FH_PIECES_LEAST, FEW); }
static const char *many_unfit(const fh_bound *bound) { return rows_unfit(bound, FEW + 1, FH_REDUCTION_PIECE); }
#define BLOCKS_OF_FLOATS                                                                                               \
  FH_BLOCKS({"few", "variance_few", "variance_block", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, few_unfit, 0.8}, \
            {"many", "variance_many", "variance_block", FH_BLOCK_PORTABLE, false, FH_EXACT, rows_shape, many_unfit, 0.8}),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(variance) = {
    .name = FH_NAME_OF("variance"),
    .version = 1,
    .summary = "variance over the last dimension, or over all",
    .formula = "y[r] = sum_i (x[r,i] - mean_r)^2 / (d - ddof), by pieces of 4096 about their own means (Chan, Golub, LeVeque 1983)",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES(FH_ENTRY_OF("variance", "rows"), FH_ENTRY_OF("variance", "columns"), FH_ENTRY_OF("variance", "join")),
    FH_EXACT_WITHIN(1024 * FH_UNIT, FH_UNIT,
                    "2 t u of itself and (t u max |x|)^2 for the mean, u = " FH_UNIT_TEXT ", t as for a sum (reduce), in compare"),
    .bind = variance_bind,
    .reference = variance_reference,
    .case_at = variance_case_at,
    .bench_at = variance_bench_at,
    .compare = variance_compare,
    BLOCKS_OF_FLOATS};
