/* The contract of arg_extreme: where the least or largest element is. SPDX-License-Identifier: Apache-2.0
 *
 * The lowest index of equals; the first NaN where there is one; -0 equals +0. */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y };
enum { SHORT_STAGE, ROWS_STAGE, FIND_STAGE, COLUMNS_STAGE }; /* entries */

static const fh_view_param params[] = {FH_REDUCTION_OPERANDS(FH_I32)};

static const fh_scalar_param scalars_of[] = {{"largest", 'i', 1, "1: the largest, 0: the least"}};

/* Parts of what a result is chosen from, for blocks of threads. */
typedef struct arg_parts {
  int64_t count, span; /* span elements each, the last one fewer */
} arg_parts;

enum { MOST_BLOCKS = 4096, PART = 4096, COLUMN_PART = 256 };

/* As many blocks as keep any device busy, where `items` of them would have whole rows; a part is worth a block. */
static arg_parts parts_of(int64_t items, int64_t of_each, int64_t least) {
  const int64_t most = items < MOST_BLOCKS ? MOST_BLOCKS / fh_most(1, items) : 1, count = fh_divide_up(of_each, least);
  const int64_t span = fh_divide_up(fh_divide_up(of_each, count < most ? count : most), least) * least;
  return (arg_parts){fh_divide_up(of_each, span), span};
}

static arg_parts parts_of_reduction(const fh_reduction *r) {
  if (!r->columns || r->results != r->x.rows) return parts_of(r->results, r->of_each, PART);
  return parts_of(fh_divide_up(r->items / r->chunks, 2), r->of_each, COLUMN_PART); /* a block has 32 columns, an item 16 */
}

/* The operands of every first stage; without a second one the places alone are kept. */
static void push_first(fh_stage *stage, const fh_reduction *r, int64_t largest, bool whole) {
  const arg_parts parts = parts_of_reduction(r);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, whole ? fh_op_view(FH_OPERAND_OUT, Y, 0) : fh_op_temp(0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(largest));
  fh_push(stage, fh_op_i64(r->chunks));
  fh_reduction_push_x(stage, r);
  FH_PUSH_I64(stage, r->n1, r->ys0, r->ys1, r->of_each, r->results, parts.count, parts.span);
}

static void bind_rows(const fh_reduction *r, int64_t largest, fh_bound *out) {
  push_first(fh_add_stage(out, ROWS_STAGE, r->x.rows * r->chunks, fh_reduction_work(r)), r, largest, false);
}

static void bind_find(const fh_reduction *r, int64_t largest, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, FIND_STAGE, r->results, fh_reduction_work(r) + (double)r->joined);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_temp(0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(largest));
  fh_push(stage, fh_op_i64(r->joined));
  fh_push(stage, fh_op_i64(r->chunks));
  fh_reduction_push_x(stage, r);
  FH_PUSH_I64(stage, r->n1, r->ys0, r->ys1);
}

/* Each row is looked through in one go: short ones, or 16 at a time by columns. */
static void bind_whole(const fh_reduction *r, int64_t largest, fh_bound *out) {
  fh_stage *stage = r->columns ? fh_add_stage(out, COLUMNS_STAGE, r->items / r->chunks, 48.0 * (double)r->x.d)
                               : fh_add_stage(out, SHORT_STAGE, r->results, 2.0 * (double)r->x.d);
  push_first(stage, r, largest, true);
}

static fh_status arg_extreme_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  fh_bound_clear(out);
  const int64_t largest = scalars[0].i;
  if (largest != 0 && largest != 1)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_arg_extreme: largest is %" PRId64 ", expected 0 or 1", largest);
  const char *call = largest ? "argmax" : "argmin";
  fh_reduction r;
  FH_TRY(fh_reduction_of(call, params, views, X, Y, &r));
  FH_TRY(fh_reduction_not_empty(call, params, views, X, &r));
  if (r.of_each > INT32_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: a result is chosen from %" PRId64 " elements of x, expected at most %d (y is i32)", call,
                     r.of_each, INT32_MAX);
  if (r.results == 0) return FH_OK;

  if (r.results == r.x.rows && (r.columns || r.chunks == 1)) {
    bind_whole(&r, largest, out);
  } else {
    bind_rows(&r, largest, out);
    bind_find(&r, largest, out);
    out->temp_count = 1;
    out->temp_bytes[0] = fh_reduction_scratch(&r);
  }
  out->flops = (double)r.results * (double)r.of_each;
  out->bytes = (double)sizeof(fh_element) * (out->flops + (double)r.results);
  return FH_OK;
}

