/* What others do to a device while a job runs on it: another library of the process, another process, the administrator. The result is
 * right, one WARN says what happened, every launch is accounted for, and nothing hangs (each case has its time limit).
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 fakes=yes cross=no
 *
 * Self-tests are off, so the n-th launch is the n-th cuLaunchKernel. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "detect/drivers/cuda_driver.h"
#include "kernels/contract.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/launches.h"

enum { N = 4096, LAUNCHES = 16, SECONDS = 20 };

static fh_context *open_both(void) { return open_kept("cuda:0,cpu", FH_FALLBACK_DEFAULT); }

/* y += x for some launches; y begins with 0, x with 1. */
typedef struct job {
  fh_context *context;
  fh_view x, y;
  int done;
} job;

static fh_view new_vector(fh_context *context, int64_t count, float value) {
  fh_view view;
  float *data;
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(count), FH_ROW_MAJOR, &view));
  FH_EXPECT_OK(fh_view_map(&view, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < count; i++) data[i] = value;
  return view;
}

static job job_begin(int64_t count) {
  job j = {.context = open_both()};
  j.x = new_vector(j.context, count, 1);
  j.y = new_vector(j.context, count, 0);
  return j;
}

static void add(job *j, int launches) {
  for (int i = 0; i < launches; i++) FH_EXPECT_OK(fh_axpy(fh_context_queue(j->context), 1, &j->x, &j->y, NULL));
  j->done += launches;
}

static bool is_right(const job *j) {
  float *data;
  bool right = true;
  FH_EXPECT_OK(fh_view_map(&j->y, FH_READ, (void **)&data));
  for (int64_t i = 0; i < j->y.shape[0]; i++) right = right && data[i] == (float)j->done;
  return right;
}

static fh_counters job_counters(const job *j) {
  fh_counters counters;
  fh_context_counters(j->context, &counters);
  assert_int_equal(counters.launches, j->done);
  assert_int_equal(counters.executed_intended + counters.executed_elsewhere, counters.launches);
  assert_int_equal(counters.failed, 0);
  return counters;
}

static void job_end(job *j) {
  fh_view_release(&j->x);
  fh_view_release(&j->y);
  fh_context_release(j->context);
}

/* The device was lost once, in this job, and said so once. */
static void ended_on_the_cpu(job *j, const char *cause) {
  assert_true(is_right(j));
  const fh_counters c = job_counters(j);
  assert_true(c.executed_elsewhere > 0);
  assert_int_equal(times_said("FALLBACK"), 1);
  assert_int_equal(times_said("FALLBACK device cuda:0 lost"), 1);
  assert_int_equal(c.fallback_warnings, 1);
  if (!strstr(said, cause)) fail_msg("%s", said);
  job_end(j);
}

/* ---- another library of the process --------------------------------------------------------------------------------- */

static fh_cuda_driver driver;

static fh_cu_result reset(void) {
  void *symbol = fh_dynlib_symbol(driver.library, "cuDevicePrimaryCtxReset_v2");
  fh_cu_result (*function)(fh_cu_device) = NULL;
  memcpy(&function, &symbol, sizeof function);
  return function(0);
}

/* It ends the context with our results in it. */
static void a_reset_in_the_middle(void) {
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  job j = job_begin(N);
  add(&j, LAUNCHES / 2);
  assert_int_equal(reset(), 0);
  add(&j, LAUNCHES / 2);
  ended_on_the_cpu(&j, "DEVICE-LOST");
  fh_cuda_driver_close(&driver);
}

/* A context that is opened after that has the device again. */
static void a_reset_and_a_new_beginning(void) {
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  job j = job_begin(N);
  add(&j, LAUNCHES);
  assert_int_equal(reset(), 0);
  ended_on_the_cpu(&j, "DEVICE-LOST");
  job again = job_begin(N);
  add(&again, LAUNCHES);
  assert_true(is_right(&again));
  assert_int_equal(job_counters(&again).executed_elsewhere, 0);
  assert_int_equal(times_said("FALLBACK device"), 1); /* the one before */
  job_end(&again);
  fh_cuda_driver_close(&driver);
}

