/* Work in turns, in a process that another one watches. A kernel that faults takes the device from its whole process, and one that never
 * ends takes it for ever: what comes behind its turn is done in a fresh process. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_WATCH_H_
#define FOGHORN_TESTS_WATCH_H_

#include <stdbool.h>

typedef struct watch {
  int first, next; /* turns before `first` were done by other processes */
  int to;          /* where turns are told; -1: nobody watches */
} watch;

enum { WATCH_NAME = 96 };

/* Runs `work` in a process of its own, and again behind the turn that it was in where it crashes, begins no turn for so many seconds, or
 * asks for it; this process calls no driver. The exit status of the last one; 1 when another was needed. */
int watch_run(int (*work)(void *arg, watch *w), void *arg, int seconds);

/* In `work`: begins the next turn. False: another process has had it. */
bool watch_begin(watch *w, const char *name);
/* In `work`: the device may be lost, so that the turns behind this one need a fresh process. Returns where nobody watches. */
void watch_leave(const watch *w);

#endif /* FOGHORN_TESTS_WATCH_H_ */