static bool better(fh_element v, fh_element best, int64_t largest) {
  if (isnan(v) || isnan(best)) return isnan(v) && !isnan(best);
  return largest ? v > best : v < best;
}

static void arg_extreme_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_reduction r = fh_reduction_bound(params, views, X, Y);
  const fh_element *x = data[X];
  for (int64_t i = 0; i < r.results; i++) {
    int64_t best = 0;
    for (int64_t e = 1; e < r.of_each; e++) {
      const fh_element v = x[fh_reduction_at(&r, &r.x, i, e)], at_best = x[fh_reduction_at(&r, &r.x, i, best)];
      if (better(v, at_best, scalars[0].i)) best = e;
    }
    ((int32_t *)data[Y])[fh_reduction_result_at(&r, i)] = (int32_t)best;
  }
}

static void arg_extreme_complete(int i, fh_case *out) {
  out->views[Y].dtype = FH_I32;
  out->scalars[0].i = i % 2;
}

static bool arg_extreme_case_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_reduction_case(i / 2, false, &out->views[X], &out->views[Y], out->label)) return false;
  arg_extreme_complete(i, out);
  return true;
}

static bool arg_extreme_bench_at(int i, fh_case *out) {
  *out = (fh_case){0};
  if (!fh_reduction_bench(i, &out->views[X], &out->views[Y], out->label)) return false;
  arg_extreme_complete(1, out);
  return true;
}

/* Few values, so that there are equals to choose from. */
static void arg_extreme_fill(int index, const fh_case *c, void *data, uint64_t seed) {
  const int64_t count = fh_elements(&c->views[index]);
  for (int64_t i = 0; i < count; i++) ((fh_element *)data)[i] = (float)(fh_next_random(&seed) >> 50) - 8192.0f;
}

/* ---- blocks of threads: for floats ---- */

#ifndef FH_OF_DOUBLES
enum { N1_OPERAND = 5, D_OPERAND, OUTER_OPERAND, SIDE_OPERAND, STEP_OPERAND, OF_EACH_OPERAND = 13, RESULTS_OPERAND, PARTS_OPERAND };
enum { THREADS = 256, SHORT = 16, LONG = 64, WIDTH = 32, LEAST_COLUMN = 64 };

static int64_t operand(const fh_bound *bound, int i) { return bound->stages[0].operands[i].i; }
static int64_t groups_of(int64_t count, int64_t together) { return fh_divide_up(count, together); }

/* `together` results of a block; blocks stride over them. */
static void results_shape(const fh_bound *bound, int multiprocessors, int64_t together, fh_block_shape *out) {
  fh_pieces_grid(groups_of(operand(bound, RESULTS_OPERAND), together), multiprocessors, out);
}
static void short_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  results_shape(bound, multiprocessors, THREADS / SHORT, out);
}
static void rows_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  results_shape(bound, multiprocessors, THREADS / LONG, out);
}
static void split_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_pieces_grid(operand(bound, RESULTS_OPERAND) * operand(bound, PARTS_OPERAND), multiprocessors, out);
}
/* A block has the columns that arg_width() of the text says. */
static void columns_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  const int64_t n1 = operand(bound, N1_OPERAND), width = operand(bound, D_OPERAND) < LEAST_COLUMN ? THREADS : n1 > WIDTH / 2 ? WIDTH : 8;
  fh_pieces_grid(operand(bound, RESULTS_OPERAND) / n1 * groups_of(n1, width) * operand(bound, PARTS_OPERAND), multiprocessors, out);
}
static void join_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  results_shape(bound, multiprocessors, operand(bound, RESULTS_OPERAND) >= WIDTH ? WIDTH : 1, out);
}

/* A value and a place of each part of a result. */
static size_t parts_scratch(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  return (sizeof(float) + sizeof(int32_t)) * (size_t)(operand(bound, RESULTS_OPERAND) * operand(bound, PARTS_OPERAND));
}

