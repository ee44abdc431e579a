/* Strings in the memory of a traced program. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_MEMORY_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_MEMORY_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads a zero-terminated string at an address of a stopped task. False when there is none of less than size bytes: the
 * address is wrong, or the memory is gone. Nothing is assumed of what is there; other threads may change it meanwhile. */
bool fh_trace_read_string(pid_t tid, uint64_t address, char *out, size_t size);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_MEMORY_H_ */
