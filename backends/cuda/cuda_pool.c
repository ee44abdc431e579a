/* CUDA memory of the driver's stream-ordered pools (CUDA 11.2 and newer). SPDX-License-Identifier: Apache-2.0
 *
 * The pool is our own: a framework in the same process that sets or trims the device's default pool does not meet ours. Memory is
 * freed in order with the stream that used it. It is allocated in order with the stream that took a batch last where that stream has
 * freed enough that is still in use, which is then reused at once; else in order with a stream that never has work, so that a copy
 * can fill it beside kernels. Streams are not made to wait for each other behind our back: the fence says when one must.
 */
#include <string.h>

#include "backends/cuda/cuda_internal.h"

enum { TRIAL_BYTES = 4096, TRIAL_VALUE = 0x5A };

/* ---- open and close ------------------------------------------------------------------------------------------------ */

static bool has_functions(const fh_cuda_functions *fn) {
  return fn->cuMemPoolCreate && fn->cuMemPoolDestroy && fn->cuMemPoolSetAttribute && fn->cuMemPoolGetAttribute && fn->cuMemPoolTrimTo &&
         fn->cuMemAllocFromPoolAsync && fn->cuMemFreeAsync;
}

static fh_cu_result make_pool(fh_device *device) {
  const fh_cuda_functions *fn = device->fn;
  const fh_cu_pool_props props = {.allocation_type = FH_CU_MEM_ALLOCATION_TYPE_PINNED,
                                  .location_type = FH_CU_MEM_LOCATION_TYPE_DEVICE,
                                  .location_id = device->found->handle};
  uint64_t keep = device->keep_bytes;
  int no = 0;
  fh_cu_result code = fn->cuMemPoolCreate(&device->pool, (fh_cu_pool_props_ptr)(const void *)&props);
  if (code != FH_CUDA_SUCCESS) {
    device->pool = NULL;
    return code;
  }
  code = fn->cuMemPoolSetAttribute(device->pool, FH_CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &keep);
  if (code == FH_CUDA_SUCCESS) code = fn->cuMemPoolSetAttribute(device->pool, FH_CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES, &no);
  if (code == FH_CUDA_SUCCESS) code = fn->cuStreamCreate(&device->home, FH_CU_STREAM_NON_BLOCKING);
  return code;
}

/* Writes and reads a block as a program would. */
static fh_cu_result try_block(fh_device *device, fh_cu_ptr block, unsigned char *host) {
  const fh_cuda_functions *fn = device->fn;
  fh_cu_result code = fn->cuMemsetD8Async(block, TRIAL_VALUE, TRIAL_BYTES, device->home);
  if (code == FH_CUDA_SUCCESS) code = fn->cuMemcpyDtoHAsync_v2(host, block, TRIAL_BYTES, device->home);
  fh_cu_result freed = fn->cuMemFreeAsync(block, device->home);
  fh_cu_result done = fn->cuStreamSynchronize(device->home);
  return code != FH_CUDA_SUCCESS ? code : freed != FH_CUDA_SUCCESS ? freed : done;
}

/* NULL, or what is wrong; device->pool_full: only that there was no memory. */
static const char *try_pool(fh_device *device) {
  unsigned char host[TRIAL_BYTES] = {0};
  fh_cu_ptr block = 0;
  fh_cu_result code = make_pool(device);
  if (code == FH_CUDA_SUCCESS) code = device->fn->cuMemAllocFromPoolAsync(&block, TRIAL_BYTES, device->pool, device->home);
  if (code == FH_CUDA_SUCCESS) code = try_block(device, block, host);
  device->pool_full = code == FH_CUDA_ERROR_OUT_OF_MEMORY;
  if (code != FH_CUDA_SUCCESS) return fh_cuda_result_name((int)code);
  for (int i = 0; i < TRIAL_BYTES; i++)
    if (host[i] != TRIAL_VALUE) return "the bytes that were written to it came back otherwise";
  return NULL;
}

bool fh_cuda_pool_open(fh_device *device, const char **out_why, bool *out_wrong) {
  int supported = 0;
  *out_wrong = false;
  *out_why = "the driver has no memory pools";
  if (!has_functions(device->fn) ||
      device->fn->cuDeviceGetAttribute(&supported, FH_CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, device->found->handle) != FH_CUDA_SUCCESS)
    return false;
  *out_why = "the device has no memory pools";
  if (!supported) return false;
  *out_why = try_pool(device);
  if (!*out_why) return true;
  *out_wrong = true;
  fh_cuda_pool_close(device);
  return false;
}

/* Allocations that somebody still holds end with the context, which other users of the process may keep. */
void fh_cuda_pool_close(fh_device *device) {
  if (device->home) {
    (void)device->fn->cuStreamSynchronize(device->home);
    (void)device->fn->cuStreamDestroy_v2(device->home);
  }
  if (device->pool) (void)device->fn->cuMemPoolDestroy(device->pool);
  device->home = NULL;
  device->pool = NULL;
}

/* ---- allocations ------------------------------------------------------------------------------------------------------ */

/* The stream that took a batch last, when what it has freed, and will have used by its turn, covers the request; else NULL. */
static fh_stream *stream_that_freed(const fh_device *device, size_t bytes) {
  fh_stream *stream = fh_cuda_find_stream(device, atomic_load(&device->last_stream));
  if (!stream) return NULL;
  if (atomic_load(&stream->completed) >= stream->freed_at) stream->freed_bytes = 0;
  if (stream->freed_bytes < bytes) return NULL;
  stream->freed_bytes -= bytes;
  return stream;
}

fh_cu_result fh_cuda_pool_alloc(fh_device *device, size_t bytes, fh_cuda_block *out_block, fh_cuda_fence *out_fence) {
  const fh_stream *stream = stream_that_freed(device, bytes);
  *out_block = (fh_cuda_block){0};
  fh_cu_result code = device->fn->cuMemAllocFromPoolAsync(&out_block->address, bytes, device->pool, stream ? stream->handle : device->home);
  /* Its thread may submit meanwhile: only a batch that begins from here on is sure to come after the allocation. */
  *out_fence = stream ? (fh_cuda_fence){.stream = stream->serial, .point = atomic_load(&stream->submitted) + 1}
                      : (fh_cuda_fence){.stream = FH_CUDA_HOME};
  return code;
}

void fh_cuda_pool_free(fh_device *device, const fh_cuda_block *block, size_t bytes, const fh_cuda_fence *fence) {
  fh_stream *stream = fh_cuda_find_stream(device, fence->stream);
  if (stream && !fh_cuda_fence_reached(device, fence)) {
    stream->freed_bytes += bytes;
    stream->freed_at = fence->point;
  }
  (void)device->fn->cuMemFreeAsync(block->address, stream ? stream->handle : device->home);
}

uint64_t fh_cuda_pool_idle(fh_device *device) {
  uint64_t reserved = 0, used = 0;
  if (!device->pool || device->fn->cuMemPoolGetAttribute(device->pool, FH_CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved) ||
      device->fn->cuMemPoolGetAttribute(device->pool, FH_CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used))
    return 0;
  return reserved > used ? reserved - used : 0;
}
