/* A process that works in turns, and the one that watches it. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LEFT = 75, START_TIMES = 3 }; /* LEFT: exit status, go on behind this turn */

typedef struct turn {
  int number;
  char name[WATCH_NAME];
} turn;

/* ---- in the process that works ---------------------------------------------------------------------------------------- */

bool watch_begin(watch *w, const char *name) {
  turn t = {.number = w->next++};
  if (t.number < w->first) return false;
  snprintf(t.name, sizeof t.name, "%s", name);
  if (w->to >= 0 && write(w->to, &t, sizeof t) != (ssize_t)sizeof t) exit(EXIT_FAILURE); /* nobody is there any more */
  return true;
}

void watch_leave(const watch *w) {
  if (w->to < 0) return;
  fflush(stdout);
  _exit(LEFT); /* a driver whose device is lost need not survive its own clean-up */
}

/* ---- in the one that watches -------------------------------------------------------------------------------------------- */

static pid_t start(int (*work)(void *, watch *), void *arg, int first, int *out_from) {
  int pipes[2];
  if (pipe2(pipes, O_CLOEXEC) != 0) return -1;
  fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    close(pipes[0]);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a time limit ends the one that watches */
    watch w = {.first = first, .to = pipes[1]};
    exit(work(arg, &w));
  }
  close(pipes[1]);
  if (child < 0) close(pipes[0]);
  *out_from = pipes[0];
  return child;
}

/* Follows its turns until it ends. False: it began none for so long; a driver may take longer to start. */
static bool follow(int from, int seconds, turn *last) {
  for (;;) {
    struct pollfd ready = {.fd = from, .events = POLLIN};
    const int count = poll(&ready, 1, seconds * 1000 * (last->number < 0 ? START_TIMES : 1));
    if (count == 0) return false;
    if (count < 0 && errno == EINTR) continue;
    if (read(from, last, sizeof *last) != (ssize_t)sizeof *last) return true;
  }
}

static int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

/* Its wait status; where it did not end by itself, that is said in the place of its result. */
static int watch_one(pid_t child, int from, int seconds, turn *last) {
  const bool silent = !follow(from, seconds, last);
  if (silent) (void)kill(child, SIGKILL);
  close(from);
  const int status = wait_for(child);
  if (silent)
    printf("%s FAIL: no end within %d s, its process was ended\n", last->name, seconds * (last->number < 0 ? START_TIMES : 1));
  else if (WIFSIGNALED(status))
    printf("%s FAIL: its process ended by signal %d (%s)\n", last->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
  return status;
}

int watch_run(int (*work)(void *arg, watch *w), void *arg, int seconds) {
  for (int first = 0, from = -1;;) {
    turn last = {.number = -1, .name = "the start"};
    const pid_t child = start(work, arg, first, &from);
    if (child < 0) {
      printf("FAIL: no process can be made: %s\n", strerror(errno));
      return EXIT_FAILURE;
    }
    const int status = watch_one(child, from, seconds, &last);
    const bool ended = WIFEXITED(status) && WEXITSTATUS(status) != LEFT;
    if (ended) return first == 0 ? WEXITSTATUS(status) : EXIT_FAILURE;
    if (last.number < first) return EXIT_FAILURE; /* it came to no turn: nor would another */
    first = last.number + 1;
  }
}
