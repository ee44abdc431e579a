/* The filter that stops a traced program at a few system calls only. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_FILTER_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_FILTER_H_

#include <stdbool.h>

/* Installs it in the calling thread, for good and for all descendants: every watched call stops for the tracer, everything
 * else runs at full speed. 0 or an errno; *out_no_new_privs: it could only be had by giving up set-user-ID programs.
 * Async-signal-safe: it is called between fork and exec. */
int fh_trace_filter_install(bool *out_no_new_privs);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_FILTER_H_ */
