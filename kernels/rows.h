/* Views as rows: what the contracts of row kernels share. SPDX-License-Identifier: Apache-2.0
 *
 * A view of rank 1 to 3 is rows of d elements under two outer dimensions of any strides. */
#ifndef FOGHORN_KERNELS_ROWS_H_
#define FOGHORN_KERNELS_ROWS_H_

#include <float.h>

#include "kernels/cases.h"
#include "kernels/check.h"
#include "kernels/stage.h"

typedef struct fh_rows {
  int64_t rows, n1, d;  /* rows = n0 * n1 */
  int64_t s0, s1, step; /* strides of the outer dimensions and within a row, in elements */
} fh_rows;

static inline fh_rows fh_rows_of(const fh_view_desc *v) {
  const int32_t last = v->rank - 1;
  fh_rows r = {.rows = 1, .n1 = 1, .d = v->shape[last], .step = v->strides[last]};
  if (v->rank >= 2) {
    r.n1 = v->shape[last - 1];
    r.s1 = v->strides[last - 1];
    r.rows = r.n1;
  }
  if (v->rank == 3) {
    r.s0 = v->strides[0];
    r.rows *= v->shape[0];
  }
  return r;
}

/* Where element i of row `row` lies, in elements from the first. */
static inline int64_t fh_rows_at(const fh_rows *r, int64_t row, int64_t i) {
  /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): n1 is 1 at least */
  return row / r->n1 * r->s0 + row % r->n1 * r->s1 + i * r->step;
}

/* View b of a kernel has the very shape of view a. */
static inline fh_status fh_check_same_shape(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int a, int b) {
  char text_a[FH_CHECK_TEXT], text_b[FH_CHECK_TEXT];
  bool same = v[a].rank == v[b].rank;
  for (int32_t i = 0; same && i < v[a].rank; i++) same = v[a].shape[i] == v[b].shape[i];
  if (same) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has shape %s but %s has shape %s, expected equal shapes", kernel, params[a].name,
                   fh_check_shape_text(&v[a], text_a), params[b].name, fh_check_shape_text(&v[b], text_b));
}

/* Checks views 0 and `y` of a row kernel: type, rank 1 to 3, equal shapes, a size that can be addressed. */
static inline fh_status fh_check_rows(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int y, int64_t *out_count) {
  FH_TRY(fh_check_view(kernel, &params[0], &v[0], 1, 3));
  FH_TRY(fh_check_view(kernel, &params[y], &v[y], 1, 3));
  FH_TRY(fh_check_same_shape(kernel, params, v, 0, y));
  return fh_check_count(kernel, &params[0], &v[0], out_count);
}

/* View i has one number for each element of a row of x, view 0. */
static inline fh_status fh_check_row_weights(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int i) {
  FH_TRY(fh_check_view(kernel, &params[i], &v[i], 1, 1));
  return fh_check_extent(kernel, &params[i], &v[i], 0, "d", v[0].shape[v[0].rank - 1], "x");
}

/* What is added under a root. */
static inline fh_status fh_check_eps(const char *kernel, double eps) {
  if (eps >= 0 && eps <= (double)FLT_MAX) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: eps is %g, expected a number from 0 to %g", kernel, eps, (double)FLT_MAX);
}

/* The next stage, with the rows of x as its items and `flops` for each element. */
static inline fh_stage *fh_add_rows_stage(fh_bound *out, int entry, const fh_rows *x, double flops) {
  fh_stage *stage = fh_add_stage(out, entry, x->rows, flops * (double)x->d);
  out->flops = stage->flops_per_item * (double)stage->items;
  return stage;
}

/* The shape operands of a row kernel from views 0 and y: n1, d, xs0, xs1, xs, ys0, ys1, ys. */
static inline void fh_rows_operands(fh_stage *stage, const fh_rows *x, const fh_rows *y) {
  FH_PUSH_I64(stage, x->n1, x->d, x->s0, x->s1, x->step, y->s0, y->s1, y->step);
}

