/* The stand-in CUDA driver itself: it must refuse what a driver refuses, or the tests on it prove little.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/drivers/cuda_driver.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

static fh_cuda_driver driver;
static const fh_cuda_functions *const fn = &driver.fn;

static void load(void) {
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  assert_null(driver.missing);
  assert_true(driver.fake);
}

static fh_cu_context enter(void) {
  fh_cu_context context = NULL;
  load();
  assert_int_equal(fn->cuInit(0), 0);
  assert_int_equal(fn->cuDevicePrimaryCtxRetain(&context, 0), 0);
  assert_int_equal(fn->cuCtxPushCurrent_v2(context), 0);
  return context;
}

static void leave(void) {
  fh_cu_context context;
  assert_int_equal(fn->cuCtxPopCurrent_v2(&context), 0);
  assert_int_equal(fn->cuDevicePrimaryCtxRelease_v2(0), 0);
  fh_cuda_driver_close(&driver);
}

static void order_matters(void) {
  int count;
  fh_cu_ptr memory;
  load();
  assert_int_equal(fn->cuDeviceGetCount(&count), FH_CUDA_ERROR_NOT_INITIALIZED);
  assert_int_equal(fn->cuInit(1), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuInit(0), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 4), FH_CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(fn->cuCtxPushCurrent_v2((fh_cu_context)(void *)&count), FH_CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(fn->cuCtxPopCurrent_v2(NULL), FH_CUDA_ERROR_INVALID_CONTEXT);
  assert_int_equal(fn->cuDevicePrimaryCtxRelease_v2(0), FH_CUDA_ERROR_INVALID_CONTEXT);
  fh_cu_device device;
  assert_int_equal(fn->cuDeviceGet(&device, 1), FH_CUDA_ERROR_INVALID_DEVICE);
  fh_cuda_driver_close(&driver);
}

static void memory_is_checked(void) {
  enter();
  fh_cu_ptr memory;
  fh_cu_stream stream;
  char host[64] = "";
  assert_int_equal(fn->cuStreamCreate(&stream, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, (size_t)2 << 30), FH_CUDA_ERROR_OUT_OF_MEMORY);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), 0);
  assert_int_equal(fn->cuMemcpyHtoDAsync_v2(memory, host, 65, stream), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemcpyHtoDAsync_v2((fh_cu_ptr)(uintptr_t)host, host, 4, stream), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemcpyDtoHAsync_v2((void *)(uintptr_t)memory, memory, 4, stream), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemcpyHtoDAsync_v2(memory, host, 4, (fh_cu_stream)(void *)host), FH_CUDA_ERROR_INVALID_HANDLE);
  assert_int_equal(fn->cuMemcpyDtoHAsync_v2(host, memory, 64, stream), 0);
  assert_int_equal(fn->cuStreamSynchronize(stream), 0);
  for (int i = 0; i < 64; i++) assert_int_equal((unsigned char)host[i], 0xA5); /* fresh memory is not zero */
  assert_int_equal(fn->cuMemFree_v2(memory + 1), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemFree_v2(memory), 0);
  assert_int_equal(fn->cuMemFree_v2(memory), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuStreamDestroy_v2(stream), 0);
  assert_int_equal(fn->cuStreamDestroy_v2(stream), FH_CUDA_ERROR_INVALID_HANDLE);
  leave();
}