/* A tensor library beside us: it has the primary context current in this thread, memory in it, and work on a stream of its own. */
static void beside_another_user(void) {
  fh_cu_context context = NULL, current = NULL;
  fh_cu_stream stream = NULL;
  fh_cu_ptr memory = 0;
  unsigned char bytes[N];
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  const fh_cuda_functions *fn = &driver.fn;
  assert_int_equal(fn->cuInit(0), 0);
  assert_int_equal(fn->cuDevicePrimaryCtxRetain(&context, 0), 0);
  assert_int_equal(fn->cuCtxPushCurrent_v2(context), 0);
  assert_int_equal(fn->cuStreamCreate(&stream, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(fn->cuMemAlloc_v2(&memory, N), 0);
  assert_int_equal(fn->cuMemsetD8Async(memory, 7, N, stream), 0);
  job j = job_begin(N);
  add(&j, LAUNCHES);
  assert_true(is_right(&j));
  assert_int_equal(job_counters(&j).executed_elsewhere, 0);
  job_end(&j); /* and goes: the context stays */
  assert_int_equal(fn->cuMemcpyDtoHAsync_v2(bytes, memory, N, stream), 0);
  assert_int_equal(fn->cuStreamSynchronize(stream), 0);
  for (int i = 0; i < N; i++) assert_int_equal(bytes[i], 7);
  assert_int_equal(fn->cuMemFree_v2(memory), 0);
  assert_int_equal(fn->cuStreamDestroy_v2(stream), 0);
  assert_int_equal(fn->cuCtxPopCurrent_v2(&current), 0);
  assert_ptr_equal(current, context); /* what was current before us is current after us */
  assert_int_equal(fn->cuDevicePrimaryCtxRelease_v2(0), 0);
  assert_string_equal(said, "");
  fh_cuda_driver_close(&driver);
}

/* ---- fork ------------------------------------------------------------------------------------------------------------ */

/* The child has the handles and not the device: what it finds in the context is made again on the CPU. The parent goes on. */
static void a_fork_in_the_middle(void) {
  job j = job_begin(N);
  add(&j, LAUNCHES / 2);
  const pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS);
    add(&j, LAUNCHES / 2);
    const bool right = is_right(&j) && times_said("FALLBACK") == 1 && strstr(said, "CU-FORK-AFTER-INIT");
    if (!right) fprintf(stderr, "%s", said);
    _exit(right ? 0 : 1);
  }
  int state = 0;
  assert_int_equal(waitpid(child, &state, 0), child);
  assert_true(WIFEXITED(state) && WEXITSTATUS(state) == 0);
  add(&j, LAUNCHES / 2);
  assert_true(is_right(&j));
  assert_int_equal(job_counters(&j).executed_elsewhere, 0);
  assert_string_equal(said, "");
  job_end(&j);
}

/* ---- the driver and the administrator ----------------------------------------------------------------------------------- */

static void lost(const char *cause) {
  job j = job_begin(N);
  add(&j, LAUNCHES);
  ended_on_the_cpu(&j, cause);
}

static void out_of_time(void) { lost("LAUNCH-TIMEOUT"); }
static void an_illegal_address(void) { lost("KERNEL-FAULT"); }
static void an_ecc_error(void) { lost("NV-ECC-RESET-REQUIRED"); }
static void the_driver_is_reloaded(void) { lost("DEVICE-LOST"); }
static void the_driver_is_replaced(void) { lost("NV-VERSION-MISMATCH"); }
static void the_device_is_taken_away(void) { lost("CUDA_ERROR_DEVICE_UNAVAILABLE"); }

/* ---- another process ------------------------------------------------------------------------------------------------------ */

/* It has nearly all of the memory: in chunks, or on the CPU, and said. */
static void a_crowded_device(void) {
  job j = job_begin(2 << 20); /* 8 MiB each; 6 MiB are left */
  add(&j, 2);
  assert_true(is_right(&j));
  const fh_counters c = job_counters(&j);
  assert_true(c.chunked + c.executed_elsewhere > 0);
  assert_int_equal(times_said("FALLBACK") + times_said("CHUNKED"), 1);
  job_end(&j);
}

