/* The emulator of a block of threads: fibres that give way where they meet. SPDX-License-Identifier: Apache-2.0 */
#undef _FORTIFY_SOURCE /* its longjmp goes up a stack only, not over to another */
#include "tests/fakes/block/emulate.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/fakes/block/async.h"
#include "tests/fakes/block/block.h"

#if defined(__SANITIZE_ADDRESS__)
#define FAKE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAKE_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FAKE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FAKE_TSAN 1
#endif
#endif
#if FAKE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if FAKE_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { STACK_BYTES = 256 << 10, PAGE = 4096, MAX_SHARED = 227 << 10, MARGIN = 4096, NAN_BYTE = 0xff, MARK = 0xa5 };
enum { MAX_ASYNC_BYTES = 16 };

/* ---- fibres --------------------------------------------------------------------------------------------------------- */

/* A stack and what a sanitizer has to know of it. */
typedef struct fibre {
  ucontext_t context;
  jmp_buf here; /* where it goes on, once it was begun */
  bool fresh;   /* it goes on at `context` */
  char *stack;  /* NULL: the thread of the system */
  const void *bottom;
  size_t bytes;
  void *sanitizer;
} fibre;

/* swapcontext asks the kernel for the signal mask at every switch, which was half of an emulated block; the sanitizers know only it. */
static void change(fibre *from, fibre *to) {
#if FAKE_ASAN || FAKE_TSAN
  swapcontext(&from->context, &to->context);
#else
  if (_setjmp(from->here)) return;
  if (!to->fresh) _longjmp(to->here, 1);
  to->fresh = false;
  setcontext(&to->context);
#endif
}

static void leave(fibre *from, fibre *to, bool for_good) {
  (void)for_good;
#if FAKE_ASAN
  __sanitizer_start_switch_fiber(for_good ? NULL : &from->sanitizer, to->bottom, to->bytes);
#endif
#if FAKE_TSAN
  __tsan_switch_to_fiber(to->sanitizer, 0);
#endif
  change(from, to);
#if FAKE_ASAN
  __sanitizer_finish_switch_fiber(from->sanitizer, NULL, NULL);
#endif
}

/* The first thing on a fresh stack. Where it came from, `caller`, is a stack that only the sanitizer knows. */
static void arrive(fibre *caller) {
  (void)caller;
#if FAKE_ASAN
  __sanitizer_finish_switch_fiber(NULL, &caller->bottom, &caller->bytes);
#endif
}

/* ---- a block in progress ---------------------------------------------------------------------------------------------- */

typedef enum fake_state { FAKE_READY, FAKE_AT_BARRIER, FAKE_IN_WARP, FAKE_SUSPENDED, FAKE_ENDED } fake_state;

typedef struct copy {
  void *to;
  const void *from;
  int bytes, size, group;
} copy;

typedef struct thread {
  fibre fibre;
  fake_state state;
  fake_place place; /* where it waits */
  const char *what; /* for, when it is suspended */
  copy *copies;     /* that are under way, oldest first */
  int copy_count, copy_room;
  int group; /* the one that is being filled */
} thread;

typedef struct warp {
  fake_warp_fn operation;
  fake_place place;
  unsigned arrived;
  const void *in[FAKE_LANES];
  void *out[FAKE_LANES];
} warp;

typedef struct crew {
  fibre scheduler;
  thread threads[FAKE_MAX_THREADS];
  warp warps[FAKE_MAX_THREADS / FAKE_LANES];
  unsigned count, running, ended;
  char *memory; /* MARGIN, shared memory, MARGIN */
  unsigned shared_bytes;
  const fake_block_entry *entry;
  const fh_slot *slots;
  int64_t items;
  unsigned grid[3], block[3];
  bool failed;
  struct crew *next; /* of those that rest */
} crew;

static _Thread_local crew *current;
static _Thread_local char message[400];
static _Thread_local long bank_conflicts;

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void fail(const char *format, ...) {
  char what[256];
  if (current->failed) return;
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  const unsigned *block = current->block;
  snprintf(message, sizeof message, "%s, block (%u, %u, %u): %s", current->entry->name, block[0], block[1], block[2], what);
  current->failed = true;
}

static const char *file_of(fake_place place) {
  const char *slash = strrchr(place.file, '/');
  return slash ? slash + 1 : place.file;
}