/* The strictness of pools and of pinned memory. */
static void pinned_memory_is_known(void) {
  enter();
  void *host = NULL;
  unsigned type = 0;
  void *start = NULL;
  size_t bytes = 0;
  char other[64];
  const fh_cu_ptr in_other = (fh_cu_ptr)(uintptr_t)other + 7;
  assert_int_equal(fn->cuMemHostAlloc(&host, 0, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemHostAlloc(&host, 8192, 0), FH_CUDA_ERROR_OUT_OF_MEMORY);
  assert_int_equal(fn->cuMemHostAlloc(&host, 4096, 0), 0);
  assert_int_equal(fn->cuPointerGetAttribute(&type, FH_CU_POINTER_ATTRIBUTE_MEMORY_TYPE, in_other), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemHostRegister_v2(host, 64, 0), FH_CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  assert_int_equal(fn->cuMemHostUnregister(host), FH_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED); /* it was not registered, but allocated */
  assert_int_equal(fn->cuMemFreeHost(host), 0);
  assert_int_equal(fn->cuMemHostRegister_v2(other, sizeof other, 0), 0);
  assert_int_equal(fn->cuPointerGetAttribute(&type, FH_CU_POINTER_ATTRIBUTE_MEMORY_TYPE, in_other), 0);
  assert_int_equal(type, FH_CU_MEMORYTYPE_HOST);
  assert_int_equal(fn->cuPointerGetAttribute(&start, FH_CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, in_other), 0);
  assert_int_equal(fn->cuPointerGetAttribute(&bytes, FH_CU_POINTER_ATTRIBUTE_RANGE_SIZE, in_other), 0);
  assert_true(start == other && bytes == sizeof other);
  assert_int_equal(fn->cuMemFreeHost(other), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemHostUnregister(other), 0);
  assert_int_equal(fn->cuMemHostUnregister(other), FH_CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  leave();
}

static fh_cu_pool make_pool(void) {
  const fh_cu_pool_props props = {.allocation_type = FH_CU_MEM_ALLOCATION_TYPE_PINNED, .location_type = FH_CU_MEM_LOCATION_TYPE_DEVICE};
  fh_cu_pool pool = NULL;
  assert_int_equal(fn->cuMemPoolCreate(&pool, NULL), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemPoolCreate(&pool, (fh_cu_pool_props_ptr)(const void *)&props), 0);
  return pool;
}

/* Pool memory used on a stream that does not wait for the allocation: the context dies, as it may on a GPU. */
static void pool_memory_is_in_order(void) {
  enter();
  fh_cu_pool pool = make_pool();
  fh_cu_stream first, second;
  fh_cu_ptr blocker, memory;
  fh_cu_event event;
  assert_int_equal(fn->cuStreamCreate(&first, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuStreamCreate(&second, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuEventCreate(&event, FH_CU_EVENT_DISABLE_TIMING), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&blocker, 64), 0);
  assert_int_equal(fn->cuMemsetD8Async(blocker, 1, 64, first), 0);
  assert_int_equal(fn->cuMemAllocFromPoolAsync(&memory, 64, pool, first), 0);
  assert_int_equal(fn->cuEventRecord(event, first), 0);
  assert_int_equal(fn->cuStreamWaitEvent(second, event, 0), 0);
  assert_int_equal(fn->cuMemsetD8Async(memory, 1, 64, second), 0);
  assert_int_equal(fn->cuStreamSynchronize(second), 0);
  assert_int_equal(fn->cuMemFree_v2(memory), FH_CUDA_ERROR_INVALID_VALUE); /* stricter than a driver: it would wait for the device */
  assert_int_equal(fn->cuMemFreeAsync(memory, second), 0);
  assert_int_equal(fn->cuMemFreeAsync(memory, second), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuMemsetD8Async(memory, 1, 64, second), FH_CUDA_ERROR_INVALID_VALUE);
  for (int i = 0; i < 6; i++) assert_int_equal(fn->cuMemsetD8Async(blocker, 1, 64, first), 0);
  assert_int_equal(fn->cuMemAllocFromPoolAsync(&memory, 64, pool, first), 0);
  assert_int_equal(fn->cuMemsetD8Async(memory, 1, 64, second), 0); /* nothing orders them */
  assert_int_equal(fn->cuStreamSynchronize(second), FH_CUDA_ERROR_ILLEGAL_ADDRESS);
  leave();
}

/* A launch of axpy whose every pointer is `pointer`. */
static fh_cu_result launch(fh_cu_stream stream, fh_cu_ptr pointer, unsigned block) {
  const fh_kernel_image *image = fh_cuda_axpy();
  fh_cu_module module;
  fh_cu_function function;
  assert_int_equal(fn->cuModuleLoadDataEx(&module, image->ptx, 0, NULL, NULL), 0);
  assert_int_equal(fn->cuModuleGetFunction(&function, module, "nothing"), FH_CUDA_ERROR_NOT_FOUND);
  assert_int_equal(fn->cuModuleGetFunction(&function, module, "axpy"), 0);
  int64_t zero = 0;
  float one = 1;
  void *params[1 + 2 * FH_MAX_OPERANDS] = {&zero};
  int count = 1;
  for (int i = 0; i < image->entries[0].param_count; i++) {
    fh_operand_kind kind = image->entries[0].params[i].kind;
    params[count++] = kind == FH_OPERAND_F32 ? (void *)&one : kind == FH_OPERAND_I64 ? (void *)&zero : (void *)&pointer;
    if (kind < FH_OPERAND_I64) params[count++] = &zero;
  }
  return fn->cuLaunchKernel(function, 1, 1, 1, block, 1, 1, 0, stream, params, NULL);
}

static void host_pointers_are_no_device_pointers(void) {
  fh_cu_stream stream;
  fh_cu_ptr memory;
  char host[64];
  enter();
  assert_int_equal(fn->cuStreamCreate(&stream, 0), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), 0);
  assert_int_equal(launch(stream, memory, 48), FH_CUDA_ERROR_INVALID_VALUE); /* not whole warps */
  assert_int_equal(launch(stream, memory, 256), 0);
  assert_int_equal(fn->cuStreamSynchronize(stream), 0);
  assert_int_equal(launch(stream, (fh_cu_ptr)(uintptr_t)host, 256), 0); /* as with a real one: it faults later */
  assert_int_equal(fn->cuStreamSynchronize(stream), FH_CUDA_ERROR_ILLEGAL_ADDRESS);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), FH_CUDA_ERROR_ILLEGAL_ADDRESS); /* and stays */
  leave();
}

static void events_follow_the_stream(void) {
  fh_cu_stream stream;
  fh_cu_event event;
  fh_cu_ptr memory;
  enter();
  assert_int_equal(fn->cuStreamCreate(&stream, 0), 0);
  assert_int_equal(fn->cuEventCreate(&event, FH_CU_EVENT_DISABLE_TIMING), 0);
  assert_int_equal(fn->cuEventQuery(event), 0); /* never recorded */
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), 0);
  assert_int_equal(fn->cuMemsetD8Async(memory, 1, 64, stream), 0);
  assert_int_equal(fn->cuEventRecord(event, stream), 0);
  assert_int_equal(fn->cuEventQuery(event), FH_CUDA_ERROR_NOT_READY);
  assert_int_equal(fn->cuStreamSynchronize(stream), 0);
  assert_int_equal(fn->cuEventQuery(event), 0);
  assert_int_equal(fn->cuMemsetD8Async(memory, 1, 64, stream), 0);
  assert_int_equal(fn->cuEventRecord(event, stream), 0);
  assert_int_equal(fn->cuEventDestroy_v2(event), 0); /* while it is under way */
  assert_int_equal(fn->cuEventQuery(event), FH_CUDA_ERROR_INVALID_HANDLE);
  leave();
}

