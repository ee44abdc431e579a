/* CUDA memory of cuMemAlloc, kept and cut to size. SPDX-License-Identifier: Apache-2.0
 *
 * cuMemAlloc costs tens of microseconds and cuMemFree waits for the whole device, so the driver is asked for segments, and requests are
 * cut from them: the smallest piece that fits. Small requests share small segments, so that they do not break up large ones. A piece
 * that is freed joins its free neighbours; a segment that is free as a whole can go back to the driver, and does when more than a
 * device's share is kept, or when memory is short.
 */
#include <stdlib.h>

#include "backends/cuda/cuda_internal.h"

enum {
  SMALL_REQUEST = 1 << 20,    /* up to here a request is served from a */
  SMALL_SEGMENT = 2 << 20,    /* segment of this size, */
  MIDDLE_REQUEST = 10 << 20,  /* up to here from a */
  MIDDLE_SEGMENT = 20 << 20,  /* segment of this one, and above from one of its own, */
  LARGE_GRANULARITY = 2 << 20 /* rounded up to the driver's page */
};

/* Pieces of a segment, in the order of their addresses. */
struct fh_cuda_span {
  struct fh_cuda_segment *segment;
  fh_cuda_span *before, *after;
  fh_cu_ptr address;
  size_t bytes;
  bool used;
  fh_cuda_fence fence; /* of a free one */
};

typedef struct fh_cuda_segment {
  struct fh_cuda_segment *next;
  fh_cuda_span *first;
  fh_cu_ptr address;
  size_t bytes;
} fh_cuda_segment;

static bool is_small(size_t bytes) { return bytes <= SMALL_REQUEST; }

static size_t segment_bytes(size_t bytes) {
  if (bytes <= SMALL_REQUEST) return SMALL_SEGMENT;
  if (bytes <= MIDDLE_REQUEST) return MIDDLE_SEGMENT;
  return (bytes + LARGE_GRANULARITY - 1) / LARGE_GRANULARITY * LARGE_GRANULARITY;
}

/* ---- finding ----------------------------------------------------------------------------------------------------------- */

/* What the stream that comes next has freed itself can be used at once; what another may still use only when memory is short. */
static bool is_ready(const fh_device *device, fh_cuda_span *span) {
  if (fh_cuda_fence_reached(device, &span->fence)) span->fence = (fh_cuda_fence){0};
  return !span->fence.stream || span->fence.stream == atomic_load(&device->last_stream);
}

static fh_cuda_span *best_fit(const fh_device *device, size_t bytes, bool short_of_memory) {
  fh_cuda_span *best = NULL;
  for (const fh_cuda_segment *segment = device->cache.segments; segment; segment = segment->next) {
    if (!short_of_memory && is_small(bytes) != (segment->bytes == SMALL_SEGMENT)) continue;
    for (fh_cuda_span *span = segment->first; span; span = span->after)
      if (!span->used && span->bytes >= bytes && (!best || span->bytes < best->bytes) && (is_ready(device, span) || short_of_memory))
        best = span;
  }
  return best;
}

/* ---- cutting and joining ------------------------------------------------------------------------------------------------- */

/* Leaves the rest as a free piece; without memory for that, the whole is used. */
static void cut(fh_cuda_span *span, size_t bytes) {
  fh_cuda_span *rest = span->bytes > bytes ? malloc(sizeof *rest) : NULL;
  if (!rest) return;
  *rest = *span;
  rest->before = span;
  rest->address += bytes;
  rest->bytes -= bytes;
  if (rest->after) rest->after->before = rest;
  span->after = rest;
  span->bytes = bytes;
}

static bool can_join(const fh_cuda_span *a, const fh_cuda_span *b) {
  return a && b && !a->used && !b->used && a->fence.stream == b->fence.stream;
}

/* `span` takes in the one after it. */
static void join(fh_cuda_span *span) {
  fh_cuda_span *gone = span->after;
  span->bytes += gone->bytes;
  if (gone->fence.point > span->fence.point) span->fence.point = gone->fence.point;
  span->after = gone->after;
  if (span->after) span->after->before = span;
  free(gone);
}

static void join_neighbours(fh_cuda_span *span) {
  if (can_join(span, span->after)) join(span);
  if (can_join(span->before, span)) join(span->before);
}

