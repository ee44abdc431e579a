/* Buffers. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mem/buffer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/host_memory.h"
#include "runtime/base/log.h"

enum { CHUNK = 64 };

/* Blocks live for ever: a stale view must find the block it names. Chunks are linked so that leak checkers see them. */
typedef struct chunk {
  struct chunk *next;
  fh_buffer blocks[CHUNK];
} chunk;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static chunk *chunks;
static fh_buffer *free_blocks;
static uint64_t next_generation = 1;

static fh_buffer *block_take(void) {
  pthread_mutex_lock(&lock);
  if (!free_blocks) {
    chunk *fresh = calloc(1, sizeof *fresh);
    if (fresh) {
      fresh->next = chunks;
      chunks = fresh;
      for (int i = 0; i < CHUNK; i++) {
        fresh->blocks[i].next_free = free_blocks;
        free_blocks = &fresh->blocks[i];
      }
    }
  }
  fh_buffer *block = free_blocks;
  if (block) {
    free_blocks = block->next_free;
    block->generation = next_generation++;
  }
  pthread_mutex_unlock(&lock);
  return block;
}

static void block_give(fh_buffer *block) {
  pthread_mutex_lock(&lock);
  memmove(block->past + 1, block->past, sizeof block->past - sizeof block->past[0]);
  block->past[0].generation = block->generation;
  block->past[0].made_file = block->made_file;
  block->past[0].made_line = block->made_line;
  block->past[0].ended_file = block->ended_file;
  block->past[0].ended_line = block->ended_line;
  block->generation = 0;
  block->next_free = free_blocks;
  free_blocks = block;
  pthread_mutex_unlock(&lock);
}

static fh_status host_new(size_t bytes, const char *file, int line, void **out_host) {
  *out_host = fh_host_alloc(bytes);
  if (!*out_host) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for a buffer of %zu bytes (wanted at %s:%d)", bytes, file, line);
  memset(*out_host, 0, bytes);
  return FH_OK;
}

fh_status fh_buffer_new(const fh_residency *residency, void *owner, void *host, size_t bytes, bool read_only, const char *file, int line,
                        fh_buffer **out_buffer) {
  *out_buffer = NULL;
  bool owned = !host;
  if (owned) FH_TRY(host_new(bytes, file, line, &host));
  fh_buffer *buffer = block_take();
  if (!buffer) {
    if (owned) free(host);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "no memory for the control block of a buffer (wanted at %s:%d)", file, line);
  }
  fh_refcount_init(&buffer->refs);
  buffer->log_refs = 0;
  buffer->residency = residency;
  buffer->owner = owner;
  buffer->host = host;
  buffer->bytes = bytes;
  buffer->host_owned = owned;
  buffer->read_only = read_only;
  buffer->version = buffer->host_version = 1;
  buffer->split_version = 0;
  buffer->lost = buffer->host_needed = false;
  buffer->staged = NULL;
  buffer->copies = 0;
  buffer->crossed = 0;
  buffer->pinned = NULL;
  memset(buffer->replicas, 0, sizeof buffer->replicas);
  buffer->resident = false;
  buffer->made_file = file;
  buffer->made_line = line;
  buffer->ended_file = NULL;
  buffer->ended_line = 0;
  if (residency) residency->retain(owner);
  atomic_store(&buffer->live_generation, buffer->generation);
  *out_buffer = buffer;
  return FH_OK;
}

void fh_buffer_retain(fh_buffer *buffer) { fh_refcount_retain(&buffer->refs); }

bool fh_buffer_try_retain(fh_buffer *buffer) { return fh_refcount_try_retain(&buffer->refs); }

static void memory_end(fh_buffer *buffer) {
  atomic_store(&buffer->live_generation, 0);
  if (buffer->residency) buffer->residency->evict(buffer->owner, buffer);
  if (buffer->host_owned) free(buffer->host);
  buffer->host = NULL;
  buffer->host_owned = false;
}

void fh_buffer_release(fh_buffer *buffer) {
  if (!fh_refcount_release(&buffer->refs)) return;
  memory_end(buffer);
  const fh_residency *residency = buffer->residency;
  void *owner = buffer->owner;
  block_give(buffer);
  if (residency) residency->release(owner);
}

fh_status fh_buffer_dead(const fh_buffer *buffer, uint64_t generation) {
  const char *made = NULL, *ended = NULL;
  int made_line = 0, ended_line = 0;
  pthread_mutex_lock(&lock);
  if (buffer->generation == generation) {
    made = buffer->made_file, made_line = buffer->made_line;
    ended = buffer->ended_file, ended_line = buffer->ended_line;
  }
  for (size_t i = 0; !made && i < sizeof buffer->past / sizeof buffer->past[0]; i++) {
    if (buffer->past[i].generation != generation) continue;
    made = buffer->past[i].made_file, made_line = buffer->past[i].made_line;
    ended = buffer->past[i].ended_file, ended_line = buffer->past[i].ended_line;
  }
  pthread_mutex_unlock(&lock);
  if (!made)
    return FH_STATUS(FH_FAILED_PRECONDITION, "the view's buffer ended long ago\nnext step: release a view once, and do not use it after");
  if (!ended) {
    return FH_STATUS(FH_FAILED_PRECONDITION,
                     "the buffer made at %s:%d was freed when its last view was released, and a copy of a view was used after that\n"
                     "next step: make copies of views with fh_view_retain",
                     made, made_line);
  }
  return FH_STATUS(FH_FAILED_PRECONDITION, "the buffer made at %s:%d was destroyed at %s:%d, and a view of it was used after that", made,
                   made_line, ended, ended_line);
}

void fh_buffer_destroy_at(const fh_view *view, const char *file, int line) {
  fh_buffer *buffer = view ? view->buffer : NULL;
  if (!buffer || !fh_buffer_alive(buffer, view->generation)) return;
  pthread_mutex_lock(&lock);
  buffer->ended_file = file;
  buffer->ended_line = line;
  pthread_mutex_unlock(&lock);
  if (buffer->residency) buffer->residency->forget(buffer->owner, buffer);
  memory_end(buffer);
}

void fh_view_release(fh_view *view) {
  if (!view || !view->buffer) return;
  fh_buffer *buffer = view->buffer;
  if (buffer->generation == view->generation) {
    if (buffer->residency && !buffer->host_owned) {
      buffer->residency->give_back(buffer->owner, buffer);
    } else {
      fh_buffer_release(buffer);
    }
  } else {
    fh_status status = fh_buffer_dead(buffer, view->generation);
    fh_log(FH_LOG_ERROR, "fh_view_release: %s", fh_status_message(status));
    fh_status_free(status);
  }
  *view = (fh_view){0};
}
