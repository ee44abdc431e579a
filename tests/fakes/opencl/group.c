/* Work-groups of the stand-in OpenCL GPU: fibres that give way where they meet. SPDX-License-Identifier: Apache-2.0 */
#undef _FORTIFY_SOURCE /* its longjmp goes up a stack only, not over to another */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "fake.h"

#define EXPORT __attribute__((visibility("default")))

enum { STACK_BYTES = 256 << 10, PAGE = 4096 };
enum { MOST_INTEGERS = 6, MOST_REALS = 8, MOST_SLOTS = 64 }; /* of a call: in registers, and on the stack */

typedef enum state { READY, AT_BARRIER, IN_TEAM, ENDED } state;

typedef struct item {
  jmp_buf here;
  bool started;
  char *stack;
  state state;
  const void *place; /* where it waits: a return address */
  int value, source; /* handed in; the lane that it asks for, -1 for none */
} item;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one launch at a time: local memory is static */
static item items[FAKE_MOST_GROUP];
static jmp_buf scheduler;
static unsigned running, group_size;
static const fake_launch *current;
static size_t group[3];
static char message[256];
static bool failed;

static void give_way(void) {
  if (_setjmp(items[running].here) == 0) _longjmp(scheduler, 1);
}

/* ---- what texts call ------------------------------------------------------------------------------------------------ */

EXPORT size_t fake_place(unsigned what, unsigned dimension);
EXPORT size_t fake_place(unsigned what, unsigned d) {
  const size_t *local = current->local;
  const size_t place[3] = {running % local[0], running / local[0] % local[1], running / local[0] / local[1]};
  switch (what) {
    case 0:
      return place[d];
    case 1:
      return group[d];
    case 2:
      return local[d];
    case 3:
      return current->global[d] / local[d];
    case 4:
      return running % FAKE_TEAM;
    case 5:
      return running / FAKE_TEAM;
    default:
      return group_size / FAKE_TEAM;
  }
}

EXPORT void fake_barrier(void);
EXPORT void fake_barrier(void) {
  items[running].state = AT_BARRIER;
  items[running].place = __builtin_return_address(0);
  give_way();
}

static void fail(const char *what) {
  if (!failed) snprintf(message, sizeof message, "work-item %u of group (%zu, %zu, %zu) %s", running, group[0], group[1], group[2], what);
  failed = true;
}

static void wait_for_team(const void *place, int value, int source) {
  item *me = &items[running];
  me->state = IN_TEAM;
  me->place = place;
  me->value = value;
  me->source = source;
  give_way();
}

EXPORT void fake_team_meet(void);
EXPORT void fake_team_meet(void) { wait_for_team(__builtin_return_address(0), 0, -1); }

EXPORT int fake_exchange(int value, int and_mask, int or_mask, int xor_mask);
EXPORT int fake_exchange(int value, int and_mask, int or_mask, int xor_mask) {
  /* As ds_swizzle counts: 32 lanes, two items. */
  const unsigned lane = running % (2 * FAKE_TEAM), from = (((lane & (unsigned)and_mask) | (unsigned)or_mask) ^ (unsigned)xor_mask);
  const unsigned source = from % FAKE_TEAM;
  if (and_mask && from / FAKE_TEAM != lane / FAKE_TEAM) fail("asks for a value of another item");
  wait_for_team(__builtin_return_address(0), value, (int)source);
  return items[running].value;
}

/* ---- calls ------------------------------------------------------------------------------------------------------------- */

/* A kernel is called as C functions are on x86-64: the first integers and all reals in registers, the others on the stack. */
#define SLOTS_8(n) s[n], s[n + 1], s[n + 2], s[n + 3], s[n + 4], s[n + 5], s[n + 6], s[n + 7]
#define LONGS_8 long, long, long, long, long, long, long, long
typedef void (*kernel_fn)(long, long, long, long, long, long, float, float, float, float, float, float, float, float, LONGS_8, LONGS_8,
                          LONGS_8, LONGS_8, LONGS_8, LONGS_8, LONGS_8, LONGS_8);

