/* Operands brought to a device ahead of time: there before the launch, copied once, and never at the cost of the job.
 * SPDX-License-Identifier: Apache-2.0
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

#include "kernels/contract.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

enum { N = 1 << 20 };

static fh_context *context;
static fh_queue *queue;
static fh_view x, y;

static fh_view new_vector(int64_t count, float value) {
  fh_view view;
  float *data;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(count), FH_ROW_MAJOR, &view));
  FH_EXPECT_OK(fh_view_map(&view, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < count; i++) data[i] = value;
  return view;
}

static void begin(int64_t count) {
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = true}, &context));
  queue = fh_context_queue(context);
  x = new_vector(count, 1);
  y = new_vector(count, 2);
}

static void end(void) {
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

static uint64_t copied(void) {
  fh_counters counters;
  fh_context_counters(context, &counters);
  return counters.bytes_to_device;
}

static void holds(const fh_view *view, float value) {
  float *data;
  FH_EXPECT_OK(fh_view_map(view, FH_READ, (void **)&data));
  for (int64_t i = 0; i < view->shape[0]; i++) assert_true(data[i] == value);
}

static void copied_once(void) {
  begin(N);
  const uint64_t bytes = (uint64_t)N * sizeof(float);
  fh_event event;
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "cuda:0", &event));
  assert_int_equal(copied(), bytes);
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "cuda:0", NULL)); /* there already */
  FH_EXPECT_OK(fh_queue_prefetch(queue, &y, "cuda:0", NULL));
  FH_EXPECT_OK(fh_event_wait(event, FH_FOREVER));
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  assert_int_equal(copied(), 2 * bytes); /* the launch found both */
  holds(&y, 3);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  FH_EXPECT_OK(fh_queue_prefetch(queue, &y, "cpu", NULL)); /* home */
  holds(&y, 4);
  float *data;
  FH_EXPECT_OK(fh_view_map(&x, FH_WRITE, (void **)&data));
  data[0] = 1;
  FH_EXPECT_OK(fh_queue_pin(queue, "cuda:0"));
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, NULL, NULL)); /* newer on the host: copied again, to where the queue is pinned */
  assert_int_equal(copied(), 3 * bytes);
  FH_EXPECT_OK(fh_queue_pin(queue, NULL));
  end();
}

static void returns_before_the_copy(void) {
  begin(N);
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "cuda:0", NULL));
  fh_event event;
  FH_EXPECT_OK(fh_queue_prefetch(queue, &y, "cuda:0", &event));
  fh_expect_code(fh_event_wait(event, 1), FH_DEADLINE_EXCEEDED); /* a command takes the stand-in a tenth of a second */
  FH_EXPECT_OK(fh_event_wait(event, FH_FOREVER));
  end();
}

/* Nothing that is on the device goes for it. */
static void only_into_free_memory(void) {
  begin(2 * N);
  fh_view large = new_vector(3 * N, 7);
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "cuda:0", NULL));
  fh_expect_code(fh_queue_prefetch(queue, &large, "cuda:0", NULL), FH_RESOURCE_EXHAUSTED);
  const uint64_t before = copied();
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "cuda:0", NULL));
  assert_int_equal(copied(), before);
  holds(&large, 7);
  fh_view_release(&large);
  end();
}

static void what_is_wrong_is_told(void) {
  begin(16);
  fh_expect_fails(fh_queue_prefetch(queue, &x, "cuda:7", NULL), FH_NOT_FOUND, "cuda:7");
  fh_expect_fails(fh_queue_prefetch(queue, &x, NULL, NULL), FH_INVALID_ARGUMENT, "not pinned");
  fh_expect_fails(fh_queue_prefetch(NULL, &x, "cpu", NULL), FH_INVALID_ARGUMENT, "queue is NULL");
  fh_expect_fails(fh_queue_prefetch(queue, NULL, "cpu", NULL), FH_INVALID_ARGUMENT, "view is NULL");
  end();
}

static void a_device_lost_on_the_way(void) {
  begin(N);
  fh_expect_fails(fh_queue_prefetch(queue, &x, "cuda:0", NULL), FH_UNAVAILABLE, "cuda:0 was lost");
  fh_expect_code(fh_queue_prefetch(queue, &x, "cuda:0", NULL), FH_UNAVAILABLE);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  holds(&y, 3);
  end();
}

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "copied once", .settings = "devices=1,memory=256MiB", .run = copied_once},
      {.name = "returns before the copy", .settings = "devices=1,memory=256MiB,delay=0.1", .run = returns_before_the_copy},
      {.name = "only into free memory", .settings = "devices=1,memory=16MiB", .run = only_into_free_memory},
      {.name = "what is wrong is told", .settings = "devices=1,memory=16MiB", .run = what_is_wrong_is_told},
      {.name = "a device lost on the way",
       .settings = "devices=1,memory=256MiB",
       .faults = "cuMemcpyHtoDAsync@1=719",
       .run = a_device_lost_on_the_way},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
