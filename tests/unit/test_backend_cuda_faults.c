/* The CUDA backend when things go wrong, by the fault script of the stand-in driver: each class of fault, what it is called, what
 * it costs and what goes on working. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes timeout=240 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/drivers/cuda_driver.h"
#include "runtime/base/clock.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

static void open_fake(int index, fh_backend_fixture *f) { fh_backend_fixture_open(api, &fh_cuda_fake_allowed, index, f); }

static void expect(fh_status status, fh_code code, const char *cause) {
  const char *got = fh_status_cause(status);
  if ((cause || got) && (!cause || !got || strcmp(cause, got) != 0))
    print_error("cause is %s, expected %s: %s\n", got ? got : "none", cause ? cause : "none", fh_status_message(status));
  if (cause)
    assert_string_equal(got ? got : "", cause);
  else
    assert_null(got);
  fh_expect_code(status, code);
}

/* ---- starting: one child for each answer of cuInit ----------------------------------------------------------------------- */

static fh_status open_status(void) {
  fh_backend *backend = NULL;
  fh_status status = api->open(&fh_cuda_fake_allowed, &backend);
  assert_null(backend);
  return status;
}

#define INIT_CASES(X)                           \
  X(2, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY")  \
  X(3, FH_UNAVAILABLE, NULL)                    \
  X(34, FH_UNAVAILABLE, "CU-STUB")              \
  X(46, FH_UNAVAILABLE, NULL)                   \
  X(100, FH_UNAVAILABLE, NULL)                  \
  X(304, FH_UNAVAILABLE, "CR-LANDLOCK-SECCOMP") \
  X(802, FH_UNAVAILABLE, "NV-FABRIC-802")       \
  X(803, FH_UNAVAILABLE, "NV-VERSION-MISMATCH") \
  X(804, FH_UNAVAILABLE, "CU-COMPAT-804")       \
  X(805, FH_UNAVAILABLE, "NV-MPS-805")          \
  X(999, FH_UNAVAILABLE, NULL)                  \
  X(4711, FH_INTERNAL, "DRIVER-REFUSED")

#define INIT_FUNCTION(number, code, cause)                               \
  static void init_##number(void) {                                      \
    fh_status status = open_status();                                    \
    assert_non_null(strstr(fh_status_message(status), "(" #number ")")); \
    expect(status, code, cause);                                         \
  }
INIT_CASES(INIT_FUNCTION)

static void nothing_visible(void) {
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  expect(open_status(), FH_UNAVAILABLE, "CU-CVD-EMPTY");
}

static void opens_and_ends(void) {
  fh_backend *backend = NULL;
  fh_status_free(api->open(&fh_cuda_fake_allowed, &backend)); /* hangs, crashes or exits */
}

static void one_device_is_broken(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  assert_int_equal(f.device_count, 1);
  assert_string_equal(f.info.id, "cuda:1"); /* its number is the driver's, not the place in the list */
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

static fh_status device_status(void) {
  fh_backend *backend = NULL;
  fh_device *device = NULL;
  FH_EXPECT_OK(api->open(&fh_cuda_fake_allowed, &backend));
  fh_status status = api->device_open(backend, 0, &device);
  assert_null(device);
  api->destroy(backend);
  return status;
}

static void exclusive_mode(void) { expect(device_status(), FH_UNAVAILABLE, "NV-EXCLUSIVE-MODE"); }
static void context_without_memory(void) { expect(device_status(), FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY"); }
static void context_with_ecc_error(void) { expect(device_status(), FH_UNAVAILABLE, "NV-ECC-RESET-REQUIRED"); }

/* ---- faults that a device survives ------------------------------------------------------------------------------------------- */

static void out_of_memory(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_memory *memory[4] = {NULL};
  for (int i = 0; i < 4; i++) {
    fh_status status = api->alloc(f.device, 12 << 20, &memory[i]); /* each too large to share what the driver gave */
    if (i == 2)
      expect(status, FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY");
    else
      FH_EXPECT_OK(status);
    assert_true((i == 2) == !memory[i]);
  }
  for (int i = 0; i < 4; i++) api->free(memory[i]);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

/* What is kept for reuse goes back to the driver, and the kernel loads. */
static void no_memory_for_code(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_memory *memory = NULL;
  FH_EXPECT_OK(api->alloc(f.device, 4096, &memory));
  api->free(memory);
  fh_executable *executable = NULL;
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = fh_cuda_axpy()}, &executable));
  assert_int_equal(fh_cuda_calls("cuMemFree_v2"), 1);
  api->release(executable);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

static void build_failure(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_executable *executable = NULL;
  fh_status status = api->prepare(f.device, &(fh_recipe){.image = fh_cuda_axpy()}, &executable);
  assert_non_null(strstr(fh_status_message(status), "axpy"));
  expect(status, FH_INCOMPATIBLE, "BUILD-FAILED");
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device)); /* nothing of the failure was kept */
  fh_backend_fixture_close(&f);
}

/* ---- faults that kill the device ------------------------------------------------------------------------------------------------ */

static void expect_all_refused(fh_device *device, const char *cause) {
  fh_memory *memory = NULL;
  fh_stream *stream = NULL;
  fh_executable *executable = NULL;
  uint64_t bytes;
  expect(api->alloc(device, 64, &memory), FH_UNAVAILABLE, cause);
  expect(api->stream_open(device, &stream), FH_UNAVAILABLE, cause);
  expect(api->prepare(device, &(fh_recipe){.image = fh_cuda_axpy()}, &executable), FH_UNAVAILABLE, cause);
  expect(api->query_free_memory(device, &bytes), FH_UNAVAILABLE, cause);
}

static fh_point submit_fill(fh_stream *stream, fh_memory *memory) {
  fh_point point = 0;
  fh_command fill = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = 64, .value = 1}};
  FH_EXPECT_OK(api->submit(stream, &fill, 1, &point));
  return point;
}

/* The first axpy fails with this; then: nothing of the device works, another device does, and after closing and opening the
 * context is new. */
static void device_is_lost(fh_code code, const char *cause) {
  fh_backend_fixture f;
  fh_device *other = NULL;
  open_fake(0, &f);
  FH_EXPECT_OK(api->device_open(f.backend, 1, &other));
  fh_memory *memory = NULL;
  fh_stream *bystander = NULL;
  FH_EXPECT_OK(api->alloc(f.device, 64, &memory));
  FH_EXPECT_OK(api->stream_open(f.device, &bystander));
  FH_EXPECT_OK(api->wait(bystander, submit_fill(bystander, memory), -1));
  fh_status status = fh_cuda_run_axpy(f.device);
  assert_non_null(strstr(fh_status_message(status), "cuda:0"));
  expect(status, code, cause);
  expect_all_refused(f.device, cause);
  bool done;
  fh_point point;
  expect(api->submit(bystander, NULL, 0, &point), FH_UNAVAILABLE, cause);
  expect(api->poll(bystander, 1, &done), FH_UNAVAILABLE, cause); /* for ever */
  expect(api->wait(bystander, 1, -1), FH_UNAVAILABLE, cause);
  FH_EXPECT_OK(fh_cuda_run_axpy(other));
  api->free(memory);
  api->stream_close(bystander);
  api->device_close(f.device);
  FH_EXPECT_OK(api->device_open(f.backend, 0, &f.device));
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  api->device_close(other);
  fh_backend_fixture_close(&f);
}

static void kernel_fault(void) { device_is_lost(FH_UNAVAILABLE, "KERNEL-FAULT"); }
static void device_lost(void) { device_is_lost(FH_UNAVAILABLE, "DEVICE-LOST"); }
static void ecc_error(void) { device_is_lost(FH_UNAVAILABLE, "NV-ECC-RESET-REQUIRED"); }
static void launch_timeout(void) { device_is_lost(FH_DEADLINE_EXCEEDED, "LAUNCH-TIMEOUT"); }

/* What another library of the process may call. */
static fh_cu_result foreign_reset(const fh_cuda_driver *driver) {
  void *symbol = fh_dynlib_symbol(driver->library, "cuDevicePrimaryCtxReset_v2");
  fh_cu_result (*reset)(fh_cu_device) = NULL;
  memcpy(&reset, &symbol, sizeof reset);
  return reset(0);
}

/* It ends the context: said at the next call, and none of its handles is used again. */
static void a_foreign_reset(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_cuda_driver driver;
  fh_stream *stream = NULL;
  fh_executable *executable = NULL;
  fh_memory *memory = NULL;
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 64, &memory));
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = fh_cuda_axpy()}, &executable));
  FH_EXPECT_OK(api->wait(stream, submit_fill(stream, memory), -1));
  assert_int_equal(foreign_reset(&driver), 0);
  fh_point point;
  fh_command fill = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = 64, .value = 1}};
  fh_status status = api->submit(stream, &fill, 1, &point);
  assert_non_null(strstr(fh_status_message(status), "another part of the process"));
  expect(status, FH_UNAVAILABLE, "DEVICE-LOST");
  expect_all_refused(f.device, "DEVICE-LOST");
  fh_cu_context anew = NULL; /* the other library goes on: calls work again, and our handles are still those of before */
  assert_int_equal(driver.fn.cuDevicePrimaryCtxRetain(&anew, 0), 0);
  int frees = fh_cuda_calls("cuMemFree_v2") + fh_cuda_calls("cuMemFreeAsync"), streams = fh_cuda_calls("cuStreamDestroy_v2");
  api->free(memory);
  api->release(executable);
  api->stream_close(stream);
  api->device_close(f.device);
  assert_int_equal(fh_cuda_calls("cuMemFree_v2") + fh_cuda_calls("cuMemFreeAsync"), frees);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), streams);
  assert_int_equal(fh_cuda_calls("cuModuleUnload"), 0);
  assert_int_equal(fh_cuda_calls("cuDevicePrimaryCtxRelease_v2"), 0);
  assert_int_equal(driver.fn.cuDevicePrimaryCtxRelease_v2(0), 0);
  FH_EXPECT_OK(api->device_open(f.backend, 0, &f.device));
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_cuda_driver_close(&driver);
  fh_backend_fixture_close(&f);
}

