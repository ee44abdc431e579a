/* Memory of the CUDA backend on the stand-in driver: pools of the driver, and the cache where there are none.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

enum { MIB = 1 << 20 };

static void open_fake(fh_backend_fixture *f) { fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, f); }

static fh_memory *alloc(fh_device *device, size_t bytes) {
  fh_memory *memory = NULL;
  FH_EXPECT_OK(api->alloc(device, bytes, &memory));
  return memory;
}

static void fill_at(fh_stream *stream, fh_memory *memory, int64_t offset, size_t bytes, uint8_t value) {
  fh_point point;
  fh_command command = {.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = memory, .offset = offset}, .bytes = bytes, .value = value}};
  FH_EXPECT_OK(api->submit(stream, &command, 1, &point));
}

static void fill(fh_stream *stream, fh_memory *memory, size_t bytes, uint8_t value) { fill_at(stream, memory, 0, bytes, value); }

static void expect_bytes(fh_stream *stream, fh_memory *memory, size_t bytes, uint8_t value) {
  uint8_t *host = malloc(bytes);
  fh_command command = {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = host}, .bytes = bytes}};
  FH_EXPECT_OK(fh_backend_run(api, stream, &command, 1));
  for (size_t i = 0; i < bytes; i++) assert_int_equal(host[i], value);
  free(host);
}

static uint64_t free_memory(fh_device *device) {
  uint64_t bytes = 0;
  FH_EXPECT_OK(api->query_free_memory(device, &bytes));
  return bytes;
}

/* ---- pools ----------------------------------------------------------------------------------------------------------- */

static void pool_is_used(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  uint64_t before = free_memory(f.device);
  for (int i = 0; i < 10; i++) {
    fh_memory *memory = alloc(f.device, 3 * MIB);
    fill(stream, memory, 3 * MIB, (uint8_t)i);
    expect_bytes(stream, memory, 100, (uint8_t)i);
    assert_int_equal(free_memory(f.device), before - 3 * MIB);
    api->free(memory);
  }
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 0);
  assert_int_equal(fh_cuda_calls("cuMemFree_v2"), 0); /* which would wait for the device */
  assert_int_equal(fh_cuda_calls("cuMemPoolCreate"), 1);
  api->stream_close(stream);
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
  assert_int_equal(fh_cuda_calls("cuMemFreeAsync"), fh_cuda_calls("cuMemAllocFromPoolAsync"));
  assert_int_equal(fh_cuda_calls("cuMemPoolDestroy"), 1);
}

/* Memory that was allocated, or freed, in order with one stream and is used on another: the stand-in kills the context of a program
 * that does not order the two. */
static void streams_are_ordered(void) {
  fh_backend_fixture f;
  fh_stream *first = NULL, *second = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &first));
  FH_EXPECT_OK(api->stream_open(f.device, &second));
  fh_memory *old = alloc(f.device, 4096);
  fill(first, old, 4096, 1);
  api->free(old); /* while the fill is under way */
  fh_memory *memory = alloc(f.device, 4096);
  fill(second, memory, 4096, 2);
  expect_bytes(second, memory, 4096, 2);
  expect_bytes(first, memory, 4096, 2);
  assert_in_range(fh_cuda_calls("cuStreamWaitEvent"), 1, 3);
  for (int i = 0; i < 5; i++) fill(first, memory, 2048, 3); /* each stream its own half: nothing orders the two */
  fill_at(second, memory, 2048, 2048, 3);
  api->free(memory); /* both still use it, and the last user is done first */
  memory = alloc(f.device, 4096);
  fill(second, memory, 4096, 4);
  expect_bytes(second, memory, 4096, 4);
  api->free(memory);
  api->stream_close(first);
  memory = alloc(f.device, 4096);
  fill(second, memory, 4096, 5);
  expect_bytes(second, memory, 4096, 5);
  api->free(memory);
  api->stream_close(second);
  fh_backend_fixture_close(&f);
}