static thread *self(void) { return &current->threads[current->running]; }

/* Until the scheduler says otherwise; after a failure it never does. */
static void give_way(void) { leave(&self()->fibre, &current->scheduler, false); }

unsigned fake_thread(void) { return current->running; }
unsigned fake_grid_place(int dimension) { return current->block[dimension]; }
unsigned fake_grid_extent(int dimension) { return current->grid[dimension]; }

/* ---- meetings ------------------------------------------------------------------------------------------------------------ */

bool fake_same_place(fake_place a, fake_place b) { return a.line == b.line && strcmp(a.file, b.file) == 0; }

void fake_barrier(fake_place place) {
  thread *t = self();
  t->state = FAKE_AT_BARRIER;
  t->place = place;
  give_way();
}

void fake_suspend(fake_place place, const char *what) {
  thread *t = self();
  t->state = FAKE_SUSPENDED;
  t->place = place;
  t->what = what;
  give_way();
}

void fake_resume(unsigned number) { current->threads[number].state = FAKE_READY; }

noreturn void fake_fail(fake_place place, const char *format, ...) {
  char what[200];
  va_list args;
  va_start(args, format);
  vsnprintf(what, sizeof what, format, args);
  va_end(args);
  fail("thread %u, %s:%d: %s", current->running, file_of(place), place.line, what);
  for (;;) give_way();
}

static void finish_warp(warp *w) {
  w->operation(w->in, w->out);
  w->arrived = 0;
  thread *first = &current->threads[current->running / FAKE_LANES * FAKE_LANES];
  for (int lane = 0; lane < FAKE_LANES; lane++) first[lane].state = FAKE_READY;
}

void fake_warp(fake_warp_fn operation, const void *in, void *out, fake_place place) {
  thread *t = self();
  warp *w = &current->warps[current->running / FAKE_LANES];
  if (w->arrived && (w->operation != operation || !fake_same_place(w->place, place)))
    fail("thread %u is at %s:%d while others of its warp are at %s:%d", current->running, file_of(place), place.line, file_of(w->place),
         w->place.line);
  w->operation = operation;
  w->place = t->place = place;
  w->in[current->running % FAKE_LANES] = in;
  w->out[current->running % FAKE_LANES] = out;
  t->state = FAKE_IN_WARP;
  if (++w->arrived == FAKE_LANES && !current->failed)
    finish_warp(w);
  else
    give_way();
}

void fake_count_conflicts(long conflicts) { bank_conflicts += conflicts; }
long fake_block_conflicts(void) { return bank_conflicts; }

/* ---- asynchronous copies --------------------------------------------------------------------------------------------------- */

static bool is_shared(const char *to, int size) {
  const char *first = current->memory + MARGIN;
  return to >= first && to + size <= first + current->shared_bytes;
}

static void make_room(thread *t) {
  t->copy_room = t->copy_room ? 2 * t->copy_room : 64;
  copy *copies = realloc(t->copies, (size_t)t->copy_room * sizeof *copies);
  if (!copies) abort();
  t->copies = copies;
}

void fake_copy_async(void *to, const void *from, int bytes, int size, fake_place place) {
  thread *t = self();
  const char *wrong = NULL;
  if (!is_shared(to, size)) wrong = "goes outside of shared memory";
  if ((uintptr_t)to % (unsigned)size || (uintptr_t)from % (unsigned)size) wrong = "is not on a boundary of its size";
  if (bytes < 0 || bytes > size) wrong = "has more bytes than its size";
  if (wrong) {
    fail("thread %u, %s:%d: a copy of %d bytes %s", current->running, file_of(place), place.line, size, wrong);
    give_way();
  }
  if (t->copy_count == t->copy_room) make_room(t);
  memset(to, NAN_BYTE, (size_t)size); /* from now on it may change at any time */
  t->copies[t->copy_count++] = (copy){to, from, bytes, size, t->group};
}

void fake_copy_commit(void) { self()->group++; }

static void finish_copy(const copy *c) {
  char data[MAX_ASYNC_BYTES] = {0};
  if (c->bytes) memcpy(data, c->from, (size_t)c->bytes);
  memcpy(c->to, data, (size_t)c->size);
}

