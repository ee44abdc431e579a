/* Mounts of this process. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

enum { MAX_MOUNTS = 16384, MAX_FIELDS = 64 };

static bool is_octal(char c) { return c >= '0' && c <= '7'; }

/* A field with the kernel's \040 escapes undone. */
static const char *unescape(fh_facts_arena *arena, const char *field, size_t size) {
  const char *text = fh_arena_text_size(arena, field, size);
  if (!memchr(field, '\\', size) || !*text) return text;
  char *out = (char *)text; /* our own fresh copy */
  size_t to = 0;
  for (size_t i = 0; i < size; to++) {
    int code = -1;
    if (field[i] == '\\' && size - i >= 4 && is_octal(field[i + 1]) && is_octal(field[i + 2]) && is_octal(field[i + 3]))
      code = (field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 + (field[i + 3] - '0');
    out[to] = code > 0 && code < 256 ? (char)code : field[i];
    i += code > 0 && code < 256 ? 4 : 1;
  }
  out[to] = 0;
  return out;
}

/* Splits a line at blanks; gives the number of fields, at most max. */
static int split(const char *line, size_t size, const char **fields, size_t *sizes, int max) {
  int count = 0;
  for (size_t i = 0; i < size && count < max;) {
    while (i < size && line[i] == ' ') i++;
    size_t start = i;
    while (i < size && line[i] != ' ') i++;
    if (i == start) break;
    fields[count] = line + start;
    sizes[count++] = i - start;
  }
  return count;
}

void fh_mountinfo_parse(fh_facts_arena *arena, const char *text, fh_mount **out_mounts, int *out_count) {
  const char *line, *fields[MAX_FIELDS];
  size_t size, sizes[MAX_FIELDS];
  *out_mounts = NULL;
  *out_count = 0;
  while (*out_count < MAX_MOUNTS && fh_line_next(&text, &line, &size)) {
    /* id parent major:minor root point options [tags...] - fstype source super_options */
    int count = split(line, size, fields, sizes, MAX_FIELDS);
    int dash = 6;
    while (dash < count && !(sizes[dash] == 1 && fields[dash][0] == '-')) dash++;
    if (count < 7 || dash + 1 >= count || fields[4][0] != '/') continue;
    fh_mount *m = fh_arena_push(arena, out_mounts, out_count, sizeof *m);
    if (!m) return;
    m->root = unescape(arena, fields[3], sizes[3]);
    m->point = unescape(arena, fields[4], sizes[4]);
    m->options = fh_arena_text_size(arena, fields[5], sizes[5]);
    m->fstype = fh_arena_text_size(arena, fields[dash + 1], sizes[dash + 1]);
    m->source = dash + 2 < count ? unescape(arena, fields[dash + 2], sizes[dash + 2]) : "";
    m->super_options = dash + 3 < count ? fh_arena_text_size(arena, fields[dash + 3], sizes[dash + 3]) : "";
  }
}

void fh_gather_mounts(fh_gather *g) {
  fh_facts *f = g->facts;
  int error;
  const char *text = fh_read_text(g, "/proc/self/mountinfo", FH_BIG_FILE, &error);
  if (!text) {
    f->mounts_valid = error == ENOENT ? FH_ABSENT : FH_UNKNOWN_FACT;
    return;
  }
  fh_mountinfo_parse(g->arena, text, &f->mounts, &f->mount_count);
  f->mounts_valid = FH_VALID;
}

const fh_mount *fh_mount_of(const fh_facts *facts, const char *path) {
  const fh_mount *best = NULL;
  size_t best_size = 0;
  for (int i = 0; i < facts->mount_count; i++) {
    const fh_mount *m = &facts->mounts[i];
    size_t size = strlen(m->point);
    if (size < best_size || !fh_path_below(path, m->point)) continue;
    best = m;
    best_size = size;
  }
  return best;
}

const fh_mount *fh_mount_at(const fh_facts *facts, const char *path) {
  const fh_mount *m = fh_mount_of(facts, path);
  return m && strcmp(m->point, path) == 0 ? m : NULL;
}

bool fh_mount_has_option(const fh_mount *mount, const char *option) { return mount && fh_word_in(mount->options, ",", option); }
