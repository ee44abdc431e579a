/* Running a call on a candidate: residency, scratch, submission. SPDX-License-Identifier: Apache-2.0
 *
 * A buffer's contents move only here and in fh_buffer_to_host, and every byte moved is counted.
 * Long: what moves contents and what launches on them share the queues' streams and the rules of who waits for whom.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "runtime/base/clock.h"
#include "runtime/plan/neighbours.h"

/* Launches of an estimate's bucket that are waited for, so that there is something to estimate from. */
enum { TIMED_LAUNCHES = 3 };

/* ---- streams ----------------------------------------------------------------------------------------------- */

static fh_status stream_of(fh_queue *queue, int device, fh_stream **out_stream) {
  if (!queue->streams[device]) {
    const fh_plan_device *d = &queue->context->devices[device];
    FH_TRY(d->api->stream_open(d->device, &queue->streams[device]));
  }
  *out_stream = queue->streams[device];
  return FH_OK;
}

static fh_status stream_wait(fh_queue *queue, int device) {
  if (!queue->streams[device] || queue->last[device] == 0) return FH_OK;
  return queue->context->devices[device].api->wait(queue->streams[device], queue->last[device], FH_FOREVER);
}

static void stream_end(fh_queue *queue, int device) {
  if (queue->streams[device]) queue->context->devices[device].api->stream_close(queue->streams[device]);
  queue->streams[device] = NULL;
  queue->last[device] = 0;
}

void fh_streams_end(fh_context *context, int device) {
  for (fh_queue *q = context->queues; q; q = q->next) stream_end(q, device);
}

/* A stream that refused a command is dead for good: where the device lives, the queue gets a new one. Closing waits for the work
 * that was accepted. A batch of which a part ran has left its outputs neither old nor new: that is a loss. */
static fh_status stream_submit_as(fh_queue *queue, int device, const fh_command *commands, int count, fh_replay **replay,
                                  bool *out_refused) {
  const fh_plan_device *d = &queue->context->devices[device];
  fh_point point = 0, before = queue->last[device];
  fh_status status = replay && d->api->replay ? d->api->replay(queue->streams[device], commands, count, replay, &point, out_refused)
                                              : d->api->submit(queue->streams[device], commands, count, &point);
  queue->last[device] = status ? before : point;
  if (!status || fh_blames_device(fh_status_code(status))) return status;
  stream_end(queue, device);
  if (point <= before || d->info.kind == FH_DEVICE_CPU) return status;
  FH_TRY(fh_recover(queue->context, NULL, device, status));
  return FH_STATUS_CAUSE(FH_ABORTED, d->cause, "%s was lost in the middle of a launch", d->info.id);
}

static fh_status stream_submit(fh_queue *queue, int device, const fh_command *commands, int count) {
  return stream_submit_as(queue, device, commands, count, NULL, NULL);
}

fh_status fh_queue_settle(fh_queue *queue, int device) {
  fh_status status = stream_wait(queue, device);
  return status ? fh_recover(queue->context, NULL, device, status) : FH_OK;
}

static fh_status settle_all(fh_context *context, int device) {
  for (fh_queue *q = context->queues; q; q = q->next) FH_TRY(fh_queue_settle(q, device));
  return FH_OK;
}

void fh_queue_close(fh_queue *queue) {
  for (int d = 0; d < queue->context->device_count; d++) {
    const fh_plan_device *device = &queue->context->devices[d];
    for (int t = 0; t < FH_PLAN_SCRATCHES; t++)
      if (queue->scratch[d][t].memory) device->api->free(queue->scratch[d][t].memory);
    stream_end(queue, d);
    memset(queue->scratch[d], 0, sizeof queue->scratch[d]);
  }
}

/* ---- to the host -------------------------------------------------------------------------------------------- */

static bool replica_current(const fh_context *context, const fh_buffer *buffer, int device) {
  return buffer->replicas[device].memory && buffer->replicas[device].version == buffer->version &&
         context->devices[device].state == FH_STATE_OPEN;
}

static int device_of(const fh_context *context, const fh_buffer *buffer) {
  int device = 0;
  while (device < context->device_count && !replica_current(context, buffer, device)) device++;
  return device;
}

/* Pinning costs about as much as a copy through chunks, so memory that is copied once is left alone. */
enum { PIN_AT_COPY = 3, PIN_FROM_BYTES = 4 << 20 };

static void consider_pinning(const fh_context *context, int device, fh_buffer *buffer) {
  const fh_plan_device *d = &context->devices[device];
  if (++buffer->copies != PIN_AT_COPY || buffer->bytes < PIN_FROM_BYTES || buffer->pinned || !d->api->pin) return;
  buffer->pinned = d->api->pin(d->device, buffer->host, buffer->bytes);
  buffer->pinned_by = device;
}

void fh_buffer_unpin(fh_context *context, fh_buffer *buffer) {
  if (!buffer->pinned) return;
  for (int d = 0; d < context->device_count; d++) { /* another buffer may share the memory, and be on its way to any device */
    fh_status status = context->devices[d].state == FH_STATE_OPEN ? settle_all(context, d) : FH_OK;
    fh_status_free(status); /* a device lost now is met again at the next launch or wait */
  }
  context->devices[buffer->pinned_by].api->unpin(buffer->pinned);
  buffer->pinned = NULL;
}

/* Who fetches: a queue whose own work alone has touched the buffer, or NULL, and then all work on the device is waited for. */
static fh_status copy_home(fh_context *context, fh_queue *only, fh_buffer *buffer, int device, char *to) {
  if (to == buffer->host) consider_pinning(context, device, buffer);
  fh_queue *queue = only ? only : context->queues;
  fh_stream *stream;
  FH_TRY(stream_of(queue, device, &stream));
  fh_command copy = {.kind = FH_COMMAND_COPY,
                     .copy = {.from = {.memory = buffer->replicas[device].memory}, .to = {.host = to}, .bytes = buffer->bytes}};
  const double start = fh_now_seconds();
  fh_status status = stream_submit(queue, device, &copy, 1);
  if (!status) status = stream_wait(queue, device);
  if (status) return status;
  if (!only) fh_link_sample(&context->devices[device], FH_FROM_DEVICE, buffer->bytes, fh_now_seconds() - start); /* alone on the link */
  context->account.counters.bytes_from_device += buffer->bytes;
  return FH_OK;
}

