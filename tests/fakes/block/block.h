/* Runs block texts (kernels/block/block.h) on the host: a stand-in for tests, not a device. SPDX-License-Identifier: Apache-2.0
 *
 * The texts are built as C (prelude.h). The threads of a block are fibres on one thread of the system, which give way where they meet.
 * It is stricter than a device where a device lets mistakes pass in silence:
 *   - shared memory begins as NaN, and what is written outside of it is an error;
 *   - a load or a store of 8 or 16 bytes wants its address on such a boundary;
 *   - the destination of an asynchronous copy is NaN from the start of the copy until its thread waits for it;
 *   - what compute capability 9.0 adds is watched as closely: async.h;
 *   - a barrier, or an operation of a warp, that not all reach, or at two places of the text, is an error and not a hang;
 *   - a warp runs as far as it can before the next one does, forwards and backwards in turns, and its lanes one after the other: a missing
 *     barrier shows.
 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_BLOCK_H_
#define FOGHORN_TESTS_FAKES_BLOCK_BLOCK_H_

#include "kernels/contract.h"

/* A tensor map as a launch passes it; the stand-in driver encodes this. */
typedef struct fake_tensor_map {
  fh_tensor_map map;
  const char *base;
} fake_tensor_map;

typedef struct fake_block_entry {
  const char *name;
  const fh_param *params;
  int param_count;
  unsigned threads;      /* of a block: what the text says */
  unsigned shared_bytes; /* that the text itself asks for; 0: as many as the launch gives */
  /* Slots of the parameters, then `map_count` with a fake_tensor_map each. */
  void (*run)(const fh_slot *slots, int64_t items, void *shared);
  int map_count;
} fake_block_entry;

/* NULL: no text of this build has such an entry. */
const fake_block_entry *fake_block_find(const char *name);

/* Every block of the grid, one after the other. NULL, or what went wrong: which block, thread and line; the text is this thread's, until
 * its next call. May be called by several threads at a time. */
const char *fake_block_run(const fake_block_entry *entry, const fh_slot *slots, int64_t items, const unsigned grid[3], unsigned threads,
                           unsigned shared_bytes);

/* Of this thread's last launch: rows of ldmatrix that lie in banks of shared memory which a row before has, of the eight that are read at
 * once. Each costs a device another turn. */
long fake_block_conflicts(void);

/* Products of fragments of floats cut what they add at 2^-bits of the largest from now on, in this thread; 0: they do not, which is the
 * default. */
void fake_block_cut_sums(int bits);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_BLOCK_H_ */
