/* CUDA devices: the primary context. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"

/* While launches of another library are captured, the driver forbids whole classes of calls (cuMemAlloc, cuEventQuery) to every thread that
 * does not say that it knows what it does: refused, they would look like a fault of the device, and they spoil that capture. Ours have
 * nothing to do with its streams. Where a thread has entered several times, its own mode comes back with the last leave. */
static _Thread_local struct {
  int depth;
  fh_cu_capture_mode before;
} capture_mode;

static void relax_capture(const fh_cuda_functions *fn) {
  if (capture_mode.depth++ > 0 || !fn->cuThreadExchangeStreamCaptureMode) return;
  capture_mode.before = FH_CU_STREAM_CAPTURE_MODE_RELAXED;
  (void)fn->cuThreadExchangeStreamCaptureMode(&capture_mode.before);
}

static void restore_capture(const fh_cuda_functions *fn) {
  if (--capture_mode.depth > 0 || !fn->cuThreadExchangeStreamCaptureMode) return;
  (void)fn->cuThreadExchangeStreamCaptureMode(&capture_mode.before);
}

fh_status fh_cuda_enter(fh_device *device) {
  FH_TRY(fh_cuda_alive(device));
  if (!fh_cuda_same_process(device->backend))
    return FH_STATUS_CAUSE(FH_UNAVAILABLE, "CU-FORK-AFTER-INIT", "%s belongs to the parent process: no CUDA driver survives a fork",
                           device->found->info.id);
  fh_cu_result code = device->fn->cuCtxPushCurrent_v2(device->context);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuCtxPushCurrent", "making the context current");
  relax_capture(device->fn);
  return FH_OK;
}

void fh_cuda_leave(fh_device *device) {
  fh_cu_context ignored;
  restore_capture(device->fn);
  (void)device->fn->cuCtxPopCurrent_v2(&ignored);
}

/* Another library has ended the context: its handles dangle, and a driver need not survive being handed one. */
static bool is_gone(const fh_device *device) {
  fh_cu_result dead = atomic_load(&device->dead);
  return dead == FH_CUDA_ERROR_INVALID_CONTEXT || dead == FH_CUDA_ERROR_CONTEXT_IS_DESTROYED || dead == FH_CUDA_ERROR_DEINITIALIZED;
}

bool fh_cuda_enter_quietly(fh_device *device) {
  if (atomic_load(&device->stuck) || is_gone(device) || !fh_cuda_same_process(device->backend) ||
      device->fn->cuCtxPushCurrent_v2(device->context) != FH_CUDA_SUCCESS)
    return false;
  relax_capture(device->fn);
  return true;
}

fh_status fh_cuda_device_open(fh_backend *backend, int index, fh_device **out_device) {
  *out_device = NULL;
  FH_TRY(fh_check_device_index("cuda", index, backend->device_count));
  fh_device *device = calloc(1, sizeof *device);
  if (!device) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for CUDA device %d", index);
  const fh_cuda_found *found = &backend->devices[index];
  device->backend = backend;
  device->found = found;
  device->fn = &backend->driver.fn;
  pthread_mutex_init(&device->lock, NULL);
  fh_cu_context context = NULL;
  fh_cu_result code = device->fn->cuDevicePrimaryCtxRetain(&context, found->handle);
  if (code != FH_CUDA_SUCCESS) {
    fh_status status = FH_CUDA_FAIL(device, code, "cuDevicePrimaryCtxRetain", "opening the device");
    pthread_mutex_destroy(&device->lock);
    free(device);
    return status;
  }
  device->context = context;
  *out_device = device;
  return FH_OK;
}

void fh_cuda_device_close(fh_device *device) {
  if (!device) return;
  bool entered = fh_cuda_enter_quietly(device);
  fh_cuda_end_memory(device, entered);
  fh_cuda_products_close(device, entered);
  fh_cuda_unload_modules(device, entered);
  if (entered) {
    fh_cuda_leave(device);
    (void)device->fn->cuDevicePrimaryCtxRelease_v2(device->found->handle);
  }
  pthread_mutex_destroy(&device->lock);
  free(device);
}

fh_stream *fh_cuda_find_stream(const fh_device *device, uint64_t serial) {
  fh_stream *stream = device->streams;
  while (stream && stream->serial != serial) stream = stream->next;
  return stream;
}