/* Should an output of `count` floats go past the caches? From 16 MiB on it fits none with its input, and what is written past them is not
 * read first: a third less traffic. */
static inline int64_t fh_rows_stream(int64_t count) { return count >= INT64_C(16) << 18; }

/* The same for results of one row after the other. A line that two rows share is stored in two parts and so read first: past the caches a
 * row of 257 elements took 1.3 to 2 times as long, one of 1000 0.7 to 0.9, and one of whole lines 0.6 to 0.7. */
static inline int64_t fh_norm_stream(const fh_rows *x) {
  enum { LINE = 16, LONG_ROW = 768 };
  return fh_rows_stream(x->rows * x->d) && (x->d % LINE == 0 || x->d >= LONG_ROW);
}

/* The operands of a kernel that normalises rows as its tuned function gets them: FH_ROWS_ROWS and so on. */
static inline void fh_norm_operands(fh_stage *stage, const fh_rows *x, const fh_rows *y) {
  fh_push(stage, fh_op_i64(x->rows));
  fh_rows_operands(stage, x, y);
}

typedef struct fh_rows_shape {
  int32_t rank;
  int64_t shape[3];
} fh_rows_shape;

static inline void fh_rows_named(const fh_rows_shape *s, fh_view_desc *out, char label[static 48]) {
  *out = fh_compact(FH_F32, s->rank, s->shape);
  size_t at = 0;
  for (int32_t k = 0; k < s->rank; k++) at += (size_t)snprintf(label + at, 48 - at, "%s%" PRId64, k ? "x" : "", s->shape[k]);
}

/* A case with view 0 of shape i of `count`, and nothing else. False past the last. */
static inline bool fh_rows_case_of(const fh_rows_shape *shapes, int count, int i, fh_case *out) {
  *out = (fh_case){0};
  if (i < 0 || i >= count) return false;
  fh_rows_named(&shapes[i], &out->views[0], out->label);
  return true;
}

/* View 0 in the shapes that every row kernel is tried on: the self-test's, empty, around the 16 and 64 lanes of a step, each rank,
 * and sizes of real work. What is written past the caches is larger: tests/unit/test_past_the_caches.c. False past the last. */
static inline bool fh_rows_case(int i, fh_case *out) {
  static const fh_rows_shape all[] = {
      {2, {3, 83}},     {2, {0, 5}},   {2, {5, 0}},   {1, {1}},     {1, {15}},      {1, {16}},       {1, {17}},      {2, {7, 1}},
      {2, {5, 31}},     {2, {4, 32}},  {2, {3, 63}},  {2, {5, 64}}, {2, {3, 65}},   {3, {2, 3, 20}}, {3, {3, 1, 4}}, {2, {2, 127}},
      {3, {2, 2, 129}}, {2, {64, 16}}, {2, {9, 257}}, {1, {1031}},  {2, {3, 1000}}, {2, {4, 1025}},  {2, {3, 2100}}, {2, {64, 768}},
  };
  return fh_rows_case_of(all, FH_LENGTH(all), i, out);
}

/* The same in shapes that are worth measuring: short rows, rows of real models in the first and second level of cache, odd and prime ones,
 * and sizes that fit no cache. */
static inline bool fh_rows_bench(int i, fh_case *out) {
  static const fh_rows_shape all[] = {
      {2, {4096, 4}},   {2, {1031, 7}},  {2, {1024, 16}}, {2, {512, 64}}, {2, {127, 257}},   {2, {64, 768}},    {2, {31, 1000}},
      {2, {128, 1024}}, {2, {32, 2048}}, {2, {13, 4099}}, {2, {8, 8192}}, {2, {20000, 768}}, {2, {65536, 257}}, {2, {4096, 4096}},
  };
  return fh_rows_case_of(all, FH_LENGTH(all), i, out);
}

#endif /* FOGHORN_KERNELS_ROWS_H_ */
