/* Launches on the CPU: planning, results, refusals, counts, the decision in words. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "tests/support/expect.h"

static fh_context *open_cpu(const char *isa, fh_numerics numerics) {
  fh_context_options options = {.policy = FH_CPU_ONLY, .isa = isa, .numerics = numerics};
  fh_context *context = NULL;
  FH_EXPECT_OK(fh_context_create(&options, &context));
  return context;
}

static void softmax_on(const char *isa, float *out, int rows, int d) {
  fh_context *context = open_cpu(isa, FH_EXACT);
  fh_view x, y;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(rows, d), FH_ROW_MAJOR, &x));
  FH_EXPECT_OK(fh_view_wrap(context, out, FH_F32, FH_SHAPE(rows, d), FH_ROW_MAJOR, FH_WRITE, &y));
  float *data;
  FH_EXPECT_OK(fh_view_map(&x, FH_WRITE, (void **)&data));
  for (int i = 0; i < rows * d; i++) data[i] = (float)((i * 7919) % 1000) / 100.0f - 5;
  fh_event event;
  FH_EXPECT_OK(fh_softmax(fh_context_queue(context), &x, &y, &event));
  FH_EXPECT_OK(fh_event_wait(event, FH_FOREVER));
  FH_EXPECT_OK(fh_view_sync(&y));
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.launches, 1);
  assert_int_equal(counters.executed_intended, 1);
  assert_int_equal(counters.executed_elsewhere, 0);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

static void every_isa_gives_the_same_bits(void **state) {
  (void)state;
  enum { ROWS = 37, D = 113 };
  static float want[ROWS * D], got[ROWS * D];
  softmax_on("scalar", want, ROWS, D);
  for (int r = 0; r < ROWS; r++) {
    double sum = 0;
    for (int i = 0; i < D; i++) sum += (double)want[r * D + i];
    assert_true(fabs(sum - 1) < 1e-5);
  }
#if defined(__x86_64__)
  static const char *const isas[] = {"sse42", "avx2", "avx512"}; /* a cap above what the CPU has means what it has */
#else
  static const char *const isas[] = {"neon"};
#endif
  for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
    memset(got, 0, sizeof got);
    softmax_on(isas[i], got, ROWS, D);
    assert_memory_equal(got, want, sizeof got);
  }
}

static void wrong_names_are_errors(void **state) {
  (void)state;
  fh_context *context = NULL;
  fh_context_options options = {.isa = "avx1024"};
  fh_expect_fails(fh_context_create(&options, &context), FH_INVALID_ARGUMENT, "avx1024");
  options = (fh_context_options){.devices = "cpu,gqu"};
  fh_expect_fails(fh_context_create(&options, &context), FH_INVALID_ARGUMENT, "\"gqu\"");
  options = (fh_context_options){.devices = "cpu,"};
  fh_expect_fails(fh_context_create(&options, &context), FH_INVALID_ARGUMENT, "last comma");
  options = (fh_context_options){.max_slowdown = 0.5};
  fh_expect_fails(fh_context_create(&options, &context), FH_INVALID_ARGUMENT, "max_slowdown");
  setenv("FOGHORN_FALLBACK", "maybe", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT, "allow, warn, error");
  unsetenv("FOGHORN_FALLBACK");
  setenv("FOGHORN_ISA", "", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT, "FOGHORN_ISA");
  unsetenv("FOGHORN_ISA");
  setenv("FOGHORN_LOG", "loud", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT, "FOGHORN_LOG=loud");
  unsetenv("FOGHORN_LOG");
  setenv("FOGHORN_TRACE", "/nonexistent/trace", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT, "FOGHORN_TRACE=/nonexistent/trace");
  unsetenv("FOGHORN_TRACE");
  assert_null(context);
}