/* What a busy stream has freed is for that stream, without waiting; more than that is for anybody at once. */
static void busy_memory_stays_with_its_stream(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  fh_memory *memory = alloc(f.device, 100);
  fill(stream, memory, 100, 1);
  int waits = fh_cuda_calls("cuStreamWaitEvent");
  for (int i = 0; i < 5; i++) {
    api->free(memory);
    memory = alloc(f.device, 90);
    fill(stream, memory, 90, (uint8_t)i);
  }
  assert_int_equal(fh_cuda_calls("cuStreamWaitEvent"), waits);
  fh_memory *more = alloc(f.device, 100);
  fill(stream, more, 100, 7);
  assert_int_equal(fh_cuda_calls("cuStreamWaitEvent"), waits + 1);
  expect_bytes(stream, memory, 90, 4);
  expect_bytes(stream, more, 100, 7);
  api->free(memory);
  api->free(more);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

static void refuses_and_goes_on(fh_device *device) {
  fh_memory *more = NULL;
  fh_status status = api->alloc(device, 64 * MIB, &more);
  assert_string_equal(fh_status_cause(status), "OUT-OF-MEMORY");
  fh_expect_code(status, FH_RESOURCE_EXHAUSTED);
}

/* What is kept goes back to the driver when it is short, and the request is served. */
static void gives_back_under_pressure(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  fh_memory *small[6];
  for (int i = 0; i < 6; i++) small[i] = alloc(f.device, MIB);
  for (int i = 0; i < 6; i++) fill(stream, small[i], MIB, 1);
  for (int i = 0; i < 6; i++) api->free(small[i]); /* in use */
  fh_memory *large = alloc(f.device, 124 * MIB);
  refuses_and_goes_on(f.device);
  fill(stream, large, 124 * MIB, 7);
  expect_bytes(stream, large, 100, 7);
  api->free(large);
  api->free(alloc(f.device, 120 * MIB)); /* whether the free has been carried out yet or not */
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

static void trims_the_pool_when_short(void) {
  gives_back_under_pressure();
  assert_in_range(fh_cuda_calls("cuMemPoolTrimTo"), 1, 4);
}

/* Freed memory is not kept without end. */
static void keeps_a_share_only(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  fh_memory *a = alloc(f.device, 40 * MIB), *b = alloc(f.device, 40 * MIB);
  api->free(a);
  api->free(b);
  fill(stream, a = alloc(f.device, 64), 64, 1);
  expect_bytes(stream, a, 64, 1);
  api->free(a);
  api->stream_close(stream); /* synchronises */
  fh_backend_fixture other;
  open_fake(&other); /* it shares the context, and sees what the driver sees */
  assert_in_range(free_memory(other.device), 128 * MIB - 128 * MIB / 16 - 2 * MIB, 128 * MIB);
  fh_backend_fixture_close(&other);
  fh_backend_fixture_close(&f);
}

/* Work that let a wait time out may never end, and newer streams may stand behind it: who looks for memory waits for none of them. */
static void late_work_is_not_waited_for(void) {
  fh_backend_fixture f;
  fh_stream *late = NULL, *behind = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &late));
  FH_EXPECT_OK(api->stream_open(f.device, &behind));
  fh_memory *a = alloc(f.device, 4096), *b = alloc(f.device, 4096), *none = NULL;
  fill(late, a, 4096, 1);
  fh_expect_code(api->wait(late, 1, 20 * 1000 * 1000), FH_DEADLINE_EXCEEDED);
  fill(behind, b, 4096, 2);
  fh_expect_code(api->alloc(f.device, 15 * MIB, &none), FH_RESOURCE_EXHAUSTED);
  api->stream_close(behind);
  api->stream_close(late);
  api->free(a);
  api->free(b);
  fh_backend_fixture_close(&f);
}

/* ---- a driver that promises too much ----------------------------------------------------------------------------------- */

