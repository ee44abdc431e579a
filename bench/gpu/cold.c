/* From nothing to the first kernel's result, in a process of its own: Foghorn, and the driver alone. SPDX-License-Identifier: Apache-2.0
 * The time is taken inside, from before the driver library is looked for. */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/gpu/rows.h"
#include "runtime/base/clock.h"

enum { COLD_ROUNDS = 7 };

/* ---- in the child ---------------------------------------------------------------------------------------------------------- */

static const char *raw_first(const char *device, bool fake) {
  raw_device raw;
  raw_launch launch;
  const char *why = raw_open(raw_ordinal_of(device), fake, &raw);
  if (why) return why;
  why = raw_launch_open(&raw, &launch);
  if (!why && raw_launch_sample(&launch, 1) < 0) why = "the launch failed";
  return why;
}

static const char *own_first(const char *device, bool fake) {
  static const gpu_case_spec one = {"axpy", "1 1", "", ""};
  static char why[240];
  gpu_session *session = gpu_session_open(device, fake, why, (int)sizeof why);
  gpu_case *c = session ? gpu_case_open(session, &one, 0, why, (int)sizeof why) : NULL;
  if (!c) return why;
  return gpu_case_run_once(c) ? gpu_case_why(c) : NULL;
}

/* Nothing is closed: the time ends with the result, and so does the process. */
int cold_run(const char *what, const char *device, bool fake) {
  const double start = fh_now_seconds();
  const char *why = strcmp(what, "raw") == 0 ? raw_first(device, fake) : own_first(device, fake);
  const double took = fh_now_seconds() - start;
  if (why) {
    fprintf(stderr, "gpu_bench: cold %s: %s\n", what, why);
    return EXIT_FAILURE;
  }
  printf("%.9f\n", took);
  return EXIT_SUCCESS;
}

/* ---- in the parent ---------------------------------------------------------------------------------------------------------- */

typedef struct cold_start {
  const gpu_options *options;
  const char *what;
} cold_start;

static double read_seconds(FILE *from, pid_t child) {
  char line[64] = "", *end = line;
  int status = 0;
  const double seconds = fgets(line, sizeof line, from) ? strtod(line, &end) : -1;
  fclose(from);
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return -1;
  return end == line ? -1 : seconds;
}

/* One process at a time. */
static double cold_sample(void *arg, long calls) {
  const cold_start *cold = arg;
  const gpu_options *o = cold->options;
  double sum = 0;
  for (long i = 0; i < calls; i++) {
    int pipes[2];
    pid_t child;
    if (pipe(pipes) != 0) return -1;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, pipes[0]);
    char *argv[] = {(char *)o->self, "cold", (char *)cold->what, "--device", (char *)o->device, o->fake ? "--fake" : NULL, NULL};
    const int error = posix_spawn(&child, o->self, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    FILE *from = fdopen(pipes[0], "r");
    if (error || !from) return -1;
    const double seconds = read_seconds(from, child);
    if (seconds < 0) return -1;
    sum += seconds;
  }
  return sum;
}

/* Not by fh_rounds_run: it repeats what is short, and a start is measured once at a time. */
static void take_turns(fh_contender *contenders, int count) {
  /* Fills the file cache, and shows in a child that the driver works: the starts after it know so (detect/os_proven.h). */
  for (int i = 0; i < count; i++) contenders[i].failed = cold_sample(contenders[i].arg, 1) < 0;
  for (int round = 0; round < COLD_ROUNDS; round++)
    for (int i = 0; i < count; i++) {
      fh_contender *c = &contenders[(round + i) % count];
      const double seconds = c->failed ? -1 : cold_sample(c->arg, 1);
      c->failed = seconds < 0;
      if (!c->failed) c->samples[c->count++] = seconds;
    }
}

void rows_cold(json_t *document, const gpu_options *options) {
  static const char *const kinds[] = {"foghorn", "limit"};
  json_t *row = figures_row(document, "axpy", "from nothing to the first kernel's result", "cold");
  cold_start own = {options, "foghorn"}, raw = {options, "raw"};
  double samples[2][COLD_ROUNDS];
  fh_contender both[] = {{.name = "Foghorn", .arg = &own, .samples = samples[0]},
                         {.name = "driver alone", .arg = &raw, .samples = samples[1]}};
  take_turns(both, 2);
  figures_add(row, both, kinds, 2);
  if (both[0].count && both[1].count) figures_value(row, both[0].median / both[1].median);
}
