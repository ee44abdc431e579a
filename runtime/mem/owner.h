/* What memory needs of a context. Implemented above, in runtime/plan. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_MEM_OWNER_H_
#define FOGHORN_MEM_OWNER_H_

#include "runtime/mem/buffer.h"

/* The residency functions of every context; `owner` is the fh_context. */
const fh_residency *fh_context_residency(void);

#endif /* FOGHORN_MEM_OWNER_H_ */
