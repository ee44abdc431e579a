/* /etc/ld.so.cache of glibc. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "detect/gather.h"

/* The format since glibc 2.2, alone or behind the older one. All numbers are those of the machine. */
static const char old_magic[] = "ld.so-1.7.0";          /* 11 characters and a zero */
static const char new_magic[] = "glibc-ld.so.cache1.1"; /* 20 characters, no zero */
enum { OLD_HEADER = 16, OLD_ENTRY = 12, NEW_HEADER = 48, NEW_ENTRY = 24, NEW_MAGIC_SIZE = 20, OLD_MAGIC_SIZE = 11 };
enum { FLAG_TYPE_MASK = 0x00ff, FLAG_ELF_LIBC6 = 0x0003, FLAG_ARCH_MASK = 0xff00, FLAG_X86_64 = 0x0300, FLAG_AARCH64 = 0x0a00 };
enum { MACHINE_X86_64 = 62, MACHINE_AARCH64 = 183, MAX_NAME = 4096 };

static uint32_t word_at(const char *bytes, size_t at) {
  uint32_t value;
  memcpy(&value, bytes + at, sizeof value);
  return value;
}

/* A terminated text inside the file; NULL when it is not. */
static const char *text_at(const char *base, size_t size, uint32_t at) {
  if (at >= size) return NULL;
  size_t room = size - at < MAX_NAME ? size - at : MAX_NAME;
  return memchr(base + at, 0, room) ? base + at : NULL;
}

/* Start of the new format in the file; size when there is none. */
static size_t find_new(const char *cache, size_t size) {
  size_t at = 0;
  if (size >= OLD_HEADER && memcmp(cache, old_magic, OLD_MAGIC_SIZE) == 0) {
    uint64_t entries = word_at(cache, 12);
    uint64_t end = OLD_HEADER + entries * OLD_ENTRY;
    end = (end + 7) & ~(uint64_t)7;
    if (end > size) return size;
    at = (size_t)end;
  }
  if (size - at < NEW_HEADER || memcmp(cache + at, new_magic, NEW_MAGIC_SIZE) != 0) return size;
  return at;
}

/* ---- libraries for better processors ------------------------------------------------------------------------------------ */

/* An entry of a glibc-hwcaps folder carries, in place of bits, the number of the folder's name in a list at the file's end. */
enum { HWCAP_IS_NAME = 0x40000000, EXTENSION_MAGIC_OFFSET = 32, EXTENSION_NAMES = 1, EXTENSION_SECTION = 16, MAX_SECTIONS = 16 };
static const uint32_t extension_magic = 0xeaa42174u;
enum { NOT_FOR_US = -1 };

/* Where the list of names is; 0 names when there is none. */
static uint32_t hwcap_names(const char *base, size_t size, size_t *out_at) {
  size_t at = word_at(base, EXTENSION_MAGIC_OFFSET);
  if (at == 0 || at > size || size - at < 8 || word_at(base, at) != extension_magic) return 0;
  uint32_t sections = word_at(base, at + 4);
  for (uint32_t i = 0; i < sections && i < MAX_SECTIONS; i++) {
    size_t section = at + 8 + (size_t)i * EXTENSION_SECTION;
    if (section > size || size - section < EXTENSION_SECTION) return 0;
    size_t offset = word_at(base, section + 8), bytes = word_at(base, section + 12);
    if (word_at(base, section) != EXTENSION_NAMES || offset > size || bytes > size - offset) continue;
    *out_at = offset;
    return (uint32_t)(bytes / 4);
  }
  return 0;
}

/* N of an entry of glibc-hwcaps/x86-64-vN, 0 of a plain entry. */
static int level_of(const char *base, size_t size, size_t entry) {
  static const char prefix[] = "x86-64-v";
  size_t names = 0;
  uint32_t index = word_at(base, entry + 16), kind = word_at(base, entry + 20);
  if (!(kind & HWCAP_IS_NAME)) return 0;
  if (index >= hwcap_names(base, size, &names)) return NOT_FOR_US;
  const char *name = text_at(base, size, word_at(base, names + 4 * (size_t)index));
  if (!name || strncmp(name, prefix, sizeof prefix - 1) != 0) return NOT_FOR_US;
  char digit = name[sizeof prefix - 1];
  return digit >= '2' && digit <= '9' && !name[sizeof prefix] ? digit - '0' : NOT_FOR_US;
}

/* Of several entries of one name the loader takes the best that the processor may use; of equals the first. */
static void consider(const char *base, size_t size, size_t entry, fh_ldcache_wish *wish) {
  int level = level_of(base, size, entry);
  if (level == NOT_FOR_US || (level > 0 && level > wish->most_level) || (wish->path && level <= wish->level)) return;
  const char *path = text_at(base, size, word_at(base, entry + 8));
  if (!path) return;
  wish->path = path;
  wish->level = level;
}

int fh_ldcache_find(const char *cache, size_t size, int machine, fh_ldcache_wish *wishes, int count) {
  size_t start = find_new(cache, size);
  if (start == size) return EINVAL;
  const char *base = cache + start;
  size -= start;
  const uint32_t arch = machine == MACHINE_X86_64 ? FLAG_X86_64 : machine == MACHINE_AARCH64 ? FLAG_AARCH64 : 0;
  size_t entries = word_at(base, NEW_MAGIC_SIZE);
  if (entries > (size - NEW_HEADER) / NEW_ENTRY) entries = (size - NEW_HEADER) / NEW_ENTRY;
  for (size_t i = 0; i < entries; i++) {
    size_t at = NEW_HEADER + i * NEW_ENTRY;
    uint32_t flags = word_at(base, at);
    if ((flags & FLAG_TYPE_MASK) != FLAG_ELF_LIBC6 || (flags & FLAG_ARCH_MASK) != arch) continue;
    const char *key = text_at(base, size, word_at(base, at + 4));
    for (int k = 0; key && k < count; k++)
      if (strcmp(key, wishes[k].name) == 0) consider(base, size, at, &wishes[k]);
  }
  return 0;
}
