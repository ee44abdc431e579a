/* The stand-in CUDA driver: streams run their commands in order, each on a thread of its own. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

struct CUevent_st {
  fake_object object;
  uint64_t recorded;   /* how often */
  uint64_t *under_way; /* recordings that their streams have not come to, in any order: each may be on another stream */
  int under_way_count;
  bool destroyed; /* by the program, while a recording is still on its way */
  int waiting;    /* commands of streams that wait for it */
};

struct CUstream_st {
  fake_object object;
  fh_cu_context context;
  pthread_cond_t changed; /* there is a command, or the end */
  fake_command *first, **end, *current;
  bool running, destroyed;
  fake_graph *capture; /* takes what is launched */
  struct CUstream_st *next;
};

/* Every stream whose thread lives, also those that the program has destroyed: what was queued still runs. */
static fake_stream *streams;
/* A command is done, or a thread has ended. */
static pthread_cond_t progress = PTHREAD_COND_INITIALIZER;

/* ---- the thread ------------------------------------------------------------------------------------------------------ */

/* What the emulator finds wrong would be a fault of the kernel, or wrong results, on a device. */
static void run_blocks(const fake_stream *stream, const fake_command *command) {
  const fh_block_shape *s = &command->shape;
  fh_slot slots[FH_MAX_OPERANDS + FH_MAX_TENSOR_MAPS];
  memcpy(slots, command->slots, sizeof command->slots);
  for (int i = 0; i < command->block->map_count; i++) slots[command->block->param_count + i].cp = (const void *)&command->maps[i];
  const char *wrong = fake_block_run(command->block, slots, command->items, s->grid, s->threads, s->shared_bytes);
  if (!wrong) return;
  fake_complain("%s: %s", command->block->name, wrong);
  fake_poison(stream->context, FH_CUDA_ERROR_LAUNCH_FAILED);
}

static void run(const fake_stream *stream, const fake_command *command) {
  switch (command->kind) {
    case FAKE_COPY:
      memmove(command->to, command->from, command->bytes);
      break;
    case FAKE_SET:
      memset(command->to, command->value, command->bytes);
      break;
    case FAKE_LAUNCH:
      if (command->block)
        run_blocks(stream, command);
      else
        command->run(command->slots, 0, command->items);
      break;
    case FAKE_RECORD:
    case FAKE_WAIT:
    case FAKE_ALLOC:
    case FAKE_FREE:
      break;
  }
}

/* ---- what a command touches ------------------------------------------------------------------------------------------ */

static bool is_inside(const void *pointer, const void *from, size_t bytes) {
  return (const char *)pointer >= (const char *)from && (const char *)pointer < (const char *)from + bytes;
}

static bool overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes) {
  return a_bytes && b_bytes && (is_inside(a, b, b_bytes) || is_inside(b, a, a_bytes));
}

static bool touches(const fake_command *command, const void *host, size_t bytes) {
  if (command->kind == FAKE_COPY || command->kind == FAKE_SET)
    return overlap(command->to, command->bytes, host, bytes) ||
           (command->kind == FAKE_COPY && overlap(command->from, command->bytes, host, bytes));
  for (int i = 0; command->kind == FAKE_LAUNCH && i < FH_MAX_OPERANDS; i++)
    if (is_inside(command->slots[i].p, host, bytes)) return true;
  return false;
}

bool fake_streams_touch(const fake_stream *but, const void *host, size_t bytes) {
  for (const fake_stream *s = streams; s; s = s->next) {
    if (s == but) continue;
    if (s->current && touches(s->current, host, bytes)) return true;
    for (const fake_command *c = s->first; c; c = c->next)
      if (touches(c, host, bytes)) return true;
  }
  return false;
}

static bool is_unready(const void *host) {
  const fake_allocation *allocation = fake_allocation_at(host);
  return allocation && allocation->unready;
}

/* Memory of a pool exists when its own stream has come to the allocation: another must wait for that by an event. */
static bool comes_too_early(const fake_command *command) {
  bool early = (command->kind == FAKE_COPY && is_unready(command->from)) ||
               ((command->kind == FAKE_COPY || command->kind == FAKE_SET) && is_unready(command->to));
  for (int i = 0; command->kind == FAKE_LAUNCH && i < FH_MAX_OPERANDS; i++) early |= is_unready(command->slots[i].p);
  if (early) fake_complain("a command runs before the stream that allocated its memory has come to the allocation");
  return early;
}

/* A recording keeps what it stands for, however often the event is recorded again. */
static bool is_under_way(const fake_event *event, uint64_t number) {
  for (int i = 0; i < event->under_way_count; i++)
    if (event->under_way[i] == number) return true;
  return false;
}

static void free_if_ended(fake_event *event) {
  if (!event->destroyed || event->under_way_count || event->waiting) return;
  free(event->under_way);
  free(event);
}

/* With the lock held. */
static void reach(fake_event *event, uint64_t number) {
  for (int i = 0; i < event->under_way_count; i++)
    if (event->under_way[i] == number) event->under_way[i] = event->under_way[--event->under_way_count];
  free_if_ended(event);
}

/* With the lock held. */
static void wait_for_event(const fake_command *command) {
  fake_event *event = command->event;
  while (is_under_way(event, command->number)) pthread_cond_wait(&progress, &fake_lock);
  event->waiting--;
  free_if_ended(event);
}

/* With the lock held: what is no work for the device. */
static void order(const fake_stream *stream, const fake_command *command) {
  if (command->kind == FAKE_RECORD) reach(command->event, command->number);
  if (command->kind == FAKE_WAIT) wait_for_event(command);
  if (command->kind == FAKE_ALLOC) command->allocation->unready = false;
  if (command->kind == FAKE_FREE) fake_pool_end(command->allocation, stream);
}

