/* Memory that ends all at once. SPDX-License-Identifier: Apache-2.0
 *
 * Facts and judgements are made of many small strings and lists with one lifetime. Without memory
 * a call gives NULL (strings: "") and the arena remembers it, so that a maker may check once, at the end.
 */
#ifndef FOGHORN_DETECT_ARENA_H_
#define FOGHORN_DETECT_ARENA_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <foghorn/export.h>

typedef struct fh_facts_arena fh_facts_arena;

/* NULL without memory. */
fh_facts_arena *fh_arena_create(void);
/* Frees everything the arena gave. NULL is allowed. */
void fh_arena_destroy(fh_facts_arena *arena);
/* Zeroed, aligned for any type; count * size is checked. NULL without memory. */
void *fh_arena_alloc(fh_facts_arena *arena, size_t count, size_t size);
/* Copies; never NULL: "" when there is no memory. */
const char *fh_arena_text(fh_facts_arena *arena, const char *text);
const char *fh_arena_text_size(fh_facts_arena *arena, const char *text, size_t size);
const char *fh_arena_format(fh_facts_arena *arena, const char *format, ...) FH_PRINTF(2, 3);
const char *fh_arena_vformat(fh_facts_arena *arena, const char *format, va_list args) FH_PRINTF(2, 0);
/* One more zeroed element at the end of an array that only this function grows. array is the address of the
 * T * (which may move), count its length so far. Gives the address of the element; NULL without memory. */
void *fh_arena_push(fh_facts_arena *arena, void *array, int *count, size_t size);
/* True when any call had no memory. */
bool fh_arena_failed(const fh_facts_arena *arena);

#endif /* FOGHORN_DETECT_ARENA_H_ */
