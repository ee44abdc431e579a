/* What /proc tells of a traced process while it is stopped. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_PROCESS_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_PROCESS_H_

#include "tools/devprobe/trace/record.h"

/* A path is kept up to here; nothing about a GPU has a longer one. */
enum { FH_TRACE_PATH = 1024 };

/* The program that a process has just become; its texts live in the arena. */
void fh_trace_process_program(pid_t pid, fh_facts_arena *arena, fh_trace_program *out);
/* Makes a path absolute that a task gave with a directory's descriptor (AT_FDCWD: its current one), without doubled
 * slashes; links are not followed. False: it is empty, too long, or the directory cannot be told. */
bool fh_trace_process_path(pid_t tid, int directory, const char *path, char out[FH_TRACE_PATH]);
/* The name of a thread; "" unknown. */
void fh_trace_process_thread(pid_t tid, char out[16]);
/* Of a library that a task has open: the file behind the links, and why no loader would take it ("": nothing seen). */
void fh_trace_process_library(pid_t tid, int fd, char out_real[FH_TRACE_PATH], const char **out_flaw);
/* Calls found(context, path) for every file that a process has open. */
void fh_trace_process_files(pid_t pid, void (*found)(void *context, const char *path), void *context);
/* True when a new task is a thread of the process of another one. */
bool fh_trace_process_is_thread(pid_t tid, pid_t of);
/* The number of system call filters; 0 unknown. */
int64_t fh_trace_process_filters(pid_t pid);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_PROCESS_H_ */