/* All of the rows, one behind the other, are one row. */
static bool one_run(const fh_bound *bound) {
  const int64_t n1 = operand(bound, N1_OPERAND), d = operand(bound, D_OPERAND), rows = operand(bound, OF_EACH_OPERAND) / d;
  return (n1 == 1 || operand(bound, SIDE_OPERAND) == d) && (rows == n1 || operand(bound, OUTER_OPERAND) == n1 * d);
}
static const char *by_rows_unfit(const fh_bound *bound, bool split) {
  const bool whole = operand(bound, OF_EACH_OPERAND) != operand(bound, D_OPERAND);
  if (bound->stages[0].entry == COLUMNS_STAGE) return "it is looked through by columns";
  if (operand(bound, STEP_OPERAND) != 1 || (whole && !one_run(bound))) return "the elements are not side by side";
  if (operand(bound, OF_EACH_OPERAND) < LEAST_COLUMN / 2) return FH_PIECES_SHORT;
  if (split) return operand(bound, PARTS_OPERAND) > 1 ? NULL : "there are rows enough for blocks, or they are short";
  return operand(bound, PARTS_OPERAND) > 1 ? "there are too few rows for as many blocks as a device wants" : NULL;
}
static const char *short_unfit(const fh_bound *bound) {
  const char *why = by_rows_unfit(bound, false);
  return why ? why : operand(bound, OF_EACH_OPERAND) < FH_PIECES_LEAST ? NULL : "rows are long enough for more threads each";
}
static const char *rows_unfit(const fh_bound *bound) {
  const char *why = by_rows_unfit(bound, false);
  return why ? why : operand(bound, OF_EACH_OPERAND) < FH_PIECES_LEAST ? FH_PIECES_SHORT : NULL;
}
static const char *split_unfit(const fh_bound *bound) { return by_rows_unfit(bound, true); }

static const char *by_columns_unfit(const fh_bound *bound, bool spread) {
  if (bound->stages[0].entry != COLUMNS_STAGE) return "it is looked through by rows";
  if ((operand(bound, PARTS_OPERAND) > 1) == spread) return NULL;
  return spread ? "there are columns enough for blocks, or they are short"
                : "there are too few columns for as many blocks as a device wants";
}
static const char *columns_unfit(const fh_bound *bound) { return by_columns_unfit(bound, false); }
static const char *spread_unfit(const fh_bound *bound) { return by_columns_unfit(bound, true); }

static const fh_block_step joined[] = {{"arg_join", join_shape}};

#define ARG_ROW(variant, entry, shape, unfit, ...) \
  {variant, entry, "arg_extreme_block", FH_BLOCK_PORTABLE, false, FH_EXACT, shape, unfit, __VA_ARGS__}
#define ARG_JOINED .rest = joined, .rest_count = 1, .scratch_bytes = parts_scratch
#define BLOCKS_OF_FLOATS                                                                                                             \
  FH_BLOCKS(ARG_ROW("short", "arg_by_16", short_shape, short_unfit, 0.8), ARG_ROW("rows", "arg_by_64", rows_shape, rows_unfit, 0.9), \
            ARG_ROW("split", "arg_split", split_shape, split_unfit, 0.9, ARG_JOINED),                                                \
            ARG_ROW("columns", "arg_side", columns_shape, columns_unfit, 0.8),                                                       \
            ARG_ROW("spread", "arg_spread", columns_shape, spread_unfit, 0.8, ARG_JOINED)),
#else
#define BLOCKS_OF_FLOATS
#endif

const fh_kernel_contract FH_CONTRACT_OF(arg_extreme) = {
    .name = FH_NAME_OF("arg_extreme"),
    .version = 1,
    .summary = "where the least or largest element of the last dimension, or of all, is",
    .formula =
        "y[r] = the least i with x[r,i] = max_j x[r,j] (or min), or with x[r,i] a NaN where there is one; of all: i counts row by row",
    FH_VIEWS(params),
    FH_CHUNKS(FH_RANK(2) | FH_RANK(3), FH_RANK(1) | FH_RANK(2)),
    FH_SCALARS(scalars_of),
    FH_ENTRIES(FH_ENTRY_OF("arg", "short"), FH_ENTRY_OF("arg", "rows"), FH_ENTRY_OF("arg", "find"), FH_ENTRY_OF("arg", "columns")),
    FH_EXACT_WITHIN(0, 0, "an index is right or wrong"),
    .bind = arg_extreme_bind,
    .reference = arg_extreme_reference,
    .case_at = arg_extreme_case_at,
    .bench_at = arg_extreme_bench_at,
    .fill = arg_extreme_fill,
    BLOCKS_OF_FLOATS};
