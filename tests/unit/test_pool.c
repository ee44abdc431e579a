/* The worker pool: every piece once, nesting, several callers, fork, refusals. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "runtime/base/log.h"
#include "runtime/exec/pool.h"

#if defined(__SANITIZE_THREAD__)
#define THREADS_IN_CHILDREN 0 /* the thread sanitizer does not survive a thread started after fork */
#elif defined(__has_feature)
#define THREADS_IN_CHILDREN !__has_feature(thread_sanitizer)
#else
#define THREADS_IN_CHILDREN 1
#endif

/* ---- pthread_create that can be told to fail ------------------------------------------------------ */

static _Atomic int creates_left = -1; /* -1: never fails */
static int create_error;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg) {
  static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
  if (creates_left == 0) return create_error;
  if (creates_left > 0) creates_left--;
  return real(thread, attr, start, arg);
}

static char last_log[1024];
static void keep_log(void *user, int level, const char *text) {
  (void)user, (void)level;
  strncpy(last_log, text, sizeof last_log - 1);
}

/* ---- bodies ----------------------------------------------------------------------------------------- */

typedef struct tally {
  _Atomic int *hits;
  _Atomic int workers_seen[64];
  _Atomic int in_use[64];
  int size;
} tally;

static void count_hits(void *arg, int64_t first, int64_t last, int worker) {
  tally *t = arg;
  assert_in_range(worker, 0, t->size - 1);
  assert_int_equal(t->in_use[worker]++, 0); /* an id is never held twice at one time */
  for (int64_t i = first; i < last; i++) t->hits[i]++;
  t->workers_seen[worker]++;
  t->in_use[worker]--;
}

static void expect_once_each(fh_pool *pool, int64_t count, int64_t grain) {
  tally t = {.hits = calloc((size_t)count + 1, sizeof *t.hits), .size = fh_pool_size(pool)};
  assert_non_null(t.hits);
  fh_pool_run(pool, count, grain, count_hits, &t);
  for (int64_t i = 0; i < count; i++) assert_int_equal(t.hits[i], 1);
  assert_int_equal(t.hits[count], 0);
  free((void *)t.hits);
}

static fh_pool *make_pool(int threads) {
  fh_pool *pool = NULL;
  fh_status status = fh_pool_create(threads, &pool);
  assert_null(status);
  assert_non_null(pool);
  return pool;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void every_piece_runs_once(void **state) {
  (void)state;
  const int64_t counts[] = {0, 1, 2, 3, 7, 64, 1000, 4097};
  const int64_t grains[] = {-5, 0, 1, 2, 16, 1000, INT64_MAX};
  const int sizes[] = {1, 2, 3, 5, 40};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    fh_pool *pool = make_pool(sizes[s]);
    assert_int_equal(fh_pool_size(pool), sizes[s]);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
      for (size_t g = 0; g < sizeof grains / sizeof *grains; g++) expect_once_each(pool, counts[c], grains[g]);
    fh_pool_destroy(pool);
  }
}

static void sum_of_range(void *arg, int64_t first, int64_t last, int worker) {
  (void)worker;
  atomic_fetch_add((_Atomic int64_t *)arg, last - first);
}

static void a_huge_count_does_not_overflow(void **state) {
  (void)state;
  fh_pool *pool = make_pool(3);
  _Atomic int64_t sum = 0;
  fh_pool_run(pool, INT64_MAX, INT64_MAX / 5, sum_of_range, &sum);
  assert_true(sum == INT64_MAX);
  sum = 0;
  fh_pool_run(pool, -7, 1, sum_of_range, &sum);
  assert_true(sum == 0);
  fh_pool_destroy(pool);
}

static void many_short_loops(void **state) {
  (void)state;
  fh_pool *pool = make_pool(0);
  for (int i = 0; i < 20000; i++) {
    _Atomic int64_t sum = 0;
    fh_pool_run(pool, 8, 1, sum_of_range, &sum);
    assert_true(sum == 8);
  }
  fh_pool_destroy(pool);
}

static void loops_wake_sleeping_workers(void **state) {
  (void)state;
  fh_pool *pool = make_pool(4);
  for (int i = 0; i < 20; i++) {
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* longer than workers stay awake */
    expect_once_each(pool, 100, 1);
  }
  fh_pool_destroy(pool);
}

typedef struct nest {
  fh_pool *pool;
  _Atomic int64_t sum;
} nest;

static void nested_body(void *arg, int64_t first, int64_t last, int worker) {
  (void)worker;
  nest *n = arg;
  for (int64_t i = first; i < last; i++) fh_pool_run(n->pool, 10, 1, sum_of_range, &n->sum);
}