static void works_without_a_pool(void) {
  fh_backend_fixture f;
  open_fake(&f);
  for (int i = 0; i < 5; i++) api->free(alloc(f.device, 4096));
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  assert_in_range(fh_cuda_calls("cuMemAlloc_v2"), 1, 2);
  fh_backend_fixture_close(&f);
  assert_int_equal(fh_cuda_calls("cuMemFree_v2"), fh_cuda_calls("cuMemAlloc_v2"));
}

/* The pool worked once, then no more; cuMemAlloc goes on. Memory of both kinds is right, and ends where it came from. A full pool is tried
 * again for the next three requests. */
static void gives_a_pool_up(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  fh_memory *of_pool = alloc(f.device, 4096), *of_cache = alloc(f.device, 4096);
  fill(stream, of_pool, 4096, 1);
  fill(stream, of_cache, 4096, 2);
  expect_bytes(stream, of_pool, 4096, 1);
  expect_bytes(stream, of_cache, 4096, 2);
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 1);
  api->free(of_pool);
  api->free(of_cache);
  for (int i = 0; i < 5; i++) api->free(alloc(f.device, 4096));
  assert_int_equal(fh_cuda_calls("cuMemAllocFromPoolAsync"), 10); /* the trial, one that was well, and twice for each of four */
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* ---- the cache ------------------------------------------------------------------------------------------------------------ */

static void cuts_segments(void) {
  enum { COUNT = 40 };
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  uint64_t before = free_memory(f.device);
  fh_memory *memory[COUNT];
  for (int i = 0; i < COUNT; i++) {
    memory[i] = alloc(f.device, 40000);
    fill(stream, memory[i], 40000, (uint8_t)i);
  }
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 1);
  for (int i = 0; i < COUNT; i++) expect_bytes(stream, memory[i], 40000, (uint8_t)i);
  for (int i = 0; i < COUNT; i += 2) api->free(memory[i]);
  for (int i = 1; i < COUNT; i += 2) api->free(memory[i]);
  assert_int_equal(free_memory(f.device), before);
  fh_memory *whole = alloc(f.device, MIB); /* the pieces have joined */
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 1);
  assert_int_equal(free_memory(f.device), before - MIB);
  api->free(whole);
  fh_memory *large = alloc(f.device, 15 * MIB); /* not from the small segment */
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 2);
  api->free(large);
  large = alloc(f.device, 12 * MIB); /* the smallest piece that fits */
  fh_memory *rest = alloc(f.device, 2 * MIB);
  assert_int_equal(fh_cuda_calls("cuMemAlloc_v2"), 2);
  fill(stream, large, 12 * MIB, 1);
  fill(stream, rest, 2 * MIB, 2);
  expect_bytes(stream, large, 12 * MIB, 1);
  api->free(rest);
  api->free(large);
  api->stream_close(stream);
  fh_backend_fixture_close(&f);
}

/* Another stream does not get what is still in use as long as there is other memory. */
static void leaves_others_alone(void) {
  fh_backend_fixture f;
  fh_stream *first = NULL, *second = NULL;
  open_fake(&f);
  FH_EXPECT_OK(api->stream_open(f.device, &first));
  FH_EXPECT_OK(api->stream_open(f.device, &second));
  fh_memory *other = alloc(f.device, 64), *used = alloc(f.device, MIB);
  fill(first, used, MIB, 1);
  fill(second, other, 64, 1);
  api->free(used);
  fh_memory *fresh = alloc(f.device, MIB);
  fill(second, fresh, MIB, 2);
  assert_int_equal(fh_cuda_calls("cuStreamWaitEvent"), 0);
  expect_bytes(second, fresh, MIB, 2);
  api->free(fresh);
  api->free(other);
  api->stream_close(first);
  api->stream_close(second);
  fh_backend_fixture_close(&f);
}

/* ---- threads ---------------------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 60, LARGE = 300000 };

typedef struct worker {
  fh_device *device;
  unsigned seed;
  fh_memory *_Atomic *handed_on; /* memory that one thread has used and another goes on with */
} worker;

