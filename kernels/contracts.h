/* Every contract: fh_contract_<name>, in kernels/<name>/<name>.c. SPDX-License-Identifier: Apache-2.0
 * Apart from contract.h, so that a new line of kernels.def does not compile every kernel anew. */
#ifndef FOGHORN_KERNELS_CONTRACTS_H_
#define FOGHORN_KERNELS_CONTRACTS_H_

#include "kernels/contract.h"

#define FH_ENTRY(entry)
#define FH_KERNEL(name, entries) extern const fh_kernel_contract fh_contract_##name;
#include "kernels/kernels.def"
#undef FH_KERNEL
#undef FH_ENTRY

#endif /* FOGHORN_KERNELS_CONTRACTS_H_ */
