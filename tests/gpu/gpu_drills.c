/* Faults that are safe on a GPU that others use too: results must be right, and nothing may hang. SPDX-License-Identifier: Apache-2.0
 *
 *   gpu_drills [--fake]      exit status: 0 all right, 1 a drill failed, 77 there is no GPU
 * No drill harms the driver or another process: memory is asked for and given back, processes are forked, two of them compete, and in a
 * process of its own the primary context is shared with another user, and reset under our feet.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <foghorn/foghorn.h>

#include "detect/drivers/cuda_driver.h"

enum { NOT_RUN = 77, DRILL_SECONDS = 60, SMALL = 1 << 16, LARGE = 24 << 20, LAUNCHES = 100 };
#define LEFT_BYTES ((size_t)128 << 20)
#define STEP_BYTES ((size_t)64 << 20)

static bool fake;

/* ---- a job whose result is known ------------------------------------------------------------------------------------------- */

static fh_context *open_context(const char *devices) {
  fh_context *context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = devices, .allow_fake = fake}, &context);
  if (status) printf("  %s\n", fh_status_message(status));
  fh_status_free(status);
  return context;
}

static fh_status add(fh_context *context, float *x, float *y, int64_t n, int launches) {
  fh_auto(fh_view) X = {0}, Y = {0};
  FH_TRY(fh_view_wrap(context, x, FH_F32, FH_SHAPE(n), FH_ROW_MAJOR, FH_READ, &X));
  FH_TRY(fh_view_wrap(context, y, FH_F32, FH_SHAPE(n), FH_ROW_MAJOR, FH_READ_WRITE, &Y));
  for (int i = 0; i < launches; i++) FH_TRY(fh_axpy(fh_context_queue(context), 1, &X, &Y, NULL));
  return fh_view_sync(&Y);
}

/* y = launches * x, whole numbers that floats hold exactly. */
static bool job_is_right(fh_context *context, int64_t n, int launches) {
  float *x = malloc((size_t)n * sizeof *x), *y = malloc((size_t)n * sizeof *y);
  bool right = x && y && context;
  for (int64_t i = 0; right && i < n; i++) x[i] = (float)(i % 1000), y[i] = 0;
  fh_status status = right ? add(context, x, y, n, launches) : FH_STATUS(FH_RESOURCE_EXHAUSTED, "gpu_drills: no memory, or no context");
  for (int64_t i = 0; !status && right && i < n; i++) right = y[i] == (float)(i % 1000) * (float)launches;
  if (status) printf("  %s\n", fh_status_message(status));
  right = right && !status;
  fh_status_free(status);
  free(x);
  free(y);
  return right;
}

/* In a process of its own, within a time limit. */
static pid_t start(bool (*drill)(void)) {
  fflush(stdout);
  const pid_t child = fork();
  if (child != 0) return child;
  alarm(DRILL_SECONDS);
  const bool right = drill();
  fflush(stdout);
  _exit(right ? 0 : 1);
}

static bool ended_well(pid_t child) {
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  if (WIFSIGNALED(status))
    printf("  a process ended by signal %d (%s)\n", WTERMSIG(status), WTERMSIG(status) == 14 ? "time limit" : "crash");
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- drills -------------------------------------------------------------------------------------------------------------------- */

static bool plain_job(void) {
  fh_context *context = open_context("cuda:0");
  const bool right = job_is_right(context, SMALL, LAUNCHES);
  fh_context_release(context);
  return right;
}

static bool two_processes(void) {
  const pid_t one = start(plain_job), other = start(plain_job);
  const bool first = ended_well(one);
  return ended_well(other) && first;
}

/* The driver does not survive a fork; a child must end with the right result from elsewhere, or with an error. */
static bool child_of_fork(void) {
  fh_context *context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = fake}, &context);
  if (status) printf("  the child is refused: %.200s\n", fh_status_message(status));
  const bool right = status || job_is_right(context, SMALL, 1);
  fh_status_free(status);
  fh_context_release(context);
  return right;
}