enum { STAGED_BYTES = 1 << 20 }; /* through pinned memory */

static fh_status upload(fh_stream *stream, fh_memory *memory, const void *from) {
  fh_point point;
  const fh_command copy = {.kind = FH_COMMAND_COPY,
                           .copy = {.from = {.host = (void *)(uintptr_t)from}, .to = {.memory = memory}, .bytes = STAGED_BYTES}};
  fh_status status = api->submit(stream, &copy, 1, &point);
  return status ? status : api->wait(stream, point, -1);
}

/* It begins anew between two of our calls, which then find a context again: not that of our streams, nor of the memory that they copy
 * through, be they open or kept. */
static void a_foreign_reset_unseen(bool kept, bool copied) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_cuda_driver driver;
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  fh_cu_context anew = NULL;
  char *host = calloc(1, STAGED_BYTES);
  assert_non_null(host);
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, STAGED_BYTES, &memory));
  if (copied) FH_EXPECT_OK(upload(stream, memory, host));
  if (kept) api->stream_close(stream);
  assert_int_equal(foreign_reset(&driver), 0);
  assert_int_equal(driver.fn.cuDevicePrimaryCtxRetain(&anew, 0), 0);
  expect(kept ? api->stream_open(f.device, &stream) : upload(stream, memory, host), FH_UNAVAILABLE, "DEVICE-LOST");
  expect_all_refused(f.device, "DEVICE-LOST");
  const int streams = fh_cuda_calls("cuStreamDestroy_v2"), pinned = fh_cuda_calls("cuMemFreeHost");
  if (!kept) api->stream_close(stream);
  api->free(memory);
  api->device_close(f.device);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), streams);
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), pinned);
  FH_EXPECT_OK(api->device_open(f.backend, 0, &f.device));
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_cuda_driver_close(&driver);
  fh_backend_fixture_close(&f);
  free(host);
}

