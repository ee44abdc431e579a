/* Is what a contract's bind() filled what its text takes? SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_PLAN_BOUND_H_
#define FOGHORN_PLAN_BOUND_H_

#include "kernels/contract.h"

/* Stages, operands in number and kind, and every index: a pointer and an integer that changed places would end the process. Scratch may
 * stand for any pointer. Without a text only the limits and indices of what tuned functions get. INVALID_ARGUMENT says which stage and
 * operand. */
fh_status fh_bound_check(const fh_kernel_image *image, const fh_bound *bound);

#endif /* FOGHORN_PLAN_BOUND_H_ */
