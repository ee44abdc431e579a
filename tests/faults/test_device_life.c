/* Lifetimes on a device: memory given back, contexts ended and devices lost while results are still there.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: label=full timeout=240 fakes=yes cross=no
 *
 * Self-tests are off, so the n-th launch is the n-th cuLaunchKernel.
 */
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

#include "kernels/contract.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/fail_alloc.h"

enum { N = 4096 };

static void ok(fh_status status) {
  if (status) print_error("%s\n", fh_status_message(status));
  assert_null(status);
}

static fh_context *open_with(const char *devices, fh_fallback fallback) {
  setenv("FOGHORN_VERIFY", "off", 1);
  fh_context_options options = {.devices = devices, .numerics = FH_EXACT, .allow_fake = true, .fallback = fallback};
  fh_context *context = NULL;
  ok(fh_context_create(&options, &context));
  return context;
}

static fh_view new_vector(fh_context *context, int64_t count, float value) {
  fh_view view;
  ok(fh_view_create(context, FH_F32, FH_SHAPE(count), FH_ROW_MAJOR, &view));
  float *data;
  ok(fh_view_map(&view, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < count; i++) data[i] = value;
  return view;
}

/* The vector is `value` all over. */
static void holds(const fh_view *view, float value) {
  float *data;
  ok(fh_view_map(view, FH_READ, (void **)&data));
  for (int64_t i = 0; i < view->shape[0]; i++) assert_true(data[i] == value);
}

static fh_counters counters_of(fh_context *context) {
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_intended + counters.executed_elsewhere + counters.failed, counters.launches);
  return counters;
}

/* y += x, so often that the last ones are not waited for. */
static void add_often(fh_context *context, const fh_view *x, const fh_view *y, int times) {
  for (int i = 0; i < times; i++) ok(fh_axpy(fh_context_queue(context), 1, x, y, NULL));
}

/* ---- memory given back ------------------------------------------------------------------------------------------- */

static float *wrap_ones(fh_context *context, fh_access access, fh_view *out_view) {
  float *memory = malloc(N * sizeof *memory);
  assert_non_null(memory);
  for (int i = 0; i < N; i++) memory[i] = 1;
  ok(fh_view_wrap(context, memory, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, access, out_view));
  return memory;
}

static void spoil(float *memory) {
  for (int i = 0; i < N; i++) memory[i] = NAN;
  free(memory);
}

/* Wrapped memory is the caller's again when the last view of it was released: no pending copy reads it, and work that is run
 * again does not need it. The device dies at the last launch. */
static void a_wrapped_input_is_released(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view y = new_vector(context, N, 0);
  for (int round = 0; round < 3; round++) {
    fh_view x;
    float *memory = wrap_ones(context, FH_READ, &x);
    add_often(context, &x, &y, 4);
    fh_view_release(&x);
    spoil(memory);
  }
  holds(&y, 12);
  fh_view_release(&y);
  counters_of(context);
  fh_context_release(context);
}

static void a_wrapped_input_is_destroyed(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view y = new_vector(context, N, 0), x;
  float *memory = wrap_ones(context, FH_READ, &x);
  add_often(context, &x, &y, 6);
  fh_buffer_destroy(&x);
  spoil(memory);
  fh_view one = new_vector(context, N, 1);
  add_often(context, &one, &y, 6);
  holds(&y, 12);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_view_release(&one);
  fh_context_release(context);
}

/* Results in wrapped memory that was released are never written there later. */
static void a_wrapped_output_is_released(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, N, 1), z = new_vector(context, N, 0);
  for (int round = 0; round < 100; round++) {
    fh_view y;
    float *memory = wrap_ones(context, FH_READ_WRITE, &y);
    add_often(context, &x, &y, 2);
    add_often(context, &y, &z, 1);
    fh_view_release(&y);
    spoil(memory);
  }
  holds(&z, 300);
  fh_view_release(&x);
  fh_view_release(&z);
  fh_context_release(context);
}

/* Two results that were made from each other's old contents: whichever copy the device dies in, both can be made again. */
static void results_in_each_others_way(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 2);
  for (int i = 0; i < 2; i++) {
    add_often(context, &x, &y, 1);
    add_often(context, &y, &x, 1);
  }
  holds(&x, 11);
  holds(&y, 7);
  counters_of(context);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* Without memory to bring a result in place home beside its operand, it comes straight home. Lost then, it is lost and said to be, and not
 * made again from what has pieces of it. */