static void a_reset_under_an_open_stream(void) { a_foreign_reset_unseen(false, true); }
static void a_reset_under_a_kept_stream(void) { a_foreign_reset_unseen(true, true); }
static void a_reset_under_a_stream_that_copied_nothing(void) { a_foreign_reset_unseen(true, false); }

/* Another process has taken nearly all: what is left is told, and used to the last. */
static void little_is_left(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  uint64_t left = 0;
  fh_memory *memory = NULL, *more = NULL;
  FH_EXPECT_OK(api->query_free_memory(f.device, &left));
  assert_int_equal(left, 8 << 20);
  expect(api->alloc(f.device, 9 << 20, &memory), FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY");
  FH_EXPECT_OK(api->alloc(f.device, 7 << 20, &memory)); /* although the usual segment does not fit */
  FH_EXPECT_OK(api->alloc(f.device, 1 << 19, &more));
  api->free(memory);
  api->free(more);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

/* A fault on the stream names what was launched last. */
static void late_fault_names_the_launch(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_status status = fh_cuda_run_axpy(f.device);
  assert_non_null(strstr(fh_status_message(status), "axpy"));
  expect(status, FH_UNAVAILABLE, "KERNEL-FAULT");
  fh_backend_fixture_close(&f);
}

/* Once, and then for ever: the same words. */
static void failure_stays(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 64, &memory));
  fh_command fill = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory}, .bytes = 64, .value = 1}};
  fh_point point = 1;
  fh_status first = api->submit(stream, &fill, 1, &point); /* it may notice what it queued itself */
  if (!first) first = api->wait(stream, point, -1);
  fh_status second = api->wait(stream, 1, -1);
  assert_string_equal(fh_status_message(first), fh_status_message(second));
  expect(first, FH_UNAVAILABLE, "DEVICE-LOST");
  expect(second, FH_UNAVAILABLE, "DEVICE-LOST");
  api->free(memory);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* Work that never ends: waits come back, and so does every call that frees. */
