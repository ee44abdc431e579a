/* Fuzz target: any bytes as a file of the cgroup file systems. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool promise) {
  if (!promise) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fh_facts_arena *arena = fh_arena_create();
  char *text = malloc(size + 1);
  if (!arena || !text) abort();
  memcpy(text, data, size);
  text[size] = 0;
  fh_cgroup_entry *entries;
  int count;
  fh_cgroup_parse(arena, text, &entries, &count);
  for (int i = 0; i < count; i++) expect(entries[i].path[0] == '/' && entries[i].hierarchy >= 0 && entries[i].controllers);
  int64_t quota, period, limit;
  if (fh_cpu_max_parse(text, &quota, &period)) expect(period > 0 && (quota == -1 || quota > 0));
  if (fh_limit_parse(text, &limit)) expect(limit >= -1);
  int cpus = fh_cpulist_count(text);
  expect(cpus >= -1 && cpus <= FH_CPULIST_MAX);
  size_t value_size;
  const char *value = fh_key_value(text, "nr_throttled", ' ', &value_size);
  if (value) expect(value >= text && value + value_size <= text + size);
  value = fh_key_value(text, "MemTotal", ':', &value_size);
  if (value) expect(value >= text && value + value_size <= text + size);
  free(text);
  fh_arena_destroy(arena);
  return 0;
}
