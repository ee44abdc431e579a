/* Follows a program and everything that it starts, to the end. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_WATCH_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_WATCH_H_

#include <foghorn/status.h>

#include "tools/devprobe/trace/record.h"

typedef struct fh_trace_end {
  int start_error;   /* errno with which the command could not be started; 0: it was */
  int wait_status;   /* of the command, as waitpid gives it */
  bool all_calls;    /* watched at every system call, slowly: no filter could be had */
  bool no_new_privs; /* set-user-ID programs got no rights */
  int64_t stayed_ns; /* how long processes of it went on after the command itself had ended */
  bool cut_off;      /* a signal came then, and they were not waited for: they are killed with devprobe */
} fh_trace_end;

/* Runs a command and records what it does about GPUs. Signals pass: those of the terminal reach the program by themselves,
 * those sent to devprobe are handed on. Returns when the last process has ended. */
fh_status fh_trace_watch(char *const *command, fh_trace_record *record, fh_trace_end *out);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_WATCH_H_ */
