/* Loops on the calling program's threads: every piece once whatever the host does, the same results, no threads of our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <foghorn/foghorn.h>

#include "runtime/exec/pool.h"
#include "tests/support/expect.h"

enum { THREADS = 4 };

/* ---- hosts ------------------------------------------------------------------------------------------------------------ */

static _Atomic int runs; /* of any host */

typedef void (*host_task_fn)(void *arg, int i);

static void run_forwards(void *state, int count, host_task_fn task, void *arg) {
  (void)state;
  runs++;
  for (int i = 0; i < count; i++) task(arg, i);
}

static void run_backwards(void *state, int count, host_task_fn task, void *arg) {
  (void)state;
  runs++;
  for (int i = count - 1; i >= 0; i--) task(arg, i);
}

typedef struct errand {
  host_task_fn task;
  void *arg;
  int i;
} errand;

static void *do_errand(void *arg) {
  const errand *e = arg;
  e->task(e->arg, e->i);
  return NULL;
}

/* The worst host of all, but all at a time. */
static void run_with_threads(void *state, int count, host_task_fn task, void *arg) {
  (void)state;
  runs++;
  pthread_t threads[THREADS];
  errand errands[THREADS];
  for (int i = 1; i < count; i++) {
    errands[i] = (errand){task, arg, i};
    assert_int_equal(pthread_create(&threads[i], NULL, do_errand, &errands[i]), 0);
  }
  task(arg, 0);
  for (int i = 1; i < count; i++) pthread_join(threads[i], NULL);
}

static void run_nothing(void *state, int count, host_task_fn task, void *arg) {
  (void)state, (void)count, (void)task, (void)arg;
  runs++;
}

/* Numbers that were not asked for must do nothing. */
static void run_wrongly(void *state, int count, host_task_fn task, void *arg) {
  (void)state;
  runs++;
  task(arg, -1);
  task(arg, count);
  task(arg, count - 1);
}

static const fh_host_pool hosts[] = {{THREADS, run_forwards, NULL}, {THREADS, run_backwards, NULL}, {THREADS, run_with_threads, NULL},
                                     {THREADS, run_nothing, NULL},  {THREADS, run_wrongly, NULL},   {1, run_forwards, NULL}};
enum { HOSTS = sizeof hosts / sizeof *hosts };

/* ---- loops ------------------------------------------------------------------------------------------------------------- */

typedef struct tally {
  _Atomic int hits[5000];
  _Atomic int in_use[THREADS];
  fh_pool *pool;
} tally;

static void count_hits(void *arg, int64_t first, int64_t last, int worker) {
  tally *t = arg;
  assert_in_range(worker, 0, THREADS - 1);
  assert_int_equal(t->in_use[worker]++, 0); /* an id is never held twice at one time */
  for (int64_t i = first; i < last; i++) t->hits[i]++;
  t->in_use[worker]--;
}

static void every_piece_runs_once(void **state) {
  (void)state;
  static const int64_t counts[] = {0, 1, 2, 3, 5, 64, 1000, 4097};
  for (int h = 0; h < HOSTS; h++) {
    fh_pool *pool;
    FH_EXPECT_OK(fh_pool_on_host(&hosts[h], &pool));
    assert_int_equal(fh_pool_size(pool), hosts[h].threads);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      for (int64_t grain = 1; grain <= 100; grain += 33) {
        static tally t;
        memset(&t, 0, sizeof t);
        fh_pool_run(pool, counts[c], grain, count_hits, &t);
        for (int64_t i = 0; i < 5000; i++) assert_int_equal(t.hits[i], i < counts[c] ? 1 : 0);
      }
    }
    fh_pool_unshare(pool);
  }
}

static void loop_inside(void *arg, int64_t first, int64_t last, int worker) {
  tally *t = arg;
  (void)worker;
  const int before = runs;
  for (int64_t i = first; i < last; i++) fh_pool_run(t->pool, 10, 1, count_hits, t);
  assert_int_equal(runs, before);
}

static void a_nested_loop_stays_on_its_thread(void **state) {
  (void)state;
  static tally t;
  memset(&t, 0, sizeof t);
  FH_EXPECT_OK(fh_pool_on_host(&hosts[0], &t.pool));
  fh_pool_run(t.pool, 8, 1, loop_inside, &t);
  for (int i = 0; i < 10; i++) assert_int_equal(t.hits[i], 8);
  fh_pool_unshare(t.pool);
}

static void a_forked_child_leaves_the_host_alone(void **state) {
  (void)state;
  static tally t;
  memset(&t, 0, sizeof t);
  FH_EXPECT_OK(fh_pool_on_host(&hosts[2], &t.pool));
  const int before = runs;
  const pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    fh_pool_run(t.pool, 100, 1, count_hits, &t);
    _exit(runs == before && t.hits[99] == 1 ? 0 : 1);
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(result, 0);
  fh_pool_unshare(t.pool);
}

/* ---- contexts ----------------------------------------------------------------------------------------------------------- */

