/* How long it takes to begin: devprobe as a whole, and opening the library for CPU work. SPDX-License-Identifier: Apache-2.0
 *
 * bench_startup DEVPROBE [--json FILE] [--rounds N]
 * Every sample is a fresh process; the first round only warms the file cache. The library is timed from inside,
 * around the first fh_context_create of the process.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <foghorn/foghorn.h>

#include "bench/measure.h"

/* In the child: prints the seconds of one opening. */
static int open_once(void) {
  fh_context *context;
  double start = fh_now_seconds();
  fh_status status = fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY}, &context);
  double seconds = fh_now_seconds() - start;
  if (status) {
    fprintf(stderr, "bench_startup: fh_context_create: %s\n", fh_status_message(status));
    fh_status_free(status);
    return 1;
  }
  printf("%.9f\n", seconds);
  fh_context_release(context);
  return 0;
}

typedef struct start {
  char *const argv[3];
  bool inside; /* the child prints its own time */
  bool failed;
} start;

static double run_once(void *arg) {
  start *s = arg;
  int pipes[2];
  char text[64] = "";
  if (pipe2(pipes, O_CLOEXEC) != 0) {
    perror("bench_startup: pipe");
    exit(EXIT_FAILURE);
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
  pid_t child;
  double begin = fh_now_seconds();
  int error = posix_spawn(&child, s->argv[0], &actions, NULL, s->argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipes[1]);
  size_t got = 0;
  char rest[4096];
  for (ssize_t n; !error && (n = read(pipes[0], rest, sizeof rest)) > 0;) {
    size_t keep = (size_t)n < sizeof text - 1 - got ? (size_t)n : sizeof text - 1 - got;
    memcpy(text + got, rest, keep);
    got += keep;
  }
  close(pipes[0]);
  int status = 0;
  if (error || waitpid(child, &status, 0) < 0) {
    fprintf(stderr, "bench_startup: cannot run %s: %s\n", s->argv[0], strerror(error ? error : errno));
    exit(EXIT_FAILURE);
  }
  double seconds = fh_now_seconds() - begin;
  if (s->inside) {
    char *end;
    seconds = strtod(text, &end);
    if (end == text || *end != '\n') s->failed = true;
  }
  /* devprobe's status 1 is an answer: something expected is unusable */
  s->failed = s->failed || !WIFEXITED(status) || WEXITSTATUS(status) > 1 || (s->inside && WEXITSTATUS(status) != 0);
  return seconds;
}

static int usage(void) {
  fprintf(stderr, "usage: bench_startup DEVPROBE [--json FILE] [--rounds N]\n");
  return 2;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--open-once") == 0) return open_once();
  static const struct option options[] = {
      {"json", required_argument, NULL, 'j'}, {"rounds", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
  const char *json = NULL;
  int rounds = 21;
  for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
    if (option == 'j') {
      json = optarg;
    } else if (option != 'r' || !measure_int(optarg, 1, &rounds)) {
      return usage();
    }
  }
  if (optind + 1 != argc) return usage();
  start starts[] = {{.argv = {argv[optind], NULL}}, {.argv = {argv[0], (char[]){"--open-once"}, NULL}, .inside = true}};
  static const char *const names[] = {"devprobe", "fh_context_create, CPU only"};
  enum { COUNT = 2 };
  int first = 0;
  if (access(argv[optind], X_OK) != 0) {
    printf("NOT RUN: start of devprobe: %s: %s\n", argv[optind], strerror(errno));
    first = 1;
  }
  measure_contender contenders[COUNT];
  for (int i = 0; i < COUNT; i++) contenders[i] = (measure_contender){.name = names[i], .sample = run_once, .arg = &starts[i]};
  measure_rounds(contenders + first, COUNT - first, rounds, 0);

  json_t *document = measure_document("startup"), *results = json_object_get(document, "rows");
  printf("ms, median (p10-p90)\n");
  for (int i = first; i < COUNT; i++) {
    const measure_contender *c = &contenders[i];
    printf("%-36s %8.2f (%.2f-%.2f)%s\n", c->name, 1e3 * c->median, 1e3 * c->p10, 1e3 * c->p90,
           starts[i].failed ? "  FAILED: no figure" : "");
    if (!starts[i].failed) json_array_append_new(results, measure_json(c));
  }
  bool failed = starts[0].failed || starts[1].failed;
  return measure_save(document, json) && !failed ? 0 : 1;
}
