/* Kernels on a device, compared with the scalar build or the oracle. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_BACKEND_KERNELS_H_
#define FOGHORN_TESTS_SUPPORT_BACKEND_KERNELS_H_

#include "tests/support/kernel_case.h"

typedef struct fh_kernel_score {
  int cases;       /* that ran */
  int wrong;       /* of them */
  char first[256]; /* what was wrong first; "" nothing */
} fh_kernel_score;

/* Runs the first `most` cases of the kernel's contract on the device: EXACT kernels must agree bit by bit with the scalar build (a
 * NaN equals a NaN), others within the contract's bound of the oracle. A status means that the device failed, not that a
 * number is wrong. */
fh_status fh_run_kernel_cases(const fh_backend_fixture *fixture, const fh_kernel_image *image, int most, fh_kernel_score *out_score);

#endif /* FOGHORN_TESTS_SUPPORT_BACKEND_KERNELS_H_ */