/* Two contexts of this process: what the first only keeps there gives way to the second, in the order it was used. */
static void an_idle_context_gives_way(void) {
  enum { COUNT = 1 << 20, KEPT = 3 }; /* 4 MiB each, on 18 MiB */
  fh_context *idle = open_both();
  fh_view kept[KEPT];
  for (int i = 0; i < KEPT; i++) {
    kept[i] = new_vector(idle, COUNT, (float)i);
    FH_EXPECT_OK(fh_queue_prefetch(fh_context_queue(idle), &kept[i], "cuda:0", NULL));
  }
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(idle)));
  job j = job_begin(COUNT);
  add(&j, 2);
  assert_true(is_right(&j));
  fh_counters c = job_counters(&j);
  assert_int_equal(c.executed_elsewhere, 0);
  assert_int_equal(c.chunked, 0);
  fh_context_counters(idle, &c);
  const uint64_t copied = c.bytes_to_device;
  job_end(&j);
  for (int i = KEPT - 1; i >= 0; i--) FH_EXPECT_OK(fh_queue_prefetch(fh_context_queue(idle), &kept[i], "cuda:0", NULL));
  fh_context_counters(idle, &c);
  assert_true(c.bytes_to_device > copied && c.bytes_to_device < copied + KEPT * sizeof(float) * COUNT); /* the youngest stayed */
  float *data;
  for (int i = 0; i < KEPT; i++) {
    FH_EXPECT_OK(fh_view_map(&kept[i], FH_READ, (void **)&data));
    assert_true(data[0] == (float)i && data[COUNT - 1] == (float)i);
    fh_view_release(&kept[i]);
  }
  assert_string_equal(said, "");
  fh_context_release(idle);
}

/* What an idle context gives up reaches the driver, and not just what it keeps for reuse. */
static void what_an_idle_context_gives_up_is_free(void) {
  enum { MEBI = 1 << 18 }; /* 12 MiB beside 250 MiB, on 256 MiB */
  fh_context *idle = open_both();
  fh_view kept = new_vector(idle, 12 * MEBI, 1);
  FH_EXPECT_OK(fh_queue_prefetch(fh_context_queue(idle), &kept, "cuda:0", NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(idle)));
  job j = job_begin(125 * MEBI);
  add(&j, 1);
  const fh_counters c = job_counters(&j);
  assert_int_equal(c.executed_intended, 1);
  assert_int_equal(c.chunked, 0);
  assert_string_equal(said, "");
  job_end(&j);
  fh_view_release(&kept);
  fh_context_release(idle);
}

/* Scratch, and what only lies in a pool, cost nobody a copy. */
static void scratch_gives_way_before_data(void) {
  enum { COUNT = 3 << 20 };
  fh_context *idle = open_both();
  fh_queue *queue = fh_context_queue(idle);
  const int device = fh_device_named(idle, "cuda:0");
  fh_view x = new_vector(idle, COUNT, 1), sum = new_vector(idle, 1, 0);
  FH_EXPECT_OK(fh_queue_pin(queue, "cuda:0"));
  FH_EXPECT_OK(fh_sum(queue, &x, &sum, NULL));
  FH_EXPECT_OK(fh_view_sync(&sum));
  bool any = false;
  for (int t = 0; t < FH_PLAN_SCRATCHES; t++) any |= queue->scratch[device][t].memory != NULL;
  assert_true(any);
  for (int times = 0; any && times < 4; times++) {
    assert_non_null(x.buffer->replicas[device].memory);
    assert_true(fh_device_give_way(idle, device));
    any = false;
    for (int t = 0; t < FH_PLAN_SCRATCHES; t++) any |= queue->scratch[device][t].memory != NULL;
  }
  assert_false(any);
  while (fh_device_give_way(idle, device)) continue;
  assert_null(x.buffer->replicas[device].memory);
  assert_int_equal(idle->devices[device].api->trim(idle->devices[device].device), 0); /* nothing is kept */
  fh_view_release(&x);
  fh_view_release(&sum);
  fh_context_release(idle);
}

