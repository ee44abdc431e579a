/* CUDA: copies from one device to another. SPDX-License-Identifier: Apache-2.0 */
#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

static int index_of(const fh_device *device) { return (int)(device->found - device->backend->devices); }

/* Access is the context's, which others in the process may have enabled before us. NULL, or why there is none. */
static const char *enable(fh_device *device, const fh_device *other) {
  const fh_cuda_functions *fn = device->fn;
  int can = 0;
  if (!fn->cuDeviceCanAccessPeer || !fn->cuCtxEnablePeerAccess || !fn->cuMemcpyPeerAsync) return "the driver has no copies between devices";
  fh_cu_result code = fn->cuDeviceCanAccessPeer(&can, device->found->handle, other->found->handle);
  if (code != FH_CUDA_SUCCESS) return fh_cuda_result_name((int)code);
  if (!can) return "nothing connects them";
  if (!fh_cuda_enter_quietly(device)) return "the context is gone";
  code = fn->cuCtxEnablePeerAccess(other->context, 0);
  fh_cuda_leave(device);
  return code == FH_CUDA_SUCCESS || code == FH_CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED ? NULL : fh_cuda_result_name((int)code);
}

static int8_t ask(fh_device *device, const fh_device *other) {
  const char *why = enable(device, other);
  fh_log(FH_LOG_INFO, "%s %s %s%s%s", device->found->info.id, why ? "gets what is on" : "copies straight from", other->found->info.id,
         why ? " by way of the host: " : "", why ? why : "");
  return why ? -1 : 1;
}

bool fh_cuda_reaches(fh_device *device, fh_device *other) {
  if (device->backend != other->backend || index_of(other) >= FH_CUDA_PEERS) return false;
  int8_t known = atomic_load(&device->peers[index_of(other)]);
  if (!known) atomic_store(&device->peers[index_of(other)], known = ask(device, other));
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
  atomic_store(&device->peers[index_of(other)], -1); /* whatever the reason: the way by the host is tried next */
  fh_log(FH_LOG_INFO, "%s gets what is on %s by way of the host from now on: cuMemcpyPeerAsync failed with %s", device->found->info.id,
         other->found->info.id, fh_cuda_result_name((int)code));
  return FH_CUDA_FAIL(device, code, "cuMemcpyPeerAsync", "copying %zu bytes from %s", bytes, other->found->info.id);
}
