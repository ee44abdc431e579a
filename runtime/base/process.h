/* Which process this is. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_BASE_PROCESS_H_
#define FOGHORN_BASE_PROCESS_H_

#include <sys/types.h>

/* What getpid() says, without a call of the system: every launch asks whether it is in a fork of the process that opened its device. A
 * child that was made around the C library's fork() (by clone(), by _Fork()) is not told apart. */
pid_t fh_process_id(void);

#endif /* FOGHORN_BASE_PROCESS_H_ */
