/* Argument checks shared by the bind() functions of the contracts. SPDX-License-Identifier: Apache-2.0
 *
 * Each gives FH_OK or a status that names the call, the operand, what was expected and what was found.
 * Nothing is allocated unless a check fails.
 */
#ifndef FOGHORN_KERNELS_CHECK_H_
#define FOGHORN_KERNELS_CHECK_H_

#include <inttypes.h>
#include <stdio.h>

#include "kernels/tables.h"

enum { FH_CHECK_TEXT = 160 };

/* "(3, 4)" */
static inline const char *fh_check_shape_text(const fh_view_desc *v, char text[static FH_CHECK_TEXT]) {
  size_t at = (size_t)snprintf(text, FH_CHECK_TEXT, "(");
  for (int32_t i = 0; i < v->rank && i < FH_MAX_RANK && at < FH_CHECK_TEXT - 24; i++)
    at += (size_t)snprintf(text + at, FH_CHECK_TEXT - at, "%s%" PRId64, i ? ", " : "", v->shape[i]);
  snprintf(text + at, FH_CHECK_TEXT - at, ")");
  return text;
}

/* Type, rank in [min_rank, max_rank], extents not negative; an output holds each element once. */
static inline fh_status fh_check_view(const char *kernel, const fh_view_param *p, const fh_view_desc *v, int min_rank, int max_rank) {
  char text[FH_CHECK_TEXT];
  if (v->dtype != p->dtype)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has type %s, expected %s\n  convert the data or wrap it with its true type", kernel,
                     p->name, fh_dtype_name(v->dtype), fh_dtype_name(p->dtype));
  if (v->rank < min_rank || v->rank > max_rank)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has %" PRId32 " dimensions, shape %s, expected %s", kernel, p->name, v->rank,
                     fh_check_shape_text(v, text), p->shape);
  bool empty = false;
  for (int32_t i = 0; i < v->rank; i++) empty |= v->shape[i] == 0;
  for (int32_t i = 0; i < v->rank; i++) {
    if (v->shape[i] < 0)
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has a negative extent, shape %s", kernel, p->name, fh_check_shape_text(v, text));
    if (p->role != FH_ROLE_IN && !empty && v->shape[i] > 1 && v->strides[i] == 0)
      return FH_STATUS(FH_INVALID_ARGUMENT,
                       "fh_%s: %s is written, but its dimension %" PRId32
                       " has stride 0 in shape %s\n"
                       "  several elements would share one place in memory; give it storage of its own",
                       kernel, p->name, i, fh_check_shape_text(v, text));
  }
  return FH_OK;
}

/* Dimension `dim` of operand p must equal `want`, the extent called `symbol` in operand `like`. */
static inline fh_status fh_check_extent(const char *kernel, const fh_view_param *p, const fh_view_desc *v, int dim, const char *symbol,
                                        int64_t want, const char *like) {
  char text[FH_CHECK_TEXT];
  if (v->shape[dim] == want) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT,
                   "fh_%s: %s has shape %s, expected %s with %s = %" PRId64
                   " as in %s\n"
                   "  found %" PRId64 " in dimension %d; is a transpose missing?",
                   kernel, p->name, fh_check_shape_text(v, text), p->shape, symbol, want, like, v->shape[dim], dim);
}

/* Elements of a shape, or a refusal when the count does not fit 62 bits. */
static inline fh_status fh_check_count(const char *kernel, const fh_view_param *p, const fh_view_desc *v, int64_t *out_count) {
  char text[FH_CHECK_TEXT];
  int64_t count = 1;
  for (int32_t i = 0; i < v->rank; i++) {
    if (__builtin_mul_overflow(count, v->shape[i], &count) || count > INT64_MAX / 2)
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_%s: %s has shape %s, more elements than a 64-bit machine can address", kernel, p->name,
                       fh_check_shape_text(v, text));
  }
  *out_count = count;
  return FH_OK;
}

/* Bytes of scratch for `count` times `each` elements of `size` bytes, or a refusal when they do not fit 62 bits. */
static inline fh_status fh_check_scratch(const char *kernel, int64_t count, int64_t each, size_t size, size_t *out_bytes) {
  int64_t bytes;
  if (__builtin_mul_overflow(count, each, &bytes) || __builtin_mul_overflow(bytes, (int64_t)size, &bytes) || bytes > INT64_MAX / 2)
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "fh_%s: %" PRId64 " x %" PRId64
                     " elements of scratch, more than a 64-bit machine can address\n"
                     "  next step: give it fewer channels at a time",
                     kernel, count, each);
  *out_bytes = (size_t)bytes;
  return FH_OK;
}

#endif /* FOGHORN_KERNELS_CHECK_H_ */
