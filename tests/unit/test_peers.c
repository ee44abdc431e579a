/* Contents go from one CUDA device to another without the host, where they can; and nothing is lost when either dies.
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

#include "kernels/tables.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"

enum { N = 1000 };

static fh_context *context;
static fh_queue *queue;
static fh_view x, y;

static fh_view new_vector(float value) {
  fh_view view;
  float *data;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, &view));
  FH_EXPECT_OK(fh_view_map(&view, FH_WRITE, (void **)&data));
  for (int i = 0; i < N; i++) data[i] = value + (float)i;
  return view;
}

static bool begin(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images->ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images->ptx_missing);
    return false;
  }
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0,cuda:1,cpu", .allow_fake = true}, &context));
  queue = fh_context_queue(context);
  x = new_vector(1);
  y = new_vector(0);
  return true;
}

static void end(void) {
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* The planner's order of preference, without a pin: what is lost may be mended elsewhere. */
static void prefer(const char *device) {
  fh_context_lock(context);
  for (int d = 0; d < context->device_count; d++) context->devices[d].rank = strcmp(context->devices[d].info.id, device) == 0 ? 0 : d + 1;
  fh_context_unlock(context);
}

/* to += from, on that device. */
static void add_on(const char *device, const fh_view *from, const fh_view *to) {
  prefer(device);
  FH_EXPECT_OK(fh_axpy(queue, 1, from, to, NULL));
}

static void holds(const fh_view *view, float value, float times) {
  float *data;
  FH_EXPECT_OK(fh_view_map(view, FH_READ, (void **)&data));
  for (int i = 0; i < N; i++) assert_true(data[i] == value + times * (float)i);
}

static uint64_t fetched(void) {
  fh_counters counters;
  fh_context_counters(context, &counters);
  return counters.bytes_from_device;
}

/* x is x + y there, then y += x here: x crosses, and nothing has come home. */
static void cross(void) {
  add_on("cuda:0", &y, &x); /* x = 1 + 2 i */
  add_on("cuda:1", &x, &y); /* y = 1 + 3 i */
}

static void goes_straight_opening(int pools) {
  if (!begin()) return;
  cross();
  assert_int_equal(fetched(), 0);
  assert_int_equal(fh_cuda_calls("cuMemcpyPeerAsync"), 1);
  assert_int_equal(fh_cuda_calls("cuCtxEnablePeerAccess"), 1);
  assert_int_equal(fh_cuda_calls("cuMemPoolSetAccess"), pools);
  holds(&x, 1, 2);
  holds(&y, 1, 3);
  end();
}
static void goes_straight(void) { goes_straight_opening(0); }
static void goes_straight_between_pools(void) { goes_straight_opening(1); }

/* The first device had other memory, which crossed, before its pool could be made. */
static void opens_a_pool_made_later(void) {
  if (!begin()) return;
  cross();
  assert_int_equal(fh_cuda_calls("cuMemPoolSetAccess"), 0);
  fh_view z = new_vector(0);
  add_on("cuda:0", &x, &z); /* z = 1 + 3 i, in the pool */
  add_on("cuda:1", &z, &y); /* y = 2 + 6 i */
  assert_int_equal(fh_cuda_calls("cuMemPoolSetAccess"), 1);
  assert_int_equal(fetched(), 0);
  holds(&y, 2, 6);
  fh_view_release(&z);
  end();
}

static void goes_by_the_host(void) {
  if (!begin()) return;
  cross();
  assert_true(fetched() > 0);
  assert_true(fh_cuda_calls("cuMemcpyPeerAsync") <= 1);
  add_on("cuda:0", &y, &x);
  assert_true(fh_cuda_calls("cuDeviceCanAccessPeer") <= 2); /* each way once */
  holds(&x, 2, 5);
  holds(&y, 1, 3);
  end();
}

/* What was computed from x that crossed, and x is what it was there: the other device still has it. */
static void the_second_dies(void) {
  if (!begin()) return;
  cross();
  holds(&y, 1, 3);
  holds(&x, 1, 2);
  end();
}

/* By work that reads y: y is made again from x, which only the first device has. */
static void the_second_dies_later(void) {
  if (!begin()) return;
  fh_view z = new_vector(5);
  cross();
  add_on("cuda:1", &y, &z);
  holds(&y, 1, 3);
  holds(&x, 1, 2);
  holds(&z, 6, 4);
  fh_view_release(&z);
  end();
}

/* x is written again behind its crossing, there or here: what needs it as it was can still be made. */
static void x_is_written_again(const char *device) {
  if (!begin()) return;
  cross();
  add_on(device, &y, &x);   /* x = 2 + 5 i */
  add_on("cuda:1", &x, &y); /* y = 3 + 8 i */
  holds(&y, 3, 8);
  holds(&x, 2, 5);
  end();
}
static void x_is_written_again_there(void) { x_is_written_again("cuda:0"); }
static void x_is_written_again_here(void) { x_is_written_again("cuda:1"); }

int main(int argc, char **argv) {
  (void)argc;
  static const char two[] = "devices=2", pools[] = "devices=2,pools=1";
  static const fh_cuda_case cases[] = {
      {"goes straight", two, NULL, goes_straight, 0, 0, 0},
      {"goes straight between pools", pools, NULL, goes_straight_between_pools, 0, 0, 0},
      {"goes by the host where a pool is not opened", pools, "cuMemPoolSetAccess@1+=801", goes_by_the_host, 0, 0, 0},
      {"opens a pool made later", pools, "cuMemAllocFromPoolAsync@1=OOM;cuMemAllocFromPoolAsync@2=OOM", opens_a_pool_made_later, 0, 0, 0},
      {"access that others enabled is access", two, "cuCtxEnablePeerAccess@1=704", goes_straight, 0, 0, 0},
      {"goes by the host where nothing connects them", "devices=2,peers=0", NULL, goes_by_the_host, 0, 0, 0},
      {"goes by the host where access is denied", two, "cuCtxEnablePeerAccess@1+=217", goes_by_the_host, 0, 0, 0},
      {"goes by the host where a copy is refused", two, "cuMemcpyPeerAsync@1+=801", goes_by_the_host, 0, 0, 0},
      {"the second dies in the copy", two, "cuMemcpyPeerAsync@1=late:719", the_second_dies, 0, 0, 0},
      {"the second dies in its launch", two, "cuLaunchKernel@2=late:719", the_second_dies, 0, 0, 0},
      {"the second dies later", two, "cuLaunchKernel@3=late:719", the_second_dies_later, 0, 0, 0},
      {"the first dies", two, "cuLaunchKernel@1=late:719", the_second_dies, 0, 0, 0},
      {"written there, then the second dies", two, "cuLaunchKernel@4=late:719", x_is_written_again_there, 0, 0, 0},
      {"written there, then the first dies", two, "cuLaunchKernel@3=late:719", x_is_written_again_there, 0, 0, 0},
      {"written here, then the second dies", two, "cuLaunchKernel@3=late:719", x_is_written_again_here, 0, 0, 0},
      {"written here and again, then the second dies", two, "cuLaunchKernel@4=late:719", x_is_written_again_here, 0, 0, 0},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, FH_LENGTH(cases));
}
