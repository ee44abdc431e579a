/* Layout kernels, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/layout.h>

#include "runtime/plan/kernels.h"

enum { RANK = 4 };

static fh_status permute(fh_queue *queue, const fh_view *x, const int *axes, int count, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  fh_param_value params[RANK];
  for (int i = 0; i < RANK; i++) params[i].i = i < count ? axes[i] : i;
  return fh_launch_named(queue, "permute", views, FH_COUNT(views), params, RANK, out_event);
}

fh_status fh_permute(fh_queue *queue, const fh_view *x, const int *axes, const fh_view *y, fh_event *out_event) {
  if (!x || !axes) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_permute: %s is NULL", x ? "axes" : "x");
  return permute(queue, x, axes, x->rank < RANK ? x->rank : RANK, y, out_event);
}

static fh_status transpose(const char *name, fh_queue *queue, const fh_view *x, int most, const fh_view *y, fh_event *out_event) {
  if (!x) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x is NULL", name);
  if (x->rank < 2 || x->rank > most)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: x has %d dimensions, expected %s", name, (int)x->rank, most == 2 ? "2" : "2 to 4");
  int axes[RANK] = {0, 1, 2, 3};
  axes[x->rank - 2] = x->rank - 1;
  axes[x->rank - 1] = x->rank - 2;
  return permute(queue, x, axes, RANK, y, out_event);
}

fh_status fh_transpose(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  return transpose("fh_transpose", queue, x, RANK, y, out_event);
}

fh_status fh_aos_to_soa(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  return transpose("fh_aos_to_soa", queue, x, 2, y, out_event);
}

fh_status fh_soa_to_aos(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  return transpose("fh_soa_to_aos", queue, x, 2, y, out_event);
}