static void bad_launches_say_which_operand(void **state) {
  (void)state;
  fh_context *context = open_cpu(NULL, FH_BOUNDED);
  fh_queue *queue = fh_context_queue(context);
  fh_view x, y, other, constant, none = {0};
  static const float fixed[12];
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, &x));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(3, 5), FH_ROW_MAJOR, &other));
  FH_EXPECT_OK(fh_view_create(context, FH_F64, FH_SHAPE(3, 4), FH_ROW_MAJOR, &y));
  FH_EXPECT_OK(fh_view_wrap(context, fixed, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, FH_READ, &constant));
  fh_expect_fails(fh_softmax(queue, &x, &other, NULL), FH_INVALID_ARGUMENT, "(3, 5)");
  fh_expect_fails(fh_softmax(queue, &x, &y, NULL), FH_INVALID_ARGUMENT, "f64");
  fh_expect_fails(fh_softmax(queue, &x, &constant, NULL), FH_INVALID_ARGUMENT, "FH_READ");
  fh_expect_fails(fh_softmax(queue, &x, &none, NULL), FH_FAILED_PRECONDITION, "empty");
  fh_expect_fails(fh_softmax(queue, &x, NULL, NULL), FH_INVALID_ARGUMENT, "NULL");
  const fh_kernel *kernel;
  for (int i = 0; i < fh_kernel_count(); i++) {
    FH_EXPECT_OK(fh_kernel_find(fh_kernel_name(fh_kernel_at(i)), &kernel));
    assert_ptr_equal(kernel, fh_kernel_at(i));
  }
  fh_expect_fails(fh_kernel_find("softmaks", &kernel), FH_NOT_FOUND, "softmax");
  const char *last = fh_kernel_name(fh_kernel_at(fh_kernel_count() - 1)); /* the list is whole */
  fh_expect_fails(fh_kernel_find("softmaks", &kernel), FH_NOT_FOUND, last);
  FH_EXPECT_OK(fh_softmax(queue, &x, &x, NULL)); /* in place */
  fh_view_release(&x);
  fh_view_release(&y);
  fh_view_release(&other);
  fh_view_release(&constant);
  fh_context_release(context);
}

static void a_view_of_another_context_is_refused(void **state) {
  (void)state;
  fh_context *own = open_cpu(NULL, FH_BOUNDED), *other = open_cpu(NULL, FH_BOUNDED);
  const fh_kernel *kernel;
  fh_view x, y, foreign;
  char *text = NULL;
  FH_EXPECT_OK(fh_kernel_find("softmax", &kernel));
  FH_EXPECT_OK(fh_view_create(own, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, &x));
  FH_EXPECT_OK(fh_view_create(own, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, &y));
  FH_EXPECT_OK(fh_view_create(other, FH_F32, FH_SHAPE(3, 4), FH_ROW_MAJOR, &foreign));
  fh_expect_fails(fh_softmax(fh_context_queue(own), &foreign, &y, NULL), FH_INCOMPATIBLE, "softmax: x is a view of another context");
  fh_expect_fails(fh_softmax(fh_context_queue(own), &x, &foreign, NULL), FH_INCOMPATIBLE, "softmax: y is a view of another context");
  fh_expect_fails(fh_explain(fh_context_queue(own), kernel, (const fh_view *[]){&x, &foreign}, 2, NULL, 0, false, &text), FH_INCOMPATIBLE,
                  "another context");
  fh_expect_fails(fh_explain(NULL, kernel, (const fh_view *[]){&x, &y}, 2, NULL, 0, false, &text), FH_INVALID_ARGUMENT, "queue");
  FH_EXPECT_OK(fh_softmax(fh_context_queue(own), &x, &y, NULL));
  fh_view_release(&x);
  fh_view_release(&y);
  fh_view_release(&foreign);
  fh_context_release(own);
  fh_context_release(other);
}

