/* CUDA streams: batches in order, points on the timeline. SPDX-License-Identifier: Apache-2.0
 * An event costs the host a fraction of a launch and holds up the device between short kernels, so one is recorded only after every
 * MARK_EVERY-th batch, and where somebody asks for a point that none stands for yet: such a point counts as reached with the batches
 * that were submitted after it by then. The events are a ring that is made on first use and reused, so that a warmed stream allocates
 * nothing. Waiting polls and sleeps in growing steps: a time limit holds even when the driver does not answer well,
 * and a long wait burns no CPU. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"

enum { MARK_EVERY = 16 };
enum { SPIN_NS = 20 * 1000, SLEEP_MAX_NS = 1000 * 1000, SLEEP_MIN_NS = 10 * 1000 };
#define LATE_CLOSE_NS ((int64_t)2 * 1000 * 1000 * 1000)

static int slot_of(fh_point point) { return (int)(point % FH_CUDA_POINTS); }

/* ---- life ---------------------------------------------------------------------------------------------------- */

static void enlist(fh_stream *stream) {
  fh_device *device = stream->device;
  pthread_mutex_lock(&device->lock);
  stream->serial = ++device->stream_serial;
  stream->next = device->streams;
  device->streams = stream;
  pthread_mutex_unlock(&device->lock);
}

/* From here on what waits for the stream's work takes it as done, so it must be: another thread may have allocated in order with the
 * stream since that was settled. `reachable`: the driver can be called and comes back. */
static void delist(fh_stream *stream, bool reachable) {
  fh_device *device = stream->device;
  pthread_mutex_lock(&device->lock);
  if (reachable && !fh_cuda_any_late(device)) (void)device->fn->cuStreamSynchronize(stream->handle);
  fh_stream **link = &device->streams;
  while (*link != stream) link = &(*link)->next;
  *link = stream->next;
  pthread_mutex_unlock(&device->lock);
}

/* With the context current. */
static fh_status make(fh_device *device, fh_stream **out_stream) {
  fh_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no host memory for a CUDA stream");
  stream->device = device;
  /* Not tied to the default stream, which others in the process may use. */
  fh_cu_result code = device->fn->cuStreamCreate(&stream->handle, FH_CU_STREAM_NON_BLOCKING);
  if (code != FH_CUDA_SUCCESS) {
    free(stream);
    return FH_CUDA_FAIL(device, code, "cuStreamCreate", "opening a stream");
  }
  *out_stream = stream;
  return FH_OK;
}

fh_status fh_cuda_stream_open(fh_device *device, fh_stream **out_stream) {
  *out_stream = NULL;
  FH_TRY(fh_cuda_enter(device));
  fh_stream *stream;
  fh_status status = fh_cuda_spare_take(device, &stream);
  if (!status && !stream) status = make(device, &stream);
  fh_cuda_leave(device);
  if (!stream) return status;
  enlist(stream);
  *out_stream = stream;
  return FH_OK;
}

static bool is_busy(const fh_stream *stream) { return stream->submitted > stream->completed; }

/* Tells the device when this stream begins and ends to have work in flight. */
static void set_progress(fh_stream *stream, fh_point submitted, fh_point completed) {
  bool before = is_busy(stream);
  stream->submitted = submitted;
  if (completed > stream->completed) stream->late = false;
  stream->completed = completed;
  bool after = is_busy(stream);
  if (after && !before) atomic_fetch_add(&stream->device->busy_streams, 1);
  if (before && !after) atomic_fetch_sub(&stream->device->busy_streams, 1);
}

/* The stream is dead from now on. Takes the failure and returns a status for the caller. */
static fh_status die(fh_stream *stream, fh_status failure) {
  if (!stream->failure) {
    stream->failure = failure;
    return fh_status_clone(failure);
  }
  return failure;
}

/* Another stream's fault may have killed the device in the meantime. */
static fh_status health(fh_stream *stream) {
  if (stream->failure) return fh_status_clone(stream->failure);
  fh_status status = fh_cuda_alive(stream->device);
  return status ? die(stream, status) : FH_OK;
}

/* ---- progress -------------------------------------------------------------------------------------------------- */

/* An event for all that is submitted by now. With the context current. */
static fh_status mark(fh_stream *stream) {
  fh_device *device = stream->device;
  fh_point point = stream->submitted;
  fh_cu_event *event = &stream->events[slot_of(point)];
  fh_cu_result code;
  if (!*event && (code = device->fn->cuEventCreate(event, FH_CU_EVENT_DISABLE_TIMING)) != FH_CUDA_SUCCESS) {
    *event = NULL;
    return FH_CUDA_FAIL(device, code, "cuEventCreate", "marking a point");
  }
  code = device->fn->cuEventRecord(*event, stream->handle);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(device, code, "cuEventRecord", "marking a point");
  stream->marks[slot_of(point)] = stream->marked = point;
  return FH_OK;
}

