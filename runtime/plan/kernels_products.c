/* Products with an epilogue, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/products.h>

#include "runtime/plan/kernels.h"

fh_status fh_matmul_fused(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *d, const fh_view *c, fh_activation activation,
                          fh_event *out_event) {
  const fh_view *views[] = {a, b, d, c};
  fh_param_value params[] = {{.i = (int64_t)activation}};
  return fh_launch_named(queue, "matmul_fused", views, FH_COUNT(views), params, FH_COUNT(params), out_event);
}
