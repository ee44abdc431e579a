/* Starts a program under observation. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_LAUNCH_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_LAUNCH_H_

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include <foghorn/status.h>

typedef struct fh_trace_launch {
  pid_t pid;
  int report_fd;     /* where the child tells that it could not become the program */
  bool all_calls;    /* no filter could be had: every system call stops, which is slow */
  bool no_new_privs; /* the filter was had only without set-user-ID programs */
} fh_trace_launch;

/* Forks, takes the child under observation, and lets it become the program. signals: what the program is to find blocked. */
fh_status fh_trace_launch_start(char *const *command, const sigset_t *signals, fh_trace_launch *out);
/* After the end: the errno with which the program could not be started, 0 when it could. Closes. */
int fh_trace_launch_end(fh_trace_launch *launch);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_LAUNCH_H_ */
