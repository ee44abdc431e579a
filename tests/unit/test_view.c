/* Buffers and views: shapes, strides, lifetimes, messages. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "tests/support/cpu_context.h"

static void creates_in_both_orders(void **state) {
  (void)state;
  fh_view rows, columns;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(3, 5), FH_ROW_MAJOR, &rows));
  FH_EXPECT_OK(fh_view_create(context, FH_F64, FH_SHAPE(3, 5), FH_COL_MAJOR, &columns));
  assert_int_equal(rows.strides[0], 5);
  assert_int_equal(rows.strides[1], 1);
  assert_int_equal(columns.strides[0], 1);
  assert_int_equal(columns.strides[1], 3);
  assert_int_equal(fh_view_elements(&rows), 15);
  float *data;
  FH_EXPECT_OK(fh_view_map(&rows, FH_READ, (void **)&data));
  for (int i = 0; i < 15; i++) assert_true(data[i] == 0);
  fh_view_release(&rows);
  fh_view_release(&columns);
  fh_view_release(&columns); /* a zeroed view is allowed */
}

static void refuses_bad_shapes(void **state) {
  (void)state;
  fh_view v;
  float x;
  fh_expect_fails(fh_view_create(context, FH_F32, FH_SHAPE(3, -1), FH_ROW_MAJOR, &v), FH_INVALID_ARGUMENT, "extent 1 is -1");
  fh_expect_fails(fh_view_create(context, FH_F32, FH_SHAPE(INT64_MAX / 2, 3), FH_ROW_MAJOR, &v), FH_INVALID_ARGUMENT, "2^62");
  fh_expect_fails(fh_view_create(context, (fh_dtype)99, FH_SHAPE(3), FH_ROW_MAJOR, &v), FH_INVALID_ARGUMENT, "99");
  fh_expect_fails(fh_view_create(context, FH_F32, ((fh_shape){.rank = 9}), FH_ROW_MAJOR, &v), FH_INVALID_ARGUMENT, "rank");
  fh_expect_fails(fh_view_create(context, FH_F32, FH_SHAPE(3), (fh_order)7, &v), FH_INVALID_ARGUMENT, "FH_ROW_MAJOR");
  fh_expect_fails(fh_view_create(NULL, FH_F32, FH_SHAPE(3), FH_ROW_MAJOR, &v), FH_INVALID_ARGUMENT, "context");
  fh_expect_fails(fh_view_create(context, FH_F32, FH_SHAPE(1LL << 50), FH_ROW_MAJOR, &v), FH_RESOURCE_EXHAUSTED, "test_view.c");
  fh_expect_fails(fh_view_wrap(context, NULL, FH_F32, FH_SHAPE(3), FH_ROW_MAJOR, FH_READ, &v), FH_INVALID_ARGUMENT, "12 bytes");
  fh_expect_fails(fh_view_wrap(context, &x, FH_F32, FH_SHAPE(1), FH_ROW_MAJOR, (fh_access)0, &v), FH_INVALID_ARGUMENT, "FH_READ");
  assert_null(v.buffer);
}

static void empty_needs_no_memory(void **state) {
  (void)state;
  fh_view v;
  FH_EXPECT_OK(fh_view_wrap(context, NULL, FH_F32, FH_SHAPE(0, 4), FH_ROW_MAJOR, FH_READ, &v));
  assert_int_equal(fh_view_elements(&v), 0);
  fh_view_release(&v);
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(0), FH_ROW_MAJOR, &v));
  fh_view_release(&v);
}

/* The extents beside a 0 may multiply to anything: the undefined-behaviour sanitizer watches. */
static void empty_shapes_of_any_size(void **state) {
  (void)state;
  const int64_t most = (int64_t)1 << 62;
  fh_view v, turned;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(0, most, most), FH_ROW_MAJOR, &v));
  FH_EXPECT_OK(fh_view_transpose(&v, 0, 2, &turned));
  assert_int_equal(fh_view_elements(&v), 0);
  assert_int_equal(fh_view_elements(&turned), 0);
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &v, &v, NULL));
  fh_view_release(&v);
  fh_view_release(&turned);
}

static void strided_views_stay_inside(void **state) {
  (void)state;
  float data[20] = {0};
  fh_view v;
  int64_t padded[] = {5, 1}, backwards[] = {-5, -1}, wide[] = {7, 1}, huge[] = {INT64_MAX / 2, 1};
  FH_EXPECT_OK(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(4, 3), padded, FH_READ, &v));
  fh_view_release(&v);
  FH_EXPECT_OK(fh_view_wrap_strided(context, data, sizeof data, data + 19, FH_F32, FH_SHAPE(4, 5), backwards, FH_READ, &v));
  void *first;
  FH_EXPECT_OK(fh_view_map(&v, FH_READ, &first));
  assert_ptr_equal(first, data + 19);
  fh_view_release(&v);
  fh_expect_fails(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(4, 3), wide, FH_READ, &v), FH_OUT_OF_RANGE,
                  "[3,2]");
  fh_expect_fails(fh_view_wrap_strided(context, data, sizeof data, data + 18, FH_F32, FH_SHAPE(4, 5), backwards, FH_READ, &v),
                  FH_OUT_OF_RANGE, "before");
  fh_expect_fails(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(4, 3), huge, FH_READ, &v), FH_OUT_OF_RANGE,
                  "address space");
  fh_expect_fails(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(4), NULL, FH_READ, &v), FH_INVALID_ARGUMENT,
                  "strides");
}