static bool fork_after_use(void) {
  fh_context *context = open_context("cuda:0");
  const bool before = job_is_right(context, SMALL, 1);
  const bool child = ended_well(start(child_of_fork));
  const bool after = job_is_right(context, SMALL, 1);
  fh_context_release(context);
  return before && child && after;
}

/* A process that takes memory when all `jobs` have opened the device (a context alone takes hundreds of MiB), and ends after them. */
typedef struct holder {
  pid_t process;
  int go, ready, end; /* a job writes to `go`, and reads from `ready`; `end` is closed */
} holder;

static holder beside;

/* Holds all of the device's memory but LEFT_BYTES. */
static bool hold_memory(void) {
  fh_cuda_driver driver;
  fh_cu_context context;
  fh_cu_ptr memory;
  size_t free_bytes = 0, total = 0;
  fh_status status = fh_cuda_driver_load(&driver);
  if (status || driver.fn.cuInit(0) || driver.fn.cuDevicePrimaryCtxRetain(&context, 0) || driver.fn.cuCtxPushCurrent_v2(context))
    return false;
  while (!driver.fn.cuMemGetInfo_v2(&free_bytes, &total) && free_bytes > LEFT_BYTES + STEP_BYTES &&
         !driver.fn.cuMemAlloc_v2(&memory, free_bytes - LEFT_BYTES > 16 * STEP_BYTES ? 16 * STEP_BYTES : STEP_BYTES))
    continue;
  printf("  another process holds %zu of %zu MiB\n", (total - free_bytes) >> 20, total >> 20);
  fflush(stdout);
  return true;
}

/* In the holder's process. */
static int be_holder(int jobs, int go, int ready, int end) {
  char byte = 0;
  alarm(DRILL_SECONDS);
  for (int i = 0; i < jobs; i++)
    if (read(go, &byte, 1) != 1) return 1; /* a job ended before */
  if (!hold_memory()) return 1;
  for (int i = 0; i < jobs; i++)
    if (write(ready, &byte, 1) != 1) return 1;
  return read(end, &byte, 1) == 0 ? 0 : 1;
}

static bool start_holder(int jobs) {
  int go[2], ready[2], end[2];
  if (pipe(go) != 0 || pipe(ready) != 0 || pipe(end) != 0) return false;
  fflush(stdout);
  const pid_t process = fork();
  if (process == 0) {
    close(go[1]);
    close(ready[0]);
    close(end[1]);
    _exit(be_holder(jobs, go[0], ready[1], end[0]));
  }
  close(go[0]);
  close(ready[1]);
  close(end[0]);
  beside = (holder){.process = process, .go = go[1], .ready = ready[0], .end = end[1]};
  return process > 0;
}

/* Operands of 96 MiB each with 128 MiB left for both: the pool is trimmed, the job cut or moved, and the result is right. */
static bool crowded_job(void) {
  char byte = 0;
  close(beside.end);
  fh_context *context = open_context("cuda:0,cpu");
  const bool opened = job_is_right(context, SMALL, 1);
  const bool asked = opened && write(beside.go, &byte, 1) == 1;
  close(beside.go);
  const bool taken = asked && read(beside.ready, &byte, 1) == 1;
  if (opened && !taken) puts("  the other process could not take the memory");
  const bool right = taken && job_is_right(context, LARGE, 2);
  fh_counters counters = {0};
  if (context) fh_context_counters(context, &counters);
  printf("  %llu launches, %llu elsewhere, %llu failed, %llu warnings\n", (unsigned long long)counters.launches,
         (unsigned long long)counters.executed_elsewhere, (unsigned long long)counters.failed,
         (unsigned long long)counters.fallback_warnings);
  fh_context_release(context);
  return right && counters.failed == 0 && counters.launches == 3;
}

