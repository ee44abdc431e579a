/* Metrics between rows: their check and their oracle, for the contracts that have one. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_KERNELS_METRIC_H_
#define FOGHORN_KERNELS_METRIC_H_

#include <math.h>

#include "kernels/check.h"
#include "kernels/element.h"

static inline const char *fh_metric_name(fh_metric metric) {
  static const char *const names[] = {"l2", "dot", "cosine"};
  return names[metric];
}

static inline fh_status fh_check_metric(const char *kernel, int64_t metric, fh_metric last) {
  if (metric >= FH_METRIC_L2 && metric <= (int64_t)last) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: metric is %" PRId64 ", expected 0 (squared L2) to %d (%s)", kernel, metric, (int)last,
                   fh_metric_name(last));
}

static inline fh_wide fh_metric_element(const fh_view_desc *v, const void *data, int64_t row, int64_t i) {
  return (fh_wide)((const fh_element_any *)data)[row * v->strides[0] + i * v->strides[1]];
}

static inline bool fh_metric_same_row(const fh_view_desc *v, const void *data, int64_t one, int64_t other) {
  for (int64_t i = 0; i < v->shape[1]; i++)
    if (fh_metric_element(v, data, one, i) != fh_metric_element(v, data, other, i)) return false;
  return true;
}

/* The metric of row i of x and row j of y in double; *out_bound, unless NULL, what f32 may be off, u = 2^-24:
 *   squared L2   2 (d + 4) u times the value: a sum of d squares of differences that were rounded;
 *   dot          (d + 2) u sum |x||y| (Higham 2002, eq. 3.5), d products in any order, fused or not;
 *   cosine       (2 d + 16) u: the product and both norms, none larger than 1 after the division. Infinite where a norm leaves
 *                the range of f32.
 * plus what gradual underflow may lose. */
static inline double fh_metric_value(fh_metric metric, const fh_view_desc *vx, const void *x, int64_t i, const fh_view_desc *vy,
                                     const void *y, int64_t j, double *out_bound) {
  double squares = 0, dot = 0, size = 0, xx = 0, yy = 0;
  const double d = (double)vx->shape[1], tiny = (d + 1) * 0x1p-148;
  for (int64_t l = 0; l < vx->shape[1]; l++) {
    const double a = (double)fh_metric_element(vx, x, i, l), b = (double)fh_metric_element(vy, y, j, l);
    squares += (a - b) * (a - b);
    dot += a * b;
    size += fabs(a * b);
    xx += a * a;
    yy += b * b;
  }
  double value = squares, bound = 2 * (d + 4) * 0x1p-24 * squares + tiny;
  if (metric == FH_METRIC_DOT) value = dot, bound = (d + 2) * 0x1p-24 * size + tiny;
  if (metric == FH_METRIC_COSINE) {
    const double least = 0x1p-100, most = 0x1p+126;
    const bool extreme = (xx > 0 && xx < least) || (yy > 0 && yy < least) || xx > most || yy > most;
    value = xx * yy == 0 ? 1 : 1 - dot / (sqrt(xx) * sqrt(yy));
    bound = extreme ? INFINITY : (2 * d + 16) * 0x1p-24;
  }
  if (out_bound) *out_bound = bound;
  return value;
}

#endif /* FOGHORN_KERNELS_METRIC_H_ */