/* The first point from this one on that has an event: at most MARK_EVERY further. One was marked there or later. */
static fh_point marked_from(const fh_stream *stream, fh_point point) {
  while (stream->marks[slot_of(point)] != point) point++;
  return point;
}

/* A call may report what an earlier launch did: a fatal failure names the last one. */
static fh_status name_last(const fh_stream *stream, fh_status status, const char *last_launched) {
  if (!status || !last_launched || !atomic_load(&stream->device->dead)) return status;
  return fh_status_annotate(status, "the last launch on this stream was %s", last_launched);
}

/* Asks whether the point is reached. With the context current. */
static fh_status look(fh_stream *stream, fh_point point, bool *out_done) {
  *out_done = point <= stream->completed;
  if (*out_done) return FH_OK;
  fh_device *device = stream->device;
  if (point > stream->marked) {
    fh_status status = mark(stream);
    if (status) return die(stream, name_last(stream, status, stream->launched[slot_of(stream->submitted)]));
  }
  fh_point seen = marked_from(stream, point);
  fh_cu_result code = device->fn->cuEventQuery(stream->events[slot_of(seen)]);
  if (code == FH_CUDA_ERROR_NOT_READY) return FH_OK;
  if (code == FH_CUDA_SUCCESS) {
    fh_cuda_staging_reached(stream, seen);
    set_progress(stream, stream->submitted, seen);
    *out_done = true;
    return FH_OK;
  }
  const char *last = stream->launched[slot_of(seen)];
  return die(stream, FH_CUDA_FAIL(device, code, "cuEventQuery", "work up to point %llu of a stream, the last launch was %s",
                                  (unsigned long long)seen, last ? last : "none"));
}

static fh_status check_point(const fh_stream *stream, fh_point point) {
  if (point <= stream->submitted) return FH_OK;
  return FH_STATUS(FH_OUT_OF_RANGE, "point %llu was never submitted: the stream is at %llu", (unsigned long long)point,
                   (unsigned long long)stream->submitted);
}

fh_status fh_cuda_poll(fh_stream *stream, fh_point point, bool *out_done) {
  *out_done = false;
  FH_TRY(health(stream));
  *out_done = point <= stream->completed;
  if (*out_done || point > stream->submitted) return FH_OK;
  fh_status status = fh_cuda_enter(stream->device);
  if (status) return die(stream, status);
  status = look(stream, point, out_done);
  fh_cuda_leave(stream->device);
  return status;
}

/* A short spin for short work, then sleeps of an eighth of the time waited so far: at most 1/8 late, nearly no CPU. */
void fh_cuda_rest(int64_t waited_ns, int64_t left_ns) {
  if (waited_ns < SPIN_NS) {
    fh_cpu_relax();
    return;
  }
  int64_t ns = waited_ns / 8;
  if (ns < SLEEP_MIN_NS) ns = SLEEP_MIN_NS;
  if (ns > SLEEP_MAX_NS) ns = SLEEP_MAX_NS;
  if (left_ns >= 0 && ns > left_ns) ns = left_ns;
  nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL);
}

/* With the context current. */
static fh_status wait_for(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  int64_t start = fh_now_ns();
  for (;;) {
    bool done;
    FH_TRY(look(stream, point, &done));
    if (done) return FH_OK;
    int64_t waited = fh_now_ns() - start;
    if (timeout_ns >= 0 && waited >= timeout_ns) {
      stream->late = true;
      return FH_STATUS(FH_DEADLINE_EXCEEDED, "point %llu of a stream of %s was not reached in %.3f s (the work goes on)",
                       (unsigned long long)point, stream->device->found->info.id, (double)timeout_ns * 1e-9);
    }
    fh_cuda_rest(waited, timeout_ns < 0 ? -1 : timeout_ns - waited);
  }
}

fh_status fh_cuda_wait(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  FH_TRY(health(stream));
  FH_TRY(check_point(stream, point));
  if (point <= stream->completed) return FH_OK;
  fh_status status = fh_cuda_enter(stream->device);
  if (status) return die(stream, status);
  status = wait_for(stream, point, timeout_ns);
  fh_cuda_leave(stream->device);
  return status;
}

/* ---- end -------------------------------------------------------------------------------------------------------- */