static bool crowded_jobs(int jobs) {
  pid_t processes[2];
  if (fake) setenv("FOGHORN_FAKE_CUDA", "memory=128MiB", 1); /* each process has a stand-in of its own */
  if (!start_holder(jobs)) return false;
  for (int i = 0; i < jobs; i++) processes[i] = start(crowded_job);
  close(beside.go);
  close(beside.ready);
  bool right = true;
  for (int i = 0; i < jobs; i++) right = ended_well(processes[i]) && right;
  close(beside.end);
  return ended_well(beside.process) && right;
}

static bool memory_is_short(void) { return crowded_jobs(1); }
static bool two_in_want_of_memory(void) { return crowded_jobs(2); }

/* An allocation that cannot be leaves the context as it was. */
static bool too_much(void) {
  fh_cuda_driver driver;
  fh_cu_context context;
  fh_cu_ptr memory = 0;
  size_t free_bytes = 0, total = 0;
  fh_context *own = open_context("cuda:0");
  bool right = job_is_right(own, SMALL, 1);
  fh_status status = fh_cuda_driver_load(&driver);
  if (!status && right && !driver.fn.cuDevicePrimaryCtxRetain(&context, 0) && !driver.fn.cuCtxPushCurrent_v2(context)) {
    (void)driver.fn.cuMemGetInfo_v2(&free_bytes, &total);
    const fh_cu_result code = driver.fn.cuMemAlloc_v2(&memory, 2 * total);
    printf("  twice the memory: %s\n", fh_cuda_result_name((int)code));
    right = code == FH_CUDA_ERROR_OUT_OF_MEMORY && job_is_right(own, SMALL, 1);
    (void)driver.fn.cuCtxPopCurrent_v2(&context);
    (void)driver.fn.cuDevicePrimaryCtxRelease_v2(0);
  }
  fh_status_free(status);
  fh_context_release(own);
  return right;
}

/* The job goes on where it can after another library of the process has ended the context; and a new context has the device again. */
static bool reset_by_another(void) {
  fh_cuda_driver driver;
  fh_cu_result (*reset)(fh_cu_device) = NULL;
  fh_context *context = open_context("cuda:0,cpu");
  bool right = job_is_right(context, SMALL, LAUNCHES);
  fh_status status = fh_cuda_driver_load(&driver);
  void *symbol = status ? NULL : fh_dynlib_symbol(driver.library, "cuDevicePrimaryCtxReset_v2");
  memcpy(&reset, &symbol, sizeof reset);
  if (!reset) puts("  the driver has no cuDevicePrimaryCtxReset_v2");
  const fh_cu_result code = reset ? reset(0) : FH_CUDA_ERROR_NOT_FOUND;
  right = right && code == FH_CUDA_SUCCESS && job_is_right(context, SMALL, LAUNCHES);
  fh_counters counters = {0};
  if (context) fh_context_counters(context, &counters);
  printf("  %llu of %llu launches elsewhere, %llu failed, %llu warnings\n", (unsigned long long)counters.executed_elsewhere,
         (unsigned long long)counters.launches, (unsigned long long)counters.failed, (unsigned long long)counters.fallback_warnings);
  right = right && counters.failed == 0 && counters.fallback_warnings <= 1;
  fh_context_release(context);
  context = open_context("cuda:0");
  right = right && job_is_right(context, SMALL, LAUNCHES);
  fh_status_free(status);
  fh_context_release(context);
  return right;
}

/* A tensor library's part: the primary context current in this thread, memory of its own in it, work on a stream of its own. */
typedef struct another_user {
  fh_cuda_driver driver;
  fh_cu_context context;
  fh_cu_stream stream;
  fh_cu_ptr memory;
} another_user;

