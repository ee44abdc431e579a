/* A pool of worker threads for data-parallel loops. SPDX-License-Identifier: Apache-2.0
 *
 * A loop is published in a slot. A worker enters a slot by raising its `users` count and then
 * reading `state`; the caller closes the slot by writing `state` and then reading `users`. Both
 * orders are sequentially consistent, so a worker that finds the slot open is always waited for.
 */
#include "runtime/exec/pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/exec/cpu_order.h"

enum {
  LINE = 64,             /* bytes that two cores should not share */
  SLOTS = 8,             /* loops that share the workers at one time; more run on their callers */
  SPIN_NS = 50 * 1000,   /* a sleeping worker costs 50-120 us to wake: stay awake about that long */
  STACK_BYTES = 2 << 20, /* per worker, on demand */
  CLOCK_EVERY = 64,      /* relax steps between looks at the clock */
};

typedef enum slot_state { SLOT_FREE = 0, SLOT_CLAIMED, SLOT_OPEN } slot_state;

/* One worker's share of a loop, in chunks. Others may take from it. */
typedef struct share {
  _Alignas(LINE) _Atomic int64_t next;
  int64_t end;
} share;

typedef struct slot {
  _Alignas(LINE) _Atomic uint32_t users; /* workers inside; a futex word */
  _Atomic uint32_t waiting;              /* the caller sleeps on users */
  _Atomic uint32_t state;
  int excluded; /* the worker on the caller's CPU, or -1 */
  int share_count;
  int64_t count, grain;
  fh_pool_body body;
  void *arg;
  share *shares; /* pool->size of them */
} slot;

typedef struct worker {
  fh_pool *pool;
  pthread_t thread;
  int id, cpu; /* cpu -1: not to be pinned */
} worker;

struct fh_pool {
  _Alignas(LINE) _Atomic uint32_t epoch; /* rises with every published loop; a futex word */
  _Atomic uint32_t sleepers;
  _Atomic bool stop;
  _Alignas(LINE) int size;
  int started; /* worker threads that run */
  int64_t spin_ns;
  uint32_t fork_generation;
  _Atomic int pinned;
  _Atomic int *worker_of_cpu; /* worker on this CPU, or -1 */
  int cpu_limit;              /* length of worker_of_cpu */
  worker *workers;
  share *shares;
  slot slots[SLOTS];
  fh_host_pool host; /* run NULL: the workers are ours */
  /* Of fh_pool_shared, guarded by its lock. */
  fh_pool *next_shared;
  int references;
  int shared_key; /* the thread count that was asked for, before the system refused any */
};

static _Thread_local bool inside_loop;

/* ---- time and sleep ------------------------------------------------------------------------------ */

/* Sleeps while *word == expected, until woken with a mask that shares a bit. */
static void futex_wait(_Atomic uint32_t *word, uint32_t expected, uint32_t mask) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAIT_BITSET_PRIVATE, expected, NULL, NULL, mask);
}

static void futex_wake(_Atomic uint32_t *word, int count, uint32_t mask) {
  syscall(SYS_futex, (uint32_t *)word, FUTEX_WAKE_BITSET_PRIVATE, count, NULL, NULL, mask);
}

static uint32_t wake_bit(int worker_id) { return 1u << (worker_id % 32); }

/* True when *word changed within the time. */
static bool spin_while_equal(_Atomic uint32_t *word, uint32_t value, int64_t spin_ns) {
  if (spin_ns <= 0) return atomic_load(word) != value;
  int64_t deadline = fh_now_ns() + spin_ns;
  do {
    for (int i = 0; i < CLOCK_EVERY; i++) {
      if (atomic_load(word) != value) return true;
      fh_cpu_relax();
    }
  } while (fh_now_ns() < deadline);
  return false;
}

/* ---- work ------------------------------------------------------------------------------------------ */

