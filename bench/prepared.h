/* A tuned CPU variant ready to run again and again: no planner, no backend, only the pool.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BENCH_PREPARED_H_
#define FOGHORN_BENCH_PREPARED_H_

#include "kernels/contract.h"
#include "runtime/exec/pool.h"

typedef struct prepared {
  const fh_tuned *variant;
  fh_slot slots[FH_MAX_OPERANDS];
  fh_team team;
  double flops;
} prepared;

/* The contract's variant for this ISA; NULL when there is none or this CPU cannot run it. */
const fh_tuned *prepared_variant(const fh_kernel_contract *contract, fh_isa isa);
/* Ends the program with a message when the call is refused or memory is short. */
prepared prepared_create(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data,
                         fh_pool *pool);
void prepared_run(void *prepared_call);
void prepared_destroy(prepared *call);

#endif /* FOGHORN_BENCH_PREPARED_H_ */
