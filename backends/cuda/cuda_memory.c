/* CUDA allocations: where they come from, and their order with streams. SPDX-License-Identifier: Apache-2.0
 *
 * Whoever allocates does not say for which stream. A block may be given out while the stream that freed it, or allocated it, is not yet
 * there: the fence remembers which. The same stream uses it at once, since it is in order with itself; another waits by an event,
 * on the device, when it first uses it.
 *
 * A driver's word that it has memory pools is not enough: one is tried with a byte pattern before it is used, and given up when it
 * fails later where cuMemAlloc does not.
 */
#include <stdlib.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

enum { GRANULARITY = 512 };
/* What is kept for reuse: little enough that another program on the device does not miss it. */
#define KEEP_BYTES ((size_t)1 << 30)

/* ---- order with streams ----------------------------------------------------------------------------------------- */

bool fh_cuda_fence_reached(const fh_device *device, const fh_cuda_fence *fence) {
  if (!fence->stream) return true;
  if (fence->stream == FH_CUDA_HOME) return false;
  const fh_stream *stream = fh_cuda_find_stream(device, fence->stream);
  return !stream || atomic_load(&stream->completed) >= fence->point;
}

/* With the lock held. An event that is recorded only now stands for more than the fence: correct, and rare. */
static fh_status wait_locked(fh_device *device, fh_cu_stream stream, const fh_cuda_fence *fence) {
  if (fh_cuda_fence_reached(device, fence)) return FH_OK;
  fh_cu_stream before = fence->stream == FH_CUDA_HOME ? device->home : fh_cuda_find_stream(device, fence->stream)->handle;
  const char *call = "cuEventCreate";
  fh_cu_result code = device->order ? FH_CUDA_SUCCESS : device->fn->cuEventCreate(&device->order, FH_CU_EVENT_DISABLE_TIMING);
  if (code == FH_CUDA_SUCCESS) {
    call = "cuEventRecord";
    code = device->fn->cuEventRecord(device->order, before);
  }
  if (code == FH_CUDA_SUCCESS) {
    call = "cuStreamWaitEvent";
    code = device->fn->cuStreamWaitEvent(stream, device->order, 0);
  }
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, call, "waiting for another stream's use of memory");
}

fh_status fh_cuda_wait_fence(fh_device *device, fh_cu_stream stream, const fh_cuda_fence *fence) {
  if (!fence->stream) return FH_OK;
  pthread_mutex_lock(&device->lock);
  fh_status status = wait_locked(device, stream, fence);
  pthread_mutex_unlock(&device->lock);
  return status;
}

bool fh_cuda_is_fresh(fh_device *device, fh_memory *memory) {
  if (atomic_load(&memory->user)) return false;
  pthread_mutex_lock(&device->lock);
  bool fresh = memory->fence.stream == FH_CUDA_HOME || fh_cuda_fence_reached(device, &memory->fence);
  pthread_mutex_unlock(&device->lock);
  return fresh;
}

fh_status fh_cuda_use(fh_stream *stream, fh_memory *memory) {
  if (atomic_load(&memory->user) == stream->serial) return FH_OK;
  if (memory->fence.stream != stream->serial) FH_TRY(fh_cuda_wait_fence(stream->device, stream->handle, &memory->fence));
  const uint64_t before = atomic_exchange(&memory->user, stream->serial);
  if (before && before != stream->serial) atomic_store(&memory->shared, 1);
  return FH_OK;
}

/* What must be done before another stream may use the memory's block; with the lock held. */
static fh_cuda_fence fence_of(const fh_device *device, fh_memory *memory) {
  fh_cuda_fence fence = memory->fence; /* never used: still what it was */
  uint64_t user = atomic_load(&memory->user);
  if (user) {
    const fh_stream *stream = fh_cuda_find_stream(device, user);
    fence = (fh_cuda_fence){.stream = stream ? user : 0, .point = stream ? atomic_load(&stream->submitted) : 0};
  }
  return fence;
}

/* ---- giving back: with the lock held, and the context current when `entered` -------------------------------------------- */

static size_t rounded(size_t bytes) {
  size_t all = (bytes + GRANULARITY - 1) / GRANULARITY * GRANULARITY;
  return all ? all : GRANULARITY;
}

/* Without the context the block stays with it, which is lost or ending. */
static void end_memory(fh_device *device, fh_memory *memory, bool entered) {
  fh_cuda_fence fence = fence_of(device, memory);
  if (memory->block.span)
    fh_cuda_cache_free(device, &memory->block, fh_cuda_fence_reached(device, &fence) ? &(fh_cuda_fence){0} : &fence);
  else if (entered && !atomic_load(&device->dead))
    fh_cuda_pool_free(device, &memory->block, rounded(memory->bytes), &fence);
  free(memory);
}