/* A launch of another context from within one, by a function that was called for a line of the log, say. */
static void a_context_at_work_gives_no_way(void) {
  enum { MEBI = 1 << 18 };
  fh_context *busy = open_both();
  fh_view kept = new_vector(busy, 12 * MEBI, 1);
  FH_EXPECT_OK(fh_queue_prefetch(fh_context_queue(busy), &kept, "cuda:0", NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(busy)));
  job j = job_begin(125 * MEBI);
  fh_context_lock(busy);
  add(&j, 1);
  fh_context_unlock(busy);
  assert_non_null(kept.buffer->replicas[fh_device_named(busy, "cuda:0")].memory);
  const fh_counters c = job_counters(&j);
  assert_true(c.chunked + c.executed_elsewhere > 0);
  job_end(&j);
  fh_view_release(&kept);
  fh_context_release(busy);
}

/* A buffer whose last view is being released by another thread is not taken up again: its block would be given back twice. */
static void *release_view(void *view) {
  fh_view_release(view);
  return NULL;
}

static void a_buffer_that_ends_gives_no_way(void) {
  enum { COUNT = 1 << 18 };
  fh_context *idle = open_both();
  fh_view ending = new_vector(idle, COUNT, 1), next[2];
  fh_buffer *buffer = ending.buffer;
  pthread_t thread;
  FH_EXPECT_OK(fh_queue_prefetch(fh_context_queue(idle), &ending, "cuda:0", NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(idle)));
  fh_context_lock(idle); /* the thread waits for it, without a reference that counts */
  assert_int_equal(pthread_create(&thread, NULL, release_view, &ending), 0);
  while (atomic_load(&buffer->refs.value) > 0) sched_yield();
  while (fh_device_give_way(idle, fh_device_named(idle, "cuda:0"))) continue;
  fh_context_unlock(idle);
  assert_int_equal(pthread_join(thread, NULL), 0);
  for (int i = 0; i < 2; i++) next[i] = new_vector(idle, 1, (float)i);
  assert_ptr_not_equal(next[0].buffer, next[1].buffer);
  for (int i = 0; i < 2; i++) fh_view_release(&next[i]);
  fh_context_release(idle);
}

static void make_a_context(void) {
  fh_context *context = NULL;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cpu"}, &context));
  fh_context_release(context);
}

#if defined(__SANITIZE_THREAD__)
static void make_one_in_a_child(void) { printf("NOT RUN: a context in a child: the thread sanitizer starts no threads behind a fork\n"); }
#else
static void make_one_in_a_child(void) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(SECONDS / 2);
    make_a_context();
    _exit(0);
  }
  int state = 0;
  assert_int_equal(waitpid(child, &state, 0), child);
  assert_true(WIFEXITED(state) && WEXITSTATUS(state) == 0);
}
#endif

/* Contexts come and go in a function that is called for a line of the log, and in a child that begins there. */
static void make_contexts(void *user, int level, const char *lines) {
  int *times = user;
  if (!strstr(lines, "lost") || ++*times > 1) return;
  (void)level;
  make_one_in_a_child();
  make_a_context();
}

/* The idle context's device turns out to be lost when it is asked to make room. */
static void contexts_while_room_is_made(void) {
  enum { COUNT = 1 << 20 }; /* 4 MiB each, on 18 MiB */
  int times = 0;
  fh_context *idle = open_both();
  fh_view x = new_vector(idle, COUNT, 1), y = new_vector(idle, COUNT, 0);
  job j = job_begin(COUNT + COUNT / 2);
  for (int i = 0; i < 6; i++) FH_EXPECT_OK(fh_axpy(fh_context_queue(idle), 1, &x, &y, NULL));
  fh_log_set(make_contexts, &times);
  add(&j, 1);
  assert_true(is_right(&j));
  assert_true(times > 0);
  float *data;
  FH_EXPECT_OK(fh_view_map(&y, FH_READ, (void **)&data));
  assert_true(data[0] == 6 && data[COUNT - 1] == 6);
  job_end(&j);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(idle);
}

