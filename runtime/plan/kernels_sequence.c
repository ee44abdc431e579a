/* Kernels of sequence models, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/sequence.h>

#include "runtime/plan/kernels.h"

fh_status fh_embedding(fh_queue *queue, const fh_view *table, const fh_view *ids, float scale, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {table, ids, y};
  fh_param_value params[] = {{.f = (double)scale}};
  return fh_launch_named(queue, "gather", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_attention(fh_queue *queue, const fh_view *q, const fh_view *k, const fh_view *v, const fh_view *y, bool causal, float scale,
                       fh_event *out_event) {
  const fh_view *views[] = {q, k, v, y};
  fh_param_value params[] = {{.i = causal}, {.f = (double)scale}};
  return fh_launch_named(queue, "attention", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_causal_conv1d(fh_queue *queue, const fh_view *x, const fh_view *weights, const fh_view *bias, const fh_view *state,
                           const fh_view *next, const fh_view *y, bool silu, fh_event *out_event) {
  const fh_view *views[] = {x, weights, bias, state, next, y};
  fh_param_value params[] = {{.i = silu}};
  return fh_launch_named(queue, "causal_conv1d", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

fh_status fh_sample(fh_queue *queue, const fh_view *logits, const fh_view *ids, const fh_sampling *how, fh_event *out_event) {
  if (!how) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_sample: how is NULL");
  const fh_view *views[] = {logits, ids};
  fh_param_value params[] = {{.f = (double)how->temperature},
                             {.i = how->top_k},
                             {.f = (double)how->top_p},
                             {.i = (int64_t)how->seed},
                             {.i = (int64_t)how->offset}};
  return fh_launch_named(queue, "sample", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}

/* An operand that is not there is not read: another of its shape stands for it. */
fh_status fh_selective_scan(fh_queue *queue, const fh_selective_scan_operands *operands, fh_event *out_event) {
  if (!operands) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_selective_scan: operands is NULL");
  const fh_selective_scan_operands *o = operands;
  const fh_view *views[] = {o->u,       o->delta, o->a,    o->b, o->c, o->skip, o->bias ? o->bias : o->skip, o->gate ? o->gate : o->u,
                            o->offsets, o->state, o->next, o->y};
  fh_param_value params[] = {{.i = o->bias != NULL}, {.i = o->gate != NULL}};
  return fh_launch_named(queue, "selective_scan", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}