static void a_result_in_place_comes_straight_home(void) {
  enum { COUNT = 8 << 20 }; /* 8 pieces */
  if (!fh_fail_alloc_possible()) {
    print_message("NOT RUN: this part: allocations cannot be made to fail here\n");
    return;
  }
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_queue *queue = fh_context_queue(context);
  fh_view x = new_vector(context, COUNT, 1), y = new_vector(context, COUNT, 1);
  ok(fh_queue_pin(queue, "cpu")); /* what running again needs is there */
  add_often(context, &x, &y, 1);
  ok(fh_queue_pin(queue, NULL));
  add_often(context, &x, &y, 1);
  holds(&y, 3); /* 8 pieces through the ring */
  add_often(context, &x, &y, 1);
  void *data;
  fh_fail_alloc(0);
  fh_status status = fh_view_map(&y, FH_READ, &data);
  assert_true(fh_fail_alloc_end());
  assert_non_null(status);
  fh_status_free(status);
  fh_expect_code(fh_view_map(&y, FH_READ, &data), FH_DATA_LOSS);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* ---- the context's end ------------------------------------------------------------------------------------------- */

/* Views may outlive the context; records of launches whose results nobody wants any more are in the way. */
static void views_outlive_the_context(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  enum { VIEWS = 20 };
  fh_view one = new_vector(context, N, 1), kept[VIEWS];
  for (int i = 0; i < VIEWS; i++) {
    kept[i] = new_vector(context, N, (float)i);
    fh_view dropped = new_vector(context, N, 1);
    add_often(context, &kept[i], &dropped, 2);
    fh_view_release(&dropped);
    add_often(context, &one, &kept[i], 1);
  }
  fh_context_release(context);
  for (int i = 0; i < VIEWS; i++) {
    holds(&kept[i], (float)i + 1);
    fh_view_release(&kept[i]);
  }
  fh_view_release(&one);
}

/* ---- a pinned queue ----------------------------------------------------------------------------------------------- */

static void a_pinned_queue_is_not_mended(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_queue *queue = fh_context_queue(context);
  ok(fh_queue_pin(queue, "cuda:0"));
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 0);
  fh_status status = FH_OK;
  for (int i = 0; i < 6 && !status; i++) status = fh_axpy(queue, 1, &x, &y, NULL);
  if (!status) status = fh_queue_finish(queue);
  assert_non_null(status);
  fh_status_free(status);
  fh_counters c = counters_of(context);
  assert_int_equal(c.replayed, 0);
  assert_int_equal(c.executed_elsewhere, 0);
  void *data;
  fh_expect_code(fh_view_map(&y, FH_READ, &data), FH_DATA_LOSS);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* ---- failures that a device survives -------------------------------------------------------------------------------- */

/* One launch is refused. The device and its data live, other kernels still run there. */
static void one_launch_is_refused(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_queue *queue = fh_context_queue(context);
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 0), p, q;
  add_often(context, &x, &y, 8);
  holds(&y, 8);
  assert_int_equal(counters_of(context).executed_elsewhere, 3); /* axpy's variant of cuda:0 is out, from the sixth on */
  ok(fh_view_create(context, FH_F32, FH_SHAPE(8, 8), FH_ROW_MAJOR, &p));
  ok(fh_view_create(context, FH_F32, FH_SHAPE(8, 8), FH_ROW_MAJOR, &q));
  ok(fh_softmax(queue, &p, &q, NULL));
  ok(fh_queue_finish(queue));
  assert_int_equal(counters_of(context).executed_elsewhere, 3);
  float *data;
  ok(fh_view_map(&q, FH_READ, (void **)&data));
  assert_true(data[63] == 0.125f);
  fh_view *views[] = {&x, &y, &p, &q};
  for (int i = 0; i < 4; i++) fh_view_release(views[i]);
  fh_context_release(context);
}

/* The launch ran, but the driver failed to mark its end: what it left in place of its operand is not taken for the operand. */
static void one_launch_runs_and_is_refused(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 0);
  add_often(context, &x, &y, 8);
  holds(&y, 8);
  counters_of(context);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* A copy home goes in pieces, and fails after the first: the host copy, from which the result is made again, is what it was. */
static void a_copy_home_ends_half_way(void) {
  enum { COUNT = 8 << 20 }; /* more than what is pinned of it at a time */
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, COUNT, 1), y = new_vector(context, COUNT, 0);
  add_often(context, &x, &y, 3);
  holds(&y, 3);
  assert_int_equal(counters_of(context).executed_elsewhere, 3);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* More buffers than the device has memory, one after another: what the host has too makes room. */
static void memory_is_made_room_for(void) {
  enum { BUFFERS = 12, COUNT = 1 << 20 };
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, COUNT, 1), y[BUFFERS];
  for (int i = 0; i < BUFFERS; i++) {
    y[i] = new_vector(context, COUNT, (float)i);
    add_often(context, &x, &y[i], 1);
    holds(&y[i], (float)i + 1);
  }
  assert_int_equal(counters_of(context).executed_elsewhere, 0);
  for (int i = 0; i < BUFFERS; i++) fh_view_release(&y[i]);
  fh_view_release(&x);
  fh_context_release(context);
}

/* ---- the report ------------------------------------------------------------------------------------------------------ */