static void end_waiting(fh_device *device, bool entered) {
  while (device->waiting) {
    fh_memory *memory = device->waiting;
    device->waiting = memory->next;
    atomic_store(&memory->user, 0);
    memory->fence = (fh_cuda_fence){0};
    end_memory(device, memory, entered);
  }
}

bool fh_cuda_any_late(const fh_device *device) {
  bool any = atomic_load(&device->stuck);
  for (const fh_stream *s = device->streams; s && !any; s = s->next) any = atomic_load(&s->late);
  return any;
}

/* A stream that let a wait time out may never come back, and others may stand behind it: then none is waited for. */
static bool settle_streams(fh_device *device) {
  if (fh_cuda_any_late(device)) return false;
  for (const fh_stream *s = device->streams; s; s = s->next) (void)device->fn->cuStreamSynchronize(s->handle);
  if (device->home) (void)device->fn->cuStreamSynchronize(device->home);
  return true;
}

/* Gives all that is free back to the driver. What is freed but in use can only follow when its streams are done; and the driver's own
 * free waits for all of the device, so that nothing is given back where that may never come. */
void fh_cuda_give_back(fh_device *device) {
  if (!settle_streams(device)) return;
  end_waiting(device, true);
  (void)fh_cuda_spares_end(device, true);
  fh_cuda_cache_settle(device);
  if (device->pool) {
    (void)settle_streams(device); /* the frees that this queued */
    (void)device->fn->cuMemPoolTrimTo(device->pool, 0);
  }
  fh_cuda_cache_trim(device, 0);
}

/* What the driver counts as ours. */
static uint64_t taken(fh_device *device) {
  uint64_t reserved = 0;
  if (device->pool && device->fn->cuMemPoolGetAttribute(device->pool, FH_CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &reserved)) reserved = 0;
  return reserved + device->cache.bytes;
}

uint64_t fh_cuda_trim(fh_device *device) {
  if (!fh_cuda_enter_quietly(device)) return 0;
  pthread_mutex_lock(&device->lock);
  const uint64_t before = taken(device);
  const bool spares = device->spares;
  fh_cuda_give_back(device);
  const uint64_t after = taken(device);
  const bool ended = spares && !device->spares; /* what the driver had for them is not known, and may be what was lacking */
  pthread_mutex_unlock(&device->lock);
  fh_cuda_leave(device);
  return before > after ? before - after : ended;
}

void fh_cuda_free(fh_memory *memory) {
  if (!memory) return;
  fh_device *device = memory->device;
  if (!fh_cuda_same_process(device->backend)) { /* a child's: the lock may have been held when it was made */
    free(memory);
    return;
  }
  bool entered = fh_cuda_enter_quietly(device);
  pthread_mutex_lock(&device->lock);
  bool busy = atomic_load(&device->busy_streams) != 0;
  if (!busy) end_waiting(device, entered);
  if (busy && atomic_load(&memory->shared)) {
    memory->next = device->waiting;
    device->waiting = memory;
  } else {
    end_memory(device, memory, entered);
    if (entered && !busy) fh_cuda_cache_trim(device, device->keep_bytes); /* cuMemFree waits for all of the device */
  }
  pthread_mutex_unlock(&device->lock);
  if (entered) fh_cuda_leave(device);
}

void fh_cuda_end_memory(fh_device *device, bool entered) {
  pthread_mutex_lock(&device->lock);
  end_waiting(device, entered);
  (void)fh_cuda_spares_end(device, entered && !atomic_load(&device->stuck));
  fh_cuda_cache_close(device, entered);
  if (entered) {
    fh_cuda_pool_close(device);
    if (device->order) (void)device->fn->cuEventDestroy_v2(device->order);
  }
  pthread_mutex_unlock(&device->lock);
}

/* ---- allocating: with the lock held and the context current ---------------------------------------------------------------- */

/* A pool takes memory in larger pieces than cuMemAlloc, so that it finds a nearly full device full first: only one that fails this often
 * in a row, where cuMemAlloc does not, is broken. */
enum { POOL_MISSES = 4 };

static void decide_source(fh_device *device) {
  if (device->source) return;
  const char *why = NULL;
  bool wrong = false;
  size_t share = device->found->info.memory_bytes / 16;
  device->keep_bytes = share < KEEP_BYTES ? share : KEEP_BYTES;
  device->source = fh_cuda_pool_open(device, &why, &wrong) ? FH_CUDA_POOL : FH_CUDA_CACHE;
  if (wrong && device->pool_full && ++device->pool_misses < POOL_MISSES) device->source = FH_CUDA_UNDECIDED;
  if (!device->source) return;
  const char *id = device->found->info.id;
  if (device->source == FH_CUDA_POOL)
    fh_log(FH_LOG_DEBUG, "%s: memory comes from a pool of the driver, in order with streams", id);
  else if (wrong)
    device->pool_doubt = why;
  else
    fh_log(FH_LOG_DEBUG, "%s: memory comes from cuMemAlloc and is kept for reuse: %s", id, why);
}

