/* CUDA: host memory of the program's own made known to the driver. SPDX-License-Identifier: Apache-2.0
 *
 * Pages that the driver has locked are copied by the device itself, beside kernels and without a pinned chunk in between. Whatever stands
 * against it (another library has registered the memory, it cannot be written, the system has no more to lock), copies go on as they did:
 * a refusal is told at the level DEBUG and is no error. */
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

struct fh_pinned {
  fh_device *device;
  void *host;
  size_t bytes;
  fh_pinned *next;
};

/* What is registered, for every device of the process. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static fh_pinned *list;

static void add_to_list(fh_pinned *pinned) {
  pthread_mutex_lock(&list_lock);
  pinned->next = list;
  list = pinned;
  pthread_mutex_unlock(&list_lock);
}

static void take_from_list(const fh_pinned *pinned) {
  pthread_mutex_lock(&list_lock);
  for (fh_pinned **link = &list; *link; link = &(*link)->next) {
    if (*link != pinned) continue;
    *link = pinned->next;
    break;
  }
  pthread_mutex_unlock(&list_lock);
}

/* Is [host, host + bytes) whole in what begins at `start` and has `of`? */
static bool is_within(const void *host, size_t bytes, const void *start, size_t of) {
  const uintptr_t at = (uintptr_t)host - (uintptr_t)start;
  return host >= start && at <= of && bytes <= of - at;
}

static bool is_in_list(const void *host, size_t bytes) {
  bool found = false;
  pthread_mutex_lock(&list_lock);
  for (const fh_pinned *p = list; p && !found; p = p->next) found = is_within(host, bytes, p->host, p->bytes);
  pthread_mutex_unlock(&list_lock);
  return found;
}

/* Of others. One end says nothing of the other: registered ranges may lie on both sides of pages that are not. */
static bool is_pinned_by_others(const fh_cuda_functions *fn, const void *host, size_t bytes) {
  const fh_cu_ptr pointer = (fh_cu_ptr)(uintptr_t)host;
  unsigned type = 0;
  void *start = NULL;
  size_t of = 0;
  return fn->cuPointerGetAttribute && fn->cuPointerGetAttribute(&type, FH_CU_POINTER_ATTRIBUTE_MEMORY_TYPE, pointer) == FH_CUDA_SUCCESS &&
         type == FH_CU_MEMORYTYPE_HOST &&
         fn->cuPointerGetAttribute(&start, FH_CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, pointer) == FH_CUDA_SUCCESS &&
         fn->cuPointerGetAttribute(&of, FH_CU_POINTER_ATTRIBUTE_RANGE_SIZE, pointer) == FH_CUDA_SUCCESS &&
         is_within(host, bytes, start, of);
}

bool fh_cuda_is_pinned(const fh_device *device, const void *host, size_t bytes) {
  return is_in_list(host, bytes) || is_pinned_by_others(device->fn, host, bytes);
}

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
  *pinned = (fh_pinned){.device = device, .host = host, .bytes = bytes};
  add_to_list(pinned);
  return pinned;
}

void fh_cuda_unpin(fh_pinned *pinned) {
  if (!pinned) return;
  take_from_list(pinned);
  unregister_memory(pinned);
  free(pinned);
}
