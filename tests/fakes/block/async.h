/* What a block of compute capability 9.0 has under way beside its threads: mbarriers, boxes of tensors that are copied, products of
 * warpgroups. SPDX-License-Identifier: Apache-2.0
 *
 * Stricter than a device:
 *   - an mbarrier that another thread uses before a barrier of the block, or a copy before the fence, is an error, and so is one more
 *     arrival than it counts, or a wait that nothing ends;
 *   - where a copy goes is NaN from its start until nobody can go on without it;
 *   - a product sees what threads wrote to shared memory only behind a fence, and must find it unchanged when it ends;
 *   - accumulators are NaN until they were waited for, and the first product into them wants its fence.
 */
#ifndef FOGHORN_TESTS_FAKES_BLOCK_ASYNC_H_
#define FOGHORN_TESTS_FAKES_BLOCK_ASYNC_H_

#include <stdbool.h>
#include <stdint.h>

#include "tests/fakes/block/block.h"
#include "tests/fakes/block/emulate.h"

enum { FAKE_GROUP = 128 }; /* threads of a warpgroup */

/* ---- for the emulator ---- */

/* A block begins, with these threads and this memory. */
void fake_async_begin(unsigned threads, char *shared, unsigned shared_bytes);
/* Nobody can go on: ends one copy. False: none is under way. */
bool fake_async_step(void);
void fake_async_barrier(void); /* all threads met */
/* The block's threads have ended: what is still under way, in words, or NULL. */
const char *fake_async_end(void);

/* ---- for texts ---- */
void fake_mbarrier_init(uint64_t *barrier, unsigned count, fake_place place);
void fake_mbarrier_fence(void);
void fake_mbarrier_arrive(uint64_t *barrier, fake_place place);
void fake_mbarrier_expect(uint64_t *barrier, unsigned bytes, fake_place place);
void fake_mbarrier_wait(uint64_t *barrier, unsigned parity, fake_place place);

void fake_tensor_copy(void *to, const fake_tensor_map *map, uint64_t *barrier, int rank, const int *at, fake_place place);
void fake_bulk_copy(void *to, const void *from, uint64_t *barrier, unsigned bytes, fake_place place);
void fake_async_fence(void);

uint64_t fake_matrix(const void *p, unsigned leading, unsigned stride);
typedef enum fake_group_kind { FAKE_BF16, FAKE_F16, FAKE_TF32, FAKE_S8S8, FAKE_U8S8 } fake_group_kind;
typedef struct fake_group_shape {
  fake_group_kind kind;
  int n; /* columns; the rows are 64 */
  bool a_turned, b_turned;
} fake_group_shape;
/* d += a b, or d = a b; d has n / 2 words for each thread. */
void fake_group_multiply(void *d, uint64_t a, uint64_t b, bool add, fake_group_shape shape, fake_place place);
void fake_group_fence(void);
void fake_group_commit(void);
void fake_group_wait(int groups, fake_place place);
void fake_group_registers(unsigned count, fake_place place);

#endif /* FOGHORN_TESTS_FAKES_BLOCK_ASYNC_H_ */
