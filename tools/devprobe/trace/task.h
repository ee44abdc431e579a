/* The traced processes and threads that are alive. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TOOLS_DEVPROBE_TRACE_TASK_H_
#define FOGHORN_TOOLS_DEVPROBE_TRACE_TASK_H_

#include "tools/devprobe/trace/process.h"

typedef struct fh_trace_task {
  pid_t tid;
  int program;     /* index in the record; -1: none yet */
  bool announced;  /* its parent's event has told whose child it is */
  int held;        /* the stop with which it waits for that; 0: it does not wait */
  int64_t held_ns; /* since when */
  bool thread;     /* not the first of its process */
  bool pending;    /* in a system call whose result is waited for: the next two */
  bool inside;     /* between entry and exit, where every system call stops */
  fh_trace_deed deed;
  char *path;           /* of the pending call; owned */
  int64_t base_filters; /* system call filters when its program started */
  struct fh_trace_task *next;
} fh_trace_task;

enum { FH_TRACE_TASK_BUCKETS = 512 };

typedef struct fh_trace_tasks {
  fh_trace_task *buckets[FH_TRACE_TASK_BUCKETS];
} fh_trace_tasks;

fh_trace_task *fh_trace_task_find(const fh_trace_tasks *tasks, pid_t tid); /* NULL: unknown */
/* Finds or adds; NULL without memory. */
fh_trace_task *fh_trace_task_add(fh_trace_tasks *tasks, pid_t tid);
void fh_trace_task_remove(fh_trace_tasks *tasks, pid_t tid);
void fh_trace_task_remove_all(fh_trace_tasks *tasks);
/* Begins and ends a call whose result is wanted. */
void fh_trace_task_expect(fh_trace_task *task, fh_trace_deed deed, const char *path);
void fh_trace_task_settle(fh_trace_task *task);

#endif /* FOGHORN_TOOLS_DEVPROBE_TRACE_TASK_H_ */
