/* A kernel from outside, written by hand: y = a x, with whatever code a test gives it. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_SCALE_KERNEL_H_
#define FOGHORN_TESTS_SUPPORT_SCALE_KERNEL_H_

#include <foghorn/extend.h>

#include "kernels/rows.h"

enum { SCALE_X, SCALE_Y };

static const fh_view_param scale_views[] = {
    {"x", FH_ROLE_IN, FH_F32, "(...), rank 1 to 3", true},
    {"y", FH_ROLE_OUT, FH_F32, "that of x", false},
};
static const fh_scalar_param scale_scalars[] = {{"a", 'f', 2, "the factor"}};

/* No check of shapes, which would need the library: the launch checks the views, and the tests bring right ones. */
static inline fh_status scale_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  *out = (fh_bound){0};
  const fh_rows x = fh_rows_of(&views[SCALE_X]), y = fh_rows_of(&views[SCALE_Y]);
  if (x.rows == 0 || x.d == 0) return FH_OK;
  fh_stage *stage = fh_add_rows_stage(out, 0, &x, 1);
  fh_push(stage, fh_op_view(FH_OPERAND_IN, SCALE_X, 0));
  fh_push(stage, fh_op_view(FH_OPERAND_OUT, SCALE_Y, 0));
  fh_push(stage, fh_op_f32((float)scalars[0].f));
  fh_rows_operands(stage, &x, &y);
  out->bytes = 8.0 * (double)(x.rows * x.d);
  return FH_OK;
}

static inline void scale_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  const fh_rows x = fh_rows_of(&views[SCALE_X]), y = fh_rows_of(&views[SCALE_Y]);
  for (int64_t row = 0; row < x.rows; row++)
    for (int64_t i = 0; i < x.d; i++) {
      const double product = (double)(float)scalars[0].f * (double)((const float *)data[SCALE_X])[fh_rows_at(&x, row, i)];
      ((float *)data[SCALE_Y])[fh_rows_at(&y, row, i)] = (float)product;
    }
}

static inline bool scale_case_at(int i, fh_case *out) {
  if (!fh_rows_case(i, out)) return false;
  out->views[SCALE_Y] = out->views[SCALE_X];
  out->scalars[0].f = 3;
  return true;
}

/* A contract without code but the reference; a test changes what it is about. */
#define SCALE_CONTRACT(NAME)     \
  {.name = (NAME),               \
   .version = 1,                 \
   FH_VIEWS(scale_views),        \
   FH_SCALARS(scale_scalars),    \
   .bound_rel = 0x1p-23,         \
   .bound_abs = 0x1p-149,        \
   .bind = scale_bind,           \
   .reference = scale_reference, \
   .case_at = scale_case_at}

#endif /* FOGHORN_TESTS_SUPPORT_SCALE_KERNEL_H_ */