/* Takes chunks of a share until none is left. True when it did any. */
static bool drain_share(const slot *s, share *sh, int worker_id) {
  bool any = false;
  while (atomic_load_explicit(&sh->next, memory_order_relaxed) < sh->end) {
    int64_t chunk = atomic_fetch_add_explicit(&sh->next, 1, memory_order_relaxed);
    if (chunk >= sh->end) break;
    int64_t first = chunk * s->grain;
    int64_t last = s->count - first > s->grain ? first + s->grain : s->count;
    s->body(s->arg, first, last, worker_id);
    any = true;
  }
  return any;
}

/* Own share first, then the others' in turn. */
static bool work_on(const slot *s, int worker_id) {
  bool any = false;
  int start = worker_id % s->share_count;
  for (int i = 0; i < s->share_count; i++) {
    int index = start + i < s->share_count ? start + i : start + i - s->share_count;
    if (drain_share(s, &s->shares[index], worker_id)) any = true;
  }
  return any;
}

typedef enum visit { VISIT_NOTHING = 0, VISIT_WORKED, VISIT_EXCLUDED } visit;

static visit visit_slot(slot *s, int worker_id) {
  if (atomic_load_explicit(&s->state, memory_order_acquire) != SLOT_OPEN) return VISIT_NOTHING;
  atomic_fetch_add(&s->users, 1);
  visit result = VISIT_NOTHING;
  if (atomic_load(&s->state) == SLOT_OPEN) {
    if (s->excluded == worker_id)
      result = VISIT_EXCLUDED;
    else if (work_on(s, worker_id))
      result = VISIT_WORKED;
  }
  if (atomic_fetch_sub(&s->users, 1) == 1 && atomic_load(&s->waiting)) futex_wake(&s->users, 1, FUTEX_BITSET_MATCH_ANY);
  return result;
}

static visit visit_slots(fh_pool *pool, int worker_id) {
  visit result = VISIT_NOTHING;
  for (int i = 0; i < SLOTS; i++) {
    visit v = visit_slot(&pool->slots[i], worker_id);
    if (v == VISIT_WORKED || result == VISIT_NOTHING) result = v;
  }
  return result;
}

static void sleep_until_epoch_changes(fh_pool *pool, uint32_t seen, int worker_id) {
  atomic_fetch_add(&pool->sleepers, 1);
  if (!atomic_load(&pool->stop)) futex_wait(&pool->epoch, seen, wake_bit(worker_id));
  atomic_fetch_sub(&pool->sleepers, 1);
}

static bool pin_this_thread(int cpu) {
  cpu_set_t *mask = CPU_ALLOC((size_t)cpu + 1);
  if (!mask) return false;
  size_t size = CPU_ALLOC_SIZE((size_t)cpu + 1);
  CPU_ZERO_S(size, mask);
  CPU_SET_S((size_t)cpu, size, mask);
  bool done = sched_setaffinity(0, size, mask) == 0;
  CPU_FREE(mask);
  return done;
}

/* Each worker pins itself, so that starting a pool does not wait for threads to move. */
static void take_cpu(worker *w) {
  if (w->cpu < 0 || pin_this_thread(w->cpu)) return;
  atomic_store(&w->pool->worker_of_cpu[w->cpu], -1); /* refused: the scheduler decides */
  atomic_fetch_sub(&w->pool->pinned, 1);
}

static void *worker_main(void *arg) {
  worker *w = arg;
  fh_pool *pool = w->pool;
  inside_loop = true; /* everything that a worker runs is a body */
  take_cpu(w);
  while (!atomic_load(&pool->stop)) {
    uint32_t seen = atomic_load(&pool->epoch);
    visit v = visit_slots(pool, w->id);
    if (v == VISIT_WORKED) continue;
    /* The caller of a loop that excludes this worker needs this very CPU: make room at once. */
    if (v == VISIT_NOTHING && spin_while_equal(&pool->epoch, seen, pool->spin_ns)) continue;
    sleep_until_epoch_changes(pool, seen, w->id);
  }
  return NULL;
}

