/* Runs a contract's tuned entries directly, without a backend. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_TUNED_H_
#define FOGHORN_TESTS_SUPPORT_TUNED_H_

#include "kernels/contract.h"
#include "runtime/exec/pool.h"
#include "tests/support/guarded.h"
#include "tests/support/isa.h"

/* A pool of one thread and one of two, between setup and teardown of a group of tests. */
extern fh_pool *tuned_pools[2];
int tuned_setup(void **unused);
int tuned_teardown(void **unused);

/* The exit status of the tests of a contract's tuned entries; says which of them this machine cannot run. */
int tuned_exit(const fh_kernel_contract *contract, int failed);

/* Has this processor what the variant needs? */
bool tuned_runs(const fh_tuned *variant);

/* NULL when bind() refuses the views as INVALID_ARGUMENT with both texts in its message; else what is wrong. */
const char *tuned_refusal(const fh_kernel_contract *contract, const fh_view_desc *views, const char *operand, const char *part);

/* Binds the views and runs the entry with the pool's team. Scratch is guarded and filled with NaN, so that
 * reading what was not written shows. */
void tuned_run(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data, fh_pool *pool);

/* The operands of a stage as an entry gets them; `data` as for tuned_run. */
void tuned_slots(const fh_stage *stage, void *const *data, fh_slot *slots);

/* Operands of one call, each in a block of its own between forbidden pages. */
typedef struct tuned_call {
  const fh_kernel_contract *contract;
  fh_view_desc views[FH_MAX_VIEWS];
  guarded blocks[FH_MAX_VIEWS];
  void *first[FH_MAX_VIEWS]; /* element 0, 0, ... */
  const fh_value *scalars;   /* NULL: the defaults; looked at by tuned_call_check_block alone */
} tuned_call;

/* Inputs are uniform in [-1, 1); every byte of an output is 0xff (NaN, -1). Either the highest element of each view ends
 * at a forbidden page, or the lowest begins `shift` bytes behind one. */
tuned_call tuned_call_make(const fh_kernel_contract *contract, const fh_view_desc *views, bool at_end, size_t shift);
void tuned_call_free(tuned_call *call);

/* Runs the variant, then NULL or what the contract's compare or a look between the elements of the outputs finds. */
const char *tuned_call_check(const tuned_call *call, const fh_tuned *variant, fh_pool *pool);

/* Runs the block variant in the emulator of tests/fakes/block, then as above; an exact one must also have the bits of the kernel's text. */
const char *tuned_call_check_block(const tuned_call *call, const fh_block_variant *variant);
/* The same with a grid that is at most `depth` deep: blocks stride over what it does not reach. */
const char *tuned_call_check_block_within(const tuned_call *call, const fh_block_variant *variant, uint32_t depth);

/* Under an emulator, where a call takes a hundred times as long, all but one in `of` calls of a series are left out; tuned_exit() says so.
 */
bool tuned_left_out(int of);

/* The next of a fixed series of numbers in [-1, 1). */
float tuned_uniform(void);

#endif /* FOGHORN_TESTS_SUPPORT_TUNED_H_ */
