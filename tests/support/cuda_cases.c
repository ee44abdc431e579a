/* Tests against the stand-in CUDA driver, each in a child. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/cuda_cases.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/backend_call.h"

extern const fh_backend_api fh_backend_cuda;
const fh_backend_options fh_cuda_fake_allowed = {.isa_cap = -1, .allow_fake = true};

enum { CASE_SECONDS = 40 };

static char log_path[64];

/* Of the build, or where the tests were carried to. */
static const char *folder_of_fakes(void) {
  const char *carried = getenv("FOGHORN_TEST_FAKES");
  return carried && *carried ? carried : FH_BINARY_DIR "/tests/fakes";
}

void fh_cuda_cases_begin(char **argv) {
  const char *path = getenv("LD_LIBRARY_PATH"), *fakes = folder_of_fakes();
  if (path && strncmp(path, fakes, strlen(fakes)) == 0) return;
  char changed[4096];
  snprintf(changed, sizeof changed, "%s%s%s", fakes, path && *path ? ":" : "", path ? path : "");
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
  alarm(c->seconds ? (unsigned)c->seconds : CASE_SECONDS);
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

/* ---- a kernel -------------------------------------------------------------------------------------------------------- */

static void add_param(char *out, size_t size, fh_operand_kind kind, int index) {
  if (kind == FH_OPERAND_F32)
    snprintf(out, size, ",\n .param .f32 f%d", index);
  else if (kind == FH_OPERAND_I64)
    snprintf(out, size, ",\n .param .s64 i%d", index);
  else
    snprintf(out, size, ",\n .param .u64 .ptr .global .align 1 p%d, .param .b64 o%d", index, index);
}

const fh_kernel_image *fh_cuda_axpy(void) {
  static char ptx[4096];
  static fh_kernel_image image;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  while (strcmp(images->contract->name, "axpy") != 0) images++;
  image = *images;
  snprintf(ptx, sizeof ptx, "// a comment\n.version 6.0\n.target sm_60\n.address_size 64\n.visible .entry axpy(\n .param .u64 items");
  for (int i = 0; i < image.entries[0].param_count; i++)
    add_param(ptx + strlen(ptx), sizeof ptx - strlen(ptx), image.entries[0].params[i].kind, i);
  snprintf(ptx + strlen(ptx), sizeof ptx - strlen(ptx), "\n)\n{ ret; }\n");
  image.ptx = ptx;
  return &image;
}

fh_status fh_cuda_run_axpy(fh_device *device) {
  static const fh_device_info info = {.id = "a CUDA device", .exact = true};
  fh_conform_report report;
  fh_status failure;
  const fh_conform_options options = {.cases = 2, .quick = true, .out_failure = &failure};
  FH_TRY(fh_backend_conform(&fh_backend_cuda, device, &info, fh_cuda_axpy(), &options, &report));
  if (failure) return failure;
  assert_string_equal(report.text, "");
  assert_int_equal(report.runs, 2);
  return FH_OK;
}