/* ---- a loop ---------------------------------------------------------------------------------------- */

static slot *claim_slot(fh_pool *pool) {
  for (int i = 0; i < SLOTS; i++) {
    uint32_t free_state = SLOT_FREE;
    if (atomic_compare_exchange_strong(&pool->slots[i].state, &free_state, SLOT_CLAIMED)) return &pool->slots[i];
  }
  return NULL;
}

/* The id that the calling thread works under: that of the worker on its CPU, which then stays out, else
 * the last one, which has no thread unless every worker is pinned. */
static int caller_id(const fh_pool *pool) {
  int cpu = atomic_load_explicit(&pool->pinned, memory_order_relaxed) ? sched_getcpu() : -1;
  int id = cpu >= 0 && cpu < pool->cpu_limit ? atomic_load_explicit(&pool->worker_of_cpu[cpu], memory_order_relaxed) : -1;
  return id >= 0 ? id : pool->size - 1;
}

/* A wake-up mask that leaves the worker on the caller's CPU asleep, while there are bits enough to tell workers apart. */
static uint32_t all_but(const fh_pool *pool, int excluded) { return pool->started <= 32 ? ~wake_bit(excluded) : FUTEX_BITSET_MATCH_ANY; }

static void share_out(const fh_pool *pool, slot *s, int64_t chunks) {
  s->share_count = chunks < pool->size ? (int)chunks : pool->size;
  for (int64_t i = 0; i < s->share_count; i++) {
    int64_t each = chunks / s->share_count, extra = chunks % s->share_count;
    int64_t first = i * each + (i < extra ? i : extra);
    atomic_store_explicit(&s->shares[i].next, first, memory_order_relaxed);
    s->shares[i].end = first + each + (i < extra ? 1 : 0);
  }
}

static void publish(fh_pool *pool, slot *s, int64_t chunks, int excluded) {
  s->excluded = excluded;
  share_out(pool, s, chunks);
  atomic_store(&s->state, SLOT_OPEN);
  atomic_fetch_add(&pool->epoch, 1);
  if (atomic_load(&pool->sleepers)) futex_wake(&pool->epoch, s->share_count - 1, all_but(pool, excluded));
}

static void wait_for_users(slot *s, int64_t spin_ns) {
  for (uint32_t users = atomic_load(&s->users); users; users = atomic_load(&s->users)) {
    if (spin_while_equal(&s->users, users, spin_ns)) continue;
    atomic_store(&s->waiting, 1);
    futex_wait(&s->users, users, FUTEX_BITSET_MATCH_ANY);
    atomic_store(&s->waiting, 0);
  }
}

static void run_inline(const fh_pool *pool, int64_t count, fh_pool_body body, void *arg) {
  bool was_inside = inside_loop;
  inside_loop = true;
  body(arg, 0, count, pool->size - 1);
  inside_loop = was_inside;
}

/* A thread of the host's, under the number of its task: no two that run at a time have the same. */
static void host_task(void *arg, int i) {
  const slot *s = arg;
  if (i < 0 || i >= s->share_count) return;
  const bool was_inside = inside_loop;
  inside_loop = true;
  work_on(s, i);
  inside_loop = was_inside;
}

static void run_on_host(const fh_pool *pool, slot *s) {
  share_out(pool, s, (s->count - 1) / s->grain + 1);
  pool->host.run(pool->host.state, s->share_count, host_task, s);
  host_task(s, 0); /* what the host left out */
}

static uint32_t fork_generation_now(void);

