/* The kernel set, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/kernels.h>
#include <foghorn/neighbours.h>

#include "runtime/plan/kernels.h"

fh_status fh_launch_named(fh_queue *queue, const char *name, const fh_view *const *views, int view_count, const fh_param_value *params,
                          int param_count, fh_event *out_event) {
  const fh_kernel *kernel;
  FH_TRY(fh_kernel_find(name, &kernel));
  return fh_launch(queue, kernel, views, view_count, params, param_count, out_event);
}

fh_status fh_axpy(fh_queue *queue, float alpha, const fh_view *x, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  fh_param_value params[] = {{.f = (double)alpha}};
  return fh_launch_named(queue, "axpy", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_l2_normalize(fh_queue *queue, const fh_view *x, const fh_view *y, float eps, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  fh_param_value params[] = {{.f = (double)eps}};
  return fh_launch_named(queue, "l2_normalize", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_layer_norm(fh_queue *queue, const fh_view *x, const fh_view *gamma, const fh_view *beta, const fh_view *y, float eps,
                        fh_event *out_event) {
  const fh_view *views[] = {x, gamma, beta, y};
  fh_param_value params[] = {{.f = (double)eps}};
  return fh_launch_named(queue, "layer_norm", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_softmax(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  return fh_launch_named(queue, "softmax", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_u8_to_f32_nchw(fh_queue *queue, const fh_view *x, const fh_view *mean, const fh_view *std, const fh_view *y,
                            fh_event *out_event) {
  const fh_view *views[] = {x, mean, std, y};
  return fh_launch_named(queue, "u8_to_f32_nchw", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_matmul(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event) {
  const fh_view *views[] = {a, b, c};
  return fh_launch_named(queue, "matmul", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_kmeans_assign(fh_queue *queue, const fh_view *x, const fh_view *c, const fh_view *labels, const fh_view *distances,
                           fh_event *out_event) {
  static const char *const kernels[] = {"kmeans_assign", "kmeans_assign_f64"};
  const fh_view *views[] = {x, c, labels, distances};
  if (!out_event) FH_TRY(fh_check_runs(queue, "fh_kmeans_assign"));
  FH_TRY(fh_launch_named(queue, fh_kernel_for(x, kernels), views, FH_COUNT(views), NULL, 0, out_event));
  return out_event ? FH_OK : fh_kmeans_check(x, distances);
}

fh_status fh_kmeans_update(fh_queue *queue, const fh_view *x, const fh_view *labels, const fh_view *sums, const fh_view *counts,
                           fh_event *out_event) {
  static const char *const kernels[] = {"kmeans_update", "kmeans_update_f64"};
  const fh_view *views[] = {x, labels, sums, counts};
  return fh_launch_named(queue, fh_kernel_for(x, kernels), views, FH_COUNT(views), NULL, 0, out_event);
}