static void a_nested_loop_runs_inline(void **state) {
  (void)state;
  nest n = {.pool = make_pool(3)};
  fh_pool_run(n.pool, 50, 1, nested_body, &n);
  assert_true(n.sum == 500);
  fh_pool_destroy(n.pool);
}

static void *caller_main(void *arg) {
  for (int i = 0; i < 200; i++) expect_once_each(arg, 300, 7);
  return NULL;
}

static void several_callers_share_the_workers(void **state) {
  (void)state;
  enum { CALLERS = 12 }; /* more than loops that share */
  fh_pool *pool = make_pool(3);
  pthread_t threads[CALLERS];
  for (int i = 0; i < CALLERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, caller_main, pool), 0);
  for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
  fh_pool_destroy(pool);
}

typedef struct meeting {
  _Atomic int here;
  _Atomic bool both;
} meeting;

/* Stays until another worker came too, or long enough to say that none will. */
static void meet(void *arg, int64_t first, int64_t last, int worker) {
  (void)first, (void)last, (void)worker;
  meeting *m = arg;
  m->here++;
  struct timespec start, now;
  clock_gettime(CLOCK_MONOTONIC, &start);
  do {
    if (m->here >= 2) m->both = true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    sched_yield();
  } while (!m->both && now.tv_sec - start.tv_sec < 5);
}

static void two_threads_work_at_the_same_time(void **state) {
  (void)state;
  fh_pool *pool = make_pool(2);
  meeting m = {0};
  fh_pool_run(pool, 2, 1, meet, &m);
  assert_true(m.both);
  fh_pool_destroy(pool);
}

static void record_cpu_mask(void *arg, int64_t first, int64_t last, int worker) {
  (void)first, (void)last;
  cpu_set_t *masks = arg;
  pthread_getaffinity_np(pthread_self(), sizeof masks[worker], &masks[worker]);
  nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
}

static void workers_stay_inside_the_allowed_cpus(void **state) {
  (void)state;
  cpu_set_t allowed;
  assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  int cpus = CPU_COUNT(&allowed);
  fh_pool *pool = make_pool(0);
  assert_int_equal(fh_pool_size(pool), cpus);
  assert_int_equal(fh_pool_pinned(pool), cpus > 1 ? cpus : 0);
  cpu_set_t *masks = calloc((size_t)cpus, sizeof *masks);
  fh_pool_run(pool, 8 * cpus, 1, record_cpu_mask, masks);
  for (int i = 0; i < cpus; i++) {
    cpu_set_t both;
    CPU_AND(&both, &masks[i], &allowed);
    assert_true(CPU_EQUAL(&both, &masks[i]));
  }
  free(masks);
  fh_pool_destroy(pool);
  pool = make_pool(cpus + 1); /* fewer CPUs than workers: not pinned */
  assert_int_equal(fh_pool_pinned(pool), 0);
  expect_once_each(pool, 1000, 3);
  fh_pool_destroy(pool);
}

static void one_allowed_cpu_gives_one_thread(void **state) {
  (void)state;
  cpu_set_t allowed, one;
  assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &allowed)) CPU_SET(i, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  fh_pool *pool = make_pool(0);
  assert_int_equal(fh_pool_size(pool), 1);
  expect_once_each(pool, 100, 1);
  fh_pool_destroy(pool);
  assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
}

static void refused(int error, int given, const char *cause) {
  fh_log_set(keep_log, NULL);
  last_log[0] = 0;
  create_error = error;
  creates_left = given;
  fh_pool *pool = make_pool(5);
  creates_left = -1;
  fh_log_set(NULL, NULL);
  assert_int_equal(fh_pool_size(pool), given + 1);
  assert_non_null(strstr(last_log, cause));
  assert_non_null(strstr(last_log, strerror(error)));
  expect_once_each(pool, 500, 3);
  fh_pool_destroy(pool);
}

static void refused_threads_mean_fewer_workers_and_a_cause(void **state) {
  (void)state;
  refused(EAGAIN, 0, "CPU-THREADS-EAGAIN");
  refused(EAGAIN, 2, "CPU-THREADS-EAGAIN");
  refused(EPERM, 0, "CPU-THREADS-EPERM");
  refused(EPERM, 1, "CPU-THREADS-EPERM");
}

static void a_pool_that_covers_the_cpus_survives_refusals(void **state) {
  (void)state;
  fh_log_set(keep_log, NULL);
  create_error = EAGAIN;
  creates_left = 1;
  fh_pool *pool = make_pool(0);
  creates_left = -1;
  fh_log_set(NULL, NULL);
  assert_in_range(fh_pool_size(pool), 1, 2);
  for (int i = 0; i < 100; i++) expect_once_each(pool, 100, 1);
  fh_pool_destroy(pool);
}

