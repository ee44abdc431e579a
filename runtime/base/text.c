/* A string that grows. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(fh_text *text, size_t more) {
  if (text->failed || more > SIZE_MAX / 4 || text->size > SIZE_MAX / 4) {
    text->failed = true;
    return false;
  }
  size_t need = text->size + more + 1;
  if (text->data && need <= text->capacity) return true;
  size_t capacity = text->capacity ? text->capacity : 128;
  while (capacity < need) capacity *= 2;
  char *data = realloc(text->data, capacity);
  if (!data) {
    text->failed = true;
    return false;
  }
  text->data = data;
  text->capacity = capacity;
  return true;
}

void fh_text_append(fh_text *text, const char *bytes, size_t size) {
  if (!reserve(text, size)) return;
  memcpy(text->data + text->size, bytes, size);
  text->size += size;
  text->data[text->size] = 0;
}

void fh_text_add(fh_text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int size = vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (size < 0) {
    text->failed = true;
  } else if (reserve(text, (size_t)size)) {
    vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
    text->size += (size_t)size;
  }
  va_end(again);
}

char *fh_text_take(fh_text *text) {
  if (!text->failed && !text->data) fh_text_append(text, "", 0);
  char *data = text->failed ? NULL : text->data;
  if (text->failed) free(text->data);
  *text = (fh_text){0};
  return data;
}

void fh_text_free(fh_text *text) {
  free(text->data);
  *text = (fh_text){0};
}

/* ---- what a terminal may be shown ---- */

/* Bytes of the UTF-8 character that begins here; 0: none does. What is encoded longer than needed is found by the first two. */
static int character_bytes(const unsigned char *c) {
  int bytes = c[0] < 0x80 ? 1 : c[0] >= 0xc2 && c[0] < 0xe0 ? 2 : c[0] >= 0xe0 && c[0] < 0xf0 ? 3 : c[0] >= 0xf0 && c[0] < 0xf5 ? 4 : 0;
  for (int i = 1; i < bytes; i++)
    if ((c[i] & 0xc0) != 0x80) return 0;
  bool too_long = (c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xf0 && c[1] < 0x90);
  bool no_character = (c[0] == 0xed && c[1] >= 0xa0) || (c[0] == 0xf4 && c[1] >= 0x90);
  return too_long || no_character ? 0 : bytes;
}

/* U+202A to U+202E and U+2066 to U+2069. */
static bool turns_direction(const unsigned char *c) {
  return c[0] == 0xe2 && ((c[1] == 0x80 && c[2] >= 0xaa && c[2] <= 0xae) || (c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9));
}

void fh_text_make_safe(char *text) {
  int bytes;
  for (unsigned char *c = (unsigned char *)text; *c; c += bytes ? bytes : 1) {
    bytes = character_bytes(c);
    bool control = (*c < 0x20 && *c != '\n') || *c == 0x7f || (*c == 0xc2 && c[1] < 0xa0);
    if (bytes && !control && !turns_direction(c)) continue;
    memset(c, '?', bytes ? (size_t)bytes : 1);
  }
}