/* The host copy must stay as it is while a device reads it in place. */
static fh_status settle_readers(fh_context *context, const fh_buffer *buffer) {
  for (int d = 0; d < context->device_count; d++)
    if (buffer->replicas[d].alias && context->devices[d].state == FH_STATE_OPEN) FH_TRY(settle_all(context, d));
  return FH_OK;
}

/* The newest contents of the buffer, to its host copy or, `staged`, beside it. A device that is lost on the way is met again, after
 * what it held was made anew; *out_again says so: the host copies of others may be newer now. */
static fh_status fetch(fh_context *context, fh_queue *only, fh_buffer *buffer, bool staged, bool *out_again) {
  int device = device_of(context, buffer);
  if (buffer->lost || device == context->device_count)
    return FH_STATUS(FH_DATA_LOSS,
                     "the only current copy of the buffer made at %s:%d died with its device, and what it was computed from is gone too\n"
                     "next step: compute it again; fh_view_sync after a launch keeps a copy on the host",
                     buffer->made_file, buffer->made_line);
  *out_again = true;
  FH_TRY(only ? fh_queue_settle(only, device) : settle_all(context, device));
  FH_TRY(settle_readers(context, buffer));
  if (!replica_current(context, buffer, device)) return FH_OK; /* lost just now, and mended or not */
  fh_status status = copy_home(context, only, buffer, device, staged ? buffer->staged : buffer->host);
  if (status && !staged) fh_lineage_spoilt(context, buffer);
  if (status) return fh_recover(context, NULL, device, status);
  if (!staged) buffer->host_version = buffer->version;
  *out_again = false;
  return FH_OK;
}

static bool is_home(const fh_buffer *buffer) { return buffer->host_version == buffer->version; }

static void unstage(fh_buffer *const *set, int count) {
  for (int i = 0; i < count; i++) {
    free(set[i]->staged);
    set[i]->staged = NULL;
    fh_buffer_release(set[i]);
  }
}

/* Takes the contents of all off their devices before the host copy of any changes: until then everything can be made again. */
static bool make_stage(fh_buffer *buffer) {
  if (!buffer->staged) buffer->staged = malloc(buffer->bytes ? buffer->bytes : 1);
  return buffer->staged != NULL;
}

static fh_status stage(fh_context *context, fh_queue *only, fh_buffer *const *set, int count, bool *out_again) {
  for (int i = 0; i < count && !*out_again; i++) {
    if (!make_stage(set[i]))
      return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for %zu bytes on their way from a device to the host", set[i]->bytes);
    FH_TRY(fetch(context, only, set[i], true, out_again));
  }
  return FH_OK;
}

static void commit(fh_buffer *const *set, int count) {
  for (int i = 0; i < count; i++) {
    memcpy(set[i]->host, set[i]->staged, set[i]->bytes);
    set[i]->host_version = set[i]->version;
  }
}

/* One attempt. Results that were made from the host copy as it is come home together with it. */
static fh_status move_home(fh_context *context, fh_queue *only, fh_buffer *buffer) {
  fh_buffer *set[FH_LINEAGE_SET_MAX];
  bool again = false;
  int count = fh_lineage_closure(context, buffer, set);
  /* What was made in place would be made again from the host copy: it stays whole until all is there, and a copy can fail half-way. */
  if (count == 1 && !(fh_lineage_reads(context, buffer) && (make_stage(buffer) || buffer->host_needed))) {
    fh_buffer_release(buffer);
    return fetch(context, only, buffer, false, &again);
  }
  fh_status status = stage(context, only, set, count, &again);
  if (!status && !again) commit(set, count);
  unstage(set, count);
  return status;
}

fh_status fh_buffer_to_host(fh_context *context, fh_buffer *buffer) {
  while (!is_home(buffer)) FH_TRY(move_home(context, NULL, buffer));
  return FH_OK;
}

fh_status fh_buffer_home_on(fh_queue *queue, fh_buffer *buffer) {
  while (!is_home(buffer)) FH_TRY(move_home(queue->context, queue, buffer));
  return FH_OK;
}

/* Nothing on a device may still read or write the host copy when the CPU writes it, or need it as it was. */
static fh_status quiet_for_host_write(fh_context *context, const fh_buffer *buffer) {
  fh_lineage_guard(context, buffer);
  for (int d = 0; d < context->device_count; d++)
    if (buffer->replicas[d].memory && context->devices[d].state == FH_STATE_OPEN) FH_TRY(settle_all(context, d));
  return FH_OK;
}

fh_status fh_view_map(const fh_view *view, fh_access access, void **out_data) {
  *out_data = NULL;
  FH_TRY(fh_view_check(view));
  fh_buffer *buffer = view->buffer;
  if ((access & FH_WRITE) && buffer->read_only)
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_view_map: access asks to write, but the memory was wrapped with FH_READ at %s:%d",
                     buffer->made_file, buffer->made_line);
  fh_context *context = buffer->owner;
  fh_context_lock(context);
  fh_status status = fh_buffer_to_host(context, buffer);
  if (!status && (access & FH_WRITE)) {
    status = quiet_for_host_write(context, buffer);
    if (!status) buffer->host_version = ++buffer->version;
  }
  fh_context_unlock(context);
  if (!status) *out_data = buffer->host + view->offset;
  return status;
}

/* ---- to a device ---------------------------------------------------------------------------------------------- */