static int threads_of_this_process(void) {
  DIR *folder = opendir("/proc/self/task");
  assert_non_null(folder);
  int count = 0;
  for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

/* A thread that was joined is in /proc for a moment longer. */
static void expect_threads(int expected) {
  for (int i = 0; i < 200 && threads_of_this_process() != expected; i++) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
  assert_int_equal(threads_of_this_process(), expected);
}

static int settled_threads(void) {
  int last = -1, count = threads_of_this_process();
  while (count != last) {
    last = count;
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    count = threads_of_this_process();
  }
  return count;
}

static void product(const fh_host_pool *host, const float *a, const float *b, float *c, int64_t n) {
  fh_auto(fh_context) *context = NULL;
  fh_auto(fh_view) A = {0}, B = {0}, C = {0};
  const fh_context_options options = {.policy = FH_CPU_ONLY, .threads = host ? 0 : 2, .numerics = FH_EXACT, .host_pool = host};
  FH_EXPECT_OK(fh_context_create(&options, &context));
  FH_EXPECT_OK(fh_view_wrap(context, a, FH_F32, FH_SHAPE(n, n), FH_ROW_MAJOR, FH_READ, &A));
  FH_EXPECT_OK(fh_view_wrap(context, b, FH_F32, FH_SHAPE(n, n), FH_ROW_MAJOR, FH_READ, &B));
  FH_EXPECT_OK(fh_view_wrap(context, c, FH_F32, FH_SHAPE(n, n), FH_ROW_MAJOR, FH_WRITE, &C));
  FH_EXPECT_OK(fh_matmul(fh_context_queue(context), &A, &B, &C, NULL));
  FH_EXPECT_OK(fh_view_sync(&C));
}

static void the_same_bits_and_no_threads_of_ours(void **state) {
  (void)state;
  enum { N = 301 };
  static float a[N * N], b[N * N], own[N * N], hosted[N * N];
  for (int i = 0; i < N * N; i++) a[i] = (float)(i % 17) - 8.3f, b[i] = (float)(i % 23) * 0.37f - 4;
  const int before = settled_threads(); /* a sanitizer has one of its own */
  for (int h = 0; h < HOSTS; h++) {
    memset(hosted, 0, sizeof hosted);
    const int ran = runs;
    product(&hosts[h], a, b, hosted, N);
    if (hosts[h].threads > 1) assert_true(runs > ran);
    expect_threads(before);
    if (h == 0) memcpy(own, hosted, sizeof own);
    assert_memory_equal(hosted, own, sizeof own);
  }
  product(NULL, a, b, hosted, N);
  assert_memory_equal(hosted, own, sizeof own);
}

/* A host whose run takes up other work of the program on the same thread: a launch in there is refused, and harms nothing. */
static fh_context *busy_context;
static fh_view *busy_view;
static fh_status refused;

static void run_other_work(void *state, int count, host_task_fn task, void *arg) {
  (void)state;
  if (busy_context && !refused) refused = fh_axpy(fh_context_queue(busy_context), 1, busy_view, busy_view, NULL);
  for (int i = 0; i < count; i++) task(arg, i);
}

static void a_launch_inside_run_is_refused(void **state) {
  (void)state;
  enum { N = 1 << 20 };
  const fh_host_pool host = {THREADS, run_other_work, NULL};
  float *data = calloc(N, sizeof *data);
  fh_context *context;
  fh_view x = {0};
  assert_non_null(data);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.policy = FH_CPU_ONLY, .host_pool = &host}, &context));
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, FH_READ_WRITE, &x));
  busy_context = context;
  busy_view = &x;
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &x, &x, NULL));
  busy_context = NULL;
  fh_expect_fails(refused, FH_FAILED_PRECONDITION, "in the middle of a launch");
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &x, &x, NULL));
  FH_EXPECT_OK(fh_view_sync(&x));
  fh_view_release(&x);
  fh_context_release(context);
  free(data);
}

static void bad_hosts_are_refused(void **state) {
  (void)state;
  fh_context *context;
  const fh_host_pool none = {2, NULL, NULL}, empty = {0, run_forwards, NULL}, many = {1025, run_forwards, NULL};
  fh_expect_fails(fh_context_create(&(fh_context_options){.host_pool = &none}, &context), FH_INVALID_ARGUMENT, "run is NULL");
  fh_expect_fails(fh_context_create(&(fh_context_options){.host_pool = &empty}, &context), FH_INVALID_ARGUMENT, "threads is 0");
  fh_expect_fails(fh_context_create(&(fh_context_options){.host_pool = &many}, &context), FH_INVALID_ARGUMENT, "threads is 1025");
  fh_expect_fails(fh_context_create(&(fh_context_options){.host_pool = &hosts[0], .threads = 2}, &context), FH_INVALID_ARGUMENT,
                  "leave threads 0");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_piece_runs_once),
      cmocka_unit_test(a_nested_loop_stays_on_its_thread),
      cmocka_unit_test(a_forked_child_leaves_the_host_alone),
      cmocka_unit_test(the_same_bits_and_no_threads_of_ours),
      cmocka_unit_test(a_launch_inside_run_is_refused),
      cmocka_unit_test(bad_hosts_are_refused),
  };
  return cmocka_run_group_tests_name("host pool", tests, NULL, NULL);
}
