/* The traced processes and threads that are alive. SPDX-License-Identifier: Apache-2.0 */
#include "tools/devprobe/trace/task.h"

#include <stdlib.h>
#include <string.h>

static fh_trace_task **place_of(const fh_trace_tasks *tasks, pid_t tid) {
  fh_trace_task **place = (fh_trace_task **)&tasks->buckets[(unsigned)tid % FH_TRACE_TASK_BUCKETS];
  while (*place && (*place)->tid != tid) place = &(*place)->next;
  return place;
}

fh_trace_task *fh_trace_task_find(const fh_trace_tasks *tasks, pid_t tid) { return *place_of(tasks, tid); }

fh_trace_task *fh_trace_task_add(fh_trace_tasks *tasks, pid_t tid) {
  fh_trace_task **place = place_of(tasks, tid);
  if (*place) return *place;
  *place = calloc(1, sizeof **place);
  if (!*place) return NULL;
  **place = (fh_trace_task){.tid = tid, .program = -1};
  return *place;
}

void fh_trace_task_remove(fh_trace_tasks *tasks, pid_t tid) {
  fh_trace_task **place = place_of(tasks, tid), *task = *place;
  if (!task) return;
  *place = task->next;
  free(task->path);
  free(task);
}

void fh_trace_task_remove_all(fh_trace_tasks *tasks) {
  for (int i = 0; i < FH_TRACE_TASK_BUCKETS; i++)
    while (tasks->buckets[i]) fh_trace_task_remove(tasks, tasks->buckets[i]->tid);
}

/* Without memory the call is not waited for: one act is lost, nothing else. */
void fh_trace_task_expect(fh_trace_task *task, fh_trace_deed deed, const char *path) {
  free(task->path);
  task->path = strdup(path);
  task->pending = task->path != NULL;
  task->deed = deed;
}

void fh_trace_task_settle(fh_trace_task *task) {
  free(task->path);
  task->path = NULL;
  task->pending = false;
}
