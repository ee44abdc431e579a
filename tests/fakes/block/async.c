/* mbarriers, and copies of boxes of tensors and of plain memory, as the PTX ISA has them (9.7.13.15, 9.7.9.25).
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/fakes/block/async.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fakes/block/group.h"

enum { MAX_BARRIERS = 64, MAX_COPIES = 64, NAN_BYTE = 0xff, MAX_COUNT = (1 << 20) - 1, BARRIER_BYTES = 8 };
#define BARRIER_MARK UINT64_C(0xb5b5b5b5b5b5b5b5)

typedef struct mbarrier {
  uint64_t *at;
  unsigned count, pending; /* arrivals of a phase, and those that are missing */
  int64_t bytes;           /* that are missing */
  unsigned phase;
  unsigned owner, meeting; /* who made it, and how often the block had met by then */
  bool fenced;             /* copies may count on it */
} mbarrier;

typedef struct waiter {
  const mbarrier *barrier; /* NULL: the thread waits for none */
  unsigned parity;
} waiter;

/* A copy: of a box of a tensor, or, where there is no map, of plain memory. */
typedef struct box {
  char *to;
  const char *from; /* plain */
  const fake_tensor_map *map;
  mbarrier *barrier;
  int64_t at[FH_MAX_TENSOR_RANK];
  unsigned bytes;
} box;

typedef struct state {
  char *shared;
  unsigned shared_bytes, threads, meetings;
  mbarrier barriers[MAX_BARRIERS];
  int barrier_count;
  waiter waiters[FAKE_MAX_THREADS];
  box boxes[MAX_COPIES]; /* under way, oldest first */
  int box_count;
  bool newest_first; /* the order in which boxes arrive is not stated: in turns */
  unsigned steps;
} state;

static _Thread_local state now;

void fake_async_begin(unsigned threads, char *shared, unsigned shared_bytes) {
  now.shared = shared;
  now.shared_bytes = shared_bytes;
  now.threads = threads;
  now.barrier_count = now.box_count = 0;
  now.meetings = now.steps = 0;
  memset(now.waiters, 0, sizeof now.waiters);
  fake_group_begin(shared, shared_bytes);
}

void fake_async_barrier(void) { now.meetings++; }

/* ---- mbarriers ------------------------------------------------------------------------------------------------------------ */

static mbarrier *find(const uint64_t *at) {
  for (int i = 0; i < now.barrier_count; i++)
    if (now.barriers[i].at == at) return &now.barriers[i];
  return NULL;
}

static bool lies_in_shared(const void *p, unsigned bytes) {
  const char *at = p;
  return at >= now.shared && at + bytes <= now.shared + now.shared_bytes;
}

void fake_mbarrier_init(uint64_t *at, unsigned count, fake_place place) {
  if (!lies_in_shared(at, BARRIER_BYTES) || (uintptr_t)at % BARRIER_BYTES)
    fake_fail(place, "an mbarrier is not in shared memory on a boundary of 8");
  if (find(at)) fake_fail(place, "an mbarrier is made where there is one");
  if (now.barrier_count == MAX_BARRIERS || count < 1 || count > MAX_COUNT) fake_fail(place, "an mbarrier of %u arrivals", count);
  *at = BARRIER_MARK;
  fake_group_tell(at, BARRIER_BYTES);
  now.barriers[now.barrier_count++] =
      (mbarrier){.at = at, .count = count, .pending = count, .owner = fake_thread(), .meeting = now.meetings};
}

void fake_mbarrier_fence(void) {
  for (int i = 0; i < now.barrier_count; i++)
    if (now.barriers[i].owner == fake_thread()) now.barriers[i].fenced = true;
}

/* One that this thread may use now. */
static mbarrier *use(const uint64_t *at, fake_place place) {
  mbarrier *b = find(at);
  if (!b) fake_fail(place, "there is no mbarrier");
  if (*b->at != BARRIER_MARK) fake_fail(place, "an mbarrier was written over");
  if (b->owner != fake_thread() && b->meeting == now.meetings)
    fake_fail(place, "an mbarrier of thread %u is used before the block has met", b->owner);
  return b;
}

static bool is_over(const mbarrier *b, unsigned parity) { return (b->phase & 1) != parity; }

/* A phase ends with the last arrival and the last byte. */
static void settle(mbarrier *b) {
  if (b->pending || b->bytes) return;
  b->phase++;
  b->pending = b->count;
  for (unsigned t = 0; t < now.threads; t++) {
    if (now.waiters[t].barrier != b || !is_over(b, now.waiters[t].parity)) continue;
    now.waiters[t].barrier = NULL;
    fake_resume(t);
  }
}

static void arrive(mbarrier *b, fake_place place) {
  if (!b->pending) fake_fail(place, "an arrival at an mbarrier that has all its %u", b->count);
  b->pending--;
  settle(b);
}

void fake_mbarrier_arrive(uint64_t *at, fake_place place) { arrive(use(at, place), place); }

void fake_mbarrier_expect(uint64_t *at, unsigned bytes, fake_place place) {
  mbarrier *b = use(at, place);
  b->bytes += bytes;
  if (b->bytes > MAX_COUNT) fake_fail(place, "an mbarrier expects %u bytes, too many", bytes);
  arrive(b, place);
}

