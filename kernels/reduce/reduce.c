/* The contract of reduce: sums, means, norms and extremes. SPDX-License-Identifier: Apache-2.0
 *
 * reduce_f64.c reads it for doubles.
 *
 * A NaN makes its result NaN. The sum of squares of a norm is an f32: above 3.4e38 (elements near 1e19) the norm is infinite, and elements
 * below 1e-19 count as less than they are, or nothing. */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y };
enum { SUM, MEAN, NORM, MAGNITUDES, LEAST, LARGEST, LARGEST_MAGNITUDE, OPS }; /* the parameter `op` */
enum { ROWS_STAGE, COLUMNS_STAGE, JOIN_STAGE };                               /* entries */

/* What the text knows of an op: how elements are joined, and what is done at the end. */
static const struct {
  const char *call;
  int64_t kind, finish;
  bool of_nothing; /* has a value for no elements: 0 */
} ops[OPS] = {{"sum", 0, 0, true},  {"mean", 0, 1, false}, {"norm", 2, 2, true},    {"sum_abs", 1, 0, true},
              {"min", 3, 0, false}, {"max", 4, 0, false},  {"max_abs", 5, 0, false}};

static const fh_view_param params[] = {FH_REDUCTION_OPERANDS(FH_ELEMENT)};

static const fh_scalar_param scalars_of[] = {
    {"op", 'i', 0, "0 sum, 1 mean, 2 Euclidean norm, 3 sum of magnitudes, 4 least, 5 largest, 6 largest magnitude"}};

static void bind_first(const fh_reduction *r, int64_t op, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, r->columns ? COLUMNS_STAGE : ROWS_STAGE, r->items, fh_reduction_work(r));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, r->joined ? fh_op_temp(0) : fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(ops[op].kind));
  fh_push(stage, fh_op_i64(r->joined ? 0 : ops[op].finish));
  fh_push(stage, fh_op_i64(r->of_each));
  fh_push(stage, fh_op_i64(r->chunks));
  fh_reduction_push_x(stage, r);
  fh_reduction_push_place(stage, r);
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  FH_PUSH_I64(stage, r->x.rows, r->joined, r->results, ops[op].finish, r->n1, r->ys0, r->ys1);
}

static void bind_join(const fh_reduction *r, int64_t op, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, JOIN_STAGE, r->results, (double)r->joined);
  fh_push(stage, fh_op_temp(0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(ops[op].kind));
  fh_push(stage, fh_op_i64(ops[op].finish));
  fh_push(stage, fh_op_i64(r->of_each));
  FH_PUSH_I64(stage, r->joined, r->n1, r->ys0, r->ys1);
}

static fh_status reduce_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  const int64_t op = scalars[0].i;
  if (op < 0 || op >= OPS) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_reduce: op is %" PRId64 ", expected 0 to %d", op, OPS - 1);
  fh_reduction r;
  FH_TRY(fh_reduction_of(ops[op].call, params, views, X, Y, &r));
  if (!ops[op].of_nothing) FH_TRY(fh_reduction_not_empty(ops[op].call, params, views, X, &r));
  if (r.results == 0) return FH_OK;

  const bool joins = r.joined > 0 || r.x.rows == 0; /* the join alone writes the result of no rows */
  if (r.x.rows > 0) bind_first(&r, op, out);
  if (joins) bind_join(&r, op, out);
  out->temp_count = joins;
  out->temp_bytes[0] = fh_reduction_scratch(&r);
  out->flops = (double)r.results * (double)r.of_each;
  out->bytes = (double)sizeof(fh_element) * (out->flops + (double)r.results);
  return FH_OK;
}

/* ---- the oracle ---------------------------------------------------------------------------------- */

static fh_wide joined(int64_t op, fh_wide so_far, fh_wide v) {
  if (op == NORM) return so_far + v * v;
  if (op <= MAGNITUDES) return so_far + (op == MAGNITUDES ? fabs(v) : v);
  if (isnan(so_far) || isnan(v)) return (fh_wide)NAN;
  if (op == LEAST) return fmin(so_far, v);
  return fmax(so_far, op == LARGEST ? v : fabs(v));
}

static fh_wide result_of(int64_t op, const fh_reduction *r, const fh_element *x, int64_t result) {
  fh_wide value = op < LEAST ? 0 : op == LEAST ? (fh_wide)INFINITY : -(fh_wide)INFINITY;
  for (int64_t e = 0; e < r->of_each; e++) value = joined(op, value, (fh_wide)x[fh_reduction_at(r, &r->x, result, e)]);
  return op == MEAN ? value / (fh_wide)r->of_each : op == NORM ? sqrt(value) : value + 0;
}