static void stuck_work(void) {
  fh_backend_fixture f;
  open_fake(0, &f);
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  FH_EXPECT_OK(api->alloc(f.device, 64, &memory));
  double start = fh_now_seconds();
  fh_point point = submit_fill(stream, memory);
  expect(api->wait(stream, point, 50000000), FH_DEADLINE_EXCEEDED, NULL);
  api->free(memory);
  assert_true(fh_now_seconds() - start < 1);
  api->stream_close(stream);
  expect_all_refused(f.device, "LAUNCH-TIMEOUT");
  fh_backend_fixture_close(&f);
  double all = fh_now_seconds() - start;
  printf("       closed after %.2f s\n", all);
  assert_true(all < 6);
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
#define INIT_CASE(number, code, cause) {.name = "cuInit " #number, .faults = "cuInit@1=" #number, .run = init_##number},
  static const fh_cuda_case cases[] = {
      INIT_CASES(INIT_CASE){.name = "CUDA_VISIBLE_DEVICES hides all", .run = nothing_visible},
      {.name = "a driver that crashes", .faults = "cuInit@1=crash", .run = opens_and_ends, .signal = SIGSEGV},
      {.name = "a driver that exits", .faults = "cuInit@1=exit", .run = opens_and_ends, .status = 1},
      {.name = "one device is broken", .settings = "devices=2", .faults = "cuDeviceGetName@1=999", .run = one_device_is_broken},
      {.name = "exclusive mode", .settings = "compute_mode=3", .faults = "cuDevicePrimaryCtxRetain@1=46", .run = exclusive_mode},
      {.name = "prohibited mode", .settings = "compute_mode=2", .run = exclusive_mode},
      {.name = "no memory for a context", .faults = "cuDevicePrimaryCtxRetain@1=OOM", .run = context_without_memory},
      {.name = "a context with an ECC error", .faults = "cuDevicePrimaryCtxRetain@1=ECC_UNCORRECTABLE", .run = context_with_ecc_error},
      {.name = "out of memory", .faults = "cuMemAlloc@3=OOM;cuMemAlloc@4=OOM", .run = out_of_memory},
      {.name = "no memory for code", .faults = "cuModuleLoadDataEx@1=OOM", .run = no_memory_for_code},
      {.name = "build failure", .faults = "cuModuleLoadData@1=218", .run = build_failure},
      {.name = "build failure: no JIT", .faults = "cuModuleLoadDataEx@1=JIT_COMPILER_NOT_FOUND", .run = build_failure},
      {.name = "build failure: no entry", .faults = "cuModuleGetFunction@1=500", .run = build_failure},
      {.name = "launch fails at once", .settings = "devices=2", .faults = "cuLaunchKernel@1=719", .run = kernel_fault},
      {.name = "launch fails later", .settings = "devices=2", .faults = "cuLaunchKernel@1=late:700", .run = kernel_fault},
      {.name = "copy fails later", .settings = "devices=2", .faults = "cuMemcpyDtoHAsync@1=late:UNKNOWN", .run = device_lost},
      {.name = "query fails", .faults = "cuEventQuery@1=999", .run = failure_stays},
      {.name = "record fails", .settings = "devices=2", .faults = "cuEventRecord@2=999", .run = device_lost},
      {.name = "ECC error in a launch", .settings = "devices=2", .faults = "cuLaunchKernel@1=late:214", .run = ecc_error},
      {.name = "launch runs out of time", .settings = "devices=2", .faults = "cuLaunchKernel@1=late:702", .run = launch_timeout},
      {.name = "a late fault names the launch", .faults = "cuLaunchKernel@1=late:719", .run = late_fault_names_the_launch},
      {.name = "a failure stays", .faults = "cuMemsetD8Async@1=late:999", .run = failure_stays},
      {.name = "a foreign reset", .run = a_foreign_reset},
      {.name = "a reset under an open stream", .run = a_reset_under_an_open_stream},
      {.name = "a reset under an open stream, with a pool", .settings = "pools=1", .run = a_reset_under_an_open_stream},
      {.name = "a reset under a kept stream", .run = a_reset_under_a_kept_stream},
      {.name = "a foreign reset, with a pool", .settings = "pools=1", .run = a_foreign_reset},
      {.name = "a reset under a stream that copied nothing", .run = a_reset_under_a_stream_that_copied_nothing},
      {.name = "another process has nearly all", .settings = "memory=1GiB,others=1016MiB", .run = little_is_left},
      {.name = "another process has nearly all, with a pool", .settings = "pools=1,memory=1GiB,others=1016MiB", .run = little_is_left},
      {.name = "stuck work", .faults = "cuMemsetD8Async@1=late:hang", .run = stuck_work},
      {.name = "a driver that hangs", .faults = "cuInit@1=hang", .run = opens_and_ends, .signal = SIGALRM, .seconds = 1},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
