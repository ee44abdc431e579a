/* Limits of this process. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

static const char file[] = "/proc/self/limits";

/* "unlimited" or a number at *cursor, after blanks. */
static fh_fact_int take_limit(const char **cursor) {
  static const char unlimited[] = "unlimited";
  int64_t value;
  *cursor += strspn(*cursor, " ");
  if (strncmp(*cursor, unlimited, sizeof unlimited - 1) == 0) {
    *cursor += sizeof unlimited - 1;
    return (fh_fact_int){0, FH_ABSENT, file};
  }
  return fh_take_i64(cursor, &value) && value >= 0 ? fh_fact_int_of(value, file) : (fh_fact_int){0, FH_UNKNOWN_FACT, file};
}

/* "Max address space         8000000000           unlimited            bytes" */
static void read_limit(const char *text, const char *name, fh_fact_int *soft, fh_fact_int *hard /* may be NULL */) {
  const char *line;
  size_t size, name_size = strlen(name);
  while (fh_line_next(&text, &line, &size)) {
    if (size < name_size || strncmp(line, name, name_size) != 0) continue;
    const char *cursor = line + name_size;
    *soft = take_limit(&cursor);
    if (hard) *hard = take_limit(&cursor);
    return;
  }
}

void fh_gather_limits(fh_gather *g) {
  fh_facts_limits *limits = &g->facts->limits;
  const char *text = fh_read_text(g, file, FH_SMALL_FILE, NULL);
  if (!text) return;
  read_limit(text, "Max address space", &limits->address_space, &limits->address_space_hard);
  read_limit(text, "Max processes", &limits->tasks, NULL);
  read_limit(text, "Max locked memory", &limits->locked_memory, NULL);
}
