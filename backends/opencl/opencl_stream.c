/* OpenCL queues: submit, poll, wait. SPDX-License-Identifier: Apache-2.0
 *
 * A queue is in order already; each command also waits for the event of the one before it. OpenCL leaves open what follows
 * a failed command in a queue, but promises that a failed event fails those that wait for it. So the event of a point stands for
 * everything before it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/check.h"
#include "backends/opencl/opencl_internal.h"
#include "runtime/base/clock.h"

static const int64_t SLEEP_FIRST_NS = 20000, SLEEP_MOST_NS = 1000000;

/* ---- life ------------------------------------------------------------------------------------------------------ */

fh_status fh_cl_stream_open(fh_device *device, fh_stream **out_stream) {
  *out_stream = NULL;
  FH_TRY(fh_cl_same_process(device->backend));
  fh_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "opencl: no memory for a stream");
  cl_int error = CL_SUCCESS;
  stream->queue = device->fn->clCreateCommandQueue(device->context, device->found->handle, 0, &error);
  if (!stream->queue) {
    free(stream);
    return FH_CL_FAIL(error, "clCreateCommandQueue", "opening a stream on %s", device->found->info.id);
  }
  stream->device = device;
  *out_stream = stream;
  return FH_OK;
}

static void release_events(fh_stream *stream) {
  const fh_opencl_functions *fn = stream->device->fn;
  if (stream->tail) fn->clReleaseEvent(stream->tail);
  for (int i = 0; i < FH_CL_POINTS; i++)
    if (stream->events[i]) fn->clReleaseEvent(stream->events[i]);
}

