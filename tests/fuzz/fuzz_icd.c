/* Fuzz target: any bytes as what a loader reads: an .icd file, /etc/ld.so.cache, a shared object, the driver's version.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "detect/elf.h"
#include "detect/gather.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct memory_file {
  const uint8_t *bytes;
  size_t size;
} memory_file;

static bool read_memory(void *user, uint64_t offset, void *out, size_t size) {
  const memory_file *file = user;
  if (offset > file->size || size > file->size - offset) return false;
  memcpy(out, file->bytes + offset, size);
  return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fh_facts_arena *arena = fh_arena_create();
  char *text = malloc(size + 1);
  if (!arena || !text) abort();
  memcpy(text, data, size);
  text[size] = 0;
  if (strchr(fh_icd_parse(arena, text), '\n')) abort();
  bool open;
  const char *version = fh_nvrm_parse(arena, text, &open);
  if (strlen(version) != strspn(version, "0123456789.")) abort();
  fh_ldcache_wish wishes[] = {{.name = "libcuda.so.1", .most_level = 4}, {.name = ""}};
  if (fh_ldcache_find((const char *)data, size, 62, wishes, 2) == 0) {
    for (int i = 0; i < 2; i++)
      if (wishes[i].path) fh_arena_text(arena, wishes[i].path); /* terminated inside the file */
  }
  fh_os_elf elf;
  fh_elf_parse(read_memory, &(memory_file){data, size}, &elf);
  if (!memchr(elf.soname, 0, sizeof elf.soname) || !memchr(elf.interp, 0, sizeof elf.interp)) abort();
  free(text);
  fh_arena_destroy(arena);
  return 0;
}