static void slices(void **state) {
  (void)state;
  float data[12];
  for (int i = 0; i < 12; i++) data[i] = (float)i;
  fh_view all, part, again;
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, FH_READ, &all));
  FH_EXPECT_OK(fh_view_slice(&all, 1, 3, 2, -2, &part));
  float *first;
  FH_EXPECT_OK(fh_view_map(&part, FH_READ, (void **)&first));
  assert_true(first[0] == 3 && first[part.strides[1]] == 1 && first[part.strides[0]] == 7);
  FH_EXPECT_OK(fh_view_transpose(&part, 0, 1, &again));
  assert_int_equal(again.shape[0], 2);
  assert_int_equal(again.strides[0], -2);
  FH_EXPECT_OK(fh_view_slice(&all, 0, 3, 0, 1, &again)); /* the empty end; the old reference is still ours to drop */
  fh_expect_fails(fh_view_slice(&all, 0, 2, 2, 1, &again), FH_OUT_OF_RANGE, "which has 3");
  fh_expect_fails(fh_view_slice(&all, 0, 1, 3, -1, &again), FH_OUT_OF_RANGE, "step -1");
  fh_expect_fails(fh_view_slice(&all, 0, 0, 3, INT64_MAX, &again), FH_OUT_OF_RANGE, "leaves dimension 0");
  fh_expect_fails(fh_view_slice(&all, 0, -1, 1, 1, &again), FH_OUT_OF_RANGE, "start -1");
  fh_expect_fails(fh_view_slice(&all, 2, 0, 1, 1, &again), FH_OUT_OF_RANGE, "rank 2");
  fh_expect_fails(fh_view_slice(&all, 0, 0, 1, 0, &again), FH_INVALID_ARGUMENT, "step");
  fh_view_release(&part);
  fh_view_release(&all);
}

static void use_after_destroy_names_both_places(void **state) {
  (void)state;
  fh_view v, other, gone;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, &v));
  int made = __LINE__ - 1;
  FH_EXPECT_OK(fh_view_retain(&v, &other));
  fh_buffer_destroy(&v);
  int ended = __LINE__ - 1;
  char both[64];
  snprintf(both, sizeof both, ":%d was destroyed", made);
  fh_expect_fails(fh_view_check(&other), FH_FAILED_PRECONDITION, both);
  snprintf(both, sizeof both, "test_view.c:%d, and", ended);
  void *data;
  fh_expect_fails(fh_view_map(&other, FH_READ, &data), FH_FAILED_PRECONDITION, both);
  gone = other;
  fh_view_release(&v);
  fh_view_release(&other);
  fh_expect_fails(fh_view_check(&gone), FH_FAILED_PRECONDITION, both); /* even after the block went back */
}

static void a_copy_that_was_not_retained_is_told_apart(void **state) {
  (void)state;
  fh_view v, copy;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, &v));
  copy = v;
  fh_view_release(&v);
  fh_expect_fails(fh_view_check(&copy), FH_FAILED_PRECONDITION, "fh_view_retain");
  fh_view second;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(8), FH_ROW_MAJOR, &second)); /* may take the same block */
  fh_expect_fails(fh_view_check(&copy), FH_FAILED_PRECONDITION, "fh_view_retain");
  FH_EXPECT_OK(fh_view_check(&second));
  fh_view_release(&second);
}

static void read_only_memory_is_not_mapped_for_writing(void **state) {
  (void)state;
  static const float data[4] = {1, 2, 3, 4};
  fh_view v;
  void *p;
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(4), FH_ROW_MAJOR, FH_READ, &v));
  fh_expect_fails(fh_view_map(&v, FH_READ_WRITE, &p), FH_INVALID_ARGUMENT, "FH_READ");
  fh_view_release(&v);
}

static void views_may_outlive_the_context(void **state) {
  (void)state;
  fh_context_options options = {.policy = FH_CPU_ONLY};
  fh_context *own;
  FH_EXPECT_OK(fh_context_create(&options, &own));
  fh_view v;
  FH_EXPECT_OK(fh_view_create(own, FH_F32, FH_SHAPE(4), FH_ROW_MAJOR, &v));
  fh_context_release(own);
  float *data;
  FH_EXPECT_OK(fh_view_map(&v, FH_READ_WRITE, (void **)&data));
  data[3] = 1;
  fh_view_release(&v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(creates_in_both_orders),
      cmocka_unit_test(refuses_bad_shapes),
      cmocka_unit_test(empty_needs_no_memory),
      cmocka_unit_test(empty_shapes_of_any_size),
      cmocka_unit_test(strided_views_stay_inside),
      cmocka_unit_test(slices),
      cmocka_unit_test(use_after_destroy_names_both_places),
      cmocka_unit_test(a_copy_that_was_not_retained_is_told_apart),
      cmocka_unit_test(read_only_memory_is_not_mapped_for_writing),
      cmocka_unit_test(views_may_outlive_the_context),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