static void resident_add(fh_context *context, fh_buffer *buffer) {
  if (buffer->resident) return;
  buffer->resident = true;
  buffer->next_resident = NULL;
  buffer->previous_resident = context->last_resident;
  *(context->last_resident ? &context->last_resident->next_resident : &context->resident) = buffer;
  context->last_resident = buffer;
}

void fh_resident_remove(fh_context *context, fh_buffer *buffer) {
  if (!buffer->resident) return;
  buffer->resident = false;
  *(buffer->previous_resident ? &buffer->previous_resident->next_resident : &context->resident) = buffer->next_resident;
  *(buffer->next_resident ? &buffer->next_resident->previous_resident : &context->last_resident) = buffer->previous_resident;
}

/* Used last. */
static void resident_touch(fh_context *context, fh_buffer *buffer) {
  if (context->last_resident == buffer) return;
  fh_resident_remove(context, buffer);
  resident_add(context, buffer);
}

static bool is_operand(const fh_call *call, const fh_buffer *buffer) {
  bool operand = false;
  for (int v = 0; v < call->view_count; v++) operand |= call->views[v].buffer == buffer;
  return operand;
}

/* The replica that was used least recently, `home`: of contents that the host has too. Held, for moving or settling may end records that
 * hold its buffer. One whose last view another thread is releasing is left to that. NULL: there is none. No operand of the call (NULL: no
 * call) lives in it. */
static fh_buffer *victim_of(const fh_context *context, int device, const fh_call *call, bool home) {
  for (fh_buffer *buffer = context->resident; buffer; buffer = buffer->next_resident) {
    if (!buffer->replicas[device].memory || (home && !is_home(buffer)) || (call && is_operand(call, buffer))) continue;
    if (fh_buffer_try_retain(buffer)) return buffer;
  }
  return NULL;
}

void fh_replica_drop(fh_context *context, fh_buffer *buffer, int device) {
  if (buffer->replicas[device].memory) context->devices[device].api->free(buffer->replicas[device].memory);
  buffer->replicas[device] = (fh_replica){0};
}

/* Frees one replica, after its contents are on the host. False: there is none, or it cannot be brought home. */
static bool trim(fh_context *context, int device, const fh_call *call) {
  fh_buffer *buffer = victim_of(context, device, call, true);
  if (!buffer) buffer = victim_of(context, device, call, false);
  if (!buffer) return false;
  fh_status status = fh_buffer_to_host(context, buffer);
  bool home = !status && context->devices[device].state == FH_STATE_OPEN;
  fh_status_free(status); /* reported to whoever asks for the data */
  if (home) fh_replica_drop(context, buffer, device);
  fh_buffer_release(buffer);
  return home;
}

/* Scratch is kept from launch to launch. The first `own` of `queue` (NULL: of none) stay, and other queues' work has ended. */
static int scratch_trim(const fh_context *context, int device, const fh_queue *queue, int own) {
  const fh_plan_device *d = &context->devices[device];
  int freed = 0;
  for (fh_queue *q = context->queues; q && d->state == FH_STATE_OPEN; q = q->next) {
    for (int t = q == queue ? own : 0; t < FH_PLAN_SCRATCHES; t++) {
      fh_scratch *scratch = &q->scratch[device][t];
      if (!scratch->memory) continue;
      d->api->free(scratch->memory);
      *scratch = (fh_scratch){0};
      freed++;
    }
  }
  return freed;
}

static bool is_of_batch(const fh_batch *batch, const fh_buffer *buffer) {
  bool operand = false;
  for (int c = 0; c < batch->count; c++) operand |= is_operand(&batch->calls[c], buffer);
  return operand;
}

/* With all work there done; how many bytes. The operands of a batch (NULL: of none), which was just made resident, are those that were used
 * last: they stay. */
static uint64_t give_up_replica(fh_context *context, int device, const fh_batch *batch) {
  fh_buffer *buffer = victim_of(context, device, NULL, true);
  if (!buffer) return 0;
  const bool idle = !batch || !is_of_batch(batch, buffer);
  const uint64_t bytes = buffer->bytes ? buffer->bytes : 1;
  if (idle) fh_replica_drop(context, buffer, device);
  fh_buffer_release(buffer);
  return idle ? bytes : 0;
}

/* Freed memory may be kept for this context's reuse. */
static bool to_driver(const fh_plan_device *device) { return device->api->trim && device->api->trim(device->device) > 0; }

/* All work there is done, and the device goes on. */
static bool comes_to_rest(fh_context *context, int device) {
  fh_status status = settle_all(context, device);
  const bool idle = !status && context->devices[device].state == FH_STATE_OPEN;
  fh_status_free(status); /* of work before: reported to whoever asks for its results */
  return idle;
}

/* What costs nobody a copy: memory kept for reuse, then scratch, but that of `queue` (NULL: of none). */
static bool give_up_spare(const fh_context *context, int device, const fh_queue *queue) {
  const fh_plan_device *d = &context->devices[device];
  if (to_driver(d)) return true;
  const bool freed = scratch_trim(context, device, queue, FH_PLAN_SCRATCHES) > 0;
  (void)to_driver(d);
  return freed;
}

bool fh_device_give_way(fh_context *context, int device) {
  if (!comes_to_rest(context, device)) return false;
  if (give_up_spare(context, device, NULL)) return true;
  const bool freed = give_up_replica(context, device, NULL) > 0;
  (void)to_driver(&context->devices[device]);
  return freed;
}

/* Replicas that made room for a graph. It takes little, and its memory is not all the device's: where a few did not help, or much is free,
 * the others would go for nothing. */
typedef struct fh_sacrifice {
  int left;       /* times that some may still go */
  uint64_t bytes; /* that went the last time */
} fh_sacrifice;

