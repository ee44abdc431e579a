/* CUDA devices: the primary context, and memory. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"

/* cuMemAlloc costs tens of microseconds and cuMemFree waits for the whole device, so freed blocks are kept for the next
 * request of the same size. What is freed while a stream has work in flight may be in use: it waits until none has. */
enum { BLOCK_GRANULARITY = 512 };
#define FREE_BYTES_LIMIT ((size_t)256 << 20)

fh_status fh_cuda_enter(fh_device *device) {
  FH_TRY(fh_cuda_alive(device));
  if (!fh_cuda_same_process(device->backend))
    return FH_STATUS_CAUSE(FH_UNAVAILABLE, "CU-FORK-AFTER-INIT", "%s belongs to the parent process: no CUDA driver survives a fork",
                           device->found->info.id);
  fh_cu_result code = device->fn->cuCtxPushCurrent_v2(device->context);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, "cuCtxPushCurrent", "making the context current");
}

void fh_cuda_leave(fh_device *device) {
  fh_cu_context ignored;
  (void)device->fn->cuCtxPopCurrent_v2(&ignored);
}

bool fh_cuda_enter_quietly(fh_device *device) {
  return !atomic_load(&device->stuck) && fh_cuda_same_process(device->backend) &&
         device->fn->cuCtxPushCurrent_v2(device->context) == FH_CUDA_SUCCESS;
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
  size_t share = found->info.memory_bytes / 16;
  device->free_bytes_limit = share < FREE_BYTES_LIMIT ? share : FREE_BYTES_LIMIT;
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

/* With the context current and the lock held. */
static void drop_free_blocks(fh_device *device) {
  for (int i = 0; i < device->free_count; i++) (void)device->fn->cuMemFree_v2(device->free_blocks[i].address);
  device->free_count = 0;
  device->free_bytes = 0;
}

fh_status fh_cuda_query_free_memory(fh_device *device, uint64_t *out_bytes) {
  size_t free_bytes = 0, total = 0;
  FH_TRY(fh_cuda_enter(device));
  fh_cu_result code = device->fn->cuMemGetInfo_v2(&free_bytes, &total);
  fh_cuda_leave(device);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuMemGetInfo", "asking for free memory");
  pthread_mutex_lock(&device->lock);
  *out_bytes = free_bytes + device->free_bytes;
  pthread_mutex_unlock(&device->lock);
  return FH_OK;
}

static bool take_free_block(fh_device *device, size_t bytes, fh_cuda_block *out_block) {
  bool found = false;
  pthread_mutex_lock(&device->lock);
  for (int i = 0; i < device->free_count && !found; i++) {
    if (device->free_blocks[i].bytes != bytes) continue;
    *out_block = device->free_blocks[i];
    device->free_blocks[i] = device->free_blocks[--device->free_count];
    device->free_bytes -= bytes;
    found = true;
  }
  pthread_mutex_unlock(&device->lock);
  return found;
}

/* With the lock held. */
static bool keep_free_block(fh_device *device, fh_cuda_block block) {
  if (atomic_load(&device->dead) || device->free_count == FH_CUDA_FREE_BLOCKS) return false;
  if (block.bytes > device->free_bytes_limit - device->free_bytes) return false;
  device->free_blocks[device->free_count++] = block;
  device->free_bytes += block.bytes;
  return true;
}

/* Ends memory that nothing uses any more; with the lock held, and the context current when `entered`. Without it the block
 * stays with the context, which is lost or ending. */
static void end_memory(fh_device *device, fh_memory *memory, bool entered) {
  if (!keep_free_block(device, memory->block) && entered) (void)device->fn->cuMemFree_v2(memory->block.address);
  free(memory);
}

/* Likewise all that waits. */
static void end_waiting(fh_device *device, bool entered) {
  while (device->waiting) {
    fh_memory *memory = device->waiting;
    device->waiting = memory->next;
    end_memory(device, memory, entered);
  }
}

/* Gives all that is free back to the driver, with the context current; false when there was nothing. What waits is given back
 * too, since the driver itself waits for the work, unless that may never end. */
static bool give_back_free_blocks(fh_device *device) {
  pthread_mutex_lock(&device->lock);
  bool any = device->free_count > 0 || device->waiting;
  if (!atomic_load(&device->stuck)) end_waiting(device, true);
  drop_free_blocks(device);
  pthread_mutex_unlock(&device->lock);
  return any;
}

void fh_cuda_device_close(fh_device *device) {
  if (!device) return;
  bool entered = fh_cuda_enter_quietly(device);
  pthread_mutex_lock(&device->lock);
  end_waiting(device, entered);
  if (entered) drop_free_blocks(device);
  pthread_mutex_unlock(&device->lock);
  fh_cuda_unload_modules(device, entered);
  if (entered) {
    fh_cuda_leave(device);
    (void)device->fn->cuDevicePrimaryCtxRelease_v2(device->found->handle);
  }
  pthread_mutex_destroy(&device->lock);
  free(device);
}

static fh_status alloc_block(fh_device *device, size_t bytes, fh_cuda_block *out_block) {
  if (take_free_block(device, bytes, out_block)) return fh_cuda_alive(device);
  fh_cu_ptr address = 0;
  FH_TRY(fh_cuda_enter(device));
  fh_cu_result code = device->fn->cuMemAlloc_v2(&address, bytes);
  if (code == FH_CUDA_ERROR_OUT_OF_MEMORY && give_back_free_blocks(device)) code = device->fn->cuMemAlloc_v2(&address, bytes);
  fh_cuda_leave(device);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuMemAlloc", "allocating %zu bytes", bytes);
  *out_block = (fh_cuda_block){address, bytes};
  return FH_OK;
}

fh_status fh_cuda_alloc(fh_device *device, size_t bytes, fh_memory **out_memory) {
  *out_memory = NULL;
  if (bytes > SIZE_MAX - BLOCK_GRANULARITY || bytes > device->found->info.memory_bytes)
    return FH_STATUS_CAUSE(FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY",
                           "%s has %llu bytes of memory in all; %zu were asked for\nnext: use smaller pieces", device->found->info.id,
                           (unsigned long long)device->found->info.memory_bytes, bytes);
  fh_memory *memory = calloc(1, sizeof *memory);
  if (!memory) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for the handle of a device allocation");
  size_t rounded = (bytes + BLOCK_GRANULARITY - 1) / BLOCK_GRANULARITY * BLOCK_GRANULARITY;
  fh_status status = alloc_block(device, rounded ? rounded : BLOCK_GRANULARITY, &memory->block);
  if (status) {
    free(memory);
    return status;
  }
  memory->device = device;
  memory->bytes = bytes;
  *out_memory = memory;
  return FH_OK;
}

void fh_cuda_free(fh_memory *memory) {
  if (!memory) return;
  fh_device *device = memory->device;
  bool busy = atomic_load(&device->busy_streams) != 0;
  bool entered = !busy && fh_cuda_enter_quietly(device);
  pthread_mutex_lock(&device->lock);
  memory->next = device->waiting;
  device->waiting = memory;
  if (!busy) end_waiting(device, entered);
  pthread_mutex_unlock(&device->lock);
  if (entered) fh_cuda_leave(device);
}

void *fh_cuda_map(fh_memory *memory) {
  (void)memory; /* device memory has no host address */
  return NULL;
}
