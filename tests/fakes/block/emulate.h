/* What a block text built as C calls: where its threads meet. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_
#define FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_

#include <stdbool.h>
#include <stdnoreturn.h>

enum { FAKE_MAX_THREADS = 1024 }; /* of a block */

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

/* For operations of several threads that lie elsewhere (async.h): the running thread stops, until another is told to resume it. `what` it
 * waits for, in words. */
void fake_suspend(fake_place place, const char *what);
void fake_resume(unsigned thread);
/* The text did what a device does not forgive: the launch ends. */
noreturn void fake_fail(fake_place place, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool fake_same_place(fake_place a, fake_place b);

/* Adds to what fake_block_conflicts() says. */
void fake_count_conflicts(long conflicts);

/* The first `bytes` of `size` are copied, the others become 0, when the thread waits. */
void fake_copy_async(void *to, const void *from, int bytes, int size, fake_place place);
void fake_copy_commit(void);
void fake_copy_wait(int groups);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_EMULATE_H_ */
