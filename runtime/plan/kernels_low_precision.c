/* Conversions and products of narrow types, typed. SPDX-License-Identifier: Apache-2.0 */
#include <foghorn/low_precision.h>

#include "kernels/product.h"
#include "runtime/plan/kernels.h"

fh_status fh_convert(fh_queue *queue, const fh_view *x, const fh_view *y, fh_event *out_event) {
  const fh_view *views[] = {x, y};
  return fh_launch_named(queue, "convert", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_matmul_bf16(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event) {
  const fh_view *views[] = {a, b, c};
  return fh_launch_named(queue, "matmul_bf16", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_matmul_f16(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event) {
  const fh_view *views[] = {a, b, c};
  return fh_launch_named(queue, "matmul_f16", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_matmul_tf32(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event) {
  const fh_view *views[] = {a, b, c};
  return fh_launch_named(queue, "matmul_tf32", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_matmul_i8(fh_queue *queue, const fh_view *a, const fh_view *b, const fh_view *c, fh_event *out_event) {
  const fh_view *views[] = {a, b, c};
  return fh_launch_named(queue, "matmul_i8", views, FH_COUNT(views), NULL, 0, out_event);
}

fh_status fh_weights_pack(fh_queue *queue, const fh_view *b, fh_view *out_packed) {
  *out_packed = (fh_view){0};
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_weights_pack: queue is NULL");
  fh_status bad = fh_view_check(b);
  if (bad) return fh_status_annotate(bad, "in fh_weights_pack, operand b");
  const int64_t size = (int64_t)fh_dtype_size(b->dtype);
  if (b->rank != 2 || size == 0 || size > 4)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_weights_pack: b has type %s and %d dimensions, expected (k, n) of i8, u8, bf16, f16 or f32",
                     fh_dtype_name(b->dtype), b->rank);
  int64_t shape[4];
  fh_packed_shape(b->shape[0], b->shape[1], 4 / size, shape);
  FH_TRY(fh_view_create(fh_queue_context(queue), b->dtype, FH_SHAPE(shape[0], shape[1], shape[2], shape[3]), FH_ROW_MAJOR, out_packed));
  const fh_view *views[] = {b, out_packed};
  fh_status status = fh_launch_named(queue, "pack_weights", views, FH_COUNT(views), NULL, 0, NULL);
  if (status) fh_view_release(out_packed);
  return status;
}
