/* Packed weights through the public calls: they are made once, shared, and give what plain ones give. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "kernels/narrow.h"

enum { M = 5, N = 70, K = 131 };

static int open_context(void **state) {
  fh_context *context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "cpu"}, &context);
  if (status) print_error("%s\n", fh_status_message(status));
  fh_status_free(status);
  *state = context;
  return context ? 0 : -1;
}

static int close_context(void **state) {
  fh_context_release(*state);
  return 0;
}

static void succeeds(fh_status status) {
  if (status) print_error("%s\n", fh_status_message(status));
  assert_null(status);
}

static void refused(fh_status status, const char *part) {
  assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
  assert_non_null(strstr(fh_status_message(status), part));
  fh_status_free(status);
}

/* Bytes as they fall; as floats they are made finite: an exponent near that of 1 in the upper byte. */
static void fill(void *data, size_t bytes, fh_dtype dtype) {
  const size_t size = fh_dtype_size(dtype);
  const bool is_float = dtype == FH_F32 || dtype == FH_BF16 || dtype == FH_F16;
  static uint64_t seed = 7;
  for (size_t i = 0; i < bytes; i++) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    ((uint8_t *)data)[i] = (uint8_t)(seed >> 56);
    if (is_float && i % size == size - 1) ((uint8_t *)data)[i] = (uint8_t)((dtype == FH_F16 ? 0x3a : 0x3e) | (seed >> 40 & 0x81));
  }
}

typedef fh_status multiply_fn(fh_queue *, const fh_view *, const fh_view *, const fh_view *, fh_event *);

static fh_view view_of(fh_context *context, fh_dtype dtype, int64_t rows, int64_t cols) {
  fh_view view;
  void *data;
  succeeds(fh_view_create(context, dtype, FH_SHAPE(rows, cols), FH_ROW_MAJOR, &view));
  succeeds(fh_view_map(&view, FH_WRITE, &data));
  fill(data, (size_t)(rows * cols) * fh_dtype_size(dtype), dtype);
  return view;
}

/* Plain and packed weights, the packed ones twice and after the plain ones are gone. */
static void check_type(fh_context *context, fh_dtype a_type, fh_dtype b_type, fh_dtype c_type, multiply_fn *multiply, double tolerance) {
  fh_queue *queue = fh_context_queue(context);
  fh_view a = view_of(context, a_type, M, K), b = view_of(context, b_type, K, N), c = view_of(context, c_type, M, N);
  fh_view d = view_of(context, c_type, M, N), packed, shared;
  succeeds(multiply(queue, &a, &b, &c, NULL));
  succeeds(fh_weights_pack(queue, &b, &packed));
  const int64_t group = 4 / (int64_t)fh_dtype_size(b_type);
  assert_int_equal(packed.rank, 4);
  assert_int_equal(packed.shape[0], 3);
  assert_int_equal(packed.shape[1], (K + group - 1) / group);
  assert_int_equal(packed.shape[3], group);
  fh_view_release(&b);
  succeeds(fh_view_retain(&packed, &shared));
  succeeds(multiply(queue, &a, &packed, &d, NULL));
  fh_view_release(&packed);
  succeeds(multiply(queue, &a, &shared, &d, NULL));
  void *want, *got;
  succeeds(fh_view_map(&c, FH_READ, &want));
  succeeds(fh_view_map(&d, FH_READ, &got));
  for (int i = 0; i < M * N; i++) {
    const double w = c_type == FH_F32 ? (double)((float *)want)[i] : ((int32_t *)want)[i];
    const double g = c_type == FH_F32 ? (double)((float *)got)[i] : ((int32_t *)got)[i];
    assert_true(fabs(w - g) <= tolerance);
  }
  /* Of another k: refused, with what was expected. */
  fh_view wrong = view_of(context, a_type, M, K - 8);
  refused(multiply(queue, &wrong, &shared, &d, NULL), "expected packed weights");
  fh_view *views[] = {&a, &c, &d, &shared, &wrong};
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) fh_view_release(views[i]);
}

static void packed_weights_give_the_same(void **state) {
  check_type(*state, FH_U8, FH_I8, FH_I32, fh_matmul_i8, 0);
  check_type(*state, FH_BF16, FH_BF16, FH_F32, fh_matmul_bf16, K * 4.0 * K * 0x1p-23);
  check_type(*state, FH_F16, FH_F16, FH_F32, fh_matmul_f16, 0);
  check_type(*state, FH_F32, FH_F32, FH_F32, fh_matmul_tf32, 0);
}

static void bad_weights_are_refused(void **state) {
  fh_context *context = *state;
  fh_view packed, wrong;
  succeeds(fh_view_create(context, FH_I32, FH_SHAPE(4, 4), FH_ROW_MAJOR, &wrong));
  refused(fh_weights_pack(fh_context_queue(context), &wrong, &packed), "type i32");
  refused(fh_weights_pack(NULL, &wrong, &packed), "queue is NULL");
  assert_null(packed.buffer);
  fh_view_release(&wrong);
  succeeds(fh_view_create(context, FH_I8, FH_SHAPE(4), FH_ROW_MAJOR, &wrong));
  refused(fh_weights_pack(fh_context_queue(context), &wrong, &packed), "expected (k, n)");
  assert_null(packed.buffer);
  fh_view_release(&wrong);
}

/* No weights at all are packed too, and their product is zero. */
static void empty_weights_are_packed(void **state) {
  fh_context *context = *state;
  fh_view b, packed;
  succeeds(fh_view_create(context, FH_BF16, FH_SHAPE(0, 33), FH_ROW_MAJOR, &b));
  succeeds(fh_weights_pack(fh_context_queue(context), &b, &packed));
  assert_int_equal(packed.shape[1], 0);
  fh_view a = {0}, c = view_of(context, FH_F32, 2, 33);
  succeeds(fh_view_create(context, FH_BF16, FH_SHAPE(2, 0), FH_ROW_MAJOR, &a));
  succeeds(fh_matmul_bf16(fh_context_queue(context), &a, &packed, &c, NULL));
  void *data;
  succeeds(fh_view_map(&c, FH_READ, &data));
  for (int i = 0; i < 66; i++) assert_true(((float *)data)[i] == 0);
  fh_view *views[] = {&a, &b, &c, &packed};
  for (size_t i = 0; i < sizeof views / sizeof *views; i++) fh_view_release(views[i]);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(packed_weights_give_the_same),
      cmocka_unit_test(bad_weights_are_refused),
      cmocka_unit_test(empty_weights_are_packed),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