static void overlapping_operands_are_refused(void **state) {
  (void)state;
  fh_context *context = open_cpu(NULL, FH_BOUNDED);
  fh_queue *queue = fh_context_queue(context);
  float data[64] = {0};
  int64_t rows[] = {8, 1}, none[] = {0, 1};
  fh_view a, b, c, left, right, flat;
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(32), FH_ROW_MAJOR, FH_READ_WRITE, &a));
  FH_EXPECT_OK(fh_view_wrap(context, data + 8, FH_F32, FH_SHAPE(32), FH_ROW_MAJOR, FH_READ_WRITE, &b));
  FH_EXPECT_OK(fh_view_wrap(context, data + 32, FH_F32, FH_SHAPE(32), FH_ROW_MAJOR, FH_READ_WRITE, &c));
  fh_expect_fails(fh_axpy(queue, 2, &a, &b, NULL), FH_INCOMPATIBLE, "overlaps");
  FH_EXPECT_OK(fh_axpy(queue, 2, &a, &c, NULL));
  /* Two halves of every row share the address range but no element. */
  FH_EXPECT_OK(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(8, 4), rows, FH_READ_WRITE, &left));
  FH_EXPECT_OK(fh_view_wrap_strided(context, data, sizeof data, data + 4, FH_F32, FH_SHAPE(8, 4), rows, FH_READ_WRITE, &right));
  FH_EXPECT_OK(fh_axpy(queue, 2, &left, &right, NULL));
  fh_view back, upside_down; /* also when one of them is read backwards */
  FH_EXPECT_OK(fh_view_slice(&right, 1, 3, 4, -1, &back));
  FH_EXPECT_OK(fh_view_slice(&back, 0, 7, 8, -1, &upside_down));
  FH_EXPECT_OK(fh_axpy(queue, 2, &left, &back, NULL));
  FH_EXPECT_OK(fh_axpy(queue, 2, &left, &upside_down, NULL));
  fh_expect_fails(fh_axpy(queue, 2, &right, &back, NULL), FH_INCOMPATIBLE, "overlaps");
  FH_EXPECT_OK(fh_view_wrap_strided(context, data, sizeof data, data, FH_F32, FH_SHAPE(8, 4), none, FH_READ_WRITE, &flat));
  fh_expect_fails(fh_softmax(queue, &right, &flat, NULL), FH_INVALID_ARGUMENT, "y");
  fh_view *all[] = {&a, &b, &c, &left, &right, &flat, &back, &upside_down};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) fh_view_release(all[i]);
  fh_context_release(context);
}

static void the_decision_is_told(void **state) {
  (void)state;
  fh_context *context = open_cpu(NULL, FH_BOUNDED);
  const fh_kernel *kernel;
  FH_EXPECT_OK(fh_kernel_find("softmax", &kernel));
  fh_view_spec specs[] = {{FH_F32, FH_SHAPE(1000, 512)}, {FH_F32, FH_SHAPE(1000, 512)}};
  char *text, *json;
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, 2, NULL, 0, false, &text));
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, 2, NULL, 0, true, &json));
  assert_non_null(strstr(text, "-> cpu/"));
  assert_non_null(strstr(text, "cpu/scalar"));
  assert_non_null(strstr(json, "foghorn.explain/1"));
  free(text);
  free(json);
  specs[1].shape.extents[1] = 511;
  fh_expect_fails(fh_explain_shapes(fh_context_queue(context), kernel, specs, 2, NULL, 0, false, &text), FH_INVALID_ARGUMENT, "511");
  fh_context_release(context);
}

static void an_absent_device_is_refused_with_the_devices_there_are(void **state) {
  (void)state;
  fh_context *context = NULL;
  fh_context_options options = {.devices = "cuda:77"};
  fh_status status = fh_context_create(&options, &context);
  assert_true(fh_status_code(status) == FH_NOT_FOUND || fh_status_code(status) == FH_UNAVAILABLE);
  assert_non_null(strstr(fh_status_message(status), "cuda:77"));
  fh_status_free(status);
  fh_context *cpu = open_cpu(NULL, FH_BOUNDED);
  fh_expect_fails(fh_queue_pin(fh_context_queue(cpu), "cuda:5"), FH_NOT_FOUND, "cuda:5");
  FH_EXPECT_OK(fh_queue_pin(fh_context_queue(cpu), "cpu"));
  fh_context_release(cpu);
}

static void empty_work_is_a_success(void **state) {
  (void)state;
  fh_context *context = open_cpu(NULL, FH_BOUNDED);
  fh_view x, y;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(0, 4), FH_ROW_MAJOR, &x));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(0, 4), FH_ROW_MAJOR, &y));
  fh_event event;
  FH_EXPECT_OK(fh_softmax(fh_context_queue(context), &x, &y, &event));
  FH_EXPECT_OK(fh_event_wait(event, 0));
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_isa_gives_the_same_bits),  cmocka_unit_test(wrong_names_are_errors),
      cmocka_unit_test(bad_launches_say_which_operand), cmocka_unit_test(overlapping_operands_are_refused),
      cmocka_unit_test(the_decision_is_told),           cmocka_unit_test(an_absent_device_is_refused_with_the_devices_there_are),
      cmocka_unit_test(empty_work_is_a_success),        cmocka_unit_test(a_view_of_another_context_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
