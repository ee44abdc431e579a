/* JSON, by jansson. SPDX-License-Identifier: Apache-2.0
 * One header so that the choice of library is named once. Objects keep insertion order, text is UTF-8; strings from
 * outside go through fh_json_text, which replaces bytes that are not UTF-8 instead of losing the value. */
#ifndef FOGHORN_BASE_JSON_H_
#define FOGHORN_BASE_JSON_H_

#include <jansson.h>

/* A JSON string of any bytes; NULL gives JSON null. */
json_t *fh_json_text(const char *text);
/* Two-space indented text of a value; takes the reference. NULL without memory. Caller frees. */
char *fh_json_print(json_t *take_value);
/* The same on one line, without its end. */
char *fh_json_line(json_t *take_value);

#endif /* FOGHORN_BASE_JSON_H_ */
