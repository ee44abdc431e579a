/* What a block text built as C calls: where its threads meet. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_
#define FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_

/* A place in a text, for errors. */
typedef struct fake_place {
  const char *file;
  int line;
} fake_place;

/* Of the running thread. */
unsigned fake_thread(void);
unsigned fake_grid_place(int dimension);
unsigned fake_grid_extent(int dimension);

void fake_barrier(fake_place place);

/* An operation of a warp: each lane hands in what it has and gets what is its own, when all 32 are there. */
enum { FAKE_LANES = 32 };
typedef void (*fake_warp_fn)(const void *const in[FAKE_LANES], void *const out[FAKE_LANES]);
void fake_warp(fake_warp_fn operation, const void *in, void *out, fake_place place);

/* Adds to what fake_block_conflicts() says. */
void fake_count_conflicts(long conflicts);

/* The first `bytes` of `size` are copied, the others become 0, when the thread waits. */
void fake_copy_async(void *to, const void *from, int bytes, int size, fake_place place);
void fake_copy_commit(void);
void fake_copy_wait(int groups);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_ */