void fh_pool_run(fh_pool *pool, int64_t count, int64_t grain, fh_pool_body body, void *arg) {
  if (count <= 0) return;
  if (grain < 1) grain = 1;
  slot *s = NULL;
  bool alone = pool->size == 1 || count <= grain || inside_loop || pool->fork_generation != fork_generation_now();
  if (!alone) s = claim_slot(pool);
  if (!s) {
    run_inline(pool, count, body, arg);
    return;
  }
  s->count = count;
  s->grain = grain;
  s->body = body;
  s->arg = arg;
  if (pool->host.run) {
    run_on_host(pool, s);
    atomic_store_explicit(&s->state, SLOT_FREE, memory_order_release);
    return;
  }
  int id = caller_id(pool);
  publish(pool, s, (count - 1) / grain + 1, id);
  inside_loop = true;
  work_on(s, id);
  inside_loop = false;
  atomic_store(&s->state, SLOT_CLAIMED); /* closed: nobody else gets in */
  wait_for_users(s, pool->spin_ns);
  atomic_store_explicit(&s->state, SLOT_FREE, memory_order_release);
}

int fh_pool_size(const fh_pool *pool) { return pool->size; }
int fh_pool_pinned(const fh_pool *pool) { return atomic_load(&pool->pinned); }

bool fh_pool_awake(const fh_pool *pool) { return (int)atomic_load_explicit(&pool->sleepers, memory_order_relaxed) < pool->started; }

/* ---- the CPUs that may be used ----------------------------------------------------------------------- */

typedef struct cpu_list {
  int *cpus;
  int count;
  int limit; /* one past the highest */
} cpu_list;

/* The affinity mask whatever its size. */
static cpu_set_t *affinity_mask(int *out_bits) {
  for (int bits = CPU_SETSIZE; bits <= CPU_SETSIZE * 256; bits *= 2) {
    cpu_set_t *mask = CPU_ALLOC((size_t)bits);
    if (!mask) return NULL;
    if (sched_getaffinity(0, CPU_ALLOC_SIZE((size_t)bits), mask) == 0) {
      *out_bits = bits;
      return mask;
    }
    CPU_FREE(mask);
    if (errno != EINVAL) return NULL;
  }
  return NULL;
}

/* Node by node. Empty when it cannot be read: the pool is then not pinned. */
static cpu_list allowed_cpus(void) {
  cpu_list list = {0};
  int bits = 0;
  cpu_set_t *mask = affinity_mask(&bits);
  if (!mask) return list;
  size_t size = CPU_ALLOC_SIZE((size_t)bits);
  list.cpus = malloc((size_t)CPU_COUNT_S(size, mask) * sizeof *list.cpus);
  for (int cpu = 0; cpu < bits && list.cpus; cpu++) {
    if (!CPU_ISSET_S((size_t)cpu, size, mask)) continue;
    list.cpus[list.count++] = cpu;
    list.limit = cpu + 1;
  }
  CPU_FREE(mask);
  fh_cpus_by_node(list.cpus, list.count, FH_MEMORY_NODES);
  return list;
}

/* ---- workers' start and end --------------------------------------------------------------------------- */

static int start_worker(worker *w) {
  pthread_attr_t attr;
  int error = pthread_attr_init(&attr);
  if (error) return error;
  sigset_t all;
  sigfillset(&all); /* signals belong to the program's own threads */
  pthread_attr_setsigmask_np(&attr, &all);
  pthread_attr_setstacksize(&attr, STACK_BYTES);
  error = pthread_create(&w->thread, &attr, worker_main, w);
  pthread_attr_destroy(&attr);
  if (!error) {
    char name[16];
    snprintf(name, sizeof name, "foghorn-%d", w->id % 10000);
    pthread_setname_np(w->thread, name);
  }
  return error;
}

static void say_fewer(int got, int wanted, int error) {
  static const struct {
    int error;
    const char *cause, *why;
  } known[] = {
      {EPERM, "CPU-THREADS-EPERM", "a sandbox filter refuses new threads"},
      {EAGAIN, "CPU-THREADS-EAGAIN", "a limit on processes, threads or address space was reached (pids.max, ulimit -u, ulimit -v)"}};
  const char *cause = "", *why = "the system refused";
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (known[i].error != error) continue;
    cause = known[i].cause;
    why = known[i].why;
  }
  fh_log(FH_LOG_WARN, "%s%s%d of %d worker threads could be started; work goes on with those\n  pthread_create: %s: %s%s%s", cause,
         *cause ? ": " : "", got, wanted, strerror(error), why, *cause ? "\n  more: devprobe cause " : "", cause);
}

