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
  const fh_view *views[] = {x, c, labels, distances, sums, counts};
  FH_TRY(fh_launch_named(queue, "kmeans_step", views, FH_COUNT(views), NULL, 0, out_event));
  return out_event ? FH_OK : fh_kmeans_check(x, distances);
}

typedef float any_float __attribute__((aligned(1))); /* views may start at any byte */

/* The first distance from `from` on that is NaN or infinite; -1: none. A block at a time, so that the compiler can use vectors. */
static int64_t next_bad(const any_float *distances, int64_t stride, int64_t from, int64_t n) {
  enum { BLOCK = 256 };
  for (int64_t first = from; first < n; first += BLOCK) {
    const int64_t last = first + BLOCK < n ? first + BLOCK : n;
    int bad = 0;
    if (stride == 1)
      for (int64_t i = first; i < last; i++) bad |= !(distances[i] < INFINITY);
    else
      for (int64_t i = first; i < last; i++) bad |= !(distances[i * stride] < INFINITY);
    for (int64_t i = first; bad && i < last; i++)
      if (!(distances[i * stride] < INFINITY)) return i;
  }
  return -1;
}

/* A distance may also be infinite because it does not fit f32, or NaN because no centroid is finite: such rows are not at fault. */
fh_status fh_kmeans_check(const fh_view *x, const fh_view *distances) {
  if (!x || !distances) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans_check: %s is NULL", x ? "distances" : "x");
  FH_TRY(fh_view_check(x));
  FH_TRY(fh_view_check(distances));
  if (x->dtype != FH_F32 || x->rank != 2 || distances->dtype != FH_F32 || distances->rank != 1 || distances->shape[0] != x->shape[0])
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_kmeans_check: expected x f32 (n, d) and distances f32 (n), the operands of an assignment");
  void *data;
  FH_TRY(fh_view_map(distances, FH_READ, &data));
  const any_float *given = data, *rows = NULL;
  const int64_t n = x->shape[0];
  for (int64_t i = next_bad(given, distances->strides[0], 0, n); i >= 0; i = next_bad(given, distances->strides[0], i + 1, n)) {
    if (!rows) {
      FH_TRY(fh_view_map(x, FH_READ, &data));
      rows = data;
    }
    for (int64_t l = 0; l < x->shape[1]; l++) {
      const double value = (double)rows[i * x->strides[0] + l * x->strides[1]];
      if (!isfinite(value))
        return FH_STATUS(FH_INVALID_ARGUMENT,
                         "fh_kmeans_assign: row %" PRId64 " of x has %g in column %" PRId64
                         ": expected finite numbers\nnext: remove or fill such rows",
                         i, value, l);
    }
  }
  return FH_OK;
}
