/* CUDA copies between the device and host memory that is not pinned. SPDX-License-Identifier: Apache-2.0
 *
 * The device reads and writes pinned memory only. Given other memory the driver copies through a small pinned buffer of its own and waits
 * for each piece. Here larger copies go through a ring of pinned chunks in pieces: while the device moves one, the processor fills or
 * empties the next. Chunks are made on first use; where no more memory can be pinned, and for small copies, it is the driver's way.
 *
 * Host memory that is not pinned is read when a copy to the device is submitted, pinned memory until the copy's point is reached. A copy to
 * the host is done when its last pieces have been taken out of their chunks, which happens before its point counts as reached. Where such a
 * copy and a later one meet in host memory, the later one waits.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"

enum {
  CHUNK_BYTES = 4 << 20,       /* a fraction of a millisecond on the link: long against starting a copy, short against the whole */
  PIECE_MIN_BYTES = 256 << 10, /* copies smaller than the ring are cut too, down to this, so that the two halves of the work overlap */
  STAGE_FROM_BYTES = 128 << 10,
  DEVICE_PINNED_LIMIT = 64 << 20, /* pinned memory is taken from everybody: for four streams */
};

static size_t piece_bytes(size_t bytes) {
  size_t piece = (bytes / FH_CUDA_CHUNKS + 4095) / 4096 * 4096; /* whole pages */
  if (piece < PIECE_MIN_BYTES) return PIECE_MIN_BYTES;
  return piece < CHUNK_BYTES ? piece : CHUNK_BYTES;
}

/* ---- chunks ------------------------------------------------------------------------------------------------------------ */

/* The driver's number of pinned memory; 0: it knows of none there, or cannot tell. */
static uint64_t id_of(const fh_cuda_functions *fn, const void *host) {
  unsigned long long id = 0;
  if (!fn->cuPointerGetAttribute ||
      fn->cuPointerGetAttribute(&id, FH_CU_POINTER_ATTRIBUTE_BUFFER_ID, (fh_cu_ptr)(uintptr_t)host) != FH_CUDA_SUCCESS)
    return 0;
  return id;
}

/* Makes one more chunk; false where the system or the limit has no room. */
static bool add_chunk(fh_stream *stream) {
  fh_device *device = stream->device;
  fh_cuda_staging *staging = &stream->staging;
  fh_cuda_chunk chunk = {0};
  if (atomic_fetch_add(&device->pinned_bytes, CHUNK_BYTES) + CHUNK_BYTES > DEVICE_PINNED_LIMIT ||
      device->fn->cuMemHostAlloc((void **)&chunk.host, CHUNK_BYTES, 0) != FH_CUDA_SUCCESS) {
    atomic_fetch_sub(&device->pinned_bytes, CHUNK_BYTES);
    return false;
  }
  if (device->fn->cuEventCreate(&chunk.event, FH_CU_EVENT_DISABLE_TIMING) != FH_CUDA_SUCCESS) {
    (void)device->fn->cuMemFreeHost(chunk.host);
    atomic_fetch_sub(&device->pinned_bytes, CHUNK_BYTES);
    return false;
  }
  chunk.id = id_of(device->fn, chunk.host);
  staging->chunks[staging->count++] = chunk;
  return true;
}

/* All chunks of a stream end with their context, and no other memory has the number of one: the driver never gives it again. */
fh_status fh_cuda_staging_check(const fh_stream *stream) {
  const fh_cuda_staging *staging = &stream->staging;
  if (staging->count == 0 || staging->chunks[0].id == 0) return FH_OK;
  return id_of(stream->device->fn, staging->chunks[0].host) == staging->chunks[0].id ? FH_OK : fh_cuda_was_reset(stream->device);
}

/* What idle streams have is given back where this one lacks it. */
static bool has_made_room(fh_device *device) {
  pthread_mutex_lock(&device->lock);
  const bool room = !fh_cuda_any_late(device) && fh_cuda_spares_end(device, true);
  pthread_mutex_unlock(&device->lock);
  return room;
}

/* Two chunks at least: with one, nothing overlaps. */
static bool has_ring(fh_stream *stream) {
  fh_cuda_staging *staging = &stream->staging;
  while (staging->count < FH_CUDA_CHUNKS && !staging->full)
    staging->full = !add_chunk(stream) && !(has_made_room(stream->device) && add_chunk(stream));
  if (staging->count >= 2) return true;
  if (!staging->told)
    fh_log(FH_LOG_DEBUG, "%s: no pinned memory for copies: the driver's own way is taken", stream->device->found->info.id);
  staging->told = true;
  return false;
}

/* What has come from the device goes to where it belongs. */
static void empty(fh_cuda_chunk *chunk) {
  if (chunk->out) memcpy(chunk->out, chunk->host, chunk->out_bytes);
  chunk->out = NULL;
  chunk->queued = false;
}

