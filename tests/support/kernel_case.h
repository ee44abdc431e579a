/* Runs a kernel's case straight through a backend's table: bind, copy in, stages, copy out. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_KERNEL_CASE_H_
#define FOGHORN_TESTS_KERNEL_CASE_H_

#include "tests/support/backend_suite.h"

/* The data of a case's views: compact, allocated, inputs filled from the seed. */
typedef struct fh_case_data {
  void *views[FH_MAX_VIEWS];
  size_t bytes[FH_MAX_VIEWS];
} fh_case_data;

void fh_case_data_make(const fh_kernel_contract *contract, const fh_case *c, uint64_t seed, fh_case_data *out);
void fh_case_data_free(fh_case_data *data);

/* Runs the dialect entries of the case in place of data. isa counts for the CPU. */
fh_status fh_case_run(const fh_backend_fixture *fixture, const fh_kernel_image *image, fh_isa isa, const fh_case *c, fh_case_data *data);

/* The image of a kernel; fails the test when there is none. */
const fh_kernel_image *fh_case_image(const char *kernel);

#endif /* FOGHORN_TESTS_KERNEL_CASE_H_ */
