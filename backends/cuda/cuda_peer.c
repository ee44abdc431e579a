/* CUDA: copies from one device to another. SPDX-License-Identifier: Apache-2.0 */
#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

static int index_of(const fh_device *device) { return (int)(device->found - device->backend->devices); }

/* NULL: it has none, or none yet. */
static fh_cu_pool pool_of(fh_device *device) {
  pthread_mutex_lock(&device->lock);
  fh_cu_pool pool = device->pool;
  pthread_mutex_unlock(&device->lock);
  return pool;
}

/* To the context's memory, which others in the process may have enabled before us, and to the pool's, which does not follow it: without
 * that the driver copies by way of the host, and does not say so. With the context current. */
static fh_cu_result enable_memory(const fh_device *device, const fh_device *other, fh_cu_pool pool) {
  const fh_cuda_functions *fn = device->fn;
  const fh_cu_access access = {.location_type = FH_CU_MEM_LOCATION_TYPE_DEVICE,
                               .location_id = device->found->handle,
                               .flags = FH_CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
  fh_cu_result code = fn->cuCtxEnablePeerAccess(other->context, 0);
  if (code == FH_CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED) code = FH_CUDA_SUCCESS;
  return code == FH_CUDA_SUCCESS && pool ? fn->cuMemPoolSetAccess(pool, (fh_cu_access_ptr)(const void *)&access, 1) : code;
}

/* NULL, or why there is no access. */
static const char *enable(fh_device *device, const fh_device *other, fh_cu_pool pool) {
  const fh_cuda_functions *fn = device->fn;
  int can = 0;
  if (!fn->cuDeviceCanAccessPeer || !fn->cuCtxEnablePeerAccess || !fn->cuMemcpyPeerAsync) return "the driver has no copies between devices";
  if (pool && !fn->cuMemPoolSetAccess) return "the driver does not open memory pools to other devices";
  fh_cu_result code = fn->cuDeviceCanAccessPeer(&can, device->found->handle, other->found->handle);
  if (code != FH_CUDA_SUCCESS) return fh_cuda_result_name((int)code);
  if (!can) return "nothing connects them";
  if (!fh_cuda_enter_quietly(device)) return "the context is gone";
  code = enable_memory(device, other, pool);
  fh_cuda_leave(device);
  return code == FH_CUDA_SUCCESS ? NULL : fh_cuda_result_name((int)code);
}

static int8_t ask(fh_device *device, const fh_device *other, fh_cu_pool pool) {
  const char *why = enable(device, other, pool);
  fh_log(FH_LOG_INFO, "%s %s %s%s%s", device->found->info.id, why ? "gets what is on" : "copies straight from", other->found->info.id,
         why ? " by way of the host: " : "", why ? why : "");
  return why ? FH_CUDA_BY_HOST : pool ? FH_CUDA_STRAIGHT_FROM_POOL : FH_CUDA_STRAIGHT;
}

bool fh_cuda_reaches(fh_device *device, fh_device *other) {
  if (device->backend != other->backend || index_of(other) >= FH_CUDA_PEERS) return false;
  int8_t known = atomic_load(&device->peers[index_of(other)]);
  if (known == FH_CUDA_BY_HOST || known == FH_CUDA_STRAIGHT_FROM_POOL) return known > 0;
  fh_cu_pool pool = pool_of(other); /* it may have got one since it was asked */
  if (known == FH_CUDA_NOT_ASKED || pool) atomic_store(&device->peers[index_of(other)], known = ask(device, other, pool));
  return known > 0;
}

fh_status fh_cuda_copy_from_peer(fh_stream *stream, const fh_command *command) {
  fh_device *device = stream->device;
  const fh_place *from = &command->copy.from;
  fh_device *other = from->memory->device;
  const size_t bytes = command->copy.bytes;
  fh_cu_ptr to = 0;
  if (!fh_cuda_reaches(device, other))
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: copy from %s, which it does not reach", device->found->info.id, other->found->info.id);
  FH_TRY(fh_cuda_address_of(stream, "copy to", &command->copy.to, bytes, &to));
  FH_TRY(fh_check_range("copy from", from->offset, bytes, from->memory->bytes));
  if (bytes == 0) return FH_OK;
  fh_cu_result code = device->fn->cuMemcpyPeerAsync(to, device->context, from->memory->block.address + (fh_cu_ptr)from->offset,
                                                    other->context, bytes, stream->handle);
  if (code == FH_CUDA_SUCCESS) return FH_OK;
  atomic_store(&device->peers[index_of(other)], FH_CUDA_BY_HOST); /* whatever the reason: the way by the host is tried next */
  fh_log(FH_LOG_INFO, "%s gets what is on %s by way of the host from now on: cuMemcpyPeerAsync failed with %s", device->found->info.id,
         other->found->info.id, fh_cuda_result_name((int)code));
  return FH_CUDA_FAIL(device, code, "cuMemcpyPeerAsync", "copying %zu bytes from %s", bytes, other->found->info.id);
}