/* Every call fails, in words: a test with a mistyped script must not pass. */
static void a_bad_script_is_an_error(void) {
  int version;
  load();
  assert_int_equal(fn->cuDriverGetVersion(&version), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuInit(0), FH_CUDA_ERROR_INVALID_VALUE);
  fh_cuda_driver_close(&driver);
}

static void counts_are_exact(void) {
  int value;
  load();
  assert_int_equal(fn->cuInit(0), 0);
  const fh_cu_result want[] = {0, 2, 0, 719, 719, 719};
  for (int i = 0; i < 6; i++) assert_int_equal(fn->cuDeviceGetCount(&value), want[i]);
  assert_int_equal(fh_cuda_calls("cuDeviceGetCount"), 6);
  fh_cuda_driver_close(&driver);
}

static void visible_devices(void) {
  static const struct {
    const char *list;
    int count;
  } cases[] = {{"0", 1}, {"2,0", 2}, {"0,1,2,3", 4}, {"0,9,1", 1}, {"-1,0", 0}, {"1,1", 0}, {"x", 0}};
  load();
  assert_int_equal(fn->cuInit(0), 0);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int count = -1;
    setenv("CUDA_VISIBLE_DEVICES", cases[i].list, 1);
    assert_int_equal(fn->cuDeviceGetCount(&count), 0);
    assert_int_equal(count, cases[i].count);
  }
  fh_cuda_driver_close(&driver);
}

