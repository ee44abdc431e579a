/* The side files of a snapshot. SPDX-License-Identifier: Apache-2.0 */
#include "detect/snapshot_side.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "detect/parse.h"

static bool unsigned_value(const char *text, int64_t limit, unsigned *out) {
  int64_t value;
  if (!fh_parse_i64(text, &value) || value < 0 || value > limit) return false;
  *out = (unsigned)value;
  return true;
}

static bool copy_value(const char *text, char *out, size_t size) {
  if (strlen(text) >= size) return false;
  memcpy(out, text, strlen(text) + 1);
  return true;
}

static bool set_type(fh_side *side, const char *value) {
  static const struct {
    const char *name;
    char type;
  } types[] = {{"c", 'c'}, {"b", 'b'}, {"f", 'f'}, {"d", 'd'}, {"l", 'l'}, {"absent", 'a'}};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    if (strcmp(types[i].name, value) == 0) side->type = types[i].type;
  return side->type != 0;
}

static bool set_rdev(fh_side *side, const char *value) {
  char major_text[16];
  const char *colon = strchr(value, ':');
  if (!colon || (size_t)(colon - value) >= sizeof major_text) return false;
  memcpy(major_text, value, (size_t)(colon - value));
  major_text[colon - value] = 0;
  side->has_rdev = true;
  return unsigned_value(major_text, 0xfff, &side->rdev_major) && unsigned_value(colon + 1, 0xfffff, &side->rdev_minor);
}

static bool set_mode(fh_side *side, const char *value) {
  char *end;
  unsigned long mode = strtoul(value, &end, 8);
  side->has_mode = value[0] >= '0' && value[0] <= '7' && *end == 0 && mode <= 07777;
  side->mode = (unsigned)mode;
  return side->has_mode;
}

static bool set_errno(int *out, const char *value) { return (*out = fh_errno_parse(value)) > 0; }
static bool set_uid(fh_side *s, const char *v) { return s->has_uid = unsigned_value(v, UINT32_MAX, &s->uid); }
static bool set_gid(fh_side *s, const char *v) { return s->has_gid = unsigned_value(v, UINT32_MAX, &s->gid); }
static bool set_size(fh_side *s, const char *v) { return s->has_size = fh_parse_i64(v, &s->size) && s->size >= 0; }
static bool set_mtime(fh_side *s, const char *v) { return fh_parse_i64(v, &s->mtime); }
static bool set_open(fh_side *s, const char *v) { return set_errno(&s->open_errno, v); }
static bool set_stat(fh_side *s, const char *v) { return set_errno(&s->stat_errno, v); }
static bool set_soname(fh_side *s, const char *v) { return copy_value(v, s->elf.soname, sizeof s->elf.soname); }
static bool set_interp(fh_side *s, const char *v) { return copy_value(v, s->elf.interp, sizeof s->elf.interp); }

static bool set_elf(fh_side *side, const char *value) {
  unsigned bits;
  if (!unsigned_value(value, 64, &bits) || (bits != 0 && bits != 32 && bits != 64)) return false;
  side->has_elf = true;
  side->elf.is_elf = bits != 0; /* elf=0: a file without the magic */
  side->elf.bits = (int)bits;
  return true;
}

static bool set_machine(fh_side *side, const char *value) {
  unsigned machine;
  if (!unsigned_value(value, 0xffff, &machine)) return false;
  side->elf.machine = (int)machine;
  return true;
}

static bool set_glibc(fh_side *side, const char *value) {
  if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) return false;
  side->elf.needs_glibc = value[0] == '1';
  return true;
}

static bool set_link(fh_side *side, const char *value) {
  if (!side->type) side->type = 'l';
  return *value && copy_value(value, side->link, sizeof side->link);
}

static const struct {
  const char *key;
  bool (*set)(fh_side *side, const char *value);
} keys[] = {
    {"type", set_type}, {"rdev", set_rdev},   {"mode", set_mode},       {"uid", set_uid},       {"gid", set_gid},
    {"size", set_size}, {"mtime", set_mtime}, {"open", set_open},       {"stat", set_stat},     {"elf", set_elf},
    {"link", set_link}, {"glibc", set_glibc}, {"machine", set_machine}, {"soname", set_soname}, {"interp", set_interp},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static int find_key(const char *word, size_t size) {
  for (int i = 0; i < KEY_COUNT; i++)
    if (strlen(keys[i].key) == size && memcmp(keys[i].key, word, size) == 0) return i;
  return -1;
}

static const char *check_whole(const fh_side *side) {
  if (side->type == 'l' && !side->link[0]) return "type=l needs link=TARGET";
  if (side->type != 'l' && side->link[0]) return "link= is for type=l";
  if (side->has_rdev && side->type != 'c' && side->type != 'b') return "rdev= is for type=c or type=b";
  return NULL;
}

int fh_side_parse(const char *text, fh_side *out, char *problem, size_t problem_size) {
  static const char blanks[] = " \t\r\n";
  *out = (fh_side){0};
  text += strspn(text, blanks);
  size_t first = strcspn(text, "= \t\r\n");
  if (text[first] != '=' || find_key(text, first) < 0) return ENOENT;
  while (*text) {
    size_t size = strcspn(text, blanks), key_size = strcspn(text, "= \t\r\n");
    int key = key_size < size ? find_key(text, key_size) : -1;
    char value[FH_SIDE_LINK_MAX];
    if (key < 0) {
      snprintf(problem, problem_size, "'%.*s' is not one of its keys", (int)(size < 40 ? size : 40), text);
      return EINVAL;
    }
    size_t value_size = size - key_size - 1;
    bool fits = value_size < sizeof value;
    if (fits) {
      memcpy(value, text + key_size + 1, value_size);
      value[value_size] = 0;
    }
    if (!fits || !keys[key].set(out, value)) {
      snprintf(problem, problem_size, "'%.*s' is not a value of %s", (int)(size < 60 ? size : 60), text, keys[key].key);
      return EINVAL;
    }
    text += size;
    text += strspn(text, blanks);
  }
  const char *wrong = check_whole(out);
  if (wrong) snprintf(problem, problem_size, "%s", wrong);
  return wrong ? EINVAL : 0;
}
