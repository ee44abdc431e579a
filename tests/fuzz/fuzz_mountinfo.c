/* Fuzz target: any bytes as /proc/self/mountinfo. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fh_facts_arena *arena = fh_arena_create();
  char *text = malloc(size + 1);
  if (!arena || !text) abort();
  memcpy(text, data, size);
  text[size] = 0;
  fh_facts facts = {0};
  fh_mountinfo_parse(arena, text, &facts.mounts, &facts.mount_count);
  for (int i = 0; i < facts.mount_count; i++) {
    const fh_mount *m = &facts.mounts[i];
    if (!m->root || m->point[0] != '/' || !m->options || !m->fstype || !m->source || !m->super_options) abort();
    if (!fh_mount_of(&facts, m->point)) abort(); /* at least this one holds it */
    fh_mount_has_option(m, "nodev");
  }
  free(text);
  fh_arena_destroy(arena);
  return 0;
}
