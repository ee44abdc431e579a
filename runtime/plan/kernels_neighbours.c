/* Distances and nearest rows, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/neighbours.h>

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