static bool has_plenty(const fh_plan_device *device) {
  enum { PLENTY = 64 << 20 }; /* many times what the longest batch takes */
  uint64_t bytes = 0;
  fh_status status = device->api->query_free_memory(device->device, &bytes);
  const bool plenty = !status && bytes >= PLENTY;
  fh_status_free(status); /* not known: the other bound holds */
  return plenty;
}

/* At least twice as much as the last time, so that few tries find out. */
static bool give_up_replicas(fh_context *context, const fh_batch *batch, fh_sacrifice *made) {
  const fh_plan_device *d = &context->devices[batch->device];
  if (made->left == 0 || has_plenty(d)) return false;
  uint64_t bytes = 0, more;
  do bytes += more = give_up_replica(context, batch->device, batch);
  while (more > 0 && bytes < 2 * made->bytes);
  (void)to_driver(d);
  made->left--;
  made->bytes = bytes;
  return bytes > 0;
}

int fh_device_trim(fh_queue *queue, int device, const fh_call *call) {
  fh_status status = settle_all(queue->context, device);
  int freed = status ? 0 : scratch_trim(queue->context, device, queue, call->bound.temp_count);
  if (!status)
    while (trim(queue->context, device, call)) freed++;
  fh_status_free(status); /* of work before: reported to whoever asks for its results */
  return freed;
}

static fh_status device_alloc(fh_queue *queue, int device, const fh_call *call, size_t bytes, fh_memory **out_memory) {
  fh_context *context = queue->context;
  const fh_plan_device *d = &context->devices[device];
  fh_status status = d->api->alloc(d->device, bytes ? bytes : 1, out_memory);
  if (fh_status_code(status) != FH_RESOURCE_EXHAUSTED) return status;
  fh_status settled = settle_all(context, device);
  if (settled) {
    fh_status_free(status);
    return settled;
  }
  bool freed = scratch_trim(queue->context, device, queue, call->bound.temp_count) > 0;
  while (fh_status_code(status) == FH_RESOURCE_EXHAUSTED && d->state == FH_STATE_OPEN &&
         (freed || trim(context, device, call) || fh_neighbours_make_room(context, device))) {
    fh_status_free(status);
    status = d->api->alloc(d->device, bytes ? bytes : 1, out_memory);
    freed = false;
  }
  return status;
}

/* True when writing every element of the view leaves no byte of the buffer as it was. */
static bool covers(const fh_view *view) { return (uint64_t)fh_view_elements(view) * fh_dtype_size(view->dtype) == view->buffer->bytes; }

static bool must_be_current(const fh_call *call, int index) {
  return call->image->contract->views[index].role != FH_ROLE_OUT || !covers(&call->views[index]);
}

/* Of a launch that is timed the copies are waited for before it begins, so each can be timed too. */
static fh_status copy_there(fh_queue *queue, int device, fh_buffer *buffer, bool timed) {
  consider_pinning(queue->context, device, buffer);
  const fh_command copy = {
      .kind = FH_COMMAND_COPY,
      .copy = {.from = {.host = buffer->host}, .to = {.memory = buffer->replicas[device].memory}, .bytes = buffer->bytes}};
  fh_stream *stream;
  FH_TRY(stream_of(queue, device, &stream));
  if (timed) FH_TRY(stream_wait(queue, device));
  const double start = timed ? fh_now_seconds() : 0;
  FH_TRY(stream_submit(queue, device, &copy, 1));
  if (!timed) return FH_OK;
  FH_TRY(stream_wait(queue, device));
  fh_link_sample(&queue->context->devices[device], FH_TO_DEVICE, buffer->bytes, fh_now_seconds() - start);
  return FH_OK;
}

/* Another queue may still be writing this replica: queues are in order only within themselves. */
static fh_status settle_others(const fh_queue *queue, int device, const fh_replica *replica) {
  for (fh_queue *q = queue->context->queues; replica->memory && q; q = q->next)
    if (q != queue) FH_TRY(fh_queue_settle(q, device));
  return FH_OK;
}

/* The device that has the newest contents, which the host has not, where this one reaches it; the count of devices: there is none. */
static int peer_of(const fh_context *context, int device, const fh_buffer *buffer) {
  const fh_plan_device *d = &context->devices[device];
  const int from = is_home(buffer) || buffer->lost ? context->device_count : device_of(context, buffer);
  if (from == context->device_count || d->api != context->devices[from].api || !d->api->reaches) return context->device_count;
  return d->api->reaches(d->device, context->devices[from].device) ? from : context->device_count;
}

/* Straight from another device; *out_done false: it did not come to that, and the way over the host is open. Both are waited for: neither
 * knows of the other's order. */
static fh_status copy_across(fh_queue *queue, int device, fh_buffer *buffer, bool *out_done) {
  fh_context *context = queue->context;
  const int from = peer_of(context, device, buffer);
  *out_done = false;
  if (from == context->device_count) return FH_OK;
  FH_TRY(settle_all(context, from));
  if (!replica_current(context, buffer, from) || context->devices[device].state != FH_STATE_OPEN) return FH_OK; /* lost just now */
  const fh_command copy = {
      .kind = FH_COMMAND_COPY,
      .copy = {
          .from = {.memory = buffer->replicas[from].memory}, .to = {.memory = buffer->replicas[device].memory}, .bytes = buffer->bytes}};
  fh_stream *stream;
  FH_TRY(stream_of(queue, device, &stream));
  fh_status status = stream_submit(queue, device, &copy, 1);
  if (!status) status = stream_wait(queue, device);
  if (status && (fh_blames_device(fh_status_code(status)) || fh_status_code(status) == FH_ABORTED)) return status;
  *out_done = !status;
  if (!status) buffer->crossed = buffer->version;
  fh_status_free(status); /* said by the backend, which reaches the other no more */
  return FH_OK;
}

/* What went from device to device can be made again only from there: before a launch writes over it, the host gets it. */
static fh_status keep_crossed(fh_context *context, const fh_call *call, int index) {
  fh_buffer *buffer = call->views[index].buffer;
  const bool at_risk = call->image->contract->views[index].role != FH_ROLE_IN && buffer->crossed == buffer->version && !buffer->lost;
  return at_risk ? fh_buffer_to_host(context, buffer) : FH_OK;
}

