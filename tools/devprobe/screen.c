/* Text that fits a screen. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *paint_code(fh_paint paint) {
  static const char *const codes[] = {"", "\033[1m", "\033[1;31m", "\033[1;33m", "\033[1;32m", "\033[2m"};
  return codes[paint];
}

int fh_screen_columns(const char *text) {
  int columns = 0;
  for (; *text; text++) columns += ((unsigned char)*text & 0xc0) != 0x80;
  return columns;
}

const char *fh_screen_bytes(int64_t bytes, char out[24]) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 0) {
    snprintf(out, 24, "unknown");
    return out;
  }
  double value = (double)bytes;
  int unit = 0;
  while (value >= 1024 && unit < 5) {
    value /= 1024;
    unit++;
  }
  snprintf(out, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
  return out;
}

static char *format_safe(const char *format, va_list args) {
  char *text = NULL;
  if (vasprintf(&text, format, args) < 0) return NULL;
  fh_text_make_safe(text);
  return text;
}

/* Bytes of the first `columns` characters. */
static size_t bytes_of_columns(const char *text, int columns) {
  size_t bytes = 0;
  while (text[bytes] && columns > 0) {
    bytes++;
    while (((unsigned char)text[bytes] & 0xc0) == 0x80) bytes++;
    columns--;
  }
  return bytes;
}

/* How many bytes of the text go on a line of `room` columns: up to a newline, the last space that fits, or a hard cut. */
static size_t line_bytes(const char *text, int room) {
  size_t limit = bytes_of_columns(text, room), newline = strcspn(text, "\n");
  if (newline <= limit) return newline;
  if (!text[limit] || text[limit] == ' ') return limit;
  for (size_t i = limit; i > 0; i--)
    if (text[i - 1] == ' ') return i - 1;
  return limit;
}

static void add_lines(fh_screen *screen, int column, int indent, const char *text) {
  for (bool first = true; first || *text; first = false) {
    if (!first) fh_text_add(&screen->text, "%*s", column = indent, "");
    size_t bytes = line_bytes(text, FH_SCREEN_WIDTH - column), shown = bytes;
    while (shown && text[shown - 1] == ' ') shown--;
    fh_text_append(&screen->text, text, shown);
    fh_text_add(&screen->text, "\n");
    text += bytes;
    if (*text == '\n') {
      text++;
    } else {
      while (*text == ' ') text++;
    }
  }
}

/* Takes the text; NULL: no memory. */
static void add_item(fh_screen *screen, fh_paint paint, int width, const char *machines_label, char *take_text) {
  char *label = strdup(machines_label); /* the id of a device may stand there */
  if (!take_text || !label) {
    screen->text.failed = true;
    free(label);
    free(take_text);
    return;
  }
  fh_text_make_safe(label);
  const char *code = screen->color ? paint_code(paint) : "";
  int columns = fh_screen_columns(label), pad = columns < width ? width - columns : 1;
  bool empty = !*take_text;
  fh_text_add(&screen->text, "%s%s%s%*s", code, label, *code ? "\033[0m" : "", empty ? 0 : pad, "");
  add_lines(screen, columns + pad, width, take_text);
  free(label);
  free(take_text);
}

void fh_screen_line(fh_screen *screen, fh_paint paint, const char *label, const char *format, ...) {
  va_list args;
  va_start(args, format);
  add_item(screen, paint, FH_SCREEN_LABEL, label, format_safe(format, args));
  va_end(args);
}

void fh_screen_item(fh_screen *screen, fh_paint paint, int width, const char *label, const char *format, ...) {
  va_list args;
  va_start(args, format);
  add_item(screen, paint, width, label, format_safe(format, args));
  va_end(args);
}

void fh_screen_headline(fh_screen *screen, fh_paint paint, size_t painted, const char *format, ...) {
  va_list args;
  va_start(args, format);
  char *text = format_safe(format, args);
  va_end(args);
  if (!text) {
    screen->text.failed = true;
    return;
  }
  const char *code = screen->color ? paint_code(paint) : "";
  if (painted > strlen(text)) painted = strlen(text);
  fh_text_add(&screen->text, "%s", code);
  fh_text_append(&screen->text, text, painted);
  fh_text_add(&screen->text, "%s", *code ? "\033[0m" : "");
  add_lines(screen, (int)painted, 2, text + painted);
  free(text);
}

void fh_screen_blank(fh_screen *screen) { fh_text_add(&screen->text, "\n"); }
