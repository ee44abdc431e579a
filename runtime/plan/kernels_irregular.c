/* Kernels for irregular data, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/irregular.h>
#include <foghorn/sequence.h>

#include "runtime/plan/kernels.h"

fh_status fh_gather(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event) {
  return fh_embedding(queue, x, ids, 1, y, out_event);
}

static fh_status scatter(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, bool fresh, fh_event *out_event) {
  const fh_view *views[] = {x, ids, y};
  fh_param_value params[] = {{.i = fresh}};
  return fh_launch_named(queue, "scatter_add", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_scatter_add(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event) {
  return scatter(queue, x, ids, y, false, out_event);
}

fh_status fh_scatter_sum(fh_queue *queue, const fh_view *x, const fh_view *ids, const fh_view *y, fh_event *out_event) {
  return scatter(queue, x, ids, y, true, out_event);
}

fh_status fh_segment_sum(fh_queue *queue, const fh_view *x, const fh_view *offsets, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, offsets, y};
  return fh_launch_named(queue, "segment_sum", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_bincount(fh_queue *queue, const fh_view *ids, const fh_view *weights, const fh_view *counts, fh_event *out_event) {
  if (weights) {
    fh_status status = scatter(queue, weights, ids, counts, true, out_event);
    return status ? fh_status_annotate(status, "in fh_bincount with weights, which are scatter_add's x; counts are its y") : FH_OK;
  }
  const fh_view *views[] = {ids, counts};
  return fh_launch_named(queue, "bincount", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_histogram(fh_queue *queue, const fh_view *x, float low, float high, const fh_view *counts, fh_event *out_event) {
  const fh_view *views[] = {x, counts};
  fh_param_value params[] = {{.f = (double)low}, {.f = (double)high}};
  return fh_launch_named(queue, "histogram", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_csr_matvec(fh_queue *queue, const fh_view *values, const fh_view *columns, const fh_view *offsets, const fh_view *x,
                        const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {values, columns, offsets, x, y};
  return fh_launch_named(queue, "csr_matvec", views, FH_COUNT(views), NULL, 0, out_event);
}
