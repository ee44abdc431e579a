/* The backend to copy: complete, correct, and without a device worth using. SPDX-License-Identifier: Apache-2.0
 *
 * Every entry of fh_backend_api is here in its smallest honest form: memory from malloc, commands done
 * in submit, launches refused with INCOMPATIBLE. It is compiled and tested but not listed in
 * backends.def, so nobody can pick it. To make a backend, copy this folder to backends/<name>/, rename
 * null to <name>, add the line FH_BACKEND(<name>) to backends.def, and replace entry by entry what does
 * not hold for your device. docs/add-a-backend.md walks through it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backend.h"
#include "backends/check.h"

/* Each type of backend.h is opaque to the layers above: define here what yours needs. */

struct fh_backend {
  int device_count; /* and the driver library, its symbols, a list of devices */
};

struct fh_device {
  fh_backend *backend; /* borrowed: the caller closes devices before it destroys the backend */
};

struct fh_memory {
  char *data; /* or a driver's handle */
  size_t bytes;
};

struct fh_executable {
  const fh_entry_image *entry; /* or a driver's kernel */
};

struct fh_stream {
  fh_device *device;
  fh_point submitted;
  fh_status failure; /* set by the first failure; from then on the stream is dead */
};

/* ---- the backend ----------------------------------------------------------------------------------------- */

/* Ends what open made. NULL is allowed everywhere something is ended. */
static void null_destroy(fh_backend *backend) { free(backend); }

/* Do the facts (detect/facts.h) show hardware for this backend? Only then is it opened without having been named, so
 * that no driver library is loaded in vain. This one drives nothing, so it has to be named. */
static bool null_present(const fh_facts *facts) {
  (void)facts;
  return false;
}

/* Loads the driver and counts devices. A backend that is not there fails with UNAVAILABLE or NOT_FOUND, the cause's
 * id (detect/causes/) where one is known, and every dlerror in the message: this text is what an operator reads.
 * Set *out_backend to NULL first, so that a failure never leaves rubbish behind. */
static fh_status null_open(const fh_backend_options *options, fh_backend **out_backend) {
  (void)options; /* threads, isa_cap, allow_fake, cache_dir: read those that concern you, check them, refuse what is wrong */
  *out_backend = NULL;
  fh_backend *backend = malloc(sizeof *backend);
  if (!backend) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "null: no memory to open the backend");
  backend->device_count = 1;
  *out_backend = backend;
  return FH_OK;
}

/* Only copies what open found: no driver call, so it cannot fail. Returns the count even when capacity is less. */
static int null_enumerate(const fh_backend *backend, fh_device_info *out_infos, int capacity) {
  for (int i = 0; i < backend->device_count && i < capacity; i++) {
    fh_device_info *info = &out_infos[i];
    *info = (fh_device_info){.kind = FH_DEVICE_ACCELERATOR};
    snprintf(info->id, sizeof info->id, "null:%d", i); /* stable within a process: users pin devices by it */
    snprintf(info->name, sizeof info->name, "Null device");
    snprintf(info->driver, sizeof info->driver, "foghorn %s", FH_VERSION); /* keys caches: put the driver's version here */
    info->host_memory = true;                    /* map() gives an address that the host may use; false: copies are planned */
    info->exact = false;                         /* true only when division, square root and denormals round as IEEE 754 says */
    info->why_not_exact = "it computes nothing"; /* never leave a "no" without its reason */
    info->address_alignment = 1;                 /* operands may lie at any byte */
    info->compute_units = 1;
    /* peak_flops, peak_bytes_per_s, link_bytes_per_s and launch_s are guesses for the first plan; zero: unknown. */
  }
  return backend->device_count;
}

/* ---- the device ------------------------------------------------------------------------------------------ */

/* Makes the device ready (context, build cache). The index comes from a caller: check it. */
static fh_status null_device_open(fh_backend *backend, int index, fh_device **out_device) {
  *out_device = NULL;
  FH_TRY(fh_check_device_index("null", index, backend->device_count));
  fh_device *device = malloc(sizeof *device);
  if (!device) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "null: no memory to open the device");
  device->backend = backend;
  *out_device = device;
  return FH_OK;
}

static void null_device_close(fh_device *device) { free(device); }

/* A live number, asked of the driver now. A device that cannot say answers UNIMPLEMENTED rather than a guess. */
static fh_status null_query_free_memory(fh_device *device, uint64_t *out_bytes) {
  (void)device;
  *out_bytes = 0;
  return FH_STATUS(FH_UNIMPLEMENTED, "null: the device does not say how much memory is free");
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

/* Any size may be asked for, zero included; what cannot be had is RESOURCE_EXHAUSTED, and the planner evicts or
 * cuts the work into chunks. Contents are undefined. Align to 64 bytes at least. */
static fh_status null_alloc(fh_device *device, size_t bytes, fh_memory **out_memory) {
  (void)device;
  *out_memory = NULL;
  fh_memory *memory = malloc(sizeof *memory);
  void *data = NULL;
  if (!memory || bytes > PTRDIFF_MAX || posix_memalign(&data, 64, bytes ? bytes : 1) != 0) {
    free(memory);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "null: no memory for %zu bytes", bytes);
  }
  *memory = (fh_memory){.data = data, .bytes = bytes};
  *out_memory = memory;
  return FH_OK;
}