static fh_cu_result alloc_from(fh_device *device, size_t bytes, fh_memory *memory) {
  return device->source == FH_CUDA_POOL ? fh_cuda_pool_alloc(device, bytes, &memory->block, &memory->fence)
                                        : fh_cuda_cache_alloc(device, bytes, &memory->block, &memory->fence);
}

/* The pool failed twice: is it the pool, or the device? cuMemAlloc tells. */
static fh_cu_result doubt_pool(fh_device *device, size_t bytes, fh_memory *memory, fh_cu_result code) {
  if (fh_cuda_cache_alloc(device, bytes, &memory->block, &memory->fence) != FH_CUDA_SUCCESS) return code;
  if (code == FH_CUDA_ERROR_OUT_OF_MEMORY && ++device->pool_misses < POOL_MISSES) return FH_CUDA_SUCCESS;
  device->source = FH_CUDA_CACHE;
  fh_log(FH_LOG_WARN,
         "%s: cuMemAllocFromPoolAsync failed with %s (%u) for %zu bytes and cuMemAlloc did not: the pool is given up, memory comes from "
         "cuMemAlloc from now on",
         device->found->info.id, fh_cuda_result_name((int)code), code, bytes);
  return FH_CUDA_SUCCESS;
}

/* Only once cuMemAlloc has worked: else it is the device that fails, and the pool is not to blame. */
static void tell_pool_doubt(fh_device *device) {
  if (!device->pool_doubt) return;
  fh_log(FH_LOG_WARN,
         "%s: the driver says that it has memory pools, but a trial of one failed: %s\nmemory comes from cuMemAlloc and is kept for reuse",
         device->found->info.id, device->pool_doubt);
  device->pool_doubt = NULL;
}

static fh_cu_result alloc_block(fh_device *device, size_t bytes, fh_memory *memory) {
  decide_source(device);
  if (atomic_load(&device->busy_streams) == 0) end_waiting(device, true);
  fh_cu_result code = alloc_from(device, bytes, memory);
  if (code == FH_CUDA_ERROR_OUT_OF_MEMORY) {
    fh_cuda_give_back(device);
    code = alloc_from(device, bytes, memory);
  }
  if (code == FH_CUDA_SUCCESS) tell_pool_doubt(device);
  if (code == FH_CUDA_SUCCESS && device->source == FH_CUDA_POOL) device->pool_misses = 0;
  if (code == FH_CUDA_SUCCESS || device->source != FH_CUDA_POOL) return code;
  return doubt_pool(device, bytes, memory, code);
}

static fh_status alloc_entered(fh_device *device, size_t bytes, fh_memory *memory) {
  FH_TRY(fh_cuda_enter(device));
  pthread_mutex_lock(&device->lock);
  fh_cu_result code = alloc_block(device, bytes, memory);
  const char *call = device->source == FH_CUDA_POOL ? "cuMemAllocFromPoolAsync" : "cuMemAlloc";
  pthread_mutex_unlock(&device->lock);
  fh_cuda_leave(device);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, call, "allocating %zu bytes", bytes);
}

fh_status fh_cuda_alloc(fh_device *device, size_t bytes, fh_memory **out_memory) {
  *out_memory = NULL;
  if (bytes > SIZE_MAX - GRANULARITY || bytes > device->found->info.memory_bytes)
    return FH_STATUS_CAUSE(FH_RESOURCE_EXHAUSTED, "OUT-OF-MEMORY",
                           "%s has %llu bytes of memory in all; %zu were asked for\nnext: use smaller pieces", device->found->info.id,
                           (unsigned long long)device->found->info.memory_bytes, bytes);
  fh_memory *memory = calloc(1, sizeof *memory);
  if (!memory) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for the handle of a device allocation");
  fh_status status = alloc_entered(device, rounded(bytes), memory);
  if (status) {
    free(memory);
    return status;
  }
  memory->device = device;
  memory->bytes = bytes;
  *out_memory = memory;
  return FH_OK;
}

/* ---- what is free ----------------------------------------------------------------------------------------------------------- */

fh_status fh_cuda_query_free_memory(fh_device *device, uint64_t *out_bytes) {
  size_t free_bytes = 0, total = 0;
  FH_TRY(fh_cuda_enter(device));
  pthread_mutex_lock(&device->lock);
  fh_cu_result code = device->fn->cuMemGetInfo_v2(&free_bytes, &total);
  *out_bytes = free_bytes + device->cache.free_bytes + fh_cuda_pool_idle(device);
  pthread_mutex_unlock(&device->lock);
  fh_cuda_leave(device);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(device, code, "cuMemGetInfo", "asking for free memory");
}

void *fh_cuda_map(fh_memory *memory) {
  (void)memory; /* device memory has no host address */
  return NULL;
}
