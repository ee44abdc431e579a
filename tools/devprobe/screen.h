/* Text that fits a screen: labels, wrapping, colour, nothing that could move a terminal. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_SCREEN_H_
#define FOGHORN_TOOLS_DEVPROBE_SCREEN_H_

#include <stdint.h>

#include "runtime/base/text.h"

enum { FH_SCREEN_WIDTH = 80, FH_SCREEN_LABEL = 10 };

typedef enum fh_paint { FH_PLAIN = 0, FH_BOLD, FH_RED, FH_YELLOW, FH_GREEN, FH_DIM } fh_paint;

typedef struct fh_screen {
  fh_text text;
  bool color;
} fh_screen;

/* One paragraph: the painted label in the first ten columns, the text beside it, broken at spaces so that no line is wider
 * than the screen (a word that is longer by itself is cut). Newlines in the text begin new lines. Control
 * characters become '?', because texts come from machines. */
void fh_screen_line(fh_screen *screen, fh_paint paint, const char *label, const char *format, ...) FH_PRINTF(4, 5);
/* The same with labels of another width. */
void fh_screen_item(fh_screen *screen, fh_paint paint, int width, const char *label, const char *format, ...) FH_PRINTF(5, 6);
/* The same without a label: from the first column, continued at the third; painted up to `painted` bytes. */
void fh_screen_headline(fh_screen *screen, fh_paint paint, size_t painted, const char *format, ...) FH_PRINTF(4, 5);
void fh_screen_blank(fh_screen *screen);

/* Columns that a UTF-8 text takes, one per character. */
int fh_screen_columns(const char *text);
/* "8.0 GiB"; needs 24 bytes. Negative: "unknown". */
const char *fh_screen_bytes(int64_t bytes, char out[24]);

#endif /* FOGHORN_TOOLS_DEVPROBE_SCREEN_H_ */