/* The caller has waited for every command that uses the memory. */
static void null_free(fh_memory *memory) {
  if (!memory) return;
  free(memory->data);
  free(memory);
}

/* The host address, where host_memory is set; otherwise return NULL. */
static void *null_map(fh_memory *memory) { return memory->data; }

/* ---- kernels --------------------------------------------------------------------------------------------- */

/* Makes an entry ready: picks a compiled function, builds recipe->image->cl_source, loads recipe->image->ptx. The
 * operand convention stands in kernels/contract.h. INCOMPATIBLE with a reason when this device cannot run it,
 * UNAVAILABLE when the build holds no image; a compiler's log belongs into the message. This device runs
 * nothing; one that does would set *out_executable and return FH_OK. */
static fh_status null_prepare(fh_device *device, const fh_recipe *recipe, fh_executable **out_executable) {
  (void)device;
  *out_executable = NULL;
  FH_TRY(fh_check_recipe(recipe));
  return FH_STATUS(FH_INCOMPATIBLE, "null: kernel %s cannot run here: the null device computes nothing", recipe->image->contract->name);
}

static void null_release(fh_executable *executable) { free(executable); }

/* ---- streams --------------------------------------------------------------------------------------------- */

static fh_status null_stream_open(fh_device *device, fh_stream **out_stream) {
  *out_stream = NULL;
  fh_stream *stream = malloc(sizeof *stream);
  if (!stream) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "null: no memory for a stream");
  *stream = (fh_stream){.device = device};
  *out_stream = stream;
  return FH_OK;
}

/* Waits for what was submitted, then ends. A kept failure must be freed. */
static void null_stream_close(fh_stream *stream) {
  if (!stream) return;
  fh_status_free(stream->failure);
  free(stream);
}

/* A place is a memory and an offset, or, with memory NULL, host memory. Never trust the range. */
static fh_status check_place(const char *what, const fh_place *place, size_t bytes) {
  if (place->memory) return fh_check_range(what, place->offset, bytes, place->memory->bytes);
  return place->host || !bytes ? FH_OK : FH_STATUS(FH_INVALID_ARGUMENT, "%s: neither memory nor host address", what);
}

static char *address(const fh_place *place) {
  char *base = place->memory ? place->memory->data : place->host;
  return base ? base + place->offset : NULL;
}

static fh_status run(const fh_command *command) {
  switch (command->kind) {
    case FH_COMMAND_COPY: /* host to device, device to host, device to device: `from` and `to` say which */
      FH_TRY(check_place("copy from", &command->copy.from, command->copy.bytes));
      FH_TRY(check_place("copy to", &command->copy.to, command->copy.bytes));
      if (command->copy.bytes) memmove(address(&command->copy.to), address(&command->copy.from), command->copy.bytes);
      return FH_OK;
    case FH_COMMAND_FILL:
      FH_TRY(check_place("fill", &command->fill.to, command->fill.bytes));
      if (command->fill.bytes) memset(address(&command->fill.to), command->fill.value, command->fill.bytes);
      return FH_OK;
    case FH_COMMAND_LAUNCH: /* fh_check_operands, set arguments, enqueue `items` work items; none: nothing to do */
      return FH_STATUS(FH_INCOMPATIBLE, "null: the null device computes nothing");
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "null: unknown command kind %d", (int)command->kind);
}

/* Queues a batch in order. An asynchronous device returns before the work is done and gives the point that stands for
 * it; this one is done at once. The first failure kills the stream: later batches are refused with the same status. */
static fh_status null_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point) {
  *out_point = stream->submitted;
  for (int i = 0; i < count && !stream->failure; i++) stream->failure = run(&commands[i]);
  if (stream->failure) return fh_status_clone(stream->failure);
  *out_point = ++stream->submitted;
  return FH_OK;
}

/* Never blocks. The status is the stream's health, *out_done whether the point was reached. */
static fh_status null_poll(fh_stream *stream, fh_point point, bool *out_done) {
  *out_done = point <= stream->submitted;
  return fh_status_clone(stream->failure);
}

/* Blocks without burning CPU. timeout_ns < 0: for ever; a point that was never submitted would be that: refuse it. */
static fh_status null_wait(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  (void)timeout_ns;
  if (stream->failure) return fh_status_clone(stream->failure);
  if (point <= stream->submitted) return FH_OK;
  return FH_STATUS(FH_OUT_OF_RANGE, "null: point %" PRIu64 " was never submitted; the last is %" PRIu64, point, stream->submitted);
}

/* The table. Its name must be fh_backend_<name>; backends/registry.c finds it through backends.def. */
const fh_backend_api fh_backend_null = {
    .destroy = null_destroy,
    .name = "null",
    .abi = FH_BACKEND_ABI,
    .present = null_present,
    .open = null_open,
    .enumerate = null_enumerate,
    .device_open = null_device_open,
    .device_close = null_device_close,
    .query_free_memory = null_query_free_memory,
    .alloc = null_alloc,
    .free = null_free,
    .map = null_map,
    .prepare = null_prepare,
    .release = null_release,
    .stream_open = null_stream_open,
    .stream_close = null_stream_close,
    .submit = null_submit,
    .poll = null_poll,
    .wait = null_wait,
};
