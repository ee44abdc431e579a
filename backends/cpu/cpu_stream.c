/* The CPU backend's streams: commands run in submit, large launches on the pool. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "backends/cpu/cpu_device.h"
#include "backends/cpu/cpu_float.h"
#include "runtime/base/clock.h"
#include "runtime/base/host_memory.h"

/* When a launch is handed to other threads, by its f32 operations: measured on two cores. Hot, a hand-over costs about half a
 * microsecond, which two parts of PART repay; waking workers that sleep costs ten or more, which WAKE repays. Tuned entries do more
 * operations in the same time. */
typedef struct thresholds {
  double part, wake;
} thresholds;
static const thresholds DIALECT = {32e3, 500e3}, TUNED = {75e3, 1500e3};
enum {
  PARTS_PER_THREAD = 8, /* so that a late worker costs an eighth of its share */
  BUSY_NS = 50000,      /* a launch that follows another this soon is one of a loop, and its next ones find the workers awake */
};

struct fh_stream {
  fh_device *device;
  fh_point submitted;
  fh_status failure; /* once set, the stream is dead */
  void *scratch;     /* of tuned variants; kept, grows only */
  size_t scratch_bytes;
  bool let_sleep;       /* this launch found the workers asleep and is too small to wake them */
  int64_t let_sleep_ns; /* when the last such launch ended */
};

fh_status fh_cpu_stream_open(fh_device *device, fh_stream **out_stream) {
  *out_stream = calloc(1, sizeof **out_stream);
  if (!*out_stream) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory for a stream");
  (*out_stream)->device = device;
  return FH_OK;
}

void fh_cpu_stream_close(fh_stream *stream) {
  if (!stream) return;
  fh_status_free(stream->failure);
  free(stream->scratch);
  free(stream);
}

/* ---- places ------------------------------------------------------------------------------------------------ */

static void *address(const fh_place *place) {
  char *base = place->memory ? place->memory->data : place->host;
  return base ? base + place->offset : NULL;
}

static fh_status check_place(const char *what, const fh_place *place, size_t bytes) {
  if (place->memory) return fh_check_range(what, place->offset, bytes, place->memory->bytes);
  return place->host || !bytes ? FH_OK : FH_STATUS(FH_INVALID_ARGUMENT, "%s: neither memory nor host address", what);
}

static fh_status run_copy(const fh_command *command) {
  FH_TRY(check_place("copy from", &command->copy.from, command->copy.bytes));
  FH_TRY(check_place("copy to", &command->copy.to, command->copy.bytes));
  if (command->copy.bytes) memmove(address(&command->copy.to), address(&command->copy.from), command->copy.bytes);
  return FH_OK;
}

static fh_status run_fill(const fh_command *command) {
  FH_TRY(check_place("fill", &command->fill.to, command->fill.bytes));
  if (command->fill.bytes) memset(address(&command->fill.to), command->fill.value, command->fill.bytes);
  return FH_OK;
}

/* ---- launches ---------------------------------------------------------------------------------------------- */

static fh_status fill_slots(const fh_executable *executable, const fh_command *command, fh_slot *slots) {
  const fh_entry_image *entry = executable->entry;
  FH_TRY(fh_check_operands(entry, command->launch.operands, command->launch.operand_count));
  for (int i = 0; i < command->launch.operand_count; i++) {
    const fh_launch_operand *operand = &command->launch.operands[i];
    slots[i].i = 0;
    if (operand->kind == FH_OPERAND_I64) {
      slots[i].i = operand->i;
    } else if (operand->kind == FH_OPERAND_F32) {
      slots[i].f = operand->f;
    } else {
      FH_TRY(
          check_place(entry->params ? entry->params[i].name : entry->entry, &operand->place, 0)); /* NULL is the address of an empty view */
      slots[i].p = address(&operand->place);
    }
  }
  return FH_OK;
}

typedef struct items_job {
  fh_items_fn fn;
  const fh_slot *slots;
} items_job;

static void items_body(void *arg, int64_t first, int64_t last, int worker) {
  (void)worker;
  const items_job *job = arg;
  fh_float_mode mode = fh_float_mode_enter();
  job->fn(job->slots, first, last);
  fh_float_mode_leave(mode);
}

/* Operations of a launch; an estimate that is not a positive number counts as one per item. */
static double flops_per_item(const fh_command *command) {
  double flops = command->launch.flops_per_item;
  return flops > 1 ? flops : 1;
}

/* Into how many parts a launch is cut; 1: it stays with the caller. */
static int64_t parts_of(fh_stream *stream, const fh_command *command, thresholds t) {
  fh_pool *pool = stream->device->backend->pool;
  int64_t most = fh_pool_size(pool) > 1 ? (int64_t)fh_pool_size(pool) * PARTS_PER_THREAD : 1;
  double flops = (double)command->launch.items * flops_per_item(command), parts = flops / t.part;
  if (most == 1 || parts < 2) return 1;
  stream->let_sleep = flops < t.wake && !fh_pool_awake(pool) && fh_now_ns() - stream->let_sleep_ns > BUSY_NS;
  if (stream->let_sleep) return 1;
  return parts < (double)most ? (int64_t)parts : most;
}

