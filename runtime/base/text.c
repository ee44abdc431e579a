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
