/* Distances and nearest rows, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/neighbours.h>

#include <inttypes.h>
#include <math.h>

#include "runtime/plan/kernels.h"

fh_status fh_pairwise_distance(fh_queue *queue, fh_metric metric, const fh_view *x, const fh_view *y, const fh_view *out,
                               fh_event *out_event) {
  const fh_view *views[] = {x, y, out};
  const fh_param_value params[] = {{.i = metric}};
  return fh_launch_named(queue, "pairwise_distance", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_topk(fh_queue *queue, fh_metric metric, const fh_view *q, const fh_view *x, const fh_view *values, const fh_view *indexes,
                  fh_event *out_event) {
  const fh_view *views[] = {q, x, values, indexes};
  const fh_param_value params[] = {{.i = metric}};
  return fh_launch_named(queue, "topk", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_kmeans_step(fh_queue *queue, const fh_view *x, const fh_view *c, const fh_view *labels, const fh_view *distances,
                         const fh_view *sums, const fh_view *counts, fh_event *out_event) {
  static const char *const kernels[] = {"kmeans_step", "kmeans_step_f64"};
  const fh_view *views[] = {x, c, labels, distances, sums, counts};
  if (!out_event) FH_TRY(fh_check_runs(queue, "fh_kmeans_step"));
  FH_TRY(fh_launch_named(queue, fh_kernel_for(x, kernels), views, FH_COUNT(views), NULL, 0, out_event));
  return out_event ? FH_OK : fh_kmeans_check(x, distances);
}

typedef float any_float __attribute__((aligned(1))); /* views may start at any byte */
typedef double any_double __attribute__((aligned(1)));

/* The first distance from `from` on that is NaN or infinite; -1: none. A block at a time, so that the compiler can use vectors. */
#define DEFINE_NEXT_BAD(name, type)                                                              \
  static int64_t name(const type *distances, int64_t stride, int64_t from, int64_t n) {          \
    enum { BLOCK = 256 };                                                                        \
    for (int64_t first = from; first < n; first += BLOCK) {                                      \
      const int64_t last = first + BLOCK < n ? first + BLOCK : n;                                \
      int bad = 0;                                                                               \
      if (stride == 1)                                                                           \
        for (int64_t i = first; i < last; i++) bad |= !(distances[i] < (type)INFINITY);          \
      else                                                                                       \
        for (int64_t i = first; i < last; i++) bad |= !(distances[i * stride] < (type)INFINITY); \
      for (int64_t i = first; bad && i < last; i++)                                              \
        if (!(distances[i * stride] < (type)INFINITY)) return i;                                 \
    }                                                                                            \
    return -1;                                                                                   \
  }
DEFINE_NEXT_BAD(next_bad_float, any_float)
DEFINE_NEXT_BAD(next_bad_double, any_double)

static int64_t next_bad(const fh_view *distances, const void *data, int64_t from) {
  const int64_t stride = distances->strides[0], n = distances->shape[0];
  return distances->dtype == FH_F64 ? next_bad_double(data, stride, from, n) : next_bad_float(data, stride, from, n);
}

static double real_at(const fh_view *x, const void *data, int64_t row, int64_t column) {
  const int64_t at = row * x->strides[0] + column * x->strides[1];
  return x->dtype == FH_F64 ? ((const any_double *)data)[at] : (double)((const any_float *)data)[at];
}

/* A distance may also be infinite because it does not fit its type, or NaN because no centroid is finite: such rows are not at fault. */
fh_status fh_kmeans_check(const fh_view *x, const fh_view *distances) {
  if (!x || !distances) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans_check: %s is NULL", x ? "distances" : "x");
  FH_TRY(fh_view_check(x));
  FH_TRY(fh_view_check(distances));
  if ((x->dtype != FH_F32 && x->dtype != FH_F64) || x->rank != 2 || distances->dtype != x->dtype || distances->rank != 1 ||
      distances->shape[0] != x->shape[0])
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_kmeans_check: expected x (n, d) and distances (n), both f32 or both f64, the operands of an assignment");
  void *given = NULL, *rows = NULL;
  FH_TRY(fh_view_map(distances, FH_READ, &given));
  for (int64_t i = next_bad(distances, given, 0); i >= 0; i = next_bad(distances, given, i + 1)) {
    if (!rows) FH_TRY(fh_view_map(x, FH_READ, &rows));
    for (int64_t l = 0; l < x->shape[1]; l++) {
      const double value = real_at(x, rows, i, l);
      if (!isfinite(value))
        return FH_STATUS(FH_INVALID_ARGUMENT,
                         "fh_kmeans_assign: row %" PRId64 " of x has %g in column %" PRId64
                         ": expected finite numbers\nnext: remove or fill such rows",
                         i, value, l);
    }
  }
  return FH_OK;
}