/* The replica has memory; the newest contents go into it. */
static fh_status update(fh_queue *queue, int device, fh_buffer *buffer, bool timed) {
  fh_replica *replica = &buffer->replicas[device];
  bool across = false;
  if (replica->version == buffer->version) return FH_OK;
  FH_TRY(copy_across(queue, device, buffer, &across));
  if (across) {
    replica->version = buffer->version;
    return FH_OK;
  }
  FH_TRY(fh_buffer_to_host(queue->context, buffer));
  FH_TRY(copy_there(queue, device, buffer, timed));
  replica->version = buffer->version;
  queue->context->account.counters.bytes_to_device += buffer->bytes;
  return FH_OK;
}

/* ---- read in place ----
 * A device that shares the host's memory reads inputs where they are. What it writes has memory of its own: the host copy as it was is what
 * a result is made from again when the device is lost. */

static bool is_only_read(const fh_call *call, const fh_buffer *buffer) {
  for (int v = 0; v < call->view_count; v++)
    if (call->views[v].buffer == buffer && call->image->contract->views[v].role != FH_ROLE_IN) return false;
  return true;
}

bool fh_device_may_alias(const fh_plan_device *device, const fh_buffer *buffer) {
  const size_t alignment = device->info.alias_alignment;
  return alignment && device->api->alias && buffer->bytes && (uintptr_t)buffer->host % alignment == 0;
}

static fh_status alias_host(fh_context *context, int device, fh_buffer *buffer) {
  const fh_plan_device *d = &context->devices[device];
  fh_memory *memory = NULL;
  FH_TRY(fh_buffer_to_host(context, buffer));
  if (d->state != FH_STATE_OPEN) return FH_OK; /* lost on the way: the caller meets it */
  FH_TRY(d->api->alias(d->device, buffer->host, buffer->bytes, &memory));
  if (!memory) return FH_OK;
  buffer->replicas[device] = (fh_replica){.memory = memory, .version = buffer->version, .alias = true};
  resident_add(context, buffer);
  return FH_OK;
}

/* An alias that the call would write, or of contents that are older than the newest. */
static fh_status drop_alias(fh_context *context, int device, const fh_buffer *of, fh_replica *replica, bool only_read) {
  if (!replica->alias || (only_read && replica->version == of->version)) return FH_OK;
  FH_TRY(settle_all(context, device)); /* nobody would know any more that commands read the host copy */
  if (replica->memory) context->devices[device].api->free(replica->memory);
  *replica = (fh_replica){0};
  return FH_OK;
}

static fh_status bring(fh_queue *queue, int device, const fh_call *call, int index, bool timed) {
  fh_context *context = queue->context;
  fh_buffer *buffer = call->views[index].buffer;
  fh_replica *replica = &buffer->replicas[device];
  const bool only_read = is_only_read(call, buffer);
  if (!call->flows) FH_TRY(settle_others(queue, device, replica));
  FH_TRY(drop_alias(context, device, buffer, replica, only_read));
  if (!replica->memory && only_read && fh_device_may_alias(&context->devices[device], buffer)) FH_TRY(alias_host(context, device, buffer));
  if (!replica->memory) {
    fh_memory *memory = NULL;
    FH_TRY(device_alloc(queue, device, call, buffer->bytes, &memory));
    *replica = (fh_replica){.memory = memory};
    resident_add(context, buffer);
  }
  resident_touch(context, buffer);
  if (must_be_current(call, index)) FH_TRY(update(queue, device, buffer, timed));
  return keep_crossed(context, call, index);
}

fh_status fh_flow_begin(fh_queue *queue, int device, const fh_call *call, uint32_t cut) {
  for (int v = 0; v < call->view_count; v++)
    if (!(cut >> v & 1)) FH_TRY(bring(queue, device, call, v, false));
  return settle_all(queue->context, device);
}

/* ---- ahead of time ------------------------------------------------------------------------------------------------ */

/* Into memory that is free: what others left on the device may be needed sooner. */
static fh_status prefetch(fh_queue *queue, int device, fh_buffer *buffer) {
  fh_context *context = queue->context;
  const fh_plan_device *d = &context->devices[device];
  fh_replica *replica = &buffer->replicas[device];
  if (d->info.host_memory) return fh_buffer_to_host(context, buffer);
  FH_TRY(settle_others(queue, device, replica));
  if (d->state != FH_STATE_OPEN) return FH_OK; /* that has lost it: the caller looks */
  if (!replica->memory || replica->alias)
    if (fh_device_may_alias(d, buffer)) return fh_buffer_to_host(context, buffer); /* it is there */
  if (!replica->memory) {
    fh_memory *memory = NULL;
    FH_TRY(d->api->alloc(d->device, buffer->bytes ? buffer->bytes : 1, &memory));
    *replica = (fh_replica){.memory = memory};
    resident_add(context, buffer);
  }
  resident_touch(context, buffer);
  return update(queue, device, buffer, false);
}

static fh_status prefetch_to(fh_queue *queue, int device, const fh_view *view) {
  fh_context *context = queue->context;
  const fh_plan_device *d = &context->devices[device];
  if (d->state != FH_STATE_OPEN || !d->allowed)
    return FH_STATUS_CAUSE(FH_UNAVAILABLE, d->cause[0] ? d->cause : NULL, "fh_queue_prefetch: %s cannot be used: %s", d->info.id,
                           d->reason[0] ? d->reason : "it is outside the policy or the list of devices");
  fh_status status = prefetch(queue, device, view->buffer);
  if (status && !fh_blames_device(fh_status_code(status))) return status;
  if (status) FH_TRY(fh_recover(context, NULL, device, status));
  if (d->state == FH_STATE_OPEN) return FH_OK;
  return FH_STATUS_CAUSE(FH_UNAVAILABLE, d->cause, "fh_queue_prefetch: %s was lost: %s\nnext step: go on; launches run elsewhere",
                         d->info.id, d->reason);
}