/* One round: memory of any size is filled, read back and freed, some of it while it is in use; one piece goes to the next thread. */
static void round_of(worker *w, fh_stream *stream, uint8_t *host) {
  const size_t bytes = rand_r(&w->seed) % 4 ? rand_r(&w->seed) % 5000 + 1 : LARGE;
  const uint8_t value = (uint8_t)rand_r(&w->seed);
  fh_memory *memory = NULL, *other = atomic_exchange(w->handed_on, NULL);
  FH_EXPECT_OK(api->alloc(w->device, bytes, &memory));
  fill(stream, memory, bytes, value);
  if (other) fill(stream, other, 1, value);
  fh_command command = {.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = memory}, .to = {.host = host}, .bytes = bytes}};
  FH_EXPECT_OK(fh_backend_run(api, stream, &command, 1));
  for (size_t i = 0; i < bytes; i++) assert_int_equal(host[i], value);
  fill(stream, memory, bytes, 0);
  api->free(other);
  api->free(atomic_exchange(w->handed_on, memory));
}

static void *work(void *arg) {
  worker *w = arg;
  fh_stream *stream = NULL;
  uint8_t *host = malloc(LARGE);
  FH_EXPECT_OK(api->stream_open(w->device, &stream));
  for (int i = 0; i < ROUNDS; i++) round_of(w, stream, host);
  api->stream_close(stream);
  free(host);
  return NULL;
}

static void threads_share_a_device(void) {
  fh_backend_fixture f;
  open_fake(&f);
  uint64_t before = free_memory(f.device);
  pthread_t threads[THREADS];
  worker workers[THREADS];
  fh_memory *_Atomic handed_on = NULL;
  for (int i = 0; i < THREADS; i++) {
    workers[i] = (worker){.device = f.device, .seed = (unsigned)i, .handed_on = &handed_on};
    assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  api->free(atomic_exchange(&handed_on, NULL));
  assert_in_range(free_memory(f.device), before - (4 << 20), before); /* the driver may still be freeing */
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  static const fh_cuda_case cases[] = {
      {.name = "a pool is used", .settings = "pools=1", .run = pool_is_used},
      {.name = "streams are ordered", .settings = "pools=1,delay=0.02", .run = streams_are_ordered},
      {.name = "busy memory stays with its stream", .settings = "pools=1,delay=0.03", .run = busy_memory_stays_with_its_stream},
      {.name = "streams are ordered, without pools", .settings = "delay=0.02,memory=2MiB", .run = streams_are_ordered},
      {.name = "a pool is trimmed when memory is short", .settings = "pools=1,memory=128MiB,delay=0.01", .run = trims_the_pool_when_short},
      {.name = "the cache gives back when memory is short", .settings = "memory=128MiB,delay=0.01", .run = gives_back_under_pressure},
      {.name = "a pool keeps a share only", .settings = "pools=1,memory=128MiB", .run = keeps_a_share_only},
      {.name = "the cache keeps a share only", .settings = "memory=128MiB", .run = keeps_a_share_only},
      {.name = "no pools", .run = works_without_a_pool},
      {.name = "a pool that cannot be made", .settings = "pools=1", .faults = "cuMemPoolCreate@1=801", .run = works_without_a_pool},
      {.name = "a pool without memory", .settings = "pools=1", .faults = "cuMemAllocFromPoolAsync@1+=OOM", .run = works_without_a_pool},
      {.name = "a pool that fails later", .settings = "pools=1", .faults = "cuMemAllocFromPoolAsync@3+=OOM", .run = gives_a_pool_up},
      {.name = "late work is not waited for",
       .settings = "memory=16MiB",
       .faults = "cuMemsetD8Async@1+=late:hang",
       .run = late_work_is_not_waited_for},
      {.name = "cuts segments", .run = cuts_segments},
      {.name = "threads share a device", .run = threads_share_a_device},
      {.name = "threads share a device with a pool", .settings = "pools=1", .run = threads_share_a_device},
      {.name = "leaves others alone", .settings = "delay=0.05", .run = leaves_others_alone},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
