/* CUDA_VISIBLE_DEVICES, read as the driver reads it. SPDX-License-Identifier: Apache-2.0
 * Entries are parted by commas and taken from the left; the first that names no GPU ends the list. */
#ifndef FOGHORN_DETECT_CUDA_FILTER_H_
#define FOGHORN_DETECT_CUDA_FILTER_H_

#include "detect/facts.h"

typedef enum fh_cuda_entry_kind {
  FH_CUDA_ENTRY_INDEX, /* "2" */
  FH_CUDA_ENTRY_UUID,  /* "GPU-6f9..." or the beginning of one */
  FH_CUDA_ENTRY_MIG,   /* "MIG-..." */
  FH_CUDA_ENTRY_OTHER, /* "-1", "none", "NoDevFiles", "" */
} fh_cuda_entry_kind;

typedef struct fh_cuda_entry {
  fh_cuda_entry_kind kind;
  const char *text; /* `size` characters of the list; not terminated */
  int size;
  int64_t index; /* of an INDEX */
} fh_cuda_entry;

enum { FH_MAX_CUDA_ENTRIES = 64 };

/* Returns how many entries the list has, at most FH_MAX_CUDA_ENTRIES; none for NULL or an empty list. */
int fh_cuda_filter_parse(const char *list, fh_cuda_entry out[FH_MAX_CUDA_ENTRIES]);
/* How many GPUs of an answer the entry names: of an index 0 or 1, of the beginning of a UUID perhaps several. */
int fh_cuda_entry_matches(const fh_cuda_entry *entry, const fh_cuda_answer *answer);
/* The entry that ends the list early on a machine that shows these GPUs without it; NULL: none does. A GPU named twice ends
 * it too. */
const fh_cuda_entry *fh_cuda_filter_end(const fh_cuda_entry *entries, int count, const fh_cuda_answer *all);

#endif /* FOGHORN_DETECT_CUDA_FILTER_H_ */
