/* Host memory that is copied again and again is made known to the driver, and let go before it ends. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "kernels/tables.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"

enum { LARGE = 2 << 20, SMALL = 1 << 10, ROUNDS = 6 };

static fh_context *context;

/* Wrapped memory in and out, as often: y += x, with other data each time. */
static void run_rounds(float *x, float *y, int count, int rounds) {
  fh_view X, Y;
  float *data;
  FH_EXPECT_OK(fh_view_wrap(context, x, FH_F32, FH_SHAPE(count), FH_ROW_MAJOR, FH_READ_WRITE, &X));
  FH_EXPECT_OK(fh_view_wrap(context, y, FH_F32, FH_SHAPE(count), FH_ROW_MAJOR, FH_READ_WRITE, &Y));
  for (int round = 1; round <= rounds; round++) {
    FH_EXPECT_OK(fh_view_map(&X, FH_WRITE, (void **)&data));
    for (int i = 0; i < count; i++) data[i] = (float)(i % 5 + round);
    FH_EXPECT_OK(fh_view_map(&Y, FH_WRITE, (void **)&data));
    for (int i = 0; i < count; i++) data[i] = (float)(i % 3);
    FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &X, &Y, NULL));
    FH_EXPECT_OK(fh_view_map(&Y, FH_READ, (void **)&data));
    for (int i = 0; i < count; i++) assert_true(data[i] == (float)(i % 3 + i % 5 + round));
  }
  fh_view_release(&X);
  fh_view_release(&Y);
}

static void run_wrapped(int count, int rounds) {
  float *x = calloc((size_t)count, sizeof *x), *y = calloc((size_t)count, sizeof *y);
  assert_non_null(x);
  assert_non_null(y);
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0", .allow_fake = true}, &context));
  run_rounds(x, y, count, rounds);
  free(x); /* the context lives: nothing may know of the memory any more */
  free(y);
  fh_context_release(context);
}

static bool has_ptx(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images->ptx) printf("NOT RUN: this build has no PTX: %s\n", images->ptx_missing);
  return images->ptx;
}

static void is_registered_once(void) {
  if (!has_ptx()) return;
  run_wrapped(LARGE, ROUNDS);
  assert_int_equal(fh_cuda_calls("cuMemHostRegister_v2"), 2);
  assert_int_equal(fh_cuda_calls("cuMemHostUnregister"), 2);
}

static void is_left_alone(int count, int rounds) {
  if (!has_ptx()) return;
  run_wrapped(count, rounds);
  assert_int_equal(fh_cuda_calls("cuMemHostRegister_v2"), 0);
}
static void small_memory_is_left_alone(void) { is_left_alone(SMALL, ROUNDS); }
static void memory_copied_once_is_left_alone(void) { is_left_alone(LARGE, 1); }

/* Asked once for each, and the copies go the other way. */
static void a_refusal_is_no_error(void) {
  if (!has_ptx()) return;
  run_wrapped(LARGE, ROUNDS);
  assert_int_equal(fh_cuda_calls("cuMemHostRegister_v2"), 2);
  assert_int_equal(fh_cuda_calls("cuMemHostUnregister"), 0);
}

/* Two buffers on one memory: the second finds it registered. When the first has gone, the second goes on. */
static void shared_memory_is_let_go_once(void) {
  if (!has_ptx()) return;
  float *x = calloc(LARGE, sizeof *x), *y = calloc(LARGE, sizeof *y), *data;
  fh_view other;
  assert_non_null(x);
  assert_non_null(y);
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0", .allow_fake = true}, &context));
  FH_EXPECT_OK(fh_view_wrap(context, x, FH_F32, FH_SHAPE(LARGE), FH_ROW_MAJOR, FH_READ_WRITE, &other));
  run_rounds(x, y, LARGE, ROUNDS);
  for (int round = 0; round < ROUNDS; round++) {
    fh_view out;
    FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(LARGE), FH_ROW_MAJOR, &out));
    FH_EXPECT_OK(fh_view_map(&other, FH_READ_WRITE, (void **)&data));
    FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 2, &other, &out, NULL));
    FH_EXPECT_OK(fh_view_map(&out, FH_READ, (void **)&data));
    for (int i = 0; i < LARGE; i += 997) assert_true(data[i] == 2 * x[i]);
    fh_view_release(&out);
  }
  fh_view_release(&other);
  assert_int_equal(fh_cuda_calls("cuMemHostRegister_v2"), 3);
  assert_int_equal(fh_cuda_calls("cuMemHostUnregister"), 3);
  free(x);
  free(y);
  fh_context_release(context);
}

int main(int argc, char **argv) {
  (void)argc;
  static const fh_cuda_case cases[] = {
      {"is registered once", NULL, NULL, is_registered_once, 0, 0, 0},
      {"small memory is left alone", NULL, NULL, small_memory_is_left_alone, 0, 0, 0},
      {"memory copied once is left alone", NULL, NULL, memory_copied_once_is_left_alone, 0, 0, 0},
      {"a refusal is no error", NULL, "cuMemHostRegister@1+=801", a_refusal_is_no_error, 0, 0, 0},
      {"memory that others registered is no error", NULL, "cuMemHostRegister@1+=712", a_refusal_is_no_error, 0, 0, 0},
      {"no more to lock is no error", "pinned=17MiB", NULL, a_refusal_is_no_error, 0, 0, 0},
      {"shared memory is let go once", NULL, NULL, shared_memory_is_let_go_once, 0, 0, 0},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, FH_LENGTH(cases));
}
