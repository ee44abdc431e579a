/* CUDA: host memory of the program's own made known to the driver. SPDX-License-Identifier: Apache-2.0
 *
 * Pages that the driver has locked are copied by the device itself, beside kernels and without a pinned chunk in between. Whatever stands
 * against it (another library has registered the memory, it cannot be written, the system has no more to lock), copies go on as they did:
 * a refusal is told at the level DEBUG and is no error. */
#include <stdlib.h>
#include <unistd.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

struct fh_pinned {
  fh_device *device;
  void *host;
  size_t bytes;
};

/* Locked pages are taken from everybody: an eighth of the machine at most, for all devices of the process. */
static atomic_size_t registered_bytes;
static size_t most_bytes(void) {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? (size_t)pages * (size_t)page / 8 : 0;
}

static bool take_room(size_t bytes) {
  if (atomic_fetch_add(&registered_bytes, bytes) + bytes <= most_bytes()) return true;
  atomic_fetch_sub(&registered_bytes, bytes);
  return false;
}

/* For every context of the process, since all devices may copy it. */
static const char *register_memory(fh_device *device, void *host, size_t bytes) {
  if (!take_room(bytes)) return "an eighth of the machine's memory is locked already";
  if (!fh_cuda_enter_quietly(device)) {
    atomic_fetch_sub(&registered_bytes, bytes);
    return "the context is gone";
  }
  fh_cu_result code = device->fn->cuMemHostRegister_v2(host, bytes, FH_CU_MEMHOSTREGISTER_PORTABLE);
  fh_cuda_leave(device);
  if (code == FH_CUDA_SUCCESS) return NULL;
  atomic_fetch_sub(&registered_bytes, bytes);
  return fh_cuda_result_name((int)code);
}

static void unregister_memory(const fh_pinned *pinned) {
  if (fh_cuda_enter_quietly(pinned->device)) {
    (void)pinned->device->fn->cuMemHostUnregister(pinned->host);
    fh_cuda_leave(pinned->device);
  }
  atomic_fetch_sub(&registered_bytes, pinned->bytes);
}

fh_pinned *fh_cuda_pin(fh_device *device, void *host, size_t bytes) {
  fh_pinned *pinned = malloc(sizeof *pinned);
  const char *why = pinned ? register_memory(device, host, bytes) : "no memory";
  if (why) {
    fh_log(FH_LOG_DEBUG, "%s: %zu bytes of host memory are copied through pinned chunks: they are not registered: %s",
           device->found->info.id, bytes, why);
    free(pinned);
    return NULL;
  }
  *pinned = (fh_pinned){device, host, bytes};
  return pinned;
}

void fh_cuda_unpin(fh_pinned *pinned) {
  if (!pinned) return;
  unregister_memory(pinned);
  free(pinned);
}
