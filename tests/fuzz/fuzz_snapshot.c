/* Fuzz target: any bytes as the parts of a snapshot: a side file, and what a child answered.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "detect/gather.h"
#include "detect/snapshot_side.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_side(const char *text) {
  fh_side side;
  char problem[128] = "";
  int result = fh_side_parse(text, &side, problem, sizeof problem);
  if (result != 0 && result != ENOENT && result != EINVAL) abort();
  if (result == EINVAL && !*problem) abort();
  if (result == 0 && (side.mode > 07777 || side.size < 0 || (side.type == 'l') != (side.link[0] != 0))) abort();
}

static void try_answer(char *text) {
  fh_facts_arena *arena = fh_arena_create();
  fh_facts *facts = arena ? fh_arena_alloc(arena, 1, sizeof *facts) : NULL;
  if (!facts) abort();
  fh_gather g = {.facts = facts, .arena = arena};
  fh_os_answer answer = {.json = text};
  fh_cuda_answer cuda = {0};
  fh_icd icd = {.error = ""};
  fh_answer_read_cuda(&g, &answer, &cuda);
  fh_answer_read_icd(&g, &answer, &icd);
  fh_answer_read_isa(&g, &answer);
  fh_answer_read_topology(&g, &answer);
  for (int i = 0; i < cuda.device_count; i++)
    if (!cuda.devices[i].name || !cuda.devices[i].uuid || !cuda.devices[i].pci) abort();
  for (int i = 0; i < icd.device_count; i++)
    if (!icd.devices[i].name || !icd.devices[i].type) abort();
  if (!cuda.library || !cuda.dlerrors || !icd.platform || !icd.error) abort();
  fh_arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (!text) abort();
  memcpy(text, data, size);
  text[size] = 0;
  try_side(text);
  try_answer(text);
  free(text);
  return 0;
}