void fake_copy_wait(int groups) {
  thread *t = self();
  int done = 0;
  while (done < t->copy_count && t->copies[done].group < t->group - groups) finish_copy(&t->copies[done++]);
  t->copy_count -= done;
  if (done) memmove(t->copies, t->copies + done, (size_t)t->copy_count * sizeof *t->copies);
}

/* ---- the scheduler ----------------------------------------------------------------------------------------------------------- */

static void thread_main(void) {
  crew *c = current;
  thread *t = self();
  arrive(&c->scheduler);
  c->entry->run(c->slots, c->items, c->memory + MARGIN);
  t->state = FAKE_ENDED;
  c->ended++;
  leave(&t->fibre, &c->scheduler, true);
}

static void start_thread(thread *t) {
  t->state = FAKE_READY;
  t->copy_count = t->group = 0;
#if FAKE_ASAN
  __asan_unpoison_memory_region(t->fibre.stack, STACK_BYTES); /* a failed block leaves its frames behind */
#endif
  t->fibre.fresh = true;
  getcontext(&t->fibre.context);
  t->fibre.context.uc_stack.ss_sp = t->fibre.stack;
  t->fibre.context.uc_stack.ss_size = STACK_BYTES;
  t->fibre.context.uc_link = NULL;
  makecontext(&t->fibre.context, thread_main, 0);
}

static bool resume(crew *c, unsigned number) {
  if (c->threads[number].state != FAKE_READY || c->failed) return false;
  c->running = number;
  leave(&c->scheduler, &c->threads[number].fibre, false);
  return true;
}

/* As far as a warp can go alone: others are then as far behind, or ahead, as barriers allow. */
static void resume_warp(crew *c, unsigned first, bool backwards) {
  for (bool any = true; any;) {
    any = false;
    for (unsigned lane = 0; lane < FAKE_LANES; lane++) any |= resume(c, first + (backwards ? FAKE_LANES - 1 - lane : lane));
  }
}

static const thread *first_in(const crew *c, fake_state state) {
  for (unsigned i = 0; i < c->count; i++)
    if (c->threads[i].state == state) return &c->threads[i];
  return NULL;
}

static void fail_waiting(const thread *waits, const thread *other) {
  const unsigned number = (unsigned)(waits - current->threads), of = (unsigned)(other - current->threads);
  if (other->state == FAKE_ENDED)
    fail("thread %u waits at %s:%d for thread %u, which has ended", number, file_of(waits->place), waits->place.line, of);
  else
    fail("thread %u waits at %s:%d for thread %u, which is at %s:%d", number, file_of(waits->place), waits->place.line, of,
         file_of(other->place), other->place.line);
}

static bool lanes_are_missing(const crew *c) {
  const thread *waits = first_in(c, FAKE_IN_WARP);
  if (!waits) return false;
  const thread *other = &c->threads[(waits - c->threads) / FAKE_LANES * FAKE_LANES];
  while (other->state == FAKE_IN_WARP) other++;
  fail_waiting(waits, other);
  return true;
}

/* What would end their wait is not under way. */
static bool some_wait_in_vain(const crew *c) {
  const thread *waits = first_in(c, FAKE_SUSPENDED);
  if (waits)
    fail("thread %u waits at %s:%d for %s, which nothing ends", (unsigned)(waits - c->threads), file_of(waits->place), waits->place.line,
         waits->what);
  return waits;
}

/* Nobody can go on: all are at one barrier, or some wait for those that will not come. */
static void open_barrier(crew *c) {
  if (lanes_are_missing(c) || some_wait_in_vain(c)) return;
  const thread *waits = first_in(c, FAKE_AT_BARRIER);
  for (unsigned i = 0; i < c->count; i++) {
    const thread *other = &c->threads[i];
    if (other->state == FAKE_AT_BARRIER && fake_same_place(other->place, waits->place)) continue;
    fail_waiting(waits, other);
    return;
  }
  for (unsigned i = 0; i < c->count; i++) c->threads[i].state = FAKE_READY;
  fake_async_barrier();
}

/* A copy arrives as late as it can, and before anybody is found to wait in vain. */
static void go_on(crew *c) {
  if (!fake_async_step()) open_barrier(c);
}

static void check_margins(const crew *c) {
  const char *before = c->memory, *behind = c->memory + MARGIN + c->shared_bytes;
  for (int i = 0; i < MARGIN; i++)
    if ((unsigned char)before[i] != MARK || (unsigned char)behind[i] != MARK) {
      fail("memory outside of the %u bytes that the block shares was written", c->shared_bytes);
      return;
    }
}