/* Until the device is done with the chunk. */
static fh_status settle_chunk(fh_stream *stream, fh_cuda_chunk *chunk) {
  int64_t start = fh_now_ns();
  while (chunk->queued) {
    fh_cu_result code = stream->device->fn->cuEventQuery(chunk->event);
    if (code == FH_CUDA_SUCCESS)
      empty(chunk);
    else if (code == FH_CUDA_ERROR_NOT_READY)
      fh_cuda_rest(fh_now_ns() - start, -1);
    else
      return FH_CUDA_FAIL(stream->device, code, "cuEventQuery", "copying through pinned memory");
  }
  return FH_OK;
}

static fh_status next_chunk(fh_stream *stream, fh_cuda_chunk **out_chunk) {
  fh_cuda_staging *staging = &stream->staging;
  *out_chunk = &staging->chunks[staging->next];
  staging->next = (staging->next + 1) % staging->count;
  return settle_chunk(stream, *out_chunk);
}

void fh_cuda_staging_reached(fh_stream *stream, fh_point point) {
  for (int i = 0; i < stream->staging.count; i++)
    if (stream->staging.chunks[i].queued && stream->staging.chunks[i].point <= point) empty(&stream->staging.chunks[i]);
}

void fh_cuda_staging_close(fh_stream *stream) {
  const fh_cuda_functions *fn = stream->device->fn;
  fh_cuda_staging *staging = &stream->staging;
  if (staging->copier) (void)fn->cuStreamSynchronize(staging->copier);
  for (int i = 0; i < staging->count; i++) {
    (void)fn->cuEventDestroy_v2(staging->chunks[i].event);
    (void)fn->cuMemFreeHost(staging->chunks[i].host);
    atomic_fetch_sub(&stream->device->pinned_bytes, CHUNK_BYTES);
  }
  if (staging->copied) (void)fn->cuEventDestroy_v2(staging->copied);
  if (staging->copier) (void)fn->cuStreamDestroy_v2(staging->copier);
}

/* ---- order in host memory -------------------------------------------------------------------------------------------------- */

