/* An operating-system table that knows of a CUDA driver that worked a short while ago. SPDX-License-Identifier: Apache-2.0
 *
 * To show that the driver works, a child starts it and makes a context on every device, which is as much as the program itself does after
 * it: all would start in twice the driver's own time. So a good answer is kept, and stands for a child's while the machine is the same:
 * boot, kernel driver, library, nodes, environment, container, filters of system calls, user, and not longer than an hour. A bad answer is
 * never kept.
 *
 * Who takes the answer takes its file away, and puts it back when the driver has worked. So one process at most meets a driver unwarned
 * that hangs or crashes since, and the next one asks a child again. */
#ifndef FOGHORN_DETECT_OS_PROVEN_H_
#define FOGHORN_DETECT_OS_PROVEN_H_

#include "detect/os.h"

/* The table `inner`, which it takes (NULL was returned: it did not, for want of memory), but for "cuda", and "nvml" beside a kept answer,
 * which is not asked. `folder`: of the answer's file. */
fh_os *fh_os_proven(fh_os *inner, const char *folder);
/* Was a kept answer given? */
bool fh_os_proven_used(const fh_os *os);
/* The driver works in this process: its answer, kept or a child's, is for the next ones, where it is a good one. */
void fh_os_proven_keep(fh_os *os);
/* The driver has failed: the next process asks a child. */
void fh_os_proven_forget(const char *folder);

#endif /* FOGHORN_DETECT_OS_PROVEN_H_ */
