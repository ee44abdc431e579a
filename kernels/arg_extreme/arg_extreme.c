/* The contract of arg_extreme: where the least or largest element is. SPDX-License-Identifier: Apache-2.0
 *
 * The lowest index of equals; the first NaN where there is one; -0 equals +0. */
#include "kernels/reductions.h"

#include <tgmath.h>

enum { X, Y };
enum { SHORT_STAGE, ROWS_STAGE, FIND_STAGE, COLUMNS_STAGE }; /* entries */

static const fh_view_param params[] = {FH_REDUCTION_OPERANDS(FH_I32)};

static const fh_scalar_param scalars_of[] = {{"largest", 'i', 1, "1: the largest, 0: the least"}};

static void bind_rows(const fh_reduction *r, int64_t largest, fh_bound *out) {
  fh_stage *stage = fh_add_stage(out, ROWS_STAGE, r->x.rows * r->chunks, fh_reduction_work(r));
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_temp(0));
  fh_push(stage, fh_op_i64(largest));
  fh_push(stage, fh_op_i64(r->chunks));
  fh_reduction_push_x(stage, r);
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
  fh_push(stage, fh_op_view(FH_OPERAND_IN, X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, Y, 0));
  fh_push(stage, fh_op_i64(largest));
  fh_reduction_push_x(stage, r);
  FH_PUSH_I64(stage, r->ys0, r->ys1);
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
};
