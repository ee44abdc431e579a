/* JSON, by jansson. SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/json.h"

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

char *fh_json_print(json_t *take_value) {
  if (!take_value) return NULL;
  char *text = json_dumps(take_value, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY);
  json_decref(take_value);
  return text;
}
