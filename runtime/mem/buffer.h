/* Buffers: host memory, device replicas, versions, generations. SPDX-License-Identifier: Apache-2.0
 *
 * The newest replica wins: `version` counts writes; a replica is current when its version equals it.
 * Control blocks are never given back to the heap, so that a stale view can always be recognised.
 * What needs a device (copying to the host, waiting, freeing replicas) is done by the owner through
 * fh_residency, because devices live in a higher layer.
 */
#ifndef FOGHORN_MEM_BUFFER_H_
#define FOGHORN_MEM_BUFFER_H_

#include <foghorn/memory.h>

#include "runtime/base/atomic.h"

enum { FH_MAX_REPLICAS = 16 };

typedef struct fh_residency {
  void (*retain)(void *owner);
  void (*release)(void *owner);
  /* Waits for launches that use the buffer and frees its device replicas. */
  void (*evict)(void *owner, fh_buffer *buffer);
  /* The buffer is about to end before its last reference: nothing may need its contents after this. */
  void (*forget)(void *owner, fh_buffer *buffer);
  /* fh_buffer_release for a view of the caller's memory: when no other such view is left, nothing touches that memory afterwards. */
  void (*give_back)(void *owner, fh_buffer *buffer);
} fh_residency;

typedef struct fh_replica {
  void *memory;     /* the backend's fh_memory; NULL: none */
  uint64_t version; /* of the contents */
  bool alias;       /* it is the host copy itself, which the device only reads */
} fh_replica;

struct fh_buffer {
  _Atomic uint64_t live_generation; /* what a usable view carries; 0: revoked or free */
  uint64_t generation;              /* of this life of the block */
  fh_refcount refs;
  const fh_residency *residency;
  void *owner;

  char *host; /* the region's first byte */
  size_t bytes;
  bool host_owned;
  bool read_only;
  /* Guarded by the owner. */
  int log_refs;
  uint64_t version, host_version;
  uint64_t split_version; /* of the contents that a launch read in shares (plan/split.c); 0: none */
  bool lost;              /* the only current copy died with a device */
  bool host_needed;       /* without memory beside it nothing comes home: its work is done elsewhere from the host copy as it is */
  char *staged;           /* contents taken off a device while the host copy may still be needed */
  uint64_t crossed;       /* the version that went from device to device and not over the host; 0: none */
  fh_replica replicas[FH_MAX_REPLICAS];
  int copies;    /* between its host memory and devices, since that was last made known to one */
  void *pinned;  /* the backend's fh_pinned; NULL: no device knows the host memory */
  int pinned_by; /* the device that was asked */
  bool resident; /* in the owner's list of buffers that may have replicas */
  fh_buffer *next_resident, *previous_resident;

  const char *made_file, *ended_file; /* this life's; those of the last lives stay in `past` */
  int made_line, ended_line;
  struct {
    uint64_t generation;
    const char *made_file, *ended_file;
    int made_line, ended_line;
  } past[4];
  fh_buffer *next_free;
};

/* host NULL: allocates zeroed memory (64-byte aligned). */
fh_status fh_buffer_new(const fh_residency *residency, void *owner, void *host, size_t bytes, bool read_only, const char *file, int line,
                        fh_buffer **out_buffer);
void fh_buffer_retain(fh_buffer *buffer);
/* False when its last view is being released: another thread is about to end it. */
bool fh_buffer_try_retain(fh_buffer *buffer);
void fh_buffer_release(fh_buffer *buffer);

/* False when `generation` is not the living one: the view that carries it is stale. */
static inline bool fh_buffer_alive(const fh_buffer *buffer, uint64_t generation) {
  return atomic_load_explicit(&((fh_buffer *)buffer)->live_generation, memory_order_relaxed) == generation;
}
/* FAILED_PRECONDITION that names where that life of the buffer began and ended. */
fh_status fh_buffer_dead(const fh_buffer *buffer, uint64_t generation);

#endif /* FOGHORN_MEM_BUFFER_H_ */
