/* CUDA_VISIBLE_DEVICES, read as the driver reads it. SPDX-License-Identifier: Apache-2.0 */
#include "detect/cuda_filter.h"

#include <string.h>
#include <strings.h>

#include "detect/parse.h"

static bool begins(const fh_cuda_entry *entry, const char *with) {
  size_t size = strlen(with);
  return (size_t)entry->size >= size && strncasecmp(entry->text, with, size) == 0;
}

static bool is_index(const fh_cuda_entry *entry, int64_t *out) {
  char digits[12];
  if (entry->size < 1 || (size_t)entry->size >= sizeof digits) return false;
  memcpy(digits, entry->text, (size_t)entry->size);
  digits[entry->size] = 0;
  return strspn(digits, "0123456789") == (size_t)entry->size && fh_parse_i64(digits, out);
}

static fh_cuda_entry entry_of(const char *text, size_t size) {
  while (size && (*text == ' ' || *text == '\t')) text++, size--;
  while (size && (text[size - 1] == ' ' || text[size - 1] == '\t')) size--;
  fh_cuda_entry entry = {.kind = FH_CUDA_ENTRY_OTHER, .text = text, .size = size < 256 ? (int)size : 256, .index = -1};
  if (is_index(&entry, &entry.index)) entry.kind = FH_CUDA_ENTRY_INDEX;
  if (begins(&entry, "GPU-")) entry.kind = FH_CUDA_ENTRY_UUID;
  if (begins(&entry, "MIG-")) entry.kind = FH_CUDA_ENTRY_MIG;
  return entry;
}

int fh_cuda_filter_parse(const char *list, fh_cuda_entry out[FH_MAX_CUDA_ENTRIES]) {
  int count = 0;
  if (!list || !*list) return 0;
  for (const char *at = list; count < FH_MAX_CUDA_ENTRIES; at++) {
    size_t size = strcspn(at, ",");
    out[count++] = entry_of(at, size);
    at += size;
    if (!*at) break;
  }
  return count;
}

static bool names(const fh_cuda_entry *entry, const fh_cuda_answer *answer, int device) {
  if (entry->kind == FH_CUDA_ENTRY_INDEX) return entry->index == device;
  if (entry->kind == FH_CUDA_ENTRY_OTHER || device >= answer->device_count) return false;
  const char *uuid = answer->devices[device].uuid;
  return uuid && *uuid && strncasecmp(uuid, entry->text, (size_t)entry->size) == 0;
}

int fh_cuda_entry_matches(const fh_cuda_entry *entry, const fh_cuda_answer *answer) {
  int count = 0;
  for (int i = 0; i < answer->count && i < FH_MAX_CUDA_ENTRIES; i++) count += names(entry, answer, i);
  return count;
}

static bool named_before(const fh_cuda_entry *entries, int count, const fh_cuda_entry *entry, const fh_cuda_answer *all) {
  for (int device = 0; device < all->count && device < FH_MAX_CUDA_ENTRIES; device++) {
    if (!names(entry, all, device)) continue;
    for (int i = 0; i < count; i++)
      if (names(&entries[i], all, device)) return true;
  }
  return false;
}

const fh_cuda_entry *fh_cuda_filter_end(const fh_cuda_entry *entries, int count, const fh_cuda_answer *all) {
  for (int i = 0; i < count; i++)
    if (fh_cuda_entry_matches(&entries[i], all) != 1 || named_before(entries, i, &entries[i], all)) return &entries[i];
  return NULL;
}