fh_status fh_queue_prefetch(fh_queue *queue, const fh_view *view, const char *device, fh_event *out_event) {
  if (out_event) *out_event = (fh_event){0};
  if (!queue || !view) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_queue_prefetch: %s is NULL", queue ? "view" : "queue");
  fh_context *context = queue->context;
  FH_TRY(fh_view_check(view));
  if (view->buffer->owner != context)
    return FH_STATUS(FH_INCOMPATIBLE, "fh_queue_prefetch: the view is of another context than the queue's");
  fh_context_lock(context);
  const int index = device ? fh_device_named(context, device) : queue->pinned;
  fh_status status =
      index >= 0 ? prefetch_to(queue, index, view)
      : device   ? FH_STATUS(FH_NOT_FOUND,
                             "fh_queue_prefetch: there is no device \"%s\" in this context\nnext step: fh_context_devices lists them", device)
                 : FH_STATUS(FH_INVALID_ARGUMENT,
                             "fh_queue_prefetch: device is NULL, and the queue is not pinned\nnext step: name a device, or pin the queue");
  const uint64_t point = ++queue->point;
  fh_context_unlock(context);
  if (!status && out_event) *out_event = (fh_event){.queue = queue, .point = point};
  return status;
}

/* ---- where a call runs -------------------------------------------------------------------------------------------- */

fh_status fh_call_bring_home(fh_context *context, const fh_call *call, int view) {
  fh_buffer *buffer = call->views[view].buffer;
  if (must_be_current(call, view)) FH_TRY(fh_buffer_to_host(context, buffer));
  return call->image->contract->views[view].role == FH_ROLE_IN ? FH_OK : quiet_for_host_write(context, buffer);
}

static fh_status make_resident(fh_queue *queue, int device, const fh_call *call, bool timed) {
  bool host = queue->context->devices[device].info.host_memory;
  for (int i = 0; i < call->view_count; i++)
    FH_TRY(host ? fh_call_bring_home(queue->context, call, i) : bring(queue, device, call, i, timed));
  return FH_OK;
}

/* Scratch of a queue on a device: kept and grown, reused in order. */
static fh_status grow_scratch(fh_queue *queue, int device, const fh_call *call, int index, size_t bytes) {
  const fh_plan_device *d = &queue->context->devices[device];
  fh_scratch *scratch = &queue->scratch[device][index];
  if (scratch->memory && scratch->bytes >= bytes) return FH_OK;
  FH_TRY(fh_queue_settle(queue, device)); /* an earlier launch may still use the old one */
  if (scratch->memory) d->api->free(scratch->memory);
  *scratch = (fh_scratch){0};
  FH_TRY(device_alloc(queue, device, call, bytes, &scratch->memory));
  scratch->bytes = bytes;
  return FH_OK;
}

static bool wants_scratch(const fh_candidate *candidate, const fh_call *call, int index) {
  if (index == FH_PLAN_BLOCK_SCRATCH) return candidate->block && candidate->block->scratch_bytes;
  return index < call->bound.temp_count;
}

static size_t scratch_bytes(const fh_context *context, const fh_candidate *candidate, const fh_call *call, int index) {
  return index == FH_PLAN_BLOCK_SCRATCH ? fh_candidate_scratch(context, candidate, &call->bound) : call->bound.temp_bytes[index];
}

/* A variant's own comes last: memory that is short takes it from whoever does not need it now. */
static fh_status scratch_for(fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  for (int t = 0; t < FH_PLAN_SCRATCHES; t++)
    if (wants_scratch(candidate, call, t))
      FH_TRY(grow_scratch(queue, candidate->device, call, t, scratch_bytes(queue->context, candidate, call, t)));
  return FH_OK;
}

static bool has_scratch(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  for (int t = 0; t < FH_PLAN_SCRATCHES; t++) {
    const fh_scratch *scratch = &queue->scratch[candidate->device][t];
    if (!wants_scratch(candidate, call, t)) continue;
    if (!scratch->memory || scratch->bytes < scratch_bytes(queue->context, candidate, call, t)) return false;
  }
  return true;
}

/* ---- launching -------------------------------------------------------------------------------------------------- */

fh_status fh_candidate_prepare(fh_context *context, fh_candidate *candidate) {
  const fh_plan_device *d = &context->devices[candidate->device];
  const fh_kernel_image *image = fh_plan_kernel_in(context, candidate->kernel)->image;
  if (candidate->reference) return FH_OK;
  const fh_block_variant *block = candidate->block;
  const int count = block ? fh_block_steps(block) : image->entry_count;
  for (int i = 0; i < count; i++) {
    if (candidate->executables[i]) continue;
    const fh_recipe recipe = {
        .image = image, .entry = block ? 0 : i, .isa = candidate->isa, .tuned = candidate->tuned, .block = block, .step = block ? i : 0};
    FH_TRY(d->api->prepare(d->device, &recipe, &candidate->executables[i]));
  }
  return FH_OK;
}

/* Written where it stays: the copy of a structure that was just written field by field waits for the stores. */
static void place_operand(const fh_queue *queue, int device, const fh_call *call, const fh_operand *operand, fh_launch_operand *out) {
  bool host = queue->context->devices[device].info.host_memory;
  *out = (fh_launch_operand){.kind = operand->kind};
  switch (operand->kind) {
    case FH_OPERAND_I64:
      out->i = operand->i;
      return;
    case FH_OPERAND_F32:
      out->f = operand->f;
      return;
    case FH_OPERAND_TEMP:
      out->place = (fh_place){.memory = queue->scratch[device][operand->index].memory, .offset = operand->offset};
      return;
    default:
      break;
  }
  const fh_view *view = &call->views[operand->index];
  out->place.offset = view->offset + operand->offset;
  if (host) {
    out->place.host = view->buffer->host;
  } else {
    out->place.memory = view->buffer->replicas[device].memory;
  }
}