static void call(const fake_launch *launch) {
  long i[MOST_INTEGERS] = {0}, s[MOST_SLOTS] = {0};
  float f[MOST_REALS] = {0};
  unsigned integers = 0, reals = 0, slots = 0;
  for (int a = 0; a < launch->argument_count; a++) {
    const fake_argument *argument = &launch->arguments[a];
    if (argument->kind == FAKE_REAL)
      f[reals++] = argument->real;
    else if (integers < MOST_INTEGERS)
      i[integers++] = argument->whole;
    else
      s[slots++] = argument->whole;
  }
  kernel_fn function;
  memcpy(&function, &launch->function, sizeof function);
  function(i[0], i[1], i[2], i[3], i[4], i[5], f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], SLOTS_8(0), SLOTS_8(8), SLOTS_8(16),
           SLOTS_8(24), SLOTS_8(32), SLOTS_8(40), SLOTS_8(48), SLOTS_8(56));
}

static void item_main(void) {
  for (;;) {
    call(current);
    items[running].state = ENDED;
    give_way();
  }
}

/* ---- the scheduler -------------------------------------------------------------------------------------------------------- */

static void make_stack(item *it) {
  char *memory = mmap(NULL, PAGE + STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) abort();
  mprotect(memory, PAGE, PROT_NONE); /* a stack ends at a forbidden page */
  it->stack = memory + PAGE;
}

static void start(item *it) {
  ucontext_t context;
  if (!it->stack) make_stack(it);
  getcontext(&context);
  context.uc_stack.ss_sp = it->stack;
  context.uc_stack.ss_size = STACK_BYTES;
  context.uc_link = NULL;
  makecontext(&context, item_main, 0);
  it->started = true;
  setcontext(&context);
}

static void resume(unsigned number) {
  running = number;
  item *it = &items[number];
  if (_setjmp(scheduler)) return;
  if (it->started) _longjmp(it->here, 1);
  start(it);
}

/* All lanes of a team are there: each gets what it asked for. */
static bool serve_team(unsigned first) {
  int values[FAKE_TEAM];
  for (unsigned lane = 0; lane < FAKE_TEAM; lane++) {
    const item *it = &items[first + lane];
    if (it->state != IN_TEAM || it->place != items[first].place) return false;
    values[lane] = it->value;
  }
  for (unsigned lane = 0; lane < FAKE_TEAM; lane++) {
    item *it = &items[first + lane];
    if (it->source >= 0) it->value = values[it->source];
    it->state = READY;
  }
  return true;
}

static bool all_are(state wanted) {
  for (unsigned i = 0; i < group_size; i++)
    if (items[i].state != wanted || (wanted == AT_BARRIER && items[i].place != items[0].place)) return false;
  return true;
}

/* One round: every work-item as far as it can go alone. */
static void run_round(bool backwards) {
  for (unsigned i = 0; i < group_size && !failed; i++) {
    const unsigned number = backwards ? group_size - 1 - i : i;
    if (items[number].state == READY) resume(number);
  }
}

static bool open_meetings(void) {
  bool any = false;
  for (unsigned first = 0; first + FAKE_TEAM <= group_size; first += FAKE_TEAM) any |= serve_team(first);
  if (any || !all_are(AT_BARRIER)) return any;
  for (unsigned i = 0; i < group_size; i++) items[i].state = READY;
  return true;
}

static void run_group(void) {
  for (unsigned i = 0; i < group_size; i++) items[i].state = READY;
  for (bool backwards = false; !failed; backwards = !backwards) {
    run_round(backwards);
    if (failed || all_are(ENDED)) return;
    if (!open_meetings()) fail("and others wait where not all can come");
  }
}

/* What a failed group left behind is in the middle of its text. */
static void forget_fibres(void) {
  for (unsigned i = 0; i < FAKE_MOST_GROUP; i++) items[i].started = false;
}

const char *fake_launch_run(const fake_launch *launch) {
  pthread_mutex_lock(&lock);
  current = launch;
  failed = false;
  group_size = (unsigned)(launch->local[0] * launch->local[1] * launch->local[2]);
  for (group[2] = 0; group[2] < launch->global[2] / launch->local[2]; group[2]++)
    for (group[1] = 0; group[1] < launch->global[1] / launch->local[1]; group[1]++)
      for (group[0] = 0; group[0] < launch->global[0] / launch->local[0] && !failed; group[0]++) run_group();
  if (failed) forget_fibres();
  const bool wrong = failed;
  pthread_mutex_unlock(&lock);
  return wrong ? message : NULL;
}