/* Gives worker `id` its CPU of the list, or takes it back. */
static void assign_cpu(fh_pool *pool, worker *w, int cpu) {
  w->cpu = cpu;
  atomic_store(&pool->worker_of_cpu[cpu], w->id);
  atomic_fetch_add(&pool->pinned, 1);
}
static void unassign_cpu(fh_pool *pool, worker *w) {
  if (w->cpu < 0) return;
  atomic_store(&pool->worker_of_cpu[w->cpu], -1);
  atomic_fetch_sub(&pool->pinned, 1);
}

/* Starts `wanted` workers, or as many as the system gives. */
static void start_workers(fh_pool *pool, int wanted, const cpu_list *cpus) {
  int error = 0;
  while (pool->started < wanted && !error) {
    worker *w = &pool->workers[pool->started];
    *w = (worker){.pool = pool, .id = pool->started, .cpu = -1};
    if (cpus->count) assign_cpu(pool, w, cpus->cpus[w->id]);
    error = start_worker(w);
    if (error)
      unassign_cpu(pool, w);
    else
      pool->started++;
  }
  if (error) say_fewer(pool->started, wanted, error);
}

static bool alloc_tables(fh_pool *pool, int threads, int cpu_limit) {
  pool->workers = calloc((size_t)threads, sizeof *pool->workers);
  pool->shares = aligned_alloc(LINE, (size_t)threads * SLOTS * sizeof *pool->shares);
  pool->worker_of_cpu = malloc((size_t)(cpu_limit + 1) * sizeof *pool->worker_of_cpu);
  if (!pool->workers || !pool->shares || !pool->worker_of_cpu) return false;
  memset(pool->shares, 0, (size_t)threads * SLOTS * sizeof *pool->shares);
  for (int i = 0; i < SLOTS; i++) pool->slots[i].shares = pool->shares + (size_t)i * (size_t)threads;
  pool->cpu_limit = cpu_limit;
  for (int i = 0; i < cpu_limit; i++) atomic_init(&pool->worker_of_cpu[i], -1);
  return true;
}

static void free_tables(fh_pool *pool) {
  free(pool->workers);
  free(pool->shares);
  free((void *)pool->worker_of_cpu);
  free(pool);
}

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static void watch_forks(void);

static fh_status pool_alloc(int threads, int cpu_limit, fh_pool **out_pool) {
  fh_pool *pool = aligned_alloc(LINE, (sizeof *pool + LINE - 1) / LINE * LINE);
  if (pool) memset(pool, 0, sizeof *pool);
  if (!pool || !alloc_tables(pool, threads, cpu_limit)) {
    if (pool) free_tables(pool);
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_pool_create: no memory for a pool of %d threads", threads);
  }
  pool->fork_generation = fork_generation_now();
  *out_pool = pool;
  return FH_OK;
}

static fh_status pool_new(int threads, const cpu_list *cpus, fh_pool **out_pool) {
  fh_pool *pool;
  FH_TRY(pool_alloc(threads, cpus->limit, &pool));
  bool covers_all = cpus->count == threads;
  pool->spin_ns = cpus->count >= threads ? SPIN_NS : 0; /* more threads than CPUs: a spinning one would be in the way */
  /* A pinned pool has a worker for each CPU, so that whichever the caller is on, the others are served. */
  int wanted = threads == 1 ? 0 : covers_all ? threads : threads - 1;
  start_workers(pool, wanted, covers_all ? cpus : &(cpu_list){0});
  pool->size = pool->started < threads ? pool->started + 1 : threads;
  *out_pool = pool;
  return FH_OK;
}