typedef fh_launch_operand operand_list[FH_MAX_OPERANDS];

static fh_command launch_of(const fh_call *call, const fh_stage *stage, fh_executable *executable, const fh_launch_operand *operands,
                            int count) {
  return (fh_command){.kind = FH_COMMAND_LAUNCH,
                      .launch = {.executable = executable,
                                 .items = stage->items,
                                 .flops_per_item = stage->flops_per_item,
                                 .operands = operands,
                                 .operand_count = count,
                                 .bound = &call->bound}};
}

static void place_stage(const fh_queue *queue, int device, const fh_call *call, const fh_stage *stage, fh_launch_operand *out) {
  for (int o = 0; o < stage->operand_count; o++) place_operand(queue, device, call, &stage->operands[o], &out[o]);
}

/* Stage by stage; what is tuned does the whole with the operands of the first. */
static int make_stages(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call, operand_list *operands,
                       fh_command *commands) {
  const int stages = candidate->tuned ? 1 : call->bound.stage_count;
  for (int s = 0; s < stages; s++) {
    const fh_stage *stage = &call->bound.stages[s];
    place_stage(queue, candidate->device, call, stage, operands[s]);
    commands[s] = launch_of(call, stage, candidate->executables[stage->entry], operands[s], stage->operand_count);
  }
  return stages;
}

/* The launches of a variant for blocks: all with the operands of the first stage, and its scratch behind them. */
static int make_steps(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call, fh_launch_operand *operands,
                      fh_command *commands) {
  const fh_stage *stage = &call->bound.stages[0];
  const fh_operand scratch = fh_op_temp(FH_PLAN_BLOCK_SCRATCH);
  int count = stage->operand_count;
  place_stage(queue, candidate->device, call, stage, operands);
  if (candidate->block->scratch_bytes) place_operand(queue, candidate->device, call, &scratch, &operands[count++]);
  const int steps = fh_block_steps(candidate->block);
  for (int s = 0; s < steps; s++) commands[s] = launch_of(call, stage, candidate->executables[s], operands, count);
  return steps;
}

static fh_status submit(fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  if (candidate->reference) return fh_reference_run(call);
  fh_command commands[FH_PLAN_LAUNCHES];
  operand_list operands[FH_MAX_STAGES];
  const int count = candidate->block ? make_steps(queue, candidate, call, operands[0], commands)
                                     : make_stages(queue, candidate, call, operands, commands);
  fh_stream *stream;
  FH_TRY(stream_of(queue, candidate->device, &stream));
  return stream_submit(queue, candidate->device, commands, count);
}

/* Outputs now have a new version, and it lives where the launch ran. */
static void written(fh_queue *queue, int device, const fh_call *call, const uint64_t *before) {
  uint64_t in[FH_MAX_VIEWS] = {0}, out[FH_MAX_VIEWS] = {0};
  bool host = queue->context->devices[device].info.host_memory;
  for (int i = 0; i < call->view_count; i++) {
    fh_buffer *buffer = call->views[i].buffer;
    if (must_be_current(call, i)) in[i] = before[i];
    if (call->image->contract->views[i].role == FH_ROLE_IN) continue;
    out[i] = before[i] + 1; /* two outputs in one buffer share a version */
    buffer->version = out[i];
    buffer->lost = false;
    if (host) {
      buffer->host_version = out[i];
    } else {
      buffer->replicas[device].version = out[i];
    }
  }
  if (!host && !queue->probing) fh_lineage_note(queue, device, call, in, out);
}

static bool wants_timing(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  if (queue->context->devices[candidate->device].info.host_memory) return fh_candidate_wants_sample(candidate, &call->bound);
  return !fh_candidate_is_measured(candidate, &call->bound);
}

void fh_candidate_executed(fh_context *context, fh_candidate *candidate) {
  fh_account_row *row = fh_candidate_row(context, candidate);
  if (row) row->executed++;
}

static void account(fh_queue *queue, fh_candidate *candidate, const fh_call *call, double seconds) {
  fh_account_row *row = fh_candidate_row(queue->context, candidate);
  if (!row) return;
  row->executed += !call->part; /* its launch is counted as one */
  row->flops += call->bound.flops;
  row->bytes += call->bound.bytes;
  if (seconds <= 0 || call->part) return;
  row->timed++;
  row->seconds += seconds;
}

fh_status fh_execute(fh_queue *queue, fh_candidate *candidate, const fh_call *call) {
  int device = candidate->device;
  FH_TRY(fh_candidate_prepare(queue->context, candidate));
  const bool timed = !call->flows && wants_timing(queue, candidate, call);
  FH_TRY(make_resident(queue, device, call, timed));
  FH_TRY(scratch_for(queue, candidate, call));
  if (timed && !queue->context->devices[device].info.host_memory) FH_TRY(fh_queue_settle(queue, device)); /* not the copies */
  /* All of this can lose a device, this one too. */
  if (queue->context->devices[device].state != FH_STATE_OPEN)
    return FH_STATUS_CAUSE(FH_ABORTED, queue->context->devices[device].cause, "%s: %s was lost while its operands were moved",
                           call->image->contract->name, queue->context->devices[device].info.id);

  uint64_t before[FH_MAX_VIEWS];
  for (int i = 0; i < call->view_count; i++) before[i] = call->views[i].buffer->version;
  const double start = timed ? fh_now_seconds() : 0;
  queue->context->running = true;
  fh_status submitted = submit(queue, candidate, call);
  queue->context->running = false;
  FH_TRY(submitted);
  if (timed) FH_TRY(stream_wait(queue, device));
  double seconds = timed ? fh_now_seconds() - start : 0;
  written(queue, device, call, before);
  if (queue->probing) return FH_OK;
  if (timed) fh_candidate_sample(candidate, &call->bound, seconds);
  account(queue, candidate, call, seconds);
  return FH_OK;
}