/* Nothing may write to host memory after the stream is closed, so this waits. A stream that did not come back in its time
 * before gets a moment more; then the device is given up, since any call to it may now block for ever. True: all that was queued is done,
 * and nothing ever failed. With the context current. */
static bool settle(fh_stream *stream) {
  fh_device *device = stream->device;
  if (atomic_load(&device->dead)) return false;
  pthread_mutex_lock(&device->lock);
  const bool late = fh_cuda_any_late(device); /* it may stand behind another stream's work */
  pthread_mutex_unlock(&device->lock);
  if (!late) {
    fh_cu_result code =
        device->fn->cuStreamSynchronize(stream->handle); /* also for what has no event: a batch queued in part, an allocation */
    if (code == FH_CUDA_SUCCESS) fh_cuda_staging_reached(stream, stream->submitted);
    return code == FH_CUDA_SUCCESS && !stream->failure;
  }
  fh_status status = wait_for(stream, stream->submitted, LATE_CLOSE_NS);
  if (fh_status_code(status) == FH_DEADLINE_EXCEEDED && stream->late) {
    atomic_store(&device->dead, (fh_cu_result)FH_CUDA_ERROR_LAUNCH_TIMEOUT);
    atomic_store(&device->stuck, true);
  }
  fh_status_free(status);
  return false;
}

void fh_cuda_stream_end_handles(fh_stream *stream) {
  fh_cuda_staging_close(stream);
  for (int i = 0; i < FH_CUDA_POINTS; i++)
    if (stream->events[i]) (void)stream->device->fn->cuEventDestroy_v2(stream->events[i]);
  (void)stream->device->fn->cuStreamDestroy_v2(stream->handle);
}

void fh_cuda_stream_close(fh_stream *stream) {
  if (!stream) return;
  fh_device *device = stream->device;
  bool kept = false;
  if (fh_cuda_enter_quietly(device)) {
    const bool sound = settle(stream);
    delist(stream, !atomic_load(&device->dead));
    set_progress(stream, stream->submitted, stream->submitted);
    kept = sound && fh_cuda_spare_keep(stream);
    if (!kept && !atomic_load(&device->stuck)) fh_cuda_stream_end_handles(stream);
    fh_cuda_leave(device);
  } else if (fh_cuda_same_process(device->backend)) { /* in a child the lock may have been held when it was made */
    delist(stream, false);
    set_progress(stream, stream->submitted, stream->submitted);
  }
  if (kept) return;
  fh_status_free(stream->failure);
  free(stream);
}

/* ---- commands: each is queued with the context current ---------------------------------------------------------- */

static fh_status check_host(const fh_stream *stream, const char *what, const fh_place *place, size_t bytes) {
  if (place->host || !bytes) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: %s has neither memory nor host address", stream->device->found->info.id, what);
}

static void *host_of(const fh_place *place) { return (char *)place->host + place->offset; }

/* Overlapping ranges go through another block, as with memmove: the driver's copy does not promise that. */
static fh_status copy_overlapping(fh_stream *stream, fh_cu_ptr to, fh_cu_ptr from, size_t bytes) {
  const fh_cuda_functions *fn = stream->device->fn;
  fh_memory *between;
  FH_TRY(fh_cuda_alloc(stream->device, bytes, &between));
  fh_status status = fh_cuda_use(stream, between);
  if (status) {
    fh_cuda_free(between);
    return status;
  }
  fh_cu_result code = fn->cuMemcpyDtoDAsync_v2(between->block.address, from, bytes, stream->handle);
  if (code == FH_CUDA_SUCCESS) code = fn->cuMemcpyDtoDAsync_v2(to, between->block.address, bytes, stream->handle);
  fh_cuda_free(between); /* in order with the stream */
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuMemcpyDtoDAsync", "copying %zu bytes", bytes);
}

/* No work for the device, but in order with it. */
static fh_status copy_on_host(fh_stream *stream, void *to, const void *from, size_t bytes) {
  fh_cu_result code = stream->device->fn->cuStreamSynchronize(stream->handle);
  if (code != FH_CUDA_SUCCESS) return FH_CUDA_FAIL(stream->device, code, "cuStreamSynchronize", "copying %zu bytes on the host", bytes);
  FH_TRY(fh_cuda_staging_settle(stream, from, bytes));
  FH_TRY(fh_cuda_staging_settle(stream, to, bytes));
  memmove(to, from, bytes);
  return FH_OK;
}

