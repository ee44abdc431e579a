/* Layout calls: examples by hand, what is refused, and compact results of strided sources. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 sanitize=address */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

static fh_view wrap(float *data, fh_shape shape, fh_order order) {
  fh_view view = {0};
  assert_null(fh_view_wrap(context, data, FH_F32, shape, order, FH_READ_WRITE, &view));
  return view;
}

static void examples(void **state) {
  (void)state;
  fh_queue *queue = fh_context_queue(context);
  float points[] = {1, 2, 3, 10, 20, 30}, fields[6], back[6], cube[8] = {0, 1, 2, 3, 4, 5, 6, 7}, turned[8];
  fh_auto(fh_view) POINTS = wrap(points, FH_SHAPE(2, 3), FH_ROW_MAJOR), FIELDS = wrap(fields, FH_SHAPE(3, 2), FH_ROW_MAJOR);
  fh_auto(fh_view) BACK = wrap(back, FH_SHAPE(2, 3), FH_ROW_MAJOR), CUBE = wrap(cube, FH_SHAPE(2, 2, 2), FH_ROW_MAJOR);
  fh_auto(fh_view) TURNED = wrap(turned, FH_SHAPE(2, 2, 2), FH_ROW_MAJOR);
  assert_null(fh_aos_to_soa(queue, &POINTS, &FIELDS, NULL));
  assert_memory_equal(fields, ((float[]){1, 10, 2, 20, 3, 30}), sizeof fields);
  assert_null(fh_soa_to_aos(queue, &FIELDS, &BACK, NULL));
  assert_memory_equal(back, points, sizeof back);
  assert_null(fh_transpose(queue, &CUBE, &TURNED, NULL));
  assert_memory_equal(turned, ((float[]){0, 2, 1, 3, 4, 6, 5, 7}), sizeof turned);
  assert_null(fh_permute(queue, &CUBE, (int[]){2, 0, 1}, &TURNED, NULL)); /* y[i,j,k] = x[j,k,i] */
  assert_memory_equal(turned, ((float[]){0, 2, 4, 6, 1, 3, 5, 7}), sizeof turned);
}

/* A transpose of a column-major source into a row-major result is a plain copy of its memory. */
static void a_transpose_that_is_a_copy(void **state) {
  (void)state;
  enum { ROWS = 37, COLUMNS = 53 };
  static float x[ROWS * COLUMNS], y[ROWS * COLUMNS];
  for (int i = 0; i < ROWS * COLUMNS; i++) x[i] = (float)i;
  fh_auto(fh_view) X = wrap(x, FH_SHAPE(ROWS, COLUMNS), FH_COL_MAJOR), Y = wrap(y, FH_SHAPE(COLUMNS, ROWS), FH_ROW_MAJOR);
  assert_null(fh_transpose(fh_context_queue(context), &X, &Y, NULL));
  assert_memory_equal(x, y, sizeof x);
}

static void what_is_refused(void **state) {
  (void)state;
  fh_queue *queue = fh_context_queue(context);
  float x[6] = {0}, y[6];
  fh_auto(fh_view) X = wrap(x, FH_SHAPE(2, 3), FH_ROW_MAJOR), Y = wrap(y, FH_SHAPE(2, 3), FH_ROW_MAJOR),
                   LINE = wrap(y, FH_SHAPE(6), FH_ROW_MAJOR);
  fh_expect_fails(fh_transpose(queue, &X, &Y, NULL), FH_INVALID_ARGUMENT, "y has shape (2, 3)");
  fh_expect_fails(fh_permute(queue, &X, (int[]){0, 0}, &Y, NULL), FH_INVALID_ARGUMENT, "axis 1 is 0, expected each of 0 to 1 once");
  fh_expect_fails(fh_permute(queue, &X, (int[]){0, 2}, &Y, NULL), FH_INVALID_ARGUMENT, "axis 1 is 2");
  fh_expect_fails(fh_transpose(queue, &LINE, &LINE, NULL), FH_INVALID_ARGUMENT, "x has 1 dimensions, expected 2 to 4");
  fh_expect_fails(fh_aos_to_soa(queue, NULL, &Y, NULL), FH_INVALID_ARGUMENT, "x is NULL");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(examples), cmocka_unit_test(a_transpose_that_is_a_copy),
                                     cmocka_unit_test(what_is_refused)};
  return cmocka_run_group_tests(tests, open_context, close_context);
}
