/* Views: shapes and strides over buffers. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include <foghorn/memory.h>

#include "runtime/mem/buffer.h"
#include "runtime/mem/owner.h"

/* No extent, stride or size beyond this, so that sums and products of two stay in int64. */
#define LIMIT ((int64_t)1 << 62)

static fh_status check_shape(const char *call, fh_dtype dtype, const fh_shape *shape, int64_t *out_elements) {
  if (fh_dtype_size(dtype) == 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: dtype: expected a type such as FH_F32, found the value %d", call, (int)dtype);
  if (shape->rank < 0 || shape->rank > FH_MAX_RANK)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: shape: expected a rank of 0 to %d, found %d", call, FH_MAX_RANK, shape->rank);
  int64_t elements = 1;
  for (int i = 0; i < shape->rank; i++) {
    int64_t extent = shape->extents[i];
    if (extent < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: shape: extent %d is %lld, expected >= 0", call, i, (long long)extent);
    if (__builtin_mul_overflow(elements, extent, &elements) || elements > LIMIT / (int64_t)fh_dtype_size(dtype))
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: shape: more than 2^62 bytes", call);
  }
  *out_elements = elements;
  return FH_OK;
}

static fh_status check_order(const char *call, fh_order order) {
  if (order == FH_ROW_MAJOR || order == FH_COL_MAJOR) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: order: expected FH_ROW_MAJOR or FH_COL_MAJOR, found the value %d", call, (int)order);
}

/* Those of an empty shape are never followed; its other extents may multiply to more than fits. */
static void compact_strides(const fh_shape *shape, int64_t elements, fh_order order, int64_t *strides) {
  int64_t stride = 1;
  for (int i = 0; i < shape->rank; i++) {
    int dim = order == FH_COL_MAJOR ? i : shape->rank - 1 - i;
    strides[dim] = stride;
    if (elements > 0) stride *= shape->extents[dim];
  }
}

static fh_view view_of(fh_buffer *buffer, int64_t offset, fh_dtype dtype, const fh_shape *shape, const int64_t *strides, fh_access access) {
  fh_view view = {.buffer = buffer, .generation = buffer->generation, .offset = offset, .dtype = dtype, .access = access};
  view.rank = shape->rank;
  memcpy(view.shape, shape->extents, sizeof view.shape);
  if (shape->rank > 0) memcpy(view.strides, strides, (size_t)shape->rank * sizeof *strides);
  return view;
}

fh_status fh_view_create_at(fh_context *context, fh_dtype dtype, fh_shape shape, fh_order order, fh_view *out_view, const char *file,
                            int line) {
  *out_view = (fh_view){0};
  if (!context) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_create: context is NULL");
  int64_t elements = 0;
  FH_TRY(check_shape("fh_view_create", dtype, &shape, &elements));
  FH_TRY(check_order("fh_view_create", order));
  int64_t strides[FH_MAX_RANK];
  compact_strides(&shape, elements, order, strides);
  fh_buffer *buffer = NULL;
  FH_TRY(fh_buffer_new(fh_context_residency(), context, NULL, (size_t)elements * fh_dtype_size(dtype), false, file, line, &buffer));
  *out_view = view_of(buffer, 0, dtype, &shape, strides, FH_READ_WRITE);
  return FH_OK;
}

/* The bytes a strided shape touches, relative to its element 0,0,...: [*out_low, *out_high). */
static fh_status extent_of(const char *call, fh_dtype dtype, const fh_shape *shape, const int64_t *strides, int64_t *out_low,
                           int64_t *out_high) {
  int64_t size = (int64_t)fh_dtype_size(dtype), low = 0, high = size;
  for (int i = 0; i < shape->rank; i++) {
    if (shape->extents[i] == 0) {
      *out_low = *out_high = 0;
      return FH_OK;
    }
    int64_t reach;
    if (__builtin_mul_overflow(shape->extents[i] - 1, strides[i], &reach) || __builtin_mul_overflow(reach, size, &reach) ||
        __builtin_add_overflow(reach < 0 ? low : high, reach, reach < 0 ? &low : &high) || low < -LIMIT || high > LIMIT)
      return FH_STATUS(FH_OUT_OF_RANGE, "%s: strides: dimension %d (extent %lld, stride %lld) leaves the address space", call, i,
                       (long long)shape->extents[i], (long long)strides[i]);
  }
  *out_low = low;
  *out_high = high;
  return FH_OK;
}

static fh_status wrap(const char *call, fh_context *context, const void *data, fh_dtype dtype, const fh_shape *shape,
                      const int64_t *strides, fh_access access, const char *file, int line, fh_view *out_view) {
  if (access != FH_READ && access != FH_WRITE && access != FH_READ_WRITE)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: access: expected FH_READ, FH_WRITE or FH_READ_WRITE, found the value %d", call, (int)access);
  int64_t low, high;
  FH_TRY(extent_of(call, dtype, shape, strides, &low, &high));
  if (!data && high > low)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: data is NULL, expected the address of %lld bytes", call, (long long)(high - low));
  /* An empty view still needs an address that is not NULL, or fh_buffer_new would take it for "allocate". */
  static char nothing[1];
  char *base = high > low ? (char *)data + low : nothing;
  fh_buffer *buffer = NULL;
  FH_TRY(fh_buffer_new(fh_context_residency(), context, base, (size_t)(high - low), access == FH_READ, file, line, &buffer));
  *out_view = view_of(buffer, -low, dtype, shape, strides, access);
  return FH_OK;
}

fh_status fh_view_wrap_at(fh_context *context, const void *data, fh_dtype dtype, fh_shape shape, fh_order order, fh_access access,
                          fh_view *out_view, const char *file, int line) {
  *out_view = (fh_view){0};
  if (!context) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_wrap: context is NULL");
  int64_t elements = 0;
  FH_TRY(check_shape("fh_view_wrap", dtype, &shape, &elements));
  FH_TRY(check_order("fh_view_wrap", order));
  int64_t strides[FH_MAX_RANK];
  compact_strides(&shape, elements, order, strides);
  return wrap("fh_view_wrap", context, data, dtype, &shape, strides, access, file, line, out_view);
}

/* The message for a view that leaves its region names the corner that does. */
static fh_status outside(const fh_shape *shape, const int64_t *strides, bool below, int64_t at, size_t bytes) {
  char index[FH_MAX_RANK * 22 + 1] = "";
  size_t used = 0;
  for (int i = 0; i < shape->rank; i++) {
    bool far = below ? strides[i] < 0 : strides[i] > 0;
    int n = snprintf(index + used, sizeof index - used, "%s%lld", i ? "," : "", far ? (long long)(shape->extents[i] - 1) : 0LL);
    if (n > 0) used += (size_t)n;
  }
  return FH_STATUS(FH_OUT_OF_RANGE,
                   "fh_view_wrap_strided: element [%s] lies %s the region: at byte %lld of %zu\n"
                   "next step: check the strides (they count elements, not bytes) and the extents",
                   index, below ? "before" : "past", (long long)at, bytes);
}

fh_status fh_view_wrap_strided_at(fh_context *context, const void *base, size_t bytes, const void *data, fh_dtype dtype, fh_shape shape,
                                  const int64_t *strides, fh_access access, fh_view *out_view, const char *file, int line) {
  *out_view = (fh_view){0};
  if (!context) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_wrap_strided: context is NULL");
  int64_t elements = 0;
  FH_TRY(check_shape("fh_view_wrap_strided", dtype, &shape, &elements));
  if (shape.rank > 0 && !strides) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_wrap_strided: strides is NULL");
  int64_t low, high;
  FH_TRY(extent_of("fh_view_wrap_strided", dtype, &shape, strides, &low, &high));
  if (high > low) {
    int64_t at = (int64_t)((uintptr_t)data - (uintptr_t)base);
    if (at < 0 || at + low < 0) return outside(&shape, strides, true, at + low, bytes);
    if ((uint64_t)at + (uint64_t)high > bytes) return outside(&shape, strides, false, at + high, bytes);
  }
  return wrap("fh_view_wrap_strided", context, data, dtype, &shape, strides, access, file, line, out_view);
}

fh_status fh_view_check(const fh_view *view) {
  if (!view || !view->buffer)
    return FH_STATUS(FH_FAILED_PRECONDITION, "the view is empty: it was never made, its making failed, or it was released");
  if (fh_buffer_alive(view->buffer, view->generation)) return FH_OK;
  return fh_buffer_dead(view->buffer, view->generation);
}

fh_status fh_view_retain(const fh_view *view, fh_view *out_view) {
  fh_view copy = view ? *view : (fh_view){0}; /* view and out_view may be the same */
  *out_view = (fh_view){0};
  FH_TRY(fh_view_check(&copy));
  fh_buffer_retain(copy.buffer);
  *out_view = copy;
  return FH_OK;
}

static fh_status check_dim(const char *call, const fh_view *view, const char *name, int dim) {
  if (dim >= 0 && dim < view->rank) return FH_OK;
  return FH_STATUS(FH_OUT_OF_RANGE, "%s: %s: expected 0 to %d (the view has rank %d), found %d", call, name, view->rank - 1, view->rank,
                   dim);
}

fh_status fh_view_slice(const fh_view *view, int dim, int64_t start, int64_t extent, int64_t step, fh_view *out_view) {
  fh_view part = view ? *view : (fh_view){0};
  *out_view = (fh_view){0};
  FH_TRY(fh_view_check(&part));
  FH_TRY(check_dim("fh_view_slice", &part, "dim", dim));
  if (step == 0) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_slice: step is 0");
  if (extent < 0) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_slice: extent is %lld, expected >= 0", (long long)extent);
  int64_t all = part.shape[dim], reach = 0, last = start;
  bool overflow = extent > 0 && (__builtin_mul_overflow(extent - 1, step, &reach) || __builtin_add_overflow(start, reach, &last));
  if (start < 0 || start > all || overflow || (extent > 0 && (start >= all || last < 0 || last >= all)))
    return FH_STATUS(FH_OUT_OF_RANGE, "fh_view_slice: start %lld, extent %lld, step %lld leaves dimension %d, which has %lld elements",
                     (long long)start, (long long)extent, (long long)step, dim, (long long)all);
  if (extent > 0) part.offset += start * part.strides[dim] * (int64_t)fh_dtype_size(part.dtype);
  part.shape[dim] = extent;
  /* One element never steps; keeping the old stride avoids an overflow with a huge step. */
  if (extent > 1) part.strides[dim] *= step;
  fh_buffer_retain(part.buffer);
  *out_view = part;
  return FH_OK;
}

fh_status fh_view_transpose(const fh_view *view, int dim_a, int dim_b, fh_view *out_view) {
  fh_view swapped = view ? *view : (fh_view){0};
  *out_view = (fh_view){0};
  FH_TRY(fh_view_check(&swapped));
  FH_TRY(check_dim("fh_view_transpose", &swapped, "dim_a", dim_a));
  FH_TRY(check_dim("fh_view_transpose", &swapped, "dim_b", dim_b));
  int64_t extent = swapped.shape[dim_a], stride = swapped.strides[dim_a];
  swapped.shape[dim_a] = swapped.shape[dim_b];
  swapped.strides[dim_a] = swapped.strides[dim_b];
  swapped.shape[dim_b] = extent;
  swapped.strides[dim_b] = stride;
  fh_buffer_retain(swapped.buffer);
  *out_view = swapped;
  return FH_OK;
}

fh_status fh_view_sync(const fh_view *view) {
  void *data;
  return fh_view_map(view, FH_READ, &data);
}

int64_t fh_view_elements(const fh_view *view) {
  int64_t elements = 1;
  for (int i = 0; i < view->rank; i++)
    if (view->shape[i] == 0) return 0;
  for (int i = 0; i < view->rank; i++) elements *= view->shape[i];
  return elements;
}
