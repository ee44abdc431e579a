/* The contract of variance over the last dimension. SPDX-License-Identifier: Apache-2.0 */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y };
enum { SUMS, SQUARES };                         /* scratch */
enum { ROWS_STAGE, COLUMNS_STAGE, JOIN_STAGE }; /* entries */

static const fh_view_param params[] = {FH_REDUCTION_OPERANDS(FH_ELEMENT)};

static const fh_scalar_param scalars_of[] = {
    {"ddof", 'i', 0, "what is taken off the count to divide by: 0 for the variance, 1 for an estimate"}};

/* Pieces of a result: runs of `full` ones of `piece` elements, each followed by one of `rest` where that is above 0. */
typedef struct runs {
  int64_t full, piece, rest;
} runs;

/* Rows of one chunk are pieces of d; longer ones have whole pieces and what is left. */
static runs runs_of(const fh_reduction *r) {
  const int64_t left = r->x.d % FH_REDUCTION_PIECE;
  const bool even = r->chunks == 1 || left == 0;
  return (runs){even ? r->joined : r->chunks - 1, r->chunks == 1 ? r->x.d : FH_REDUCTION_PIECE, even ? 0 : left};
}

static void bind_first(const fh_reduction *r, int64_t divisor, fh_bound *out) {
  const runs of = runs_of(r);
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
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, r->joined, r->results, r->of_each, divisor, of.full, of.piece, of.rest, r->n1, r->ys0, r->ys1);
}

static void bind_join(const fh_reduction *r, int64_t divisor, fh_bound *out) {
  const runs of = runs_of(r);
  fh_stage *stage = fh_add_stage(out, JOIN_STAGE, r->results, 4.0 * (double)r->joined);
  fh_push(stage, fh_op_temp(SUMS));
  fh_push(stage, fh_op_temp(SQUARES));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(r->of_each));
  fh_push(stage, fh_op_i64(divisor));
  FH_PUSH_I64(stage, r->joined, of.full, of.piece, of.rest, r->n1, r->ys0, r->ys1);
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

/* ---- blocks of threads: for floats ---- */

#ifndef FH_OF_DOUBLES
enum { CHUNKS_OPERAND = 5, N1_OPERAND, D_OPERAND, STEP_OPERAND = 10, ROWS_OPERAND = 14, JOINED_OPERAND = 16, RESULTS_OPERAND };
enum { FULL_OPERAND = 20, REST_OPERAND = 22 };
enum { FEW = 1024, SIDE = 8, SIDE_THREADS = 512, MOST_RUNS = 64 };

static int64_t operand(const fh_bound *bound, int i) { return bound->stages[0].operands[i].i; }

static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_shape(operand(bound, ROWS_OPERAND) * operand(bound, CHUNKS_OPERAND), multiprocessors, out);
}
static void columns_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const int64_t n1 = operand(bound, N1_OPERAND), outer = operand(bound, ROWS_OPERAND) / fh_most(1, n1);
  fh_pieces_grid(outer * operand(bound, CHUNKS_OPERAND) * fh_divide_up(n1, SIDE), multiprocessors, out);
  out->threads = SIDE_THREADS;
}
static void results_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){.grid = {(uint32_t)operand(bound, RESULTS_OPERAND), 1, 1}, .threads = FH_PIECES_THREADS};
}

/* What the variants of a form have in common: how long pieces are, and what becomes of them. */
typedef struct pieces {
  int64_t least, most; /* elements of a row, without its pieces */
  bool joined;
} pieces;

static const char *pieces_unfit(const fh_bound *bound, const pieces *of) {
  const int64_t joined = operand(bound, JOINED_OPERAND), d = operand(bound, D_OPERAND);
  if ((joined > 0) != of->joined) return joined ? "results are joined from pieces" : "each result is one piece";
  if (operand(bound, REST_OPERAND) > 0 && joined / (operand(bound, FULL_OPERAND) + 1) > MOST_RUNS)
    return "rows with a piece that is not whole are joined one by one";
  if (d < of->least && of->least <= FH_PIECES_LEAST) return FH_PIECES_SHORT;
  return d < of->least || d > of->most ? "the other variant keeps as many elements in registers as a row has" : NULL;
}
static const char *by_rows_unfit(const fh_bound *bound, const pieces *of) {
  if (bound->stages[0].entry != ROWS_STAGE) return "it is reduced by columns";
  return operand(bound, STEP_OPERAND) != 1 ? "the elements of a row are not side by side" : pieces_unfit(bound, of);
}
static const char *by_columns_unfit(const fh_bound *bound, const pieces *of) {
  return bound->stages[0].entry != COLUMNS_STAGE ? "it is reduced by rows" : pieces_unfit(bound, of);
}

#define UNFIT(name, unfit, ...) \
  static const char *name(const fh_bound *bound) { return unfit(bound, &(const pieces){__VA_ARGS__}); }
UNFIT(few_unfit, by_rows_unfit, FH_PIECES_LEAST, FEW, false)
UNFIT(many_unfit, by_rows_unfit, FEW + 1, FH_REDUCTION_PIECE, false)
UNFIT(pieces_of_rows_unfit, by_rows_unfit, FH_PIECES_LEAST, INT64_MAX, true)
UNFIT(side_few_unfit, by_columns_unfit, FH_COLUMNS_LEAST, FEW, false)
UNFIT(side_many_unfit, by_columns_unfit, FEW / 4 + 1, FH_REDUCTION_PIECE, false)
UNFIT(pieces_of_columns_unfit, by_columns_unfit, FH_COLUMNS_LEAST, INT64_MAX, true)

static const fh_block_step results[] = {{"variance_results", results_shape}};

#define VARIANCE_ROW(variant, entry, shape, unfit, ...) \
  {variant, "variance_" entry, "variance_block", FH_BLOCK_PORTABLE, false, FH_EXACT, shape, unfit, __VA_ARGS__}
#define ALONE .rest = NULL
#define JOINED .rest = results, .rest_count = 1
#define BLOCKS_OF_FLOATS                                                                           \
  FH_BLOCKS(VARIANCE_ROW("few", "few", rows_shape, few_unfit, 0.85, ALONE),                        \
            VARIANCE_ROW("many", "many", rows_shape, many_unfit, 0.8, ALONE),                      \
            VARIANCE_ROW("pieces", "many", rows_shape, pieces_of_rows_unfit, 0.8, JOINED),         \
            VARIANCE_ROW("columns_few", "side_few", columns_shape, side_few_unfit, 0.85, ALONE),   \
            VARIANCE_ROW("columns_many", "side_many", columns_shape, side_many_unfit, 0.8, ALONE), \
            VARIANCE_ROW("column_pieces", "side_many", columns_shape, pieces_of_columns_unfit, 0.8, JOINED)),
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
