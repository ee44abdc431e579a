/* Fuzz target: any bytes as /var/log/apt/history.log. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All of its texts or none. */
static void check(const fh_package_change *change) {
  if (change->when && (!change->package || !change->from || !change->to || !change->source)) abort();
  if (change->package && strlen(change->package) + strlen(change->from) + strlen(change->to) == SIZE_MAX) abort(); /* reads them */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fh_facts_arena *arena = fh_arena_create();
  char *text = malloc(size + 1);
  if (!arena || !text) abort();
  memcpy(text, data, size);
  text[size] = 0;
  fh_package_change driver = {0}, kernel = {0};
  fh_apt_history_parse(arena, text, "6.8.0-45-generic", &driver, &kernel);
  check(&driver);
  check(&kernel);
  free(text);
  fh_arena_destroy(arena);
  return 0;
}