static fh_status queue_copy(fh_stream *stream, const fh_command *command) {
  const fh_place *from = &command->copy.from, *to = &command->copy.to;
  size_t bytes = command->copy.bytes;
  fh_cu_ptr device_from = 0, device_to = 0;
  if (from->memory && to->memory && from->memory->device != stream->device && to->memory->device == stream->device)
    return fh_cuda_copy_from_peer(stream, command);
  const bool fresh = to->memory && to->memory->device == stream->device && fh_cuda_is_fresh(stream->device, to->memory);
  FH_TRY(from->memory ? fh_cuda_address_of(stream, "copy from", from, bytes, &device_from) : check_host(stream, "copy from", from, bytes));
  FH_TRY(to->memory ? fh_cuda_address_of(stream, "copy to", to, bytes, &device_to) : check_host(stream, "copy to", to, bytes));
  if (bytes == 0) return FH_OK;
  if (!from->memory && !to->memory) return copy_on_host(stream, host_of(to), host_of(from), bytes);
  if (from->memory && to->memory && device_from < device_to + bytes && device_to < device_from + bytes)
    return copy_overlapping(stream, device_to, device_from, bytes);
  if (!from->memory) return fh_cuda_upload(stream, to->memory, fresh, device_to, host_of(from), bytes);
  if (!to->memory) return fh_cuda_download(stream, host_of(to), device_from, bytes);
  fh_cu_result code = stream->device->fn->cuMemcpyDtoDAsync_v2(device_to, device_from, bytes, stream->handle);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuMemcpyDtoDAsync", "copying %zu bytes", bytes);
}

static fh_status queue_fill(fh_stream *stream, const fh_command *command) {
  fh_cu_ptr to = 0;
  FH_TRY(fh_cuda_address_of(stream, "fill", &command->fill.to, command->fill.bytes, &to));
  if (command->fill.bytes == 0) return FH_OK;
  fh_cu_result code = stream->device->fn->cuMemsetD8Async(to, command->fill.value, command->fill.bytes, stream->handle);
  return code == FH_CUDA_SUCCESS ? FH_OK : FH_CUDA_FAIL(stream->device, code, "cuMemsetD8Async", "filling %zu bytes", command->fill.bytes);
}

static fh_status queue_launch(fh_stream *stream, const fh_command *command) {
  fh_cuda_launch launch;
  FH_TRY(fh_cuda_describe_launch(stream, command, &launch));
  return fh_cuda_queue_launch(stream, &launch);
}

static fh_status queue_command(fh_stream *stream, const fh_command *command) {
  switch (command->kind) {
    case FH_COMMAND_COPY:
      return queue_copy(stream, command);
    case FH_COMMAND_FILL:
      return queue_fill(stream, command);
    case FH_COMMAND_LAUNCH:
      return queue_launch(stream, command);
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "%s: unknown command kind %d", stream->device->found->info.id, (int)command->kind);
}

/* The ring's slot of the new point must be free: its former point must be done. */
static fh_status make_room(fh_stream *stream, fh_point point) {
  return point - stream->completed > FH_CUDA_POINTS ? wait_for(stream, point - FH_CUDA_POINTS, -1) : FH_OK;
}

static fh_status queue_commands(fh_stream *stream, const fh_command *commands, int count, void *unused, bool *out_any) {
  (void)unused;
  for (int i = 0; i < count; i++) {
    FH_TRY(queue_command(stream, &commands[i]));
    *out_any = true;
  }
  return FH_OK;
}

static fh_status queue_batch(fh_stream *stream, const fh_command *commands, int count, fh_cuda_queue_fn queue, void *arg, bool *out_any) {
  const fh_point point = stream->submitted + 1;
  FH_TRY(make_room(stream, point));
  atomic_store(&stream->device->last_stream, stream->serial);
  set_progress(stream, point, stream->completed); /* from the first command on, whatever comes of the rest */
  fh_status status = queue(stream, commands, count, arg, out_any);
  if (!status && point - stream->marked >= MARK_EVERY) status = mark(stream);
  stream->launched[slot_of(point)] = stream->latest;
  return name_last(stream, status, stream->latest);
}

fh_status fh_cuda_submit_by(fh_stream *stream, const fh_command *commands, int count, fh_cuda_queue_fn queue, void *arg,
                            fh_point *out_point) {
  *out_point = stream->submitted;
  FH_TRY(health(stream));
  fh_status status = fh_cuda_enter(stream->device);
  if (status) return die(stream, status);
  const fh_point point = stream->submitted + 1;
  bool any = false;
  status = queue_batch(stream, commands, count, queue, arg, &any);
  fh_cuda_leave(stream->device);
  if (!status || any) *out_point = point;
  return status ? die(stream, status) : FH_OK;
}

fh_status fh_cuda_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point) {
  return fh_cuda_submit_by(stream, commands, count, queue_commands, NULL, out_point);
}