static void reduce_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_reduction r = fh_reduction_bound(params, views, X, Y);
  for (int64_t i = 0; i < r.results; i++)
    ((fh_element *)data[Y])[fh_reduction_result_at(&r, i)] = (fh_element)result_of(scalars[0].i, &r, data[X], i);
}

/* Extremes are exact. A sum of m terms in this order is within t u sum |x|; so is a norm, whose squares may each lose the least denormal
 * too. */
static const char *reduce_compare(const fh_case *c, void *const *got, void *const *want) {
  const fh_reduction r = fh_reduction_bound(params, c->views, X, Y);
  const int64_t op = c->scalars[0].i;
  for (int64_t i = 0; i < r.results; i++) {
    const int64_t at = fh_reduction_result_at(&r, i);
    const fh_wide found = (fh_wide)((const fh_element *)got[Y])[at], expected = (fh_wide)((const fh_element *)want[Y])[at];
    if (isnan(expected) ? isnan(found) : found == expected) continue;
    if (op >= LEAST) return "an extreme is wrong";
    fh_wide size = op == NORM ? expected : result_of(MAGNITUDES, &r, want[X], i);
    if (op == MEAN) size /= (fh_wide)r.of_each;
    const fh_wide lost = op == NORM ? sqrt((fh_wide)r.of_each) * FH_LEAST_ROOT : FH_LEAST;
    if (!(fabs(found - expected) <= (fh_wide)fh_reduction_terms(&r) * FH_UNIT * size + lost))
      return "a sum is off by more than t u sum |x|";
  }
  return NULL;
}

/* ---- cases --------------------------------------------------------------------------------------- */

/* Every shape with three ops, so that each op meets each kind of shape; the empty ones with those that have a value there. */
static bool reduce_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  char label[48];
  if (!fh_reduction_case(i / 3, true, &out->views[X], &out->views[Y], label)) return false;
  int64_t count = 1;
  for (int32_t k = 0; k < out->views[X].rank; k++) count *= out->views[X].shape[k];
  static const int64_t of_nothing[] = {SUM, NORM, MAGNITUDES};
  out->scalars[0].i = count == 0 ? of_nothing[i % 3] : (i % 3 * 3 + i / 3) % OPS;
  snprintf(out->label, sizeof out->label, "%.36s %s", label, ops[out->scalars[0].i].call);
  return true;
}

static bool reduce_bench_at(int i, fh_case *out) {
  static const int64_t measured[] = {SUM, NORM, LARGEST};
  *out = (fh_case){0};
  char label[48];
  if (!fh_reduction_bench(i / 3, &out->views[X], &out->views[Y], label)) return false;
  out->scalars[0].i = measured[i % 3];
  snprintf(out->label, sizeof out->label, "%.36s %s", label, ops[out->scalars[0].i].call);
  return true;
}

/* ---- blocks of threads: block/pieces.h and block/column_pieces.h, for floats ---- */

#ifndef FH_OF_DOUBLES
static const fh_pieces_operands pieces_places = {
    .chunks = 5, .n1 = 6, .d = 7, .x_step = 10, .y_step = 10, .rows = 15, .joined = 16, .results = 17};
FH_PIECES_FUNCTIONS(reduce);
#define BLOCKS_OF_FLOATS FH_PIECES_BLOCKS(reduce),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(reduce) = {
    .name = FH_NAME_OF("reduce"),
    .version = 1,
    .summary = "sum, mean, norms or extreme over the last dimension, or over all",
    .formula = "y[r] = sum_i x[r,i], the same / d, sqrt(sum_i x[r,i]^2), sum_i |x[r,i]|, min_i x[r,i], max_i x[r,i] or max_i |x[r,i]|",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES(FH_ENTRY_OF("reduce", "rows"), FH_ENTRY_OF("reduce", "columns"), FH_ENTRY_OF("reduce", "join")),
    FH_EXACT_WITHIN(512 * FH_UNIT, 512 * FH_UNIT,
                    "t u sum |x| in compare, u = " FH_UNIT_TEXT
                    ": 64 running sums over pieces of 4096, so t = d / 64 + 8 up to 72, and as much again for the "
                    "sums of pieces (Higham 2002, eq. 4.4); extremes are exact, a zero is +0"),
    .bind = reduce_bind,
    .reference = reduce_reference,
    .case_at = reduce_case_at,
    .bench_at = reduce_bench_at,
    .compare = reduce_compare,
    BLOCKS_OF_FLOATS};
