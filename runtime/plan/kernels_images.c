/* Image kernels, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/images.h>

#include "runtime/plan/kernels.h"

fh_status fh_resize(fh_queue *queue, const fh_view *x, fh_resize_method method, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  const fh_param_value params[] = {{.i = (int64_t)method}};
  return fh_launch_named(queue, "resize", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}
