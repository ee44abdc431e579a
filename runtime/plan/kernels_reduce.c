/* Row kernels and reductions, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/reduce.h>

#include "runtime/plan/kernels.h"

fh_status fh_rms_norm(fh_queue *queue, const fh_view *x, const fh_view *gamma, const fh_view *y, float eps, fh_event *out_event) {
  const fh_view *views[] = {x, gamma, y};
  fh_param_value params[] = {{.f = (double)eps}};
  return fh_launch_named(queue, "rms_norm", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* A kernel from x to y with one integer parameter. */
static fh_status launch(fh_queue *queue, const char *kernel, const fh_view *x, const fh_view *y, int64_t param, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  fh_param_value params[] = {{.i = param}};
  return fh_launch_named(queue, kernel, views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* The `op` of kernel reduce. */
enum { SUM, MEAN, NORM, SUM_ABS, MIN, MAX, MAX_ABS };

#define DEFINE_REDUCTION(name, kernel, param)                                                \
  fh_status name(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) { \
    return launch(queue, kernel, x, y, param, out_event);                                    \
  }
DEFINE_REDUCTION(fh_sum, "reduce", SUM)
DEFINE_REDUCTION(fh_mean, "reduce", MEAN)
DEFINE_REDUCTION(fh_norm, "reduce", NORM)
DEFINE_REDUCTION(fh_sum_abs, "reduce", SUM_ABS)
DEFINE_REDUCTION(fh_min, "reduce", MIN)
DEFINE_REDUCTION(fh_max, "reduce", MAX)
DEFINE_REDUCTION(fh_max_abs, "reduce", MAX_ABS)
DEFINE_REDUCTION(fh_argmin, "arg_extreme", 0)
DEFINE_REDUCTION(fh_argmax, "arg_extreme", 1)

fh_status fh_variance(fh_queue *queue, const fh_view *x, const fh_view *y, int64_t ddof, fh_event *out_event) {
  return launch(queue, "variance", x, y, ddof, out_event);
}

fh_status fh_dot(fh_queue *queue, const fh_view *x, const fh_view *y, const fh_view *z, fh_event *out_event) {
  const fh_view *views[] = {x, y, z};
  return fh_launch_named(queue, "dot", views, FH_COUNT(views), NULL, 0, out_event);
}
