/* Tests against the stand-in CUDA driver, each in a child. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cuda_cases.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKES FH_BINARY_DIR "/tests/fakes"
enum { CASE_SECONDS = 40 };

static char log_path[64];

void fh_cuda_cases_begin(char **argv) {
  const char *path = getenv("LD_LIBRARY_PATH");
  if (path && strncmp(path, FAKES, strlen(FAKES)) == 0) return;
  char changed[4096];
  snprintf(changed, sizeof changed, "%s%s%s", FAKES, path && *path ? ":" : "", path ? path : "");
  setenv("LD_LIBRARY_PATH", changed, 1);
  execv("/proc/self/exe", argv);
  perror("cannot start anew with the stand-in driver");
  exit(1);
}

static void set_or_unset(const char *name, const char *value) {
  if (value)
    setenv(name, value, 1);
  else
    unsetenv(name);
}

static void run_in_child(const fh_cuda_case *c) {
  alarm(CASE_SECONDS);
  set_or_unset("FOGHORN_FAKE_CUDA", c->settings);
  set_or_unset("FOGHORN_FAKE_CUDA_FAULTS", c->faults);
  setenv("FOGHORN_FAKE_CUDA_LOG", log_path, 1);
  unsetenv("CUDA_VISIBLE_DEVICES");
  c->run();
  exit(0);
}

static bool run_case(const fh_cuda_case *c) {
  int state = 0;
  snprintf(log_path, sizeof log_path, "/tmp/foghorn-cuda-calls-XXXXXX");
  int file = mkstemp(log_path);
  if (file >= 0) close(file);
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) run_in_child(c);
  bool asked = file >= 0 && child > 0 && waitpid(child, &state, 0) == child;
  unlink(log_path);
  bool good =
      asked && (c->signal ? WIFSIGNALED(state) && WTERMSIG(state) == c->signal : WIFEXITED(state) && WEXITSTATUS(state) == c->status);
  printf("%s %s\n", good ? "ok    " : "FAILED", c->name);
  if (!good && asked)
    printf("       ended with %s %d\n", WIFSIGNALED(state) ? "signal" : "status",
           WIFSIGNALED(state) ? WTERMSIG(state) : WEXITSTATUS(state));
  return good;
}

int fh_cuda_cases_run(char **argv, const fh_cuda_case *cases, int count) {
  int failed = 0, ran = 0;
  for (int i = 0; i < count; i++) {
    if (argv[1] && !strstr(cases[i].name, argv[1])) continue;
    ran++;
    failed += !run_case(&cases[i]);
  }
  printf("%d cases, %d failed\n", ran, failed);
  return failed || !ran;
}

int fh_cuda_calls(const char *function) {
  char line[256];
  int calls = 0;
  FILE *file = fopen(log_path, "r");
  if (!file) return -1;
  size_t n = strlen(function);
  while (fgets(line, sizeof line, file)) calls += strncmp(line, function, n) == 0 && line[n] == ' ';
  fclose(file);
  return calls;
}