/* The rules of cuThreadExchangeStreamCaptureMode, on the thread that captures. */
static void captures_forbid_what_is_unsafe(void) {
  enter();
  fh_cu_stream stream;
  fh_cu_ptr memory;
  fh_cu_graph graph;
  fh_cu_capture_mode mode = FH_CU_STREAM_CAPTURE_MODE_RELAXED;
  assert_int_equal(fn->cuStreamCreate(&stream, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuStreamBeginCapture_v2(stream, FH_CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  assert_int_equal(fn->cuStreamEndCapture(stream, &graph), FH_CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  assert_int_equal(fn->cuThreadExchangeStreamCaptureMode(&mode), 0);
  assert_int_equal(mode, FH_CU_STREAM_CAPTURE_MODE_GLOBAL); /* what a thread begins with */
  assert_int_equal(fn->cuStreamBeginCapture_v2(stream, FH_CU_STREAM_CAPTURE_MODE_GLOBAL), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, 64), 0);
  assert_int_equal(fn->cuStreamEndCapture(stream, &graph), 0);
  assert_int_equal(fn->cuThreadExchangeStreamCaptureMode(&mode), 0);
  assert_int_equal(mode, FH_CU_STREAM_CAPTURE_MODE_RELAXED);
  mode = 3;
  assert_int_equal(fn->cuThreadExchangeStreamCaptureMode(&mode), FH_CUDA_ERROR_INVALID_VALUE);
  leave();
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  static const fh_cuda_case cases[] = {
      {.name = "order matters", .run = order_matters},
      {.name = "memory is checked", .run = memory_is_checked},
      {.name = "host pointers are no device pointers", .run = host_pointers_are_no_device_pointers},
      {.name = "pinned memory is known", .settings = "pinned=5000", .run = pinned_memory_is_known},
      {.name = "pool memory is in order", .settings = "pools=1,delay=0.05", .run = pool_memory_is_in_order},
      {.name = "captures forbid what is unsafe", .run = captures_forbid_what_is_unsafe},
      {.name = "events follow the stream", .settings = "delay=0.05", .run = events_follow_the_stream},
      {.name = "counts are exact", .faults = " cuDeviceGetCount@2=OOM ; cuDeviceGetCount@4+=719;", .run = counts_are_exact},
      {.name = "visible devices", .settings = "devices=4", .run = visible_devices},
      {.name = "bad script: no such call", .faults = "cuNothing@1=2", .run = a_bad_script_is_an_error},
      {.name = "bad script: no number", .faults = "cuInit@x=2", .run = a_bad_script_is_an_error},
      {.name = "bad script: number zero", .faults = "cuInit@0=2", .run = a_bad_script_is_an_error},
      {.name = "bad script: no value", .faults = "cuInit@1", .run = a_bad_script_is_an_error},
      {.name = "bad script: no such value", .faults = "cuInit@1=BOOM", .run = a_bad_script_is_an_error},
      {.name = "bad script: cannot be late", .faults = "cuInit@1=late:2", .run = a_bad_script_is_an_error},
      {.name = "bad script: the second is bad", .faults = "cuMemAlloc@1=2;cuInit@1=0", .run = a_bad_script_is_an_error},
      {.name = "bad setting", .settings = "devices=2,colour=red", .run = a_bad_script_is_an_error},
      {.name = "bad size", .settings = "memory=12GB", .run = a_bad_script_is_an_error},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