static void bad_thread_counts_are_refused(void **state) {
  (void)state;
  const int bad[] = {-1, FH_POOL_MAX_THREADS + 1};
  for (int i = 0; i < 2; i++) {
    fh_pool *pool = (fh_pool *)&pool;
    fh_status status = fh_pool_create(bad[i], &pool);
    assert_int_equal(fh_status_code(status), FH_INVALID_ARGUMENT);
    assert_null(pool);
    fh_status_free(status);
  }
  fh_pool_destroy(NULL);
  fh_pool_unshare(NULL);
}

static void the_shared_pool_is_one_per_thread_count(void **state) {
  (void)state;
  fh_pool *a = NULL, *b = NULL, *c = NULL;
  assert_null(fh_pool_shared(3, &a));
  assert_null(fh_pool_shared(3, &b));
  assert_null(fh_pool_shared(2, &c));
  assert_ptr_equal(a, b);
  assert_ptr_not_equal(a, c);
  fh_pool_unshare(a);
  expect_once_each(b, 100, 1);
  fh_pool_unshare(b);
  fh_pool_unshare(c);
  assert_null(fh_pool_shared(3, &a));
  expect_once_each(a, 100, 1);
  fh_pool_unshare(a);
}

/* In the child: 0 when all is as promised. */
static int child_checks(fh_pool *own, fh_pool *shared) {
  _Atomic int64_t sum = 0;
  fh_pool_run(own, 1000, 1, sum_of_range, &sum);
  fh_pool_run(shared, 1000, 1, sum_of_range, &sum);
  if (sum != 2000) return 1;
  fh_pool *fresh = NULL;
  int threads = THREADS_IN_CHILDREN ? 2 : 1;
  if (fh_pool_shared(threads, &fresh) || fresh == shared || fh_pool_size(fresh) != threads) return 2;
  fh_pool_run(fresh, 1000, 1, sum_of_range, &sum);
  if (sum != 3000) return 3;
  fh_pool_unshare(fresh);
  fh_pool_unshare(shared);
  fh_pool_destroy(own);
  return 0;
}

static void a_forked_child_works_inline(void **state) {
  (void)state;
  if (getenv("FH_EMULATED")) {
    printf("NOT RUN: qemu-user itself dies when a process with threads forks and the child makes a thread\n");
    skip();
  }
  fh_pool *own = make_pool(3), *shared = NULL;
  assert_null(fh_pool_shared(2, &shared));
  expect_once_each(own, 100, 1);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    alarm(20);
    _exit(child_checks(own, shared));
  }
  int result = -1;
  assert_int_equal(waitpid(child, &result, 0), child);
  assert_int_equal(result, 0);
  expect_once_each(own, 100, 1);
  fh_pool_destroy(own);
  fh_pool_unshare(shared);
}

static void an_idle_pool_costs_no_cpu(void **state) {
  (void)state;
  fh_pool *pool = make_pool(4);
  expect_once_each(pool, 100, 1);
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  struct rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  getrusage(RUSAGE_SELF, &after);
  int64_t used_us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec) * 1000000 + (after.ru_utime.tv_usec - before.ru_utime.tv_usec) +
                    (after.ru_stime.tv_sec - before.ru_stime.tv_sec) * 1000000 + (after.ru_stime.tv_usec - before.ru_stime.tv_usec);
  fh_pool_destroy(pool);
  assert_true(used_us < 20000); /* 200 ms of four spinning threads would be hundreds of milliseconds */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_piece_runs_once),
      cmocka_unit_test(a_huge_count_does_not_overflow),
      cmocka_unit_test(many_short_loops),
      cmocka_unit_test(loops_wake_sleeping_workers),
      cmocka_unit_test(a_nested_loop_runs_inline),
      cmocka_unit_test(several_callers_share_the_workers),
      cmocka_unit_test(two_threads_work_at_the_same_time),
      cmocka_unit_test(workers_stay_inside_the_allowed_cpus),
      cmocka_unit_test(one_allowed_cpu_gives_one_thread),
      cmocka_unit_test(refused_threads_mean_fewer_workers_and_a_cause),
      cmocka_unit_test(a_pool_that_covers_the_cpus_survives_refusals),
      cmocka_unit_test(bad_thread_counts_are_refused),
      cmocka_unit_test(the_shared_pool_is_one_per_thread_count),
      cmocka_unit_test(a_forked_child_works_inline),
      cmocka_unit_test(an_idle_pool_costs_no_cpu),
  };
  return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
