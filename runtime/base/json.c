/* JSON, by jansson. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/json.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

json_t *fh_json_text(const char *text) {
  if (!text) return json_null();
  json_t *value = json_string(text);
  if (value) return value;
  char *clean = strdup(text); /* not UTF-8: keep what can be read */
  if (!clean) return NULL;
  for (char *c = clean; *c; c++)
    if ((unsigned char)*c >= 0x80) *c = '?';
  value = json_string(clean);
  free(clean);
  return value;
}

/* U+0080 to U+009F, which JSON allows as they are. */
static bool has_controls(const char *text) {
  for (; (text = strchr(text, 0xc2)); text++)
    if ((unsigned char)text[1] < 0xa0) return true;
  return false;
}

/* A device may be called anything: on a terminal its name must be no command. */
static char *print(json_t *take_value, size_t form) {
  if (!take_value) return NULL;
  char *text = json_dumps(take_value, form);
  if (text && has_controls(text)) {
    free(text);
    text = json_dumps(take_value, form | JSON_ENSURE_ASCII);
  }
  json_decref(take_value);
  return text;
}

char *fh_json_print(json_t *take_value) { return print(take_value, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY); }

char *fh_json_line(json_t *take_value) { return print(take_value, JSON_COMPACT | JSON_PRESERVE_ORDER); }