void fake_mbarrier_wait(uint64_t *at, unsigned parity, fake_place place) {
  const mbarrier *b = use(at, place);
  if (is_over(b, parity)) return;
  now.waiters[fake_thread()] = (waiter){b, parity};
  fake_suspend(place, "an mbarrier");
}

/* ---- copies ------------------------------------------------------------------------------------------------------------------- */

static unsigned element_bytes(const fh_tensor_map *map) {
  return map->dtype == FH_F32 ? 4 : map->dtype == FH_BF16 || map->dtype == FH_F16 ? 2 : 1;
}

static unsigned box_bytes(const fh_tensor_map *map) {
  unsigned bytes = element_bytes(map);
  for (int d = 0; d < map->rank; d++) bytes *= map->box[d];
  return bytes;
}

/* Bits 4 to 6 of an address in shared memory change with bits 7 to 9; narrower lines have fewer of them. */
static char *swizzled(char *at, unsigned swizzle) {
  const size_t offset = (size_t)(at - now.shared), mask = swizzle ? swizzle / 16 - 1 : 0;
  return now.shared + (offset ^ ((offset >> 7 & mask) << 4));
}

static bool overlap(const char *a, unsigned a_bytes, const char *b, unsigned b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

bool fake_async_arrives(const void *p, unsigned bytes) {
  for (int i = 0; i < now.box_count; i++)
    if (overlap(now.boxes[i].to, now.boxes[i].bytes, p, bytes)) return true;
  return false;
}

/* It begins: from now on nobody may look at its bytes. */
static void start(box new, fake_place place) {
  if (!new.barrier->fenced) fake_fail(place, "a copy counts on an mbarrier without a fence behind its beginning");
  if (!lies_in_shared(new.to, new.bytes)) fake_fail(place, "a box of %u bytes goes outside of shared memory", new.bytes);
  if (fake_async_arrives(new.to, new.bytes)) fake_fail(place, "a box goes where another has not arrived");
  if (now.box_count == MAX_COPIES) fake_fail(place, "more than %d boxes under way", (int)MAX_COPIES);
  now.boxes[now.box_count++] = new;
  memset(new.to, NAN_BYTE, new.bytes);
  fake_group_tell(new.to, new.bytes);
}

void fake_tensor_copy(void *to, const fake_tensor_map *map, uint64_t *at, int rank, const int *first, fake_place place) {
  box new = {.to = to, .map = map, .barrier = use(at, place), .bytes = box_bytes(&map->map)};
  const uintptr_t boundary = map->map.swizzle == 128 ? 1024 : 128; /* where a pattern begins anew */
  if (map->map.rank != rank) fake_fail(place, "a map of rank %d is used with %d coordinates", map->map.rank, rank);
  if ((uintptr_t)((char *)to - now.shared) % boundary) fake_fail(place, "a box is not on a boundary of %u bytes", (unsigned)boundary);
  for (int d = 0; d < rank; d++) new.at[d] = first[d];
  start(new, place);
}

void fake_bulk_copy(void *to, const void *from, uint64_t *at, unsigned bytes, fake_place place) {
  enum { UNIT = 16 };
  if ((uintptr_t)((char *)to - now.shared) % UNIT || (uintptr_t)from % UNIT || bytes % UNIT || bytes == 0)
    fake_fail(place, "a bulk copy of %u bytes: expected a multiple of 16, and both addresses too", bytes);
  start((box){.to = to, .from = from, .barrier = use(at, place), .bytes = bytes}, place);
}

/* Element `index` of a box, in its own order; zero past the extents of the tensor. */
static void bring_element(const box *x, unsigned index) {
  const fh_tensor_map *map = &x->map->map;
  const unsigned size = element_bytes(map);
  const char *from = x->map->base;
  bool inside = true;
  unsigned rest = index;
  for (int d = 0; d < map->rank; d++) {
    const int64_t at = x->at[d] + rest % map->box[d];
    rest /= map->box[d];
    inside = inside && at >= 0 && (uint64_t)at < map->extent[d];
    if (inside) from += (uint64_t)at * map->stride[d];
  }
  char *to = swizzled(x->to + (size_t)index * size, map->swizzle);
  if (inside)
    memcpy(to, from, size);
  else
    memset(to, 0, size);
}

static void bring(const box *x) {
  const unsigned count = x->map ? x->bytes / element_bytes(&x->map->map) : 0;
  for (unsigned i = 0; i < count; i++) bring_element(x, i);
  if (!x->map) memcpy(x->to, x->from, x->bytes);
  fake_group_tell(x->to, x->bytes);
}

bool fake_async_step(void) {
  if (!now.box_count) return false;
  const int which = now.steps++ % 2 ? now.box_count - 1 : 0;
  const box x = now.boxes[which];
  memmove(&now.boxes[which], &now.boxes[which + 1], (size_t)(now.box_count - which - 1) * sizeof x);
  now.box_count--;
  bring(&x);
  x.barrier->bytes -= x.bytes; /* below 0 where the copy comes before the thread that expects it */
  settle(x.barrier);
  return true;
}

const char *fake_async_end(void) {
  const char *left = fake_group_end();
  return now.box_count ? "it ends while boxes are under way to its shared memory" : left;
}
