/* Tests against the stand-in CUDA driver: a driver is loaded once in a process and keeps its faults, so every case runs
 * in a child of its own. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_
#define FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_

typedef struct fh_cuda_case {
  const char *name;
  const char *settings; /* FOGHORN_FAKE_CUDA; NULL: unset */
  const char *faults;   /* FOGHORN_FAKE_CUDA_FAULTS; NULL: unset */
  void (*run)(void);    /* asserts by cmocka's macros */
  int signal;           /* that must end the child; 0: it must end well */
  int status;           /* exit status that it must end with */
} fh_cuda_case;

/* Starts the program anew with the stand-in first in the library path, unless it is there already. */
void fh_cuda_cases_begin(char **argv);
/* Runs the cases whose name contains argv[1], all without one. The exit status of the program. */
int fh_cuda_cases_run(char **argv, const fh_cuda_case *cases, int count);
/* How often the running case has called a driver function, from the stand-in's log. */
int fh_cuda_calls(const char *function);

#endif /* FOGHORN_TESTS_SUPPORT_CUDA_CASES_H_ */