static bool another_begins(another_user *user) {
  fh_status status = fh_cuda_driver_load(&user->driver);
  const bool loaded = !status;
  fh_status_free(status);
  if (!loaded) return false;
  const fh_cuda_functions *fn = &user->driver.fn;
  return !fn->cuInit(0) && !fn->cuDevicePrimaryCtxRetain(&user->context, 0) && !fn->cuCtxPushCurrent_v2(user->context) &&
         !fn->cuStreamCreate(&user->stream, FH_CU_STREAM_NON_BLOCKING) && !fn->cuMemAlloc_v2(&user->memory, SMALL) &&
         !fn->cuMemsetD8Async(user->memory, 7, SMALL, user->stream);
}

static bool another_is_unharmed(const another_user *user) {
  static unsigned char bytes[SMALL];
  const fh_cuda_functions *fn = &user->driver.fn;
  fh_cu_context current = NULL;
  bool same = !fn->cuMemcpyDtoHAsync_v2(bytes, user->memory, SMALL, user->stream) && !fn->cuStreamSynchronize(user->stream);
  for (int i = 0; i < SMALL; i++) same = same && bytes[i] == 7;
  same = same && !fn->cuMemFree_v2(user->memory) && !fn->cuStreamDestroy_v2(user->stream);
  same = same && !fn->cuCtxPopCurrent_v2(&current) && current == user->context;
  return same && !fn->cuDevicePrimaryCtxRelease_v2(0);
}

static bool beside_another_user(void) {
  another_user user = {0};
  bool right = another_begins(&user);
  fh_context *context = open_context("cuda:0");
  right = right && job_is_right(context, SMALL, LAUNCHES);
  fh_context_release(context); /* and goes: the context is the other's too */
  return right && another_is_unharmed(&user);
}

static const struct {
  const char *name;
  bool (*run)(void);
  bool shared; /* by processes, which not every GPU allows */
} drills[] = {
    {"a job in a fresh process", plain_job, false},
    {"an allocation of twice the memory", too_much, false},
    {"memory held by another process", memory_is_short, true},
    {"two processes at once", two_processes, true},
    {"a fork after the driver was used", fork_after_use, false},
    {"two processes in want of memory", two_in_want_of_memory, true},
    {"another user of the primary context", beside_another_user, false},
    {"a reset by another library", reset_by_another, false},
};

/* By its compute mode; where the driver does not tell, drills show what is wrong. */
static bool is_for_one_process(void) {
  fh_cuda_driver driver;
  fh_cu_device device;
  int mode = FH_CU_COMPUTEMODE_DEFAULT;
  fh_status status = fh_cuda_driver_load(&driver);
  if (!status && !driver.fn.cuInit(0) && !driver.fn.cuDeviceGet(&device, 0))
    (void)driver.fn.cuDeviceGetAttribute(&mode, FH_CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, device);
  fh_status_free(status);
  return mode != FH_CU_COMPUTEMODE_DEFAULT;
}

static bool has_gpu(void) {
  fh_context *context = open_context("cuda:0");
  fh_context_release(context);
  return context != NULL;
}

int main(int argc, char **argv) {
  int failed = 0, not_run = 0;
  fake = argc == 2 && strcmp(argv[1], "--fake") == 0;
  if (argc > 1 && !fake) {
    fputs("usage: gpu_drills [--fake]\n", stderr);
    return 2;
  }
  if (!ended_well(start(has_gpu))) {
    puts("NOT RUN: there is no usable CUDA device here");
    return NOT_RUN;
  }
  const bool alone = ended_well(start(is_for_one_process));
  for (size_t i = 0; i < sizeof drills / sizeof *drills; i++) {
    if (alone && drills[i].shared) {
      printf("NOT RUN: %s: the GPU's compute mode gives it to one process\n", drills[i].name);
      not_run++;
      continue;
    }
    const bool right = ended_well(start(drills[i].run));
    printf("%s %s\n", right ? "pass" : "FAIL", drills[i].name);
    failed += !right;
  }
  printf("%d of %d drills failed, %d not run\n", failed, (int)(sizeof drills / sizeof *drills), not_run);
  return failed != 0;
}