/* ---- batches ------------------------------------------------------------------------------------------------------ */

struct fh_batch_room {
  fh_command commands[FH_BATCH_CALLS * FH_PLAN_LAUNCHES];
  operand_list operands[FH_BATCH_CALLS * FH_MAX_STAGES];
};

fh_status fh_batch_room_new(fh_batch_room **out_room) {
  *out_room = malloc(sizeof **out_room);
  return *out_room ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for launches that go together");
}

void fh_batch_room_free(fh_batch_room *room) { free(room); }

static bool has_operands(const fh_context *context, int device, const fh_call *call) {
  for (int i = 0; i < call->view_count; i++) {
    const fh_buffer *buffer = call->views[i].buffer;
    if (!buffer->replicas[device].memory) return false;
    if (must_be_current(call, i) && !replica_current(context, buffer, device)) return false;
  }
  return true;
}

/* Memory that one call is given may have been another's. */
static bool all_have_theirs(const fh_queue *queue, const fh_batch *batch) {
  for (int c = 0; c < batch->count; c++) {
    const fh_call *call = &batch->calls[c];
    if (!has_operands(queue->context, batch->device, call) || !has_scratch(queue, batch->candidates[c], call)) return false;
  }
  return true;
}

static fh_status make_all_resident(fh_queue *queue, const fh_batch *batch) {
  for (int c = 0; c < batch->count; c++) {
    FH_TRY(make_resident(queue, batch->device, &batch->calls[c], false));
    FH_TRY(scratch_for(queue, batch->candidates[c], &batch->calls[c]));
  }
  return FH_OK;
}

/* What the batch that is about to run on `queue` needs stays. */
static bool make_room(fh_queue *queue, const fh_batch *batch, fh_sacrifice *made) {
  fh_context *context = queue->context;
  if (!comes_to_rest(context, batch->device)) return false;
  return give_up_spare(context, batch->device, queue) || give_up_replicas(context, batch, made);
}

/* For a graph, say, room is made of what nobody needs now: memory kept for reuse, other queues' scratch, and the first time a few contents
 * that the host has too. Where that does not help, the launches need none, and for a while it is not tried again. */
static fh_status submit_again(fh_queue *queue, const fh_batch *batch, const fh_command *commands, int count, bool *out_ran) {
  enum { FIRST_PAUSE = 16, LONGEST_PAUSE = 4096, SACRIFICES = 4 };
  fh_recurrence *again = batch->again;
  const fh_plan_device *d = &queue->context->devices[batch->device];
  fh_sacrifice made = {.left = again->pause == 0 ? SACRIFICES : 0};
  const bool first = !again->kept; /* which is only taken note of, and asks for no memory */
  bool refused = false;
  do FH_TRY(stream_submit_as(queue, batch->device, commands, count, &again->kept, &refused));
  while (refused && make_room(queue, batch, &made));
  again->short_of_memory = refused;
  *out_ran = !refused;
  if (!refused && !first) again->pause = 0;
  if (!refused || d->state != FH_STATE_OPEN) return FH_OK; /* lost while room was made: one by one they meet it */
  d->api->replay_end(again->kept);
  again->kept = NULL;
  again->pause = again->pause == 0 ? FIRST_PAUSE : again->pause < LONGEST_PAUSE ? 2 * again->pause : LONGEST_PAUSE;
  again->rest = again->pause;
  *out_ran = true;
  return stream_submit(queue, batch->device, commands, count);
}

static fh_status submit_batch(fh_queue *queue, const fh_batch *batch, fh_batch_room *room, bool *out_ran) {
  fh_recurrence *again = batch->again;
  int count = 0;
  for (int c = 0; c < batch->count; c++) {
    const fh_candidate *candidate = batch->candidates[c];
    operand_list *operands = &room->operands[c * FH_MAX_STAGES];
    count += candidate->block ? make_steps(queue, candidate, &batch->calls[c], operands[0], &room->commands[count])
                              : make_stages(queue, candidate, &batch->calls[c], operands, &room->commands[count]);
  }
  fh_stream *stream;
  FH_TRY(stream_of(queue, batch->device, &stream));
  if (again->rest == 0) return submit_again(queue, batch, room->commands, count, out_ran);
  again->rest--;
  *out_ran = true;
  return stream_submit(queue, batch->device, room->commands, count);
}

static void settle_batch(fh_queue *queue, const fh_batch *batch) {
  for (int c = 0; c < batch->count; c++) {
    const fh_call *call = &batch->calls[c];
    uint64_t before[FH_MAX_VIEWS];
    for (int i = 0; i < call->view_count; i++) before[i] = call->views[i].buffer->version;
    written(queue, batch->device, call, before);
    account(queue, batch->candidates[c], call, 0);
  }
}

/* Contents that a call needs and an earlier one makes count as needed from the start: at worst they are copied for nothing. What each
 * call wrote is noted only after all of them were submitted, so the log must have room for it before: bringing results home between two
 * notes would bring those of later calls. */
fh_status fh_execute_batch(fh_queue *queue, const fh_batch *batch, fh_batch_room *room, bool *out_ran) {
  fh_context *context = queue->context;
  *out_ran = false;
  if (!fh_lineage_reserve(context, batch->count)) return FH_OK;
  FH_TRY(make_all_resident(queue, batch));
  if (context->devices[batch->device].state != FH_STATE_OPEN || !all_have_theirs(queue, batch)) return FH_OK;
  if (context->lineage_count + batch->count > FH_LINEAGE_MAX) return FH_OK;
  FH_TRY(submit_batch(queue, batch, room, out_ran));
  if (*out_ran) settle_batch(queue, batch);
  return FH_OK;
}
