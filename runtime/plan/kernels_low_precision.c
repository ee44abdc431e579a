/* Conversions and products of narrow types, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/low_precision.h>

#include "runtime/plan/kernels.h"

fh_status fh_convert(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  return fh_launch_named(queue, "convert", views, FH_COUNT(views), NULL, 0, out_event);
}
