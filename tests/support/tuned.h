/* Runs a contract's tuned entries directly, without a backend. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_TUNED_H_
#define FOGHORN_TESTS_SUPPORT_TUNED_H_

#include "kernels/contract.h"
#include "runtime/exec/pool.h"

/* Whether this CPU and system run the ISA. */
bool tuned_isa_runs(fh_isa isa);

/* Binds the views and runs the entry with the pool's team. Scratch is guarded and filled with NaN, so that
 * reading what was not written shows. */
void tuned_run(const fh_kernel_contract *contract, const fh_tuned *variant, const fh_view_desc *views, void *const *data, fh_pool *pool);

/* Bytes from the lowest to behind the highest element, and in *out_first where element 0 lies from the lowest. */
size_t tuned_span(const fh_view_desc *desc, size_t *out_first);

#endif /* FOGHORN_TESTS_SUPPORT_TUNED_H_ */
