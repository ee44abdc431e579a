/* Reading small things through the table into facts. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

fh_fact_int fh_fact_int_of(int64_t value, const char *source) { return (fh_fact_int){value, FH_VALID, source}; }
fh_fact_bool fh_fact_bool_of(bool value, const char *source) { return (fh_fact_bool){value, FH_VALID, source}; }
fh_fact_text fh_fact_text_of(const char *value, const char *source) { return (fh_fact_text){value, FH_VALID, source}; }

const char *fh_read_text(fh_gather *g, const char *path, size_t max, int *out_errno) {
  char *text = NULL;
  size_t size = 0;
  int error = g->os->api->read(g->os, path, max, &text, &size);
  if (out_errno) *out_errno = error;
  if (error && error != EFBIG) return NULL;
  const char *copy = fh_arena_text_size(g->arena, text, size);
  free(text);
  return copy;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

fh_fact_text fh_read_fact(fh_gather *g, const char *path, size_t max) {
  int error;
  const char *text = fh_read_text(g, path, max, &error);
  if (!text) return (fh_fact_text){"", error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT, path};
  size_t size = strlen(text);
  while (size && is_blank(text[size - 1])) size--;
  size_t skip = strspn(text, " \t\r\n");
  if (skip > size) skip = size;
  return fh_fact_text_of(text[size] ? fh_arena_text_size(g->arena, text + skip, size - skip) : text + skip, path);
}

fh_fact_int fh_read_int(fh_gather *g, const char *path) {
  fh_fact_text text = fh_read_fact(g, path, 256);
  fh_fact_int fact = {0, text.valid, path};
  if (text.valid == FH_VALID && !fh_parse_i64(text.value, &fact.value)) fact.valid = FH_UNKNOWN_FACT;
  return fact;
}

int fh_path_stat(fh_gather *g, const char *path, bool follow, fh_os_stat *out) {
  fh_os_stat scratch;
  return g->os->api->stat(g->os, path, follow, out ? out : &scratch);
}

bool fh_path_exists(fh_gather *g, const char *path) { return fh_path_stat(g, path, true, NULL) == 0; }

fh_fact_bool fh_path_fact(fh_gather *g, const char *path) {
  int error = fh_path_stat(g, path, true, NULL);
  bool known = !error || error == ENOENT || error == ENOTDIR;
  return (fh_fact_bool){!error, known ? FH_VALID : FH_UNKNOWN_FACT, path};
}

bool fh_file_has(fh_gather *g, const char *path, const char *part) {
  char *text = NULL;
  size_t size = 0;
  int error = g->os->api->read(g->os, path, FH_SMALL_FILE, &text, &size);
  if (error && error != EFBIG) return false;
  bool has = memmem(text, size, part, strlen(part)) != NULL; /* NUL-separated files and tables too */
  free(text);
  return has;
}

fh_fact_bool fh_module_loaded(fh_gather *g, const char *name) {
  fh_fact_bool loaded = fh_path_fact(g, fh_arena_format(g->arena, "/sys/module/%s", name));
  if (!loaded.value && !fh_path_exists(g, "/sys/module")) loaded.valid = FH_UNKNOWN_FACT;
  return loaded;
}

fh_fact_bool fh_in_namespace(fh_gather *g, const char *link) {
  /* inodes of the first ones are fixed by the kernel: PROC_PID_INIT_INO, PROC_CGROUP_INIT_INO */
  static const char *const first[] = {"pid:[4026531836]", "cgroup:[4026531835]"};
  char target[64];
  if (g->os->api->readlink(g->os, link, target, sizeof target) != 0) return (fh_fact_bool){false, FH_UNKNOWN_FACT, link};
  return fh_fact_bool_of(strcmp(target, first[0]) != 0 && strcmp(target, first[1]) != 0, link);
}

const char **fh_path_list(fh_gather *g, const char *path, int *out_count, int *out_errno) {
  char **names = NULL;
  size_t count = 0;
  *out_count = 0;
  int error = g->os->api->list(g->os, path, &names, &count);
  if (out_errno) *out_errno = error;
  if (error) return NULL;
  const char **copy = fh_arena_alloc(g->arena, count + 1, sizeof *copy);
  for (size_t i = 0; i < count; i++) {
    if (copy) copy[i] = fh_arena_text(g->arena, names[i]);
    free(names[i]);
  }
  free(names);
  if (copy) *out_count = (int)count;
  return copy;
}
