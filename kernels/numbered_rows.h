/* What the contracts of kernels that name rows by ids or offsets share (gather, scatter_add, segment_sum): x and y are rows of d numbers,
 * or plain numbers, in any strides. View 0 is x, view 1 the ids or offsets, view 2 y. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_NUMBERED_ROWS_H_
#define FOGHORN_KERNELS_NUMBERED_ROWS_H_

#include "kernels/rows.h"
#include "kernels/skew.h"

enum { FH_NUMBERED_X, FH_NUMBERED_BY, FH_NUMBERED_Y };

/* A view of rank 2; one of rank 1 is a column. */
typedef struct fh_numbered {
  int64_t rows, d, row, column; /* extents, strides */
} fh_numbered;

static inline fh_numbered fh_numbered_of(const fh_view_desc *v) {
  const bool matrix = v->rank == 2;
  return (fh_numbered){v->shape[0], matrix ? v->shape[1] : 1, v->strides[0], matrix ? v->strides[1] : 1};
}

static inline fh_f32_any *fh_numbered_at(const fh_numbered *m, void *data, int64_t row, int64_t column) {
  return (fh_f32_any *)data + row * m->row + column * m->column;
}

/* Checks x and y, of one rank and one d, and the rank of what is between; gives the elements of x and y. */
static inline fh_status fh_check_numbered(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int64_t *out_x,
                                          int64_t *out_y) {
  enum { X = FH_NUMBERED_X, BY = FH_NUMBERED_BY, Y = FH_NUMBERED_Y };
  FH_TRY(fh_check_view(kernel, &params[X], &v[X], 1, 2));
  FH_TRY(fh_check_view(kernel, &params[BY], &v[BY], 1, 1));
  FH_TRY(fh_check_view(kernel, &params[Y], &v[Y], v[X].rank, v[X].rank));
  if (v[X].rank == 2) FH_TRY(fh_check_extent(kernel, &params[Y], &v[Y], 1, "d", v[X].shape[1], "x"));
  FH_TRY(fh_check_count(kernel, &params[X], &v[X], out_x));
  return fh_check_count(kernel, &params[Y], &v[Y], out_y);
}

/* View i is chosen from by ids. */
static inline fh_status fh_check_ids_reach(const char *kernel, const fh_view_param *params, const fh_view_desc *v, int i) {
  if (v[i].shape[0] <= INT32_MAX) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has %" PRId64 " rows, expected at most %d (ids are i32)", kernel, params[i].name,
                   v[i].shape[0], INT32_MAX);
}

/* ---- cases --------------------------------------------------------------------------------------- */

/* A case with so many rows of x, ids or offsets, and rows of y; d 0: rank 1. */
static inline fh_case fh_numbered_case(int64_t x_rows, fh_dtype by, int64_t count, int64_t y_rows, int64_t d, fh_skew skew) {
  const int64_t x[] = {x_rows, d}, y[] = {y_rows, d};
  const int32_t rank = d ? 2 : 1;
  fh_case out = {.views = {fh_compact(FH_F32, rank, x), fh_compact(by, 1, &count), fh_compact(FH_F32, rank, y)}};
  *fh_case_skew(&out) = skew;
  return out;
}

/* fill() of a kernel whose ids name the rows of view `named`. */
static inline void fh_numbered_fill(int index, const fh_case *c, int named, void *data, uint64_t seed) {
  if (index == FH_NUMBERED_BY)
    fh_skew_ids(fh_skew_of(c), data, c->views[index].shape[0], c->views[named].shape[0], seed);
  else
    fh_fill_uniform(&c->views[index], data, seed);
}

#endif /* FOGHORN_KERNELS_NUMBERED_ROWS_H_ */