static void settle_segment(const fh_cuda_segment *segment) {
  for (fh_cuda_span *span = segment->first; span; span = span->after)
    if (!span->used) span->fence = (fh_cuda_fence){0};
  for (fh_cuda_span *span = segment->first; span; span = span->after)
    while (can_join(span, span->after)) join(span);
}

void fh_cuda_cache_settle(fh_device *device) {
  for (const fh_cuda_segment *segment = device->cache.segments; segment; segment = segment->next) settle_segment(segment);
}

/* ---- segments ---------------------------------------------------------------------------------------------------------------- */

static fh_cu_result add_segment(fh_device *device, size_t bytes, fh_cuda_span **out_span) {
  fh_cuda_segment *segment = calloc(1, sizeof *segment);
  fh_cuda_span *span = calloc(1, sizeof *span);
  fh_cu_result code = segment && span ? device->fn->cuMemAlloc_v2(&segment->address, bytes) : FH_CUDA_ERROR_OUT_OF_MEMORY;
  if (code != FH_CUDA_SUCCESS) {
    free(segment);
    free(span);
    return code;
  }
  segment->bytes = bytes;
  segment->first = span;
  segment->next = device->cache.segments;
  device->cache.segments = segment;
  *span = (fh_cuda_span){.segment = segment, .address = segment->address, .bytes = bytes};
  device->cache.bytes += bytes;
  device->cache.free_bytes += bytes;
  *out_span = span;
  return FH_CUDA_SUCCESS;
}

/* Pieces that wait for different streams are joined once these are done. */
static bool is_free(const fh_device *device, fh_cuda_segment *segment) {
  for (fh_cuda_span *span = segment->first; span; span = span->after)
    if (span->used || !fh_cuda_fence_reached(device, &span->fence)) return false;
  return true;
}

static void forget_segment(fh_device *device, fh_cuda_segment *segment) {
  for (fh_cuda_span *span = segment->first, *after; span; span = after) {
    after = span->after;
    if (!span->used) device->cache.free_bytes -= span->bytes;
    free(span);
  }
  device->cache.bytes -= segment->bytes;
  free(segment);
}

void fh_cuda_cache_trim(fh_device *device, size_t keep) {
  for (fh_cuda_segment **link = &device->cache.segments; *link && device->cache.free_bytes > keep;) {
    fh_cuda_segment *segment = *link;
    if (!is_free(device, segment)) {
      link = &segment->next;
      continue;
    }
    *link = segment->next;
    (void)device->fn->cuMemFree_v2(segment->address);
    forget_segment(device, segment);
  }
}

void fh_cuda_cache_close(fh_device *device, bool entered) {
  while (device->cache.segments) {
    fh_cuda_segment *segment = device->cache.segments;
    device->cache.segments = segment->next;
    if (entered) (void)device->fn->cuMemFree_v2(segment->address);
    forget_segment(device, segment);
  }
}

/* ---- allocations ---------------------------------------------------------------------------------------------------------------- */

/* A whole segment of the usual size, or when there is no room for one just what is needed, or what another stream still uses. */
static fh_cu_result new_span(fh_device *device, size_t bytes, fh_cuda_span **out_span) {
  fh_cu_result code = add_segment(device, segment_bytes(bytes), out_span);
  if (code != FH_CUDA_ERROR_OUT_OF_MEMORY) return code;
  if (segment_bytes(bytes) > bytes && add_segment(device, bytes, out_span) == FH_CUDA_SUCCESS) return FH_CUDA_SUCCESS;
  *out_span = best_fit(device, bytes, true);
  return *out_span ? FH_CUDA_SUCCESS : code;
}

fh_cu_result fh_cuda_cache_alloc(fh_device *device, size_t bytes, fh_cuda_block *out_block, fh_cuda_fence *out_fence) {
  fh_cuda_span *span = best_fit(device, bytes, false);
  fh_cu_result code = span ? FH_CUDA_SUCCESS : new_span(device, bytes, &span);
  if (code != FH_CUDA_SUCCESS) return code;
  cut(span, bytes);
  span->used = true;
  device->cache.free_bytes -= span->bytes;
  *out_block = (fh_cuda_block){.address = span->address, .span = span};
  *out_fence = span->fence;
  return FH_CUDA_SUCCESS;
}

void fh_cuda_cache_free(fh_device *device, const fh_cuda_block *block, const fh_cuda_fence *fence) {
  fh_cuda_span *span = block->span;
  span->used = false;
  span->fence = *fence;
  device->cache.free_bytes += span->bytes;
  join_neighbours(span);
}
