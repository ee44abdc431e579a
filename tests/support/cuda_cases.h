/* Tests against the stand-in CUDA driver: a driver is loaded once in a process and keeps its faults, so every case runs
 * in a child of its own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_
#define FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_

#include "backends/backend.h"

typedef struct fh_cuda_case {
  const char *name;
  const char *settings; /* FOGHORN_FAKE_CUDA; NULL: unset */
  const char *faults;   /* FOGHORN_FAKE_CUDA_FAULTS; NULL: unset */
  void (*run)(void);    /* asserts by cmocka's macros */
  int signal;           /* that must end the child; 0: it must end well */
  int seconds;          /* that it may take before SIGALRM; 0: enough */
  int status;           /* exit status that it must end with */
} fh_cuda_case;

/* Starts the program anew with the stand-in first in the library path, unless it is there already. */
void fh_cuda_cases_begin(char **argv);
/* Runs the cases whose name contains argv[1], all without one. The exit status of the program. */
int fh_cuda_cases_run(char **argv, const fh_cuda_case *cases, int count);
/* How often the running case has called a driver function, from the stand-in's log. */
int fh_cuda_calls(const char *function);

/* Options of a backend that may be a stand-in. */
extern const fh_backend_options fh_cuda_fake_allowed;

/* A kernel with PTX also in a build without any: head and parameters are all that the stand-in reads. */
const fh_kernel_image *fh_cuda_axpy(void);
/* Runs its first cases and asserts the results; the status tells how the device fared. */
fh_status fh_cuda_run_axpy(fh_device *device);

#endif /* FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_ */
