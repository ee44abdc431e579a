/* Row kernels and reductions, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/reduce.h>

#include "runtime/plan/kernels.h"

fh_status fh_rms_norm(fh_queue *queue, const fh_view *x, const fh_view *gamma, const fh_view *y, float eps, fh_event *out_event) {
  const fh_view *views[] = {x, gamma, y};
  fh_param_value params[] = {{.f = (double)eps}};
  return fh_launch_named(queue, "rms_norm", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* A kernel from x to y with one integer parameter, by its names for f32 and f64. */
static fh_status launch(fh_queue *queue, const char *const kernels[2], const fh_view *x, const fh_view *y, int64_t param,
                        fh_event *out_event) {
  const fh_view *views[] = {x, y};
  fh_param_value params[] = {{.i = param}};
  return fh_launch_named(queue, fh_kernel_for(x, kernels), views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

static const char *const REDUCE[] = {"reduce", "reduce_f64"}, *const ARG_EXTREME[] = {"arg_extreme", "arg_extreme_f64"};
static const char *const VARIANCE[] = {"variance", "variance_f64"}, *const DOT[] = {"dot", "dot_f64"};

/* The `op` of kernel reduce. */
enum { SUM, MEAN, NORM, SUM_ABS, MIN, MAX, MAX_ABS };

#define DEFINE_REDUCTION(name, kernel, param)                                                \
  fh_status name(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) { \
    return launch(queue, kernel, x, y, param, out_event);                                    \
  }
DEFINE_REDUCTION(fh_sum, REDUCE, SUM)
DEFINE_REDUCTION(fh_mean, REDUCE, MEAN)
DEFINE_REDUCTION(fh_norm, REDUCE, NORM)
DEFINE_REDUCTION(fh_sum_abs, REDUCE, SUM_ABS)
DEFINE_REDUCTION(fh_min, REDUCE, MIN)
DEFINE_REDUCTION(fh_max, REDUCE, MAX)
DEFINE_REDUCTION(fh_max_abs, REDUCE, MAX_ABS)
DEFINE_REDUCTION(fh_argmin, ARG_EXTREME, 0)
DEFINE_REDUCTION(fh_argmax, ARG_EXTREME, 1)

fh_status fh_variance(fh_queue *queue, const fh_view *x, const fh_view *y, int64_t ddof, fh_event *out_event) {
  return launch(queue, VARIANCE, x, y, ddof, out_event);
}

fh_status fh_dot(fh_queue *queue, const fh_view *x, const fh_view *y, const fh_view *z, fh_event *out_event) {
  const fh_view *views[] = {x, y, z};
  return fh_launch_named(queue, fh_kernel_for(x, DOT), views, FH_COUNT(views), NULL, 0, out_event);
}
