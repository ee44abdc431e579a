/* An operating-system table with things in it that have nothing to do with the matter. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_CROWDED_OS_H_
#define FOGHORN_TESTS_CROWDED_OS_H_

#include "detect/os.h"

/* Wraps `take_os`, which it owns from then on, and adds: PCI devices that are no GPUs, device nodes and drivers of other kinds,
 * mounts, libraries, an OpenCL driver that gives no answer, variables that hide nothing. Each is added only beside others of its
 * kind: the first of a kind may matter. NULL without memory. */
fh_os *fh_os_crowded(fh_os *take_os);

#endif /* FOGHORN_TESTS_CROWDED_OS_H_ */