void fh_cl_stream_close(fh_stream *stream) {
  if (!stream) return;
  if (fh_cl_may_call(stream->device->backend)) {
    stream->device->fn->clFinish(stream->queue);
    release_events(stream);
    stream->device->fn->clReleaseCommandQueue(stream->queue);
  }
  fh_status_free(stream->failure);
  free(stream);
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

static cl_event *event_of(fh_stream *stream, fh_point point) { return &stream->events[point % FH_CL_POINTS]; }

/* Everything up to the point is done. */
static void reached(fh_stream *stream, fh_point point) {
  while (stream->completed < point) {
    cl_event *event = event_of(stream, ++stream->completed);
    stream->device->fn->clReleaseEvent(*event);
    *event = NULL;
  }
}

/* Looks at a point that was submitted and not yet seen to be reached. */
static fh_status look(fh_stream *stream, fh_point point, bool *out_done) {
  cl_int state = CL_QUEUED;
  cl_int error =
      stream->device->fn->clGetEventInfo(*event_of(stream, point), CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
  if (error != CL_SUCCESS) return FH_CL_FAIL(error, "clGetEventInfo", "asking %s how far it is", stream->device->found->info.id);
  if (state < 0) return FH_CL_FAIL(state, "the command's event", "work on %s", stream->device->found->info.id);
  *out_done = state == CL_COMPLETE;
  if (*out_done) reached(stream, point);
  return FH_OK;
}

static fh_status wait_for_ever(fh_stream *stream, fh_point point) {
  cl_int error = stream->device->fn->clWaitForEvents(1, event_of(stream, point));
  bool done = false;
  FH_TRY(look(stream, point, &done)); /* says more than clWaitForEvents when the work failed */
  if (done) return FH_OK;
  return FH_CL_FAIL(error == CL_SUCCESS ? CL_INVALID_EVENT : error, "clWaitForEvents", "waiting for %s", stream->device->found->info.id);
}

/* OpenCL cannot wait with a limit: look, sleep a little longer each time. */
static fh_status wait_until(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  int64_t start = fh_now_ns(), pause = SLEEP_FIRST_NS;
  for (;;) {
    bool done = false;
    FH_TRY(look(stream, point, &done));
    if (done) return FH_OK;
    int64_t left = timeout_ns - (fh_now_ns() - start);
    if (left <= 0)
      return FH_STATUS(FH_DEADLINE_EXCEEDED, "opencl: %s was not done after %.3f s", stream->device->found->info.id,
                       (double)timeout_ns * 1e-9);
    int64_t sleep = pause < left ? pause : left;
    nanosleep(&(struct timespec){.tv_nsec = (long)sleep}, NULL);
    if (pause < SLEEP_MOST_NS) pause *= 2;
  }
}

/* Keeps the first failure: the stream is dead. A deadline is not one: the work goes on. */
static fh_status keep(fh_stream *stream, fh_status status) {
  if (!status || fh_status_code(status) == FH_DEADLINE_EXCEEDED) return status;
  stream->failure = status;
  return fh_status_clone(status);
}

fh_status fh_cl_poll(fh_stream *stream, fh_point point, bool *out_done) {
  *out_done = point <= stream->completed;
  if (stream->failure) return fh_status_clone(stream->failure);
  if (*out_done || point > stream->submitted) return FH_OK;
  FH_TRY(fh_cl_same_process(stream->device->backend));
  return keep(stream, look(stream, point, out_done));
}

fh_status fh_cl_wait(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  if (stream->failure) return fh_status_clone(stream->failure);
  if (point <= stream->completed) return FH_OK;
  if (point > stream->submitted)
    return FH_STATUS(FH_OUT_OF_RANGE, "opencl: point %" PRIu64 " was never submitted; the last is %" PRIu64, point, stream->submitted);
  FH_TRY(fh_cl_same_process(stream->device->backend));
  return keep(stream, timeout_ns < 0 ? wait_for_ever(stream, point) : wait_until(stream, point, timeout_ns));
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

/* What a command waits for: the one before it. */
static cl_uint tail_count(const fh_stream *stream) { return stream->tail ? 1 : 0; }
static const cl_event *tail_of(const fh_stream *stream) { return stream->tail ? &stream->tail : NULL; }

/* The command's event becomes the tail, or the command's failure is told. */
static fh_status enqueued(fh_stream *stream, cl_int error, cl_event event, const char *call, const char *what) {
  if (error != CL_SUCCESS) return FH_CL_FAIL(error, call, "%s on %s", what, stream->device->found->info.id);
  if (stream->tail) stream->device->fn->clReleaseEvent(stream->tail);
  stream->tail = event;
  stream->tail_marked = false;
  return FH_OK;
}

/* Waits for all that was enqueued: for the rare commands that the host has to do. */
static fh_status drain(fh_stream *stream) {
  if (!stream->tail) return FH_OK;
  cl_int error = stream->device->fn->clWaitForEvents(1, &stream->tail);
  return error == CL_SUCCESS ? FH_OK : FH_CL_FAIL(error, "clWaitForEvents", "waiting for %s", stream->device->found->info.id);
}

static fh_status check_place(const char *what, const fh_place *place, size_t bytes) {
  if (place->memory) return fh_check_range(what, place->offset, bytes, place->memory->bytes);
  return place->host || !bytes ? FH_OK : FH_STATUS(FH_INVALID_ARGUMENT, "%s: neither memory nor host address", what);
}

static char *host_address(const fh_place *place) { return (char *)place->host + place->offset; }

static fh_status enqueue_copy(fh_stream *stream, cl_mem from, size_t from_offset, cl_mem to, size_t to_offset, size_t bytes) {
  cl_event event = NULL;
  cl_int error = stream->device->fn->clEnqueueCopyBuffer(stream->queue, from, to, from_offset, to_offset, bytes, tail_count(stream),
                                                         tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueCopyBuffer", "copying within the device");
}

/* OpenCL refuses a copy whose ends overlap: through a buffer that lives until it is done. */
static fh_status copy_overlapping(fh_stream *stream, const fh_command *c) {
  cl_int error = CL_SUCCESS;
  cl_mem between = stream->device->fn->clCreateBuffer(stream->device->context, CL_MEM_READ_WRITE, c->copy.bytes, NULL, &error);
  if (!between) return FH_CL_FAIL(error, "clCreateBuffer", "copying %zu bytes that overlap", c->copy.bytes);
  fh_status status = enqueue_copy(stream, c->copy.from.memory->handle, (size_t)c->copy.from.offset, between, 0, c->copy.bytes);
  if (!status) status = enqueue_copy(stream, between, 0, c->copy.to.memory->handle, (size_t)c->copy.to.offset, c->copy.bytes);
  stream->device->fn->clReleaseMemObject(between); /* the queue holds it until the copies are done */
  return status;
}

static bool overlaps(const fh_command *c) {
  if (c->copy.from.memory != c->copy.to.memory) return false;
  int64_t apart = c->copy.from.offset - c->copy.to.offset;
  return (uint64_t)(apart < 0 ? -apart : apart) < c->copy.bytes;
}

static fh_status copy_on_host(fh_stream *stream, const fh_command *c) {
  FH_TRY(drain(stream));
  memmove(host_address(&c->copy.to), host_address(&c->copy.from), c->copy.bytes);
  return FH_OK;
}

static fh_status copy_to_device(fh_stream *stream, const fh_command *c) {
  cl_event event = NULL;
  cl_int error =
      stream->device->fn->clEnqueueWriteBuffer(stream->queue, c->copy.to.memory->handle, CL_FALSE, (size_t)c->copy.to.offset, c->copy.bytes,
                                               host_address(&c->copy.from), tail_count(stream), tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueWriteBuffer", "copying to the device");
}

static fh_status copy_to_host(fh_stream *stream, const fh_command *c) {
  cl_event event = NULL;
  cl_int error =
      stream->device->fn->clEnqueueReadBuffer(stream->queue, c->copy.from.memory->handle, CL_FALSE, (size_t)c->copy.from.offset,
                                              c->copy.bytes, host_address(&c->copy.to), tail_count(stream), tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueReadBuffer", "copying from the device");
}

static fh_status run_copy(fh_stream *stream, const fh_command *c) {
  FH_TRY(check_place("copy from", &c->copy.from, c->copy.bytes));
  FH_TRY(check_place("copy to", &c->copy.to, c->copy.bytes));
  if (c->copy.bytes == 0) return FH_OK;
  fh_memory *from = c->copy.from.memory, *to = c->copy.to.memory;
  if (!from && !to) return copy_on_host(stream, c);
  if (!from) return copy_to_device(stream, c);
  if (!to) return copy_to_host(stream, c);
  if (overlaps(c)) return copy_overlapping(stream, c);
  return enqueue_copy(stream, from->handle, (size_t)c->copy.from.offset, to->handle, (size_t)c->copy.to.offset, c->copy.bytes);
}

static fh_status run_fill(fh_stream *stream, const fh_command *c) {
  FH_TRY(check_place("fill", &c->fill.to, c->fill.bytes));
  if (c->fill.bytes == 0) return FH_OK;
  if (!c->fill.to.memory) {
    FH_TRY(drain(stream));
    memset(host_address(&c->fill.to), c->fill.value, c->fill.bytes);
    return FH_OK;
  }
  cl_event event = NULL;
  cl_int error =
      stream->device->fn->clEnqueueFillBuffer(stream->queue, c->fill.to.memory->handle, &c->fill.value, 1, (size_t)c->fill.to.offset,
                                              c->fill.bytes, tail_count(stream), tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueFillBuffer", "filling");
}

/* ---- launches ---------------------------------------------------------------------------------------------------- */

typedef struct arguments {
  const fh_executable *executable;
  cl_uint next;
  cl_int error; /* the first */
} arguments;

static void put(arguments *a, size_t size, const void *value) {
  cl_int error = a->executable->device->fn->clSetKernelArg(a->executable->handle, a->next++, size, value);
  if (error != CL_SUCCESS && a->error == CL_SUCCESS) a->error = error;
}

static void put_operand(arguments *a, const fh_launch_operand *operand) {
  if (operand->kind == FH_OPERAND_I64) {
    cl_long value = operand->i;
    put(a, sizeof value, &value);
  } else if (operand->kind == FH_OPERAND_F32) {
    cl_float value = operand->f;
    put(a, sizeof value, &value);
  } else {
    cl_mem memory = operand->place.memory ? operand->place.memory->handle : NULL;
    cl_long offset = operand->place.offset;
    put(a, sizeof(cl_mem), &memory);
    put(a, sizeof offset, &offset);
  }
}

static fh_status set_arguments(const fh_command *c) {
  arguments a = {.executable = c->launch.executable};
  cl_long items = c->launch.items;
  put(&a, sizeof items, &items);
  for (int i = 0; i < c->launch.operand_count; i++) put_operand(&a, &c->launch.operands[i]);
  return a.error == CL_SUCCESS ? FH_OK : FH_CL_FAIL(a.error, "clSetKernelArg", "setting the arguments of %s", a.executable->name);
}

static fh_status check_pointers(const fh_command *c) {
  const fh_entry_image *entry = c->launch.executable->entry;
  for (int i = 0; i < c->launch.operand_count; i++) {
    const fh_launch_operand *operand = &c->launch.operands[i];
    if (!fh_operand_is_pointer(operand->kind)) continue;
    if (operand->place.memory) {
      FH_TRY(fh_check_range(fh_operand_name(entry, i), operand->place.offset, 0, operand->place.memory->bytes));
    } else if (operand->place.host) {
      return FH_STATUS(FH_INVALID_ARGUMENT, "opencl: launch of %s: operand %s is host memory; the device needs its own", entry->entry,
                       fh_operand_name(entry, i));
    } else if (c->launch.items > 0) { /* the kernel would follow a NULL */
      return FH_STATUS(FH_INVALID_ARGUMENT, "opencl: launch of %s: operand %s has no memory", entry->entry, fh_operand_name(entry, i));
    }
  }
  return FH_OK;
}

/* Items [first, first + count) in groups; the kernel itself leaves out those past the end. */
static fh_status enqueue_items(fh_stream *stream, const fh_executable *executable, int64_t first, int64_t count) {
  size_t local = executable->local, offset = (size_t)first;
  size_t global = ((size_t)count + local - 1) / local * local;
  cl_event event = NULL;
  cl_int error = stream->device->fn->clEnqueueNDRangeKernel(stream->queue, executable->handle, 1, &offset, &global, &local,
                                                            tail_count(stream), tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueNDRangeKernel", executable->name);
}

/* Every piece but the last is whole groups, so that no item runs twice. */
static fh_status enqueue_all(fh_stream *stream, const fh_command *c) {
  int64_t local = (int64_t)c->launch.executable->local;
  int64_t most = stream->device->enqueue_items / local * local;
  if (most < local) most = local;
  for (int64_t first = 0; first < c->launch.items;) {
    int64_t left = c->launch.items - first, count = left < most ? left : most;
    FH_TRY(enqueue_items(stream, c->launch.executable, first, count));
    first += count;
  }
  return FH_OK;
}

/* Items in a stride of the grid: any number of groups is right. */
static fh_status enqueue_lanes(fh_stream *stream, const fh_command *c) {
  const fh_executable *executable = c->launch.executable;
  const int64_t of_group = (int64_t)executable->local / FH_CL_LANES;
  const int units = stream->device->found->info.compute_units;
  const int64_t most = (int64_t)(units > 0 ? units : 1) * FH_CL_GROUPS_OF_UNIT, wanted = (c->launch.items + of_group - 1) / of_group;
  const size_t local = executable->local, global = (size_t)(wanted < most ? wanted : most) * local;
  cl_event event = NULL;
  cl_int error = stream->device->fn->clEnqueueNDRangeKernel(stream->queue, executable->handle, 1, NULL, &global, &local, tail_count(stream),
                                                            tail_of(stream), &event);
  return enqueued(stream, error, event, "clEnqueueNDRangeKernel", executable->name);
}

/* A work-group for a block, all in one enqueue: a block is no item that a later piece could begin with. */
static fh_status enqueue_blocks(fh_stream *stream, const fh_command *c) {
  const fh_executable *executable = c->launch.executable;
  const fh_device_info *info = &stream->device->found->info;
  fh_block_shape shape;
  FH_TRY(fh_check_block_shape(info, executable->variant, executable->step, c->launch.bound, &shape));
  if (shape.threads > executable->local)
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES", "%s: %s needs groups of %u work-items, its registers allow %zu", info->id,
                           executable->name, shape.threads, executable->local);
  if (shape.shared_bytes)
    return FH_STATUS(FH_INTERNAL, "%s: variant %s asks for %u bytes of shared memory: a portable text declares what it needs", info->id,
                     executable->variant->name, shape.shared_bytes);
  const size_t local[3] = {shape.threads, 1, 1}, global[3] = {(size_t)shape.grid[0] * shape.threads, shape.grid[1], shape.grid[2]};
  cl_event event = NULL;
  cl_int error = stream->device->fn->clEnqueueNDRangeKernel(stream->queue, executable->handle, 3, NULL, global, local, tail_count(stream),
                                                            tail_of(stream), &event);
  if (error == CL_OUT_OF_RESOURCES) /* registers or local memory of a group: freeing buffers would not help */
    return FH_STATUS_CAUSE(FH_INCOMPATIBLE, "LAUNCH-RESOURCES", "%s: a group of %u work-items of %s was refused: %s", info->id,
                           shape.threads, executable->name, fh_opencl_error_name(error));
  return enqueued(stream, error, event, "clEnqueueNDRangeKernel", executable->name);
}

static fh_status run_launch(fh_stream *stream, const fh_command *c) {
  fh_executable *executable = c->launch.executable;
  if (!executable) return FH_STATUS(FH_INVALID_ARGUMENT, "opencl: a launch without an executable");
  FH_TRY(fh_check_device_operands(executable->entry, executable->variant, c->launch.operands, c->launch.operand_count));
  FH_TRY(check_pointers(c));
  if (c->launch.items <= 0) return FH_OK;
  pthread_mutex_lock(&executable->lock);
  fh_status status = set_arguments(c);
  if (!status)
    status = executable->variant ? enqueue_blocks(stream, c) : executable->lanes ? enqueue_lanes(stream, c) : enqueue_all(stream, c);
  pthread_mutex_unlock(&executable->lock);
  return status;
}

static fh_status run(fh_stream *stream, const fh_command *command) {
  switch (command->kind) {
    case FH_COMMAND_COPY:
      return run_copy(stream, command);
    case FH_COMMAND_FILL:
      return run_fill(stream, command);
    case FH_COMMAND_LAUNCH:
      return run_launch(stream, command);
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "opencl: unknown command kind %d", (int)command->kind);
}

/* ---- submit ------------------------------------------------------------------------------------------------------ */

/* The event that stands for the new point: that of the batch's last command, or, after an empty batch, a marker's. */
static fh_status mark(fh_stream *stream) {
  const fh_opencl_functions *fn = stream->device->fn;
  if (!stream->tail || stream->tail_marked) {
    cl_event event = NULL;
    cl_int error = fn->clEnqueueMarkerWithWaitList(stream->queue, tail_count(stream), tail_of(stream), &event);
    FH_TRY(enqueued(stream, error, event, "clEnqueueMarkerWithWaitList", "marking a point"));
  }
  fn->clRetainEvent(stream->tail);
  stream->tail_marked = true;
  *event_of(stream, ++stream->submitted) = stream->tail;
  cl_int error = fn->clFlush(stream->queue);
  return error == CL_SUCCESS ? FH_OK : FH_CL_FAIL(error, "clFlush", "handing work to %s", stream->device->found->info.id);
}

static fh_status submit(fh_stream *stream, const fh_command *commands, int count, bool *out_any) {
  FH_TRY(fh_cl_same_process(stream->device->backend));
  if (stream->submitted - stream->completed >= FH_CL_POINTS - 1) FH_TRY(wait_for_ever(stream, stream->completed + 1));
  for (int i = 0; i < count; i++) {
    FH_TRY(run(stream, &commands[i]));
    *out_any = true;
  }
  return mark(stream);
}

fh_status fh_cl_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point) {
  *out_point = stream->submitted;
  if (stream->failure) return fh_status_clone(stream->failure);
  bool any = false;
  fh_point next = stream->submitted + 1;
  fh_status status = keep(stream, submit(stream, commands, count, &any));
  if (!status || any) *out_point = next;
  return status;
}