/* A dead context runs nothing more. */
static void execute(fake_stream *stream, const fake_command *command) {
  if (command->kind >= FAKE_RECORD) return;
  fake_sleep(fake_get_settings()->delay);
  pthread_mutex_lock(&fake_lock);
  bool dead = stream->context->poison != FH_CUDA_SUCCESS, early = !dead && comes_too_early(command);
  pthread_mutex_unlock(&fake_lock);
  if (early) fake_poison(stream->context, FH_CUDA_ERROR_ILLEGAL_ADDRESS);
  if (dead || early) return;
  fake_perform(&command->act);
  if (command->act.deed == FAKE_CODE)
    fake_poison(stream->context, command->act.code);
  else
    run(stream, command);
}

static void forget(const fake_stream *stream) {
  for (fake_stream **link = &streams; *link; link = &(*link)->next)
    if (*link == stream) {
      *link = stream->next;
      return;
    }
}

static void *work(void *arg) {
  fake_stream *stream = arg;
  pthread_mutex_lock(&fake_lock);
  for (;;) {
    while (!stream->first && !stream->destroyed) pthread_cond_wait(&stream->changed, &fake_lock);
    fake_command *command = stream->first;
    if (!command) break;
    stream->first = command->next;
    if (!stream->first) stream->end = &stream->first;
    stream->running = true;
    stream->current = command;
    pthread_mutex_unlock(&fake_lock);
    execute(stream, command);
    pthread_mutex_lock(&fake_lock);
    order(stream, command);
    stream->current = NULL;
    free(command);
    stream->running = false;
    pthread_cond_broadcast(&progress);
  }
  forget(stream);
  pthread_cond_broadcast(&progress);
  pthread_mutex_unlock(&fake_lock);
  pthread_cond_destroy(&stream->changed);
  free(stream);
  return NULL;
}

/* ---- streams ------------------------------------------------------------------------------------------------------------- */

fh_cu_result fake_stream_create(fh_cu_context context, fake_stream **out_stream) {
  fake_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  stream->context = context;
  stream->end = &stream->first;
  pthread_cond_init(&stream->changed, NULL);
  pthread_attr_t detached;
  pthread_t thread;
  pthread_attr_init(&detached);
  pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
  int failed = pthread_create(&thread, &detached, work, stream);
  pthread_attr_destroy(&detached);
  if (failed) {
    pthread_cond_destroy(&stream->changed);
    free(stream);
    return FH_CUDA_ERROR_OPERATING_SYSTEM;
  }
  fake_object_add(&stream->object, FAKE_STREAM, context);
  stream->next = streams;
  streams = stream;
  *out_stream = stream;
  return FH_CUDA_SUCCESS;
}

void fake_stream_destroy(fake_stream *stream) {
  fake_object_remove(&stream->object);
  stream->destroyed = true;
  pthread_cond_broadcast(&stream->changed);
}

fh_cu_result fake_stream_queue(fake_stream *stream, const fake_command *command) {
  fake_command *copy = malloc(sizeof *copy);
  if (!copy) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  *copy = *command;
  copy->next = NULL;
  *stream->end = copy;
  stream->end = &copy->next;
  pthread_cond_broadcast(&stream->changed);
  return FH_CUDA_SUCCESS;
}

void fake_stream_set_capture(fake_stream *stream, fake_graph *graph) { stream->capture = graph; }
fake_graph *fake_stream_capture(const fake_stream *stream) { return stream->capture; }

static bool is_busy(const fake_stream *stream) { return stream->first || stream->running; }

static bool is_busy_still(const fake_stream *stream) {
  for (const fake_stream *s = streams; s; s = s->next)
    if (s == stream) return is_busy(s);
  return false;
}

static bool has_busy_stream(fh_cu_context context) {
  for (const fake_stream *s = streams; s; s = s->next)
    if (s->context == context && is_busy(s)) return true;
  return false;
}

bool fake_context_is_busy(fh_cu_context context) { return has_busy_stream(context); }

void fake_stream_wait(fake_stream *stream) {
  while (is_busy_still(stream)) pthread_cond_wait(&progress, &fake_lock);
}

void fake_context_wait(fh_cu_context context) {
  while (has_busy_stream(context)) pthread_cond_wait(&progress, &fake_lock);
}

/* ---- events ---------------------------------------------------------------------------------------------------------------- */

fh_cu_result fake_event_create(fh_cu_context context, fake_event **out_event) {
  fake_event *event = calloc(1, sizeof *event);
  if (!event) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  fake_object_add(&event->object, FAKE_EVENT, context);
  *out_event = event;
  return FH_CUDA_SUCCESS;
}

void fake_event_destroy(fake_event *event) {
  fake_object_remove(&event->object);
  event->destroyed = true;
  free_if_ended(event);
}

fh_cu_result fake_event_record(fake_event *event, fake_stream *stream) {
  uint64_t *more = realloc(event->under_way, (size_t)(event->under_way_count + 1) * sizeof *more);
  if (!more) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  event->under_way = more;
  fh_cu_result code = fake_stream_queue(stream, &(fake_command){.kind = FAKE_RECORD, .event = event, .number = event->recorded + 1});
  if (code == FH_CUDA_SUCCESS) more[event->under_way_count++] = ++event->recorded;
  return code;
}

fh_cu_result fake_event_wait(fake_event *event, fake_stream *stream) {
  fh_cu_result code = fake_stream_queue(stream, &(fake_command){.kind = FAKE_WAIT, .event = event, .number = event->recorded});
  if (code == FH_CUDA_SUCCESS) event->waiting++;
  return code;
}

bool fake_event_reached(const fake_event *event) { return !is_under_way(event, event->recorded); }
