/* Memory that ends all at once. SPDX-License-Identifier: Apache-2.0 */
#include "detect/arena.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = 16 };

typedef struct block {
  struct block *next;
  size_t used, capacity;
  _Alignas(ALIGNMENT) unsigned char bytes[];
} block;

struct fh_facts_arena {
  block *blocks; /* the newest first: allocations come from it */
  bool failed;
};

fh_facts_arena *fh_arena_create(void) { return calloc(1, sizeof(fh_facts_arena)); }

void fh_arena_destroy(fh_facts_arena *arena) {
  if (!arena) return;
  for (block *b = arena->blocks; b;) {
    block *next = b->next;
    free(b);
    b = next;
  }
  free(arena);
}

static block *block_add(fh_facts_arena *arena, size_t capacity) {
  block *b = calloc(1, sizeof(*b) + capacity);
  if (!b) return NULL;
  b->capacity = capacity;
  if (capacity > BLOCK_BYTES && arena->blocks) { /* a big one must not end the use of the current block */
    b->next = arena->blocks->next;
    arena->blocks->next = b;
  } else {
    b->next = arena->blocks;
    arena->blocks = b;
  }
  return b;
}

void *fh_arena_alloc(fh_facts_arena *arena, size_t count, size_t size) {
  size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 4) {
    arena->failed = true;
    return NULL;
  }
  bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  block *b = arena->blocks;
  if (!b || b->capacity - b->used < bytes) b = block_add(arena, bytes > BLOCK_BYTES ? bytes : (size_t)BLOCK_BYTES);
  if (!b) {
    arena->failed = true;
    return NULL;
  }
  void *memory = b->bytes + b->used;
  b->used += bytes;
  return memory;
}

const char *fh_arena_text_size(fh_facts_arena *arena, const char *text, size_t size) {
  char *copy = fh_arena_alloc(arena, size + 1, 1);
  if (!copy) return "";
  memcpy(copy, text, size);
  return copy;
}

const char *fh_arena_text(fh_facts_arena *arena, const char *text) { return fh_arena_text_size(arena, text, strlen(text)); }

const char *fh_arena_vformat(fh_facts_arena *arena, const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  char *text = size < 0 ? NULL : fh_arena_alloc(arena, (size_t)size + 1, 1);
  if (text) vsnprintf(text, (size_t)size + 1, format, again);
  va_end(again);
  return text ? text : "";
}

const char *fh_arena_format(fh_facts_arena *arena, const char *format, ...) {
  va_list args;
  va_start(args, format);
  const char *text = fh_arena_vformat(arena, format, args);
  va_end(args);
  return text;
}

bool fh_arena_failed(const fh_facts_arena *arena) { return arena->failed; }

/* The capacity is not stored: it is the power of two, from PUSH_FIRST on, that holds count. */
enum { PUSH_FIRST = 8 };
static bool is_full(int count) { return count == 0 || (count >= PUSH_FIRST && (count & (count - 1)) == 0); }

void *fh_arena_push(fh_facts_arena *arena, void *array, int *count, size_t size) {
  void *items;
  memcpy(&items, array, sizeof items); /* a T * of any T */
  if (*count < 0 || *count > INT_MAX / 4) return NULL;
  if (is_full(*count)) {
    void *more = fh_arena_alloc(arena, *count ? (size_t)*count * 2 : PUSH_FIRST, size);
    if (!more) return NULL;
    if (*count) memcpy(more, items, (size_t)*count * size);
    items = more;
    memcpy(array, &items, sizeof items);
  }
  return (unsigned char *)items + (size_t)(*count)++ * size;
}