/* The only launch of a kernel on the device is run again on the CPU: the report has no number that is none. */
static void the_report_after_a_loss(void) {
  fh_context *context = open_with("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 0), p, q;
  add_often(context, &x, &y, 1);
  ok(fh_view_create(context, FH_F32, FH_SHAPE(8, 8), FH_ROW_MAJOR, &p));
  ok(fh_view_create(context, FH_F32, FH_SHAPE(8, 8), FH_ROW_MAJOR, &q));
  ok(fh_softmax(fh_context_queue(context), &p, &q, NULL));
  holds(&y, 1);
  fh_counters c = counters_of(context);
  assert_int_equal(c.replayed, 1);
  assert_int_equal(c.executed_elsewhere, 2);
  char *text;
  ok(fh_report(context, false, &text));
  assert_null(strstr(text, "nan"));
  assert_null(strstr(text, "inf"));
  free(text);
  fh_view *views[] = {&x, &y, &p, &q};
  for (int i = 0; i < 4; i++) fh_view_release(views[i]);
  fh_context_release(context);
}

/* Work that had already fallen back once is lost and run again: it never counts as intended. */
static void falling_twice_is_counted_once(void) {
  fh_context *context = open_with("cuda:0,cuda:1,cpu", FH_FALLBACK_WARN);
  fh_view x = new_vector(context, N, 1), y = new_vector(context, N, 0);
  add_often(context, &x, &y, 1); /* cuda:0 */
  holds(&y, 1);
  add_often(context, &x, &y, 3); /* cuda:0 dies, then cuda:1 */
  holds(&y, 4);
  fh_counters c = counters_of(context);
  assert_int_equal(c.executed_intended, 1);
  assert_int_equal(c.executed_elsewhere, 3);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

#define SLOW "devices=1,memory=256MiB,delay=0.002"

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "a wrapped input is released", .settings = SLOW, .run = a_wrapped_input_is_released},
      {.name = "a wrapped input is released, the device is lost",
       .settings = SLOW,
       .faults = "cuLaunchKernel@10=719",
       .run = a_wrapped_input_is_released},
      {.name = "a wrapped input is released, the device is lost late",
       .settings = SLOW,
       .faults = "cuLaunchKernel@7=late:719",
       .run = a_wrapped_input_is_released},
      {.name = "a wrapped input is destroyed", .settings = SLOW, .run = a_wrapped_input_is_destroyed},
      {.name = "a wrapped input is destroyed, the device is lost",
       .settings = SLOW,
       .faults = "cuLaunchKernel@10=719",
       .run = a_wrapped_input_is_destroyed},
      {.name = "a wrapped output is released", .settings = "devices=1", .run = a_wrapped_output_is_released},
      {.name = "a wrapped output is released, the device is lost",
       .settings = "devices=1",
       .faults = "cuLaunchKernel@200=719",
       .run = a_wrapped_output_is_released},
      {.name = "views outlive the context", .settings = SLOW, .run = views_outlive_the_context},
      {.name = "views outlive the context, the device is lost",
       .settings = SLOW,
       .faults = "cuLaunchKernel@55=late:719",
       .run = views_outlive_the_context},
      {.name = "a pinned queue is not mended", .settings = SLOW, .faults = "cuLaunchKernel@4=719", .run = a_pinned_queue_is_not_mended},
      {.name = "a pinned queue is not mended, late",
       .settings = SLOW,
       .faults = "cuLaunchKernel@5=late:719",
       .run = a_pinned_queue_is_not_mended},
      {.name = "a copy home ends half-way", .settings = SLOW, .faults = "cuMemcpyDtoHAsync@7=719", .run = a_copy_home_ends_half_way},
      {.name = "a copy home ends half-way, late",
       .settings = SLOW,
       .faults = "cuMemcpyDtoHAsync@7=late:719",
       .run = a_copy_home_ends_half_way},
      {.name = "a copy home is refused half-way", .settings = SLOW, .faults = "cuMemcpyDtoHAsync@3=1", .run = a_copy_home_ends_half_way},
      {.name = "one launch is refused", .settings = SLOW, .faults = "cuLaunchKernel@6=1", .run = one_launch_is_refused},
      {.name = "results in each other's way, the first copy fails",
       .settings = SLOW,
       .faults = "cuMemcpyDtoHAsync@1=719",
       .run = results_in_each_others_way},
      {.name = "results in each other's way, the second copy fails",
       .settings = SLOW,
       .faults = "cuMemcpyDtoHAsync@2=719",
       .run = results_in_each_others_way},
      {.name = "results in each other's way, a copy fails late",
       .settings = SLOW,
       .faults = "cuMemcpyDtoHAsync@2=late:719",
       .run = results_in_each_others_way},
      {.name = "a result in place comes straight home",
       .settings = "devices=1",
       .faults = "cuMemcpyDtoHAsync@15=719",
       .run = a_result_in_place_comes_straight_home},
      {.name = "one answer is lost", .settings = SLOW, .faults = "cuEventQuery@2=1", .run = a_wrapped_input_is_released},
      {.name = "one launch runs and is refused", .settings = SLOW, .faults = "cuEventRecord@9=1", .run = one_launch_runs_and_is_refused},
      {.name = "memory is made room for", .settings = "devices=1,memory=16MiB", .run = memory_is_made_room_for},
      {.name = "the report after a loss", .settings = SLOW, .faults = "cuLaunchKernel@2=719", .run = the_report_after_a_loss},
      {.name = "falling twice is counted once",
       .settings = "devices=2",
       .faults = "cuLaunchKernel@2=719;cuLaunchKernel@4=719",
       .run = falling_twice_is_counted_once},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