/* Results that are nowhere else are not given up for another context. */
static void results_do_not_give_way(void) {
  enum { COUNT = 3 << 20 }; /* 12 MiB each, on 18 MiB: the result, and no operand of the other's */
  fh_context *idle = open_both();
  fh_view made = new_vector(idle, COUNT, 0);
  FH_EXPECT_OK(fh_queue_pin(fh_context_queue(idle), "cuda:0"));
  FH_EXPECT_OK(fh_exp(fh_context_queue(idle), &made, &made, NULL));
  FH_EXPECT_OK(fh_queue_finish(fh_context_queue(idle)));
  job j = job_begin(2 << 20);
  add(&j, 1);
  assert_true(is_right(&j));
  float *data;
  FH_EXPECT_OK(fh_view_map(&made, FH_READ, (void **)&data));
  assert_true(data[0] == 1 && data[COUNT - 1] == 1);
  job_end(&j);
  fh_view_release(&made);
  fh_context_release(idle);
}

#define USUAL "devices=1,memory=64MiB"

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "a reset in the middle", .settings = USUAL, .run = a_reset_in_the_middle, .seconds = SECONDS},
      {.name = "a reset and a new beginning", .settings = USUAL, .run = a_reset_and_a_new_beginning, .seconds = SECONDS},
      {.name = "beside another user of the context", .settings = USUAL, .run = beside_another_user, .seconds = SECONDS},
      {.name = "beside another user, slowly", .settings = USUAL ",delay=0.002", .run = beside_another_user, .seconds = SECONDS},
      {.name = "a fork in the middle", .settings = USUAL, .run = a_fork_in_the_middle, .seconds = SECONDS},
      {.name = "out of time at once", .settings = USUAL, .faults = "cuLaunchKernel@9=702", .run = out_of_time, .seconds = SECONDS},
      {.name = "out of time late", .settings = USUAL, .faults = "cuLaunchKernel@9=late:702", .run = out_of_time, .seconds = SECONDS},
      {.name = "an illegal address",
       .settings = USUAL,
       .faults = "cuLaunchKernel@9=late:700",
       .run = an_illegal_address,
       .seconds = SECONDS},
      {.name = "an ECC error", .settings = USUAL, .faults = "cuLaunchKernel@9=late:214", .run = an_ecc_error, .seconds = SECONDS},
      {.name = "the driver is reloaded",
       .settings = USUAL,
       .faults = "cuLaunchKernel@9+=999;cuMemcpyDtoHAsync@1+=999;cuEventQuery@40+=999",
       .run = the_driver_is_reloaded,
       .seconds = SECONDS},
      {.name = "the driver is replaced",
       .settings = USUAL,
       .faults = "cuLaunchKernel@9+=803;cuMemcpyDtoHAsync@1+=803",
       .run = the_driver_is_replaced,
       .seconds = SECONDS},
      {.name = "the device is taken away",
       .settings = USUAL,
       .faults = "cuLaunchKernel@9+=46;cuMemcpyDtoHAsync@1+=46",
       .run = the_device_is_taken_away,
       .seconds = SECONDS},
      {.name = "a crowded device", .settings = "devices=1,memory=64MiB,others=58MiB", .run = a_crowded_device, .seconds = SECONDS},
      {.name = "an idle context gives way", .settings = "devices=1,memory=18MiB", .run = an_idle_context_gives_way, .seconds = SECONDS},
      {.name = "what an idle context gives up is free",
       .settings = "devices=1,memory=256MiB",
       .run = what_an_idle_context_gives_up_is_free,
       .seconds = 3 * SECONDS},
      {.name = "scratch gives way before data", .settings = USUAL, .run = scratch_gives_way_before_data, .seconds = SECONDS},
      {.name = "a context at work gives no way",
       .settings = "devices=1,memory=256MiB",
       .run = a_context_at_work_gives_no_way,
       .seconds = 3 * SECONDS},
      {.name = "a buffer that ends gives no way", .settings = USUAL, .run = a_buffer_that_ends_gives_no_way, .seconds = SECONDS},
      {.name = "contexts while room is made",
       .settings = "devices=1,memory=18MiB,delay=0.05",
       .faults = "cuLaunchKernel@6=late:719",
       .run = contexts_while_room_is_made,
       .seconds = SECONDS},
      {.name = "results do not give way", .settings = "devices=1,memory=18MiB", .run = results_do_not_give_way, .seconds = SECONDS},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