static fh_status check_threads(int threads) {
  if (threads >= 0 && threads <= FH_POOL_MAX_THREADS) return FH_OK;
  return FH_STATUS(FH_INVALID_ARGUMENT, "fh_pool_create: threads is %d; expected 0 (one per usable CPU) to %d", threads,
                   FH_POOL_MAX_THREADS);
}

static int threads_for(const cpu_list *cpus) {
  if (cpus->count > FH_POOL_MAX_THREADS) return FH_POOL_MAX_THREADS;
  return cpus->count > 0 ? cpus->count : 1;
}

fh_status fh_pool_create(int threads, fh_pool **out_pool) {
  *out_pool = NULL;
  FH_TRY(check_threads(threads));
  pthread_once(&fork_once, watch_forks);
  cpu_list cpus = allowed_cpus();
  fh_status status = pool_new(threads ? threads : threads_for(&cpus), &cpus, out_pool);
  free(cpus.cpus);
  return status;
}

void fh_pool_destroy(fh_pool *pool) {
  if (!pool) return;
  if (pool->fork_generation == fork_generation_now()) { /* a forked child has no workers to join */
    atomic_store(&pool->stop, true);
    atomic_fetch_add(&pool->epoch, 1);
    futex_wake(&pool->epoch, INT_MAX, FUTEX_BITSET_MATCH_ANY);
    for (int i = 0; i < pool->started; i++) pthread_join(pool->workers[i].thread, NULL);
  }
  free_tables(pool);
}

/* ---- one pool per process and thread count, and fork ---------------------------------------------------- */

static pthread_mutex_t shared_lock = PTHREAD_MUTEX_INITIALIZER;
static fh_pool *shared_pools;
static _Atomic uint32_t fork_generation;

static uint32_t fork_generation_now(void) { return atomic_load_explicit(&fork_generation, memory_order_relaxed); }

static void before_fork(void) { pthread_mutex_lock(&shared_lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&shared_lock); }
static void after_fork_in_child(void) {
  atomic_fetch_add(&fork_generation, 1);
  shared_pools = NULL; /* their holders keep them, as pools without workers; new holders get new ones */
  pthread_mutex_unlock(&shared_lock);
}
static void watch_forks(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

fh_status fh_pool_shared(int threads, fh_pool **out_pool) {
  *out_pool = NULL;
  fh_status status = FH_OK;
  pthread_once(&fork_once, watch_forks);
  pthread_mutex_lock(&shared_lock);
  fh_pool *pool = shared_pools;
  while (pool && pool->shared_key != threads) pool = pool->next_shared;
  if (!pool) {
    status = fh_pool_create(threads, &pool);
    if (pool) {
      pool->shared_key = threads;
      pool->next_shared = shared_pools;
      shared_pools = pool;
    }
  }
  if (pool) pool->references++;
  pthread_mutex_unlock(&shared_lock);
  *out_pool = pool;
  return status;
}

fh_status fh_pool_on_host(const fh_host_pool *host, fh_pool **out_pool) {
  *out_pool = NULL;
  if (!host->run || host->threads < 1 || host->threads > FH_POOL_MAX_THREADS)
    return FH_STATUS(FH_INVALID_ARGUMENT, "host_pool: run is %s and threads is %d; expected a function, and 1 to %d threads",
                     host->run ? "set" : "NULL", host->threads, FH_POOL_MAX_THREADS);
  pthread_once(&fork_once, watch_forks);
  fh_pool *pool;
  FH_TRY(pool_alloc(host->threads, 0, &pool));
  pool->host = *host;
  pool->size = host->threads;
  pool->references = 1;
  *out_pool = pool;
  return FH_OK;
}

void fh_pool_unshare(fh_pool *pool) {
  if (!pool) return;
  pthread_mutex_lock(&shared_lock);
  bool last = --pool->references == 0;
  for (fh_pool **link = &shared_pools; last && *link; link = &(*link)->next_shared) {
    if (*link != pool) continue;
    *link = pool->next_shared;
    break;
  }
  pthread_mutex_unlock(&shared_lock);
  if (last) fh_pool_destroy(pool);
}
