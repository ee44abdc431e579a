/* A string that grows. SPDX-License-Identifier: Apache-2.0
 * Without memory it stops growing and says so in `failed`; every call stays safe. */
#ifndef FOGHORN_BASE_TEXT_H_
#define FOGHORN_BASE_TEXT_H_

#include <stdbool.h>
#include <stddef.h>

#include <foghorn/export.h>

typedef struct fh_text {
  char *data; /* zero-terminated, or NULL while empty */
  size_t size, capacity;
  bool failed;
} fh_text;

void fh_text_add(fh_text *text, const char *format, ...) FH_PRINTF(2, 3);
void fh_text_append(fh_text *text, const char *bytes, size_t size);
/* Gives the string away (never NULL on success; caller frees) and empties the text. NULL when it failed. */
char *fh_text_take(fh_text *text);
void fh_text_free(fh_text *text);

/* Makes such a text harmless, in place: control characters, what turns the direction of writing, and what is no UTF-8 (some
 * terminals take its bytes for controls) become '?'. Newlines stay. */
void fh_text_make_safe(char *text);

#endif /* FOGHORN_BASE_TEXT_H_ */
