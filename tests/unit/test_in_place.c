/* Inputs that a device reads from the host's memory in place: nothing is copied, and nothing changes under it. On whatever OpenCL device
 * shares the host's memory, PoCL at least. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "backends/opencl/opencl_internal.h"
#include "tests/support/expect.h"

extern const fh_backend_api fh_backend_opencl;

enum { N = 100003, BOUNDARY = 4096 };

static fh_context *context;
static fh_queue *queue;

static void begin(void) {
  setenv("FOGHORN_VERIFY", "off", 1);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "opencl:0,cpu", .allow_fake = true}, &context));
  queue = fh_context_queue(context);
  FH_EXPECT_OK(fh_queue_pin(queue, "opencl:0"));
}

static void end(void) { fh_context_release(context); }

static uint64_t copied(void) {
  fh_counters counters;
  fh_context_counters(context, &counters);
  return counters.bytes_to_device;
}

/* The caller's memory, `shift` floats behind a boundary. */
static float *new_memory(int shift, float value) {
  float *memory = aligned_alloc(BOUNDARY, (N * sizeof(float) + 2 * BOUNDARY) / BOUNDARY * BOUNDARY);
  assert_non_null(memory);
  for (int i = 0; i < N; i++) memory[shift + i] = value;
  return memory;
}

static fh_view wrap(float *data, fh_access access) {
  fh_view view = {0};
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, access, &view));
  return view;
}

static void holds(const fh_view *view, float value) {
  float *data;
  FH_EXPECT_OK(fh_view_map(view, FH_READ, (void **)&data));
  for (int i = 0; i < N; i++) assert_true(data[i] == value);
}

static void set(const fh_view *view, float value) {
  float *data;
  FH_EXPECT_OK(fh_view_map(view, FH_WRITE, (void **)&data));
  for (int i = 0; i < N; i++) data[i] = value;
}

/* y += x, without anything of x being copied. */
static void inputs_are_not_copied(void **state) {
  (void)state;
  begin();
  float *a = new_memory(0, 1), *b = new_memory(0, 10);
  fh_view x = wrap(a, FH_READ), y = wrap(b, FH_READ | FH_WRITE);
  const uint64_t bytes = N * sizeof(float);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  assert_int_equal(copied(), bytes); /* of y, which is written */
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  FH_EXPECT_OK(fh_exp(queue, &x, &y, NULL)); /* y is not read */
  assert_int_equal(copied(), bytes);
  FH_EXPECT_OK(fh_queue_prefetch(queue, &x, "opencl:0", NULL));
  assert_int_equal(copied(), bytes); /* it is there */
  fh_view_release(&x);
  fh_view_release(&y);
  end();
  free(a);
  free(b);
}

static void what_the_host_writes_is_read(void **state) {
  (void)state;
  begin();
  float *a = new_memory(0, 1), *b = new_memory(0, 10);
  fh_view x = wrap(a, FH_READ | FH_WRITE), y = wrap(b, FH_READ | FH_WRITE);
  for (int round = 0; round < 5; round++) {
    set(&x, (float)round);
    FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  }
  set(&x, 1e6f); /* waits until nobody reads it */
  holds(&y, 10 + 0 + 1 + 2 + 3 + 4);
  assert_int_equal(copied(), N * sizeof(float));
  fh_view_release(&x);
  fh_view_release(&y);
  end();
  free(a);
  free(b);
}

/* x is read in place, then written by the device, then read again. */
static void what_the_device_writes_has_memory_of_its_own(void **state) {
  (void)state;
  begin();
  float *a = new_memory(0, 1), *b = new_memory(0, 10);
  fh_view x = wrap(a, FH_READ | FH_WRITE), y = wrap(b, FH_READ | FH_WRITE);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL)); /* y = 11 */
  FH_EXPECT_OK(fh_axpy(queue, 1, &y, &x, NULL)); /* x = 12 */
  assert_true(a[0] == 1);                        /* the host copy as it was, until it is asked for */
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL)); /* y = 23 */
  holds(&y, 23);
  holds(&x, 12);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &x, NULL)); /* both at once */
  holds(&x, 24);
  fh_view_release(&x);
  fh_view_release(&y);
  end();
  free(a);
  free(b);
}

