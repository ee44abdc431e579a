/* An operating-system table that does not see everything. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_BLIND_OS_H_
#define FOGHORN_TESTS_BLIND_OS_H_

#include "detect/os.h"

typedef struct fh_blindness {
  uint64_t seed;
  unsigned per_thousand; /* so many of a thousand paths and questions are not seen */
  int error;             /* EACCES: there, and not readable; ENOENT: as if it were not there */
} fh_blindness;

/* Wraps `take_os`, which it owns from then on. Which paths are hidden follows from the seed alone. NULL without memory. */
fh_os *fh_os_blind(fh_os *take_os, fh_blindness blindness);

#endif /* FOGHORN_TESTS_BLIND_OS_H_ */