static void run_items(fh_stream *stream, const fh_command *command, const fh_slot *slots) {
  int64_t parts = parts_of(stream, command, DIALECT), items = command->launch.items;
  items_job job = {command->launch.executable->items, slots};
  fh_pool_run(stream->device->backend->pool, items, (items - 1) / parts + 1, items_body, &job);
}

typedef struct team_job {
  void (*body)(void *arg, int64_t i, int worker);
  void *arg;
} team_job;

static void team_body(void *arg, int64_t first, int64_t last, int worker) {
  const team_job *job = arg;
  fh_float_mode mode = fh_float_mode_enter();
  for (int64_t i = first; i < last; i++) job->body(job->arg, i, worker);
  fh_float_mode_leave(mode);
}

static void team_parallel(const fh_team *team, int64_t count, void (*body)(void *arg, int64_t i, int worker), void *arg) {
  team_job job = {body, arg};
  if (team->size == 1) {
    for (int64_t i = 0; i < count; i++) body(arg, i, 0);
  } else {
    fh_pool_run(team->impl, count, 1, team_body, &job);
  }
}

fh_team fh_cpu_team(fh_pool *pool, int size, void *scratch) {
  return (fh_team){.size = size, .scratch = scratch, .parallel = team_parallel, .impl = pool};
}

static fh_status need_scratch(fh_stream *stream, size_t bytes) {
  if (bytes <= stream->scratch_bytes) return FH_OK;
  free(stream->scratch);
  stream->scratch = fh_host_alloc(bytes);
  stream->scratch_bytes = stream->scratch ? bytes : 0;
  return stream->scratch ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "cpu: no memory for %zu bytes of scratch", bytes);
}

static fh_status run_team(fh_stream *stream, const fh_command *command, const fh_slot *slots) {
  const fh_tuned *tuned = command->launch.executable->tuned;
  fh_pool *pool = stream->device->backend->pool;
  bool alone = parts_of(stream, command, TUNED) == 1;
  fh_team team = fh_cpu_team(pool, alone ? 1 : fh_pool_size(pool), NULL);
  if (tuned->scratch_bytes) {
    if (!command->launch.bound) return FH_STATUS(FH_INVALID_ARGUMENT, "cpu: a launch of variant %s needs its bound call", tuned->name);
    FH_TRY(need_scratch(stream, tuned->scratch_bytes(command->launch.bound, team.size)));
  }
  team.scratch = stream->scratch;
  fh_float_mode mode = fh_float_mode_enter();
  tuned->fn(slots, &team);
  fh_float_mode_leave(mode);
  return FH_OK;
}

static fh_status run_launch(fh_stream *stream, const fh_command *command) {
  const fh_executable *executable = command->launch.executable;
  if (!executable) return FH_STATUS(FH_INVALID_ARGUMENT, "cpu: a launch without an executable");
  fh_slot slots[FH_MAX_OPERANDS];
  FH_TRY(fill_slots(executable, command, slots));
  if (command->launch.items <= 0) return FH_OK;
  fh_status status = FH_OK;
  stream->let_sleep = false;
  if (executable->tuned)
    status = run_team(stream, command, slots);
  else
    run_items(stream, command, slots);
  if (stream->let_sleep) stream->let_sleep_ns = fh_now_ns();
  return status;
}

/* ---- the timeline ------------------------------------------------------------------------------------------ */

static fh_status run(fh_stream *stream, const fh_command *command) {
  switch (command->kind) {
    case FH_COMMAND_COPY:
      return run_copy(command);
    case FH_COMMAND_FILL:
      return run_fill(command);
    case FH_COMMAND_LAUNCH:
      return run_launch(stream, command);
  }
  return FH_STATUS(FH_INVALID_ARGUMENT, "cpu: unknown command kind %d", (int)command->kind);
}

fh_status fh_cpu_submit(fh_stream *stream, const fh_command *commands, int count, fh_point *out_point) {
  *out_point = stream->submitted;
  if (stream->failure) return fh_status_clone(stream->failure);
  for (int i = 0; i < count; i++) {
    stream->failure = run(stream, &commands[i]);
    if (stream->failure) return fh_status_clone(stream->failure);
    *out_point = stream->submitted + 1;
  }
  *out_point = ++stream->submitted;
  return FH_OK;
}

/* Everything that was submitted is done. */
fh_status fh_cpu_poll(fh_stream *stream, fh_point point, bool *out_done) {
  *out_done = point <= stream->submitted;
  return fh_status_clone(stream->failure);
}

fh_status fh_cpu_wait(fh_stream *stream, fh_point point, int64_t timeout_ns) {
  (void)timeout_ns;
  if (stream->failure) return fh_status_clone(stream->failure);
  if (point <= stream->submitted) return FH_OK;
  return FH_STATUS(FH_OUT_OF_RANGE, "cpu: point %" PRIu64 " was never submitted; the last is %" PRIu64, point, stream->submitted);
}
