/* C = A B, A row-major and B column-major, on the best device there is. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include <foghorn/foghorn.h>

static fh_status multiply(const float *a, const float *b, float *c, int64_t m, int64_t n, int64_t k) {
  fh_auto(fh_context) *context = NULL;
  fh_auto(fh_view) A = {0}, B = {0}, C = {0}; /* small values; each keeps its memory alive */
  FH_TRY(fh_context_create(&(fh_context_options){.max_slowdown = 20}, &context));
  FH_TRY(fh_view_wrap(context, a, FH_F32, FH_SHAPE(m, k), FH_ROW_MAJOR, FH_READ, &A));
  FH_TRY(fh_view_wrap(context, b, FH_F32, FH_SHAPE(k, n), FH_COL_MAJOR, FH_READ, &B));
  FH_TRY(fh_view_wrap(context, c, FH_F32, FH_SHAPE(m, n), FH_ROW_MAJOR, FH_WRITE, &C));
  FH_TRY(fh_matmul(fh_context_queue(context), &A, &B, &C, NULL));
  return fh_view_sync(&C); /* waits, and brings the result home */
}

int main(void) {
  const float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 1, 0, 1, 1}; /* 2x3, and 3x2 by columns */
  float c[4];
  fh_status status = multiply(a, b, c, 2, 2, 3);
  if (status) fprintf(stderr, "%s\n", fh_status_message(status));
  if (!status) printf("%g %g\n%g %g\n", c[0], c[1], c[2], c[3]);
  return status != FH_OK;
}