static void run_block(crew *c) {
  memset(c->memory, MARK, MARGIN + c->shared_bytes + MARGIN);
  memset(c->memory + MARGIN, NAN_BYTE, c->shared_bytes);
  memset(c->warps, 0, sizeof c->warps);
  c->ended = 0;
  fake_async_begin(c->count, c->memory + MARGIN, c->shared_bytes);
  for (unsigned i = 0; i < c->count; i++) start_thread(&c->threads[i]);
  for (bool backwards = false; c->ended < c->count && !c->failed; backwards = !backwards) {
    for (unsigned i = 0; i < c->count; i += FAKE_LANES) resume_warp(c, backwards ? c->count - FAKE_LANES - i : i, backwards);
    if (!c->failed && c->ended < c->count && !first_in(c, FAKE_READY)) go_on(c);
  }
  const char *left = fake_async_end();
  if (left) fail("%s", left); /* the first failure counts */
  if (!c->failed) check_margins(c);
}

/* ---- crews: stacks are kept for the next launch --------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static crew *resting;

static void *map(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    perror("the emulator of blocks: mmap");
    abort();
  }
  return memory;
}

static crew *take_crew(void) {
  pthread_mutex_lock(&lock);
  crew *c = resting;
  if (c) resting = c->next;
  pthread_mutex_unlock(&lock);
  if (c) return c;
  c = calloc(1, sizeof *c);
  if (!c) abort();
  c->memory = map(MARGIN + MAX_SHARED + MARGIN);
  return c;
}

static void rest_crew(crew *c) {
  pthread_mutex_lock(&lock);
  c->next = resting;
  resting = c;
  pthread_mutex_unlock(&lock);
}

/* A stack ends at a forbidden page. */
static void make_stack(fibre *f) {
  char *memory = map(PAGE + STACK_BYTES);
  mprotect(memory, PAGE, PROT_NONE);
  f->stack = memory + PAGE;
  f->bottom = f->stack;
  f->bytes = STACK_BYTES;
#if FAKE_TSAN
  f->sanitizer = __tsan_create_fiber(0);
#endif
}

static bool launch_is_right(const fake_block_entry *entry, unsigned threads, unsigned shared_bytes) {
  message[0] = 0;
  if (threads != entry->threads || threads > FAKE_MAX_THREADS || threads % FAKE_LANES)
    snprintf(message, sizeof message, "%s: launched with %u threads, its text is for %u", entry->name, threads, entry->threads);
  else if (entry->shared_bytes && shared_bytes)
    snprintf(message, sizeof message, "%s: launched with %u bytes to share, its text has its own %u", entry->name, shared_bytes,
             entry->shared_bytes);
  else if (shared_bytes > MAX_SHARED)
    snprintf(message, sizeof message, "%s: launched with %u bytes to share, no device has more than %d", entry->name, shared_bytes,
             MAX_SHARED);
  return !message[0];
}

const char *fake_block_run(const fake_block_entry *entry, const fh_slot *slots, int64_t items, const unsigned grid[3], unsigned threads,
                           unsigned shared_bytes) {
  if (!launch_is_right(entry, threads, shared_bytes)) return message;
  crew *c = take_crew(), *outer = current;
  bank_conflicts = 0;
  current = c;
  for (unsigned i = 0; i < threads; i++)
    if (!c->threads[i].fibre.stack) make_stack(&c->threads[i].fibre);
#if FAKE_TSAN
  c->scheduler.sanitizer = __tsan_get_current_fiber();
#endif
  c->count = threads;
  c->shared_bytes = entry->shared_bytes ? entry->shared_bytes : shared_bytes;
  c->entry = entry;
  c->slots = slots;
  c->items = items;
  c->failed = false;
  memcpy(c->grid, grid, sizeof c->grid);
  const uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
  for (uint64_t b = 0; b < blocks && !c->failed; b++) {
    c->block[0] = (unsigned)(b % grid[0]);
    c->block[1] = (unsigned)(b / grid[0] % grid[1]);
    c->block[2] = (unsigned)(b / grid[0] / grid[1]);
    run_block(c);
  }
  const bool failed = c->failed;
  current = outer;
  rest_crew(c);
  return failed ? message : NULL;
}