/* x is newer on the CPU, in place of a copy that the device reads. */
static void the_host_waits_for_readers(void **state) {
  (void)state;
  begin();
  float *a = new_memory(0, 1), *b = new_memory(0, 0), *c = new_memory(0, 5);
  fh_view x = wrap(a, FH_READ | FH_WRITE), y = wrap(b, FH_READ | FH_WRITE), z = wrap(c, FH_READ);
  for (int round = 0; round < 20; round++) {
    FH_EXPECT_OK(fh_queue_pin(queue, "opencl:0"));
    FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL)); /* y += x on the device */
    FH_EXPECT_OK(fh_queue_pin(queue, "cpu"));
    FH_EXPECT_OK(fh_axpy(queue, 1, &z, &x, NULL)); /* x += 5 on the host, at once */
  }
  holds(&y, 20 * 1 + 5 * (19 * 20 / 2));
  holds(&x, 101);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_view_release(&z);
  end();
  free(a);
  free(b);
  free(c);
}

static void memory_off_the_boundary_is_copied(void **state) {
  (void)state;
  begin();
  float *a = new_memory(1, 1), *b = new_memory(0, 10);
  fh_view x = wrap(a + 1, FH_READ), y = wrap(b, FH_READ | FH_WRITE);
  FH_EXPECT_OK(fh_axpy(queue, 1, &x, &y, NULL));
  holds(&y, 11);
  assert_int_equal(copied(), 2 * N * sizeof(float));
  fh_view_release(&x);
  fh_view_release(&y);
  end();
  free(a);
  free(b);
}

/* The size that Intel's drivers want, the boundary that each kind of device wants, and a driver that says no. */
static cl_mem CL_API_CALL no_buffer(cl_context c, cl_mem_flags flags, size_t bytes, void *host, cl_int *error) {
  (void)c, (void)flags, (void)bytes, (void)host;
  *error = CL_INVALID_HOST_PTR;
  return NULL;
}

static bool is_aliased(fh_device *device, const void *host, size_t bytes) {
  fh_memory *memory = NULL;
  FH_EXPECT_OK(fh_backend_opencl.alias(device, host, bytes, &memory));
  fh_backend_opencl.free(memory);
  return memory != NULL;
}

static void the_backend_says_which_memory(void **state) {
  (void)state;
  fh_backend *backend = NULL;
  fh_device *device = NULL;
  char *memory = (char *)new_memory(0, 0);
  FH_EXPECT_OK(fh_backend_opencl.open(&(fh_backend_options){.isa_cap = -1}, &backend));
  FH_EXPECT_OK(fh_backend_opencl.device_open(backend, 0, &device));
  size_t *boundary = &backend->devices[0].info.alias_alignment;
  const size_t of_device = *boundary;
  *boundary = FH_CL_CPU_ALIAS;
  assert_true(is_aliased(device, memory + 64, 100));
  assert_false(is_aliased(device, memory + 32, 100));
  assert_false(is_aliased(device, memory, 0));
  *boundary = FH_CL_GPU_ALIAS;
  assert_true(is_aliased(device, memory + 4096, 128));
  assert_false(is_aliased(device, memory + 64, 128));
  assert_false(is_aliased(device, memory + 4096, 100));
  *boundary = 0;
  assert_false(is_aliased(device, memory, 128));
  *boundary = of_device;
  uint64_t free_before = 0, free_after = 0;
  fh_memory *alias = NULL;
  FH_EXPECT_OK(fh_backend_opencl.query_free_memory(device, &free_before));
  FH_EXPECT_OK(fh_backend_opencl.alias(device, memory, 4096, &alias));
  FH_EXPECT_OK(fh_backend_opencl.query_free_memory(device, &free_after));
  assert_int_equal(free_before, free_after); /* it takes none of the device's */
  fh_backend_opencl.free(alias);
  backend->driver.fn.clCreateBuffer = no_buffer;
  assert_false(is_aliased(device, memory, 4096));
  fh_backend_opencl.device_close(device);
  fh_backend_opencl.destroy(backend);
  free(memory);
}

int main(void) {
  fh_backend *backend = NULL;
  fh_status status = fh_backend_opencl.open(&(fh_backend_options){.isa_cap = -1}, &backend);
  if (status) {
    printf("NOT RUN: no OpenCL device: %s\n", fh_status_message(status));
    fh_status_free(status);
    return 77;
  }
  const bool shares = backend->devices[0].info.alias_alignment != 0;
  fh_backend_opencl.destroy(backend);
  if (!shares) {
    printf("NOT RUN: opencl:0 has memory of its own\n");
    return 77;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(inputs_are_not_copied),
      cmocka_unit_test(what_the_host_writes_is_read),
      cmocka_unit_test(what_the_device_writes_has_memory_of_its_own),
      cmocka_unit_test(the_host_waits_for_readers),
      cmocka_unit_test(memory_off_the_boundary_is_copied),
      cmocka_unit_test(the_backend_says_which_memory),
  };
  return cmocka_run_group_tests_name("in_place", tests, NULL, NULL);
}