static bool overlap(const char *a, size_t a_bytes, const char *b, size_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

fh_status fh_cuda_staging_settle(fh_stream *stream, const void *host, size_t bytes) {
  fh_cuda_staging *staging = &stream->staging;
  for (int i = 0; i < staging->count; i++) {
    fh_cuda_chunk *chunk = &staging->chunks[i];
    if (chunk->out && overlap(chunk->out, chunk->out_bytes, host, bytes)) FH_TRY(settle_chunk(stream, chunk));
  }
  return FH_OK;
}

/* Copies to the host that the driver carries out in order are remembered by the span of all: reading ahead of one would be wrong. */
static void note_written(fh_stream *stream, char *host, size_t bytes) {
  fh_cuda_staging *staging = &stream->staging;
  if (stream->completed >= staging->written_at) staging->written_from = NULL; /* all that was noted before is done */
  staging->written_at = stream->submitted;
  if (!staging->written_from || host < staging->written_from) {
    if (!staging->written_from) staging->written_to = host;
    staging->written_from = host;
  }
  if (host + bytes > staging->written_to) staging->written_to = host + bytes;
}

static fh_status settle_written(fh_stream *stream, const char *host, size_t bytes) {
  fh_cuda_staging *staging = &stream->staging;
  if (!staging->written_from || !overlap(staging->written_from, (size_t)(staging->written_to - staging->written_from), host, bytes))
    return FH_OK;
  fh_cu_result code = stream->device->fn->cuStreamSynchronize(stream->handle);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(stream->device, code, "cuStreamSynchronize", "copying %zu bytes from the host", bytes);
  staging->written_from = NULL;
  return FH_OK;
}

/* ---- copies ------------------------------------------------------------------------------------------------------------------ */

typedef enum copy_way { IN_ORDER, STAGED, STRAIGHT } copy_way;

/* By the driver in order with the stream, in pieces through the ring, or by the device itself. */
static copy_way way_of(fh_stream *stream, void *host, size_t bytes) {
  if (bytes < STAGE_FROM_BYTES) return IN_ORDER;
  if (fh_cuda_is_pinned(stream->device, host, bytes)) return STRAIGHT;
  return has_ring(stream) ? STAGED : IN_ORDER;
}

/* The stream that copies to memory nobody has used yet while kernels run; NULL: in order with them. */
static fh_cu_stream copier_of(fh_stream *stream) {
  fh_cuda_staging *staging = &stream->staging;
  const fh_cuda_functions *fn = stream->device->fn;
  if (staging->copier) return staging->copier;
  if (!staging->copied && fn->cuEventCreate(&staging->copied, FH_CU_EVENT_DISABLE_TIMING) != FH_CUDA_SUCCESS) {
    staging->copied = NULL;
    return NULL;
  }
  if (fn->cuStreamCreate(&staging->copier, FH_CU_STREAM_NON_BLOCKING) != FH_CUDA_SUCCESS) staging->copier = NULL;
  return staging->copier;
}

static fh_status mark_chunk(fh_stream *stream, fh_cu_stream on, fh_cuda_chunk *chunk) {
  chunk->point = stream->submitted;
  chunk->queued = true;
  fh_cu_result code = stream->device->fn->cuEventRecord(chunk->event, on);
  if (code == FH_CUDA_SUCCESS) return FH_OK;
  chunk->queued = false;
  return FH_CUDA_FAIL(stream->device, code, "cuEventRecord", "copying through pinned memory");
}

static fh_status upload_pieces(fh_stream *stream, fh_cu_stream on, fh_cu_ptr to, const char *from, size_t bytes) {
  const size_t piece = piece_bytes(bytes);
  for (size_t done = 0, part; done < bytes; done += part) {
    fh_cuda_chunk *chunk;
    part = bytes - done < piece ? bytes - done : piece;
    FH_TRY(next_chunk(stream, &chunk));
    memcpy(chunk->host, from + done, part);
    fh_cu_result code = stream->device->fn->cuMemcpyHtoDAsync_v2(to + done, chunk->host, part, on);
    if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(stream->device, code, "cuMemcpyHtoDAsync", "copying %zu bytes", bytes);
    FH_TRY(mark_chunk(stream, on, chunk));
  }
  return FH_OK;
}

static fh_status upload_straight(fh_stream *stream, fh_cu_stream on, fh_cu_ptr to, const char *from, size_t bytes) {
  fh_cu_result code = stream->device->fn->cuMemcpyHtoDAsync_v2(to, from, bytes, on);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuMemcpyHtoDAsync", "copying %zu bytes", bytes);
}

typedef fh_status (*upload_fn)(fh_stream *stream, fh_cu_stream on, fh_cu_ptr to, const char *from, size_t bytes);

/* Beside the kernels that are under way; what the stream takes after this waits for it. */
static fh_status upload_beside(fh_stream *stream, fh_cu_stream on, const fh_memory *memory, fh_cu_ptr to, const char *from, size_t bytes,
                               upload_fn upload) {
  const fh_cuda_functions *fn = stream->device->fn;
  FH_TRY(fh_cuda_wait_fence(stream->device, on, &memory->fence));
  FH_TRY(upload(stream, on, to, from, bytes));
  fh_cu_result code = fn->cuEventRecord(stream->staging.copied, on);
  if (code == FH_CUDA_SUCCESS) code = fn->cuStreamWaitEvent(stream->handle, stream->staging.copied, 0);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuStreamWaitEvent", "ordering a copy before what follows");
}

fh_status fh_cuda_upload(fh_stream *stream, fh_memory *memory, bool fresh, fh_cu_ptr to, void *from, size_t bytes) {
  FH_TRY(fh_cuda_staging_settle(stream, from, bytes));
  const copy_way way = way_of(stream, from, bytes);
  const upload_fn upload = way == STAGED ? upload_pieces : upload_straight;
  if (way == STAGED) FH_TRY(fh_cuda_staging_check(stream)); /* else a chunk might be no memory any more */
  const bool busy = stream->completed + 1 < stream->submitted;
  fh_cu_stream beside = way != IN_ORDER && fresh && busy ? copier_of(stream) : NULL;
  if (way == STAGED || beside) FH_TRY(settle_written(stream, from, bytes)); /* read ahead of what was submitted before */
  return beside ? upload_beside(stream, beside, memory, to, from, bytes, upload) : upload(stream, stream->handle, to, from, bytes);
}

fh_status fh_cuda_download(fh_stream *stream, void *to, fh_cu_ptr from, size_t bytes) {
  FH_TRY(fh_cuda_staging_settle(stream, to, bytes));
  const bool staged = way_of(stream, to, bytes) == STAGED;
  const size_t piece = staged ? piece_bytes(bytes) : bytes;
  if (staged) FH_TRY(fh_cuda_staging_check(stream));
  for (size_t done = 0, part; done < bytes; done += part) {
    fh_cuda_chunk *chunk = NULL;
    part = bytes - done < piece ? bytes - done : piece;
    if (staged) FH_TRY(next_chunk(stream, &chunk));
    char *target = staged ? chunk->host : to;
    fh_cu_result code = stream->device->fn->cuMemcpyDtoHAsync_v2(target, from + done, part, stream->handle);
    if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(stream->device, code, "cuMemcpyDtoHAsync", "copying %zu bytes", bytes);
    if (!staged) break;
    FH_TRY(mark_chunk(stream, stream->handle, chunk));
    chunk->out = (char *)to + done;
    chunk->out_bytes = part;
  }
  if (!staged) note_written(stream, to, bytes);
  return FH_OK;
}
