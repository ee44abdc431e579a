/* CUDA streams that were closed, kept for the next that opens. SPDX-License-Identifier: Apache-2.0
 *
 * A launch in chunks that overlap opens a stream and closes it when it ends, and so do short-lived threads. What such a stream has
 * gathered, its events and above all its ring of pinned chunks, takes the driver longer to make than a small job takes, so a few stay with
 * the device, idle. They end where memory is short, whether the device's or what may be pinned, and with the device. */
#include <stdlib.h>

#include "backends/cuda/cuda_internal.h"

/* Of pinned memory these are 32 MiB: half of what one device's streams may have. */
enum { SPARES = 2 };

static bool is_full(const fh_device *device) {
  int count = 0;
  for (const fh_stream *s = device->spares; s; s = s->next) count++;
  return count >= SPARES;
}

/* As one that was just opened: only what the driver made stays. */
static void renew(fh_stream *stream) {
  fh_cuda_staging *staging = &stream->staging;
  stream->serial = 0;
  stream->next = NULL;
  stream->freed_bytes = 0;
  stream->freed_at = stream->submitted = stream->completed = stream->marked = 0;
  stream->late = false;
  stream->latest = NULL;
  for (int i = 0; i < FH_CUDA_POINTS; i++) stream->marks[i] = 0;
  for (int i = 0; i < FH_CUDA_POINTS; i++) stream->launched[i] = NULL;
  staging->next = 0;
  staging->full = staging->told = false;
  staging->written_from = staging->written_to = NULL;
  staging->written_at = 0;
}

bool fh_cuda_spare_keep(fh_stream *stream) {
  fh_device *device = stream->device;
  pthread_mutex_lock(&device->lock);
  const bool kept = !is_full(device);
  if (kept) {
    renew(stream);
    stream->next = device->spares;
    device->spares = stream;
  }
  pthread_mutex_unlock(&device->lock);
  return kept;
}

static fh_stream *take_first(fh_device *device) {
  pthread_mutex_lock(&device->lock);
  fh_stream *stream = device->spares;
  if (stream) device->spares = stream->next;
  pthread_mutex_unlock(&device->lock);
  return stream;
}

/* Another library may have reset the context, and made it anew, while no call of ours would have met it. Its memory is asked about first:
 * that is answered for any address. */
static fh_status check(const fh_stream *stream) {
  FH_TRY(fh_cuda_staging_check(stream));
  const fh_cu_result code = stream->device->fn->cuStreamSynchronize(stream->handle); /* idle as it is, nothing is waited for */
  if (code == FH_CUDA_ERROR_INVALID_HANDLE) return fh_cuda_was_reset(stream->device);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuStreamSynchronize", "opening a stream");
}

fh_status fh_cuda_spare_take(fh_device *device, fh_stream **out_stream) {
  *out_stream = NULL;
  fh_stream *stream = take_first(device);
  fh_status status = stream ? check(stream) : FH_OK;
  if (status) {
    free(stream); /* what the driver made for it is gone, or the device is */
  } else {
    *out_stream = stream;
  }
  return status;
}

bool fh_cuda_spares_end(fh_device *device, bool entered) {
  const bool any = device->spares;
  while (device->spares) {
    fh_stream *stream = device->spares;
    device->spares = stream->next;
    if (entered) fh_cuda_stream_end_handles(stream);
    free(stream);
  }
  return any;
}
