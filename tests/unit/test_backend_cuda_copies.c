/* Copies of the CUDA backend on the stand-in driver: through pinned memory, in order, beside kernels. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "detect/drivers/cuda_driver.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

enum { MIB = 1 << 20 };

typedef struct bench {
  fh_backend_fixture f;
  fh_stream *stream;
} bench;

static void set_up(bench *b) {
  fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, &b->f);
  FH_EXPECT_OK(api->stream_open(b->f.device, &b->stream));
}

static void tear_down(bench *b) {
  api->stream_close(b->stream);
  fh_backend_fixture_close(&b->f);
}

static fh_memory *alloc(const bench *b, size_t bytes) {
  fh_memory *memory = NULL;
  FH_EXPECT_OK(api->alloc(b->f.device, bytes, &memory));
  return memory;
}

static fh_command upload(fh_memory *to, void *from, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = {.host = from}, .to = {.memory = to}, .bytes = bytes}};
}

static fh_command download(void *to, fh_memory *from, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = {.memory = from}, .to = {.host = to}, .bytes = bytes}};
}

static fh_command fill(fh_memory *to, size_t bytes, uint8_t value) {
  return (fh_command){.kind = FH_COMMAND_FILL, .fill = {.to = {.memory = to}, .bytes = bytes, .value = value}};
}

static uint8_t pattern(size_t i, unsigned seed) { return (uint8_t)((i * 2654435761u >> 7) + seed); }

static uint8_t *patterned(size_t bytes, unsigned seed) {
  uint8_t *host = malloc(bytes);
  for (size_t i = 0; i < bytes; i++) host[i] = pattern(i, seed);
  return host;
}

static void expect_pattern(const uint8_t *host, size_t bytes, unsigned seed) {
  for (size_t i = 0; i < bytes; i++)
    if (host[i] != pattern(i, seed)) fail_msg("byte %zu of %zu is %d, expected %d", i, bytes, host[i], pattern(i, seed));
}

/* ---- there and back ------------------------------------------------------------------------------------------------------ */

static void there_and_back(const bench *b, size_t bytes, unsigned seed) {
  uint8_t *from = patterned(bytes, seed), *to = calloc(bytes, 1);
  fh_memory *memory = alloc(b, bytes);
  const fh_command commands[] = {upload(memory, from, bytes), download(to, memory, bytes)};
  FH_EXPECT_OK(fh_backend_run(api, b->stream, commands, 2));
  expect_pattern(to, bytes, seed);
  api->free(memory);
  free(from);
  free(to);
}

static void copies_every_size(void) {
  static const size_t sizes[] = {1, 4097, 131071, 131072, 300001, MIB, 5 * MIB + 3, 16 * MIB, 19 * MIB + 1};
  bench b;
  set_up(&b);
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) there_and_back(&b, sizes[i], (unsigned)i);
  tear_down(&b);
}

static void goes_through_pinned_memory(void) {
  bench b;
  set_up(&b);
  there_and_back(&b, 1000, 1);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 0); /* only when it pays */
  there_and_back(&b, 20 * MIB, 2);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 4);
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 1 + 5);
  assert_int_equal(fh_cuda_calls("cuMemcpyDtoHAsync_v2"), 1 + 5);
  tear_down(&b);
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), 4);
}

/* No more than a device's share is pinned: the fifth stream copies as the driver does. */
static void pins_a_share_only(void) {
  bench b;
  fh_stream *more[5], *first;
  set_up(&b);
  first = b.stream;
  for (int i = 0; i < 5; i++) {
    FH_EXPECT_OK(api->stream_open(b.f.device, &more[i]));
    b.stream = more[i];
    there_and_back(&b, MIB, (unsigned)i);
  }
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 16);
  for (int i = 0; i < 5; i++) api->stream_close(more[i]);
  b.stream = first;
  there_and_back(&b, MIB, 9); /* what was given back can be had again */
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 20);
  tear_down(&b);
}

/* What a closed stream had serves the next: a launch in chunks opens one each time. */
static void the_next_stream_takes_over(void) {
  bench b;
  fh_stream *more[3];
  set_up(&b);
  for (int i = 0; i < 5; i++) {
    there_and_back(&b, 20 * MIB, (unsigned)i);
    api->stream_close(b.stream);
    FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  }
  assert_int_equal(fh_cuda_calls("cuStreamCreate"), 1);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 4);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), 0);
  for (int i = 0; i < 3; i++) FH_EXPECT_OK(api->stream_open(b.f.device, &more[i]));
  for (int i = 0; i < 3; i++) api->stream_close(more[i]);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), 1); /* a few are enough */
  tear_down(&b);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), fh_cuda_calls("cuStreamCreate"));
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), 4);
}

static void short_memory_ends_idle_streams(void) {
  bench b;
  set_up(&b);
  there_and_back(&b, MIB, 1);
  api->stream_close(b.stream);
  (void)api->trim(b.f.device);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), 1);
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), 4);
  FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  there_and_back(&b, MIB, 2);
  tear_down(&b);
}

/* Who is short of memory tries once more after it. */
static void an_ended_stream_counts_as_given_back(void) {
  bench b;
  set_up(&b);
  api->stream_close(b.stream);
  assert_true(api->trim(b.f.device) > 0);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), 1);
  assert_int_equal(api->trim(b.f.device), 0);
  FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  tear_down(&b);
}

/* 16 MiB can be pinned in all, and an idle stream has them. */
static void pinned_memory_goes_to_who_needs_it(void) {
  bench b;
  set_up(&b);
  fh_stream *first = b.stream;
  FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  there_and_back(&b, MIB, 1);
  api->stream_close(b.stream);
  b.stream = first;
  there_and_back(&b, 20 * MIB, 2);
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), 4);
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 4 + 5); /* in pieces, both times */
  tear_down(&b);
}

static void *open_and_close(void *arg) {
  const bench *shared = arg;
  bench b = *shared;
  for (unsigned i = 0; i < 8; i++) {
    FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
    there_and_back(&b, MIB, i);
    api->stream_close(b.stream);
  }
  return NULL;
}

static void threads_share_idle_streams(void) {
  enum { THREADS = 3 };
  bench b;
  pthread_t threads[THREADS];
  set_up(&b);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, &b), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  tear_down(&b);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), fh_cuda_calls("cuStreamCreate"));
  assert_int_equal(fh_cuda_calls("cuMemFreeHost"), fh_cuda_calls("cuMemHostAlloc"));
}

/* A stream that has failed serves nobody. */
static void a_failed_stream_ends(void) {
  bench b;
  set_up(&b);
  fh_memory *memory = alloc(&b, MIB);
  const fh_command wrong = upload(memory, NULL, MIB);
  fh_expect_code(fh_backend_run(api, b.stream, &wrong, 1), FH_INVALID_ARGUMENT);
  api->stream_close(b.stream);
  assert_int_equal(fh_cuda_calls("cuStreamDestroy_v2"), 1);
  FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  there_and_back(&b, MIB, 1);
  api->free(memory);
  tear_down(&b);
}

static void works_without_pinned_memory(void) {
  bench b;
  set_up(&b);
  there_and_back(&b, 9 * MIB, 3);
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 1);
  there_and_back(&b, 9 * MIB, 4);
  assert_in_range(fh_cuda_calls("cuMemHostAlloc"), 1, 2); /* not asked for again and again */
  tear_down(&b);
}

static void leaves_pinned_memory_alone(void) {
  bench b;
  set_up(&b);
  fh_cuda_driver driver;
  fh_cu_context context;
  void *host;
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  assert_int_equal(driver.fn.cuDevicePrimaryCtxRetain(&context, 0), 0);
  assert_int_equal(driver.fn.cuCtxPushCurrent_v2(context), 0);
  assert_int_equal(driver.fn.cuMemHostAlloc(&host, 8 * MIB, 0), 0);
  fh_memory *memory = alloc(&b, 8 * MIB);
  memset(host, 7, 8 * MIB);
  fh_command command = upload(memory, host, 8 * MIB);
  FH_EXPECT_OK(fh_backend_run(api, b.stream, &command, 1));
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 1);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 1);
  api->free(memory);
  assert_int_equal(driver.fn.cuMemFreeHost(host), 0);
  assert_int_equal(driver.fn.cuCtxPopCurrent_v2(&context), 0);
  assert_int_equal(driver.fn.cuDevicePrimaryCtxRelease_v2(0), 0);
  fh_cuda_driver_close(&driver);
  tear_down(&b);
}

/* Memory of the program's own that the driver was told of. */
static void registered_memory_goes_straight(void) {
  bench b;
  set_up(&b);
  uint8_t *host = patterned(8 * MIB, 5);
  fh_memory *memory = alloc(&b, 8 * MIB);
  fh_pinned *pinned = api->pin(b.f.device, host, 8 * MIB);
  assert_non_null(pinned);
  const fh_command there = upload(memory, host, 8 * MIB), back = download(host, memory, 8 * MIB);
  FH_EXPECT_OK(fh_backend_run(api, b.stream, &there, 1));
  memset(host, 0, 8 * MIB);
  FH_EXPECT_OK(fh_backend_run(api, b.stream, &back, 1));
  expect_pattern(host, 8 * MIB, 5);
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 1);
  assert_int_equal(fh_cuda_calls("cuMemcpyDtoHAsync_v2"), 1);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 0);
  api->unpin(pinned);
  FH_EXPECT_OK(fh_backend_run(api, b.stream, &there, 1));
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 4);
  api->free(memory);
  free(host);
  tear_down(&b);
}

/* Thirds of an array that share pages: the driver takes the outer ones, and not the one between them. */
static void memory_between_registered_is_not(void) {
  enum { THIRD = MIB };
  bench b;
  set_up(&b);
  uint8_t *array = patterned(3 * THIRD + 4096, 6), *first = (uint8_t *)((uintptr_t)array / 4096 * 4096) + 4096 - 100;
  uint8_t *between = first + THIRD;
  fh_memory *memory = alloc(&b, THIRD);
  fh_pinned *low = api->pin(b.f.device, first, THIRD), *high = api->pin(b.f.device, between + THIRD, THIRD);
  assert_true(low && high);
  assert_null(api->pin(b.f.device, between, THIRD));
  const fh_command there = upload(memory, between, THIRD);
  FH_EXPECT_OK(fh_backend_run(api, b.stream, &there, 1));
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), 4);
  assert_int_equal(fh_cuda_calls("cuMemcpyHtoDAsync_v2"), 4);
  api->unpin(low);
  api->unpin(high);
  api->free(memory);
  free(array);
  tear_down(&b);
}

/* ---- in order ---------------------------------------------------------------------------------------------------------------- */

/* A copy to the host is there when its point is reached, by poll as by wait, and when the stream is closed. */
static void is_there_at_its_point(void) {
  bench b;
  set_up(&b);
  uint8_t *to = calloc(3 * MIB, 1);
  fh_memory *memory = alloc(&b, 3 * MIB);
  fh_point point;
  bool done = false;
  fh_command commands[] = {fill(memory, 3 * MIB, 5), download(to, memory, 3 * MIB)};
  FH_EXPECT_OK(api->submit(b.stream, commands, 2, &point));
  while (!done) FH_EXPECT_OK(api->poll(b.stream, point, &done));
  for (size_t i = 0; i < 3 * MIB; i++) assert_int_equal(to[i], 5);
  commands[0] = fill(memory, 3 * MIB, 6);
  FH_EXPECT_OK(api->submit(b.stream, commands, 2, &point));
  api->stream_close(b.stream);
  for (size_t i = 0; i < 3 * MIB; i++) assert_int_equal(to[i], 6);
  FH_EXPECT_OK(api->stream_open(b.f.device, &b.stream));
  api->free(memory);
  free(to);
  tear_down(&b);
}

/* The same host memory is written and then read, in parts large and small. */
static void host_memory_is_in_order(void) {
  enum { BYTES = 2 * MIB, PART = 5000 };
  bench b;
  set_up(&b);
  uint8_t *host = patterned(BYTES, 1), *to = calloc(BYTES, 1);
  fh_memory *a = alloc(&b, BYTES), *c = alloc(&b, BYTES);
  const fh_command large[] = {upload(a, host, BYTES), fill(a, BYTES / 2, 9), download(host, a, BYTES), upload(c, host, BYTES),
                              download(to, c, BYTES)};
  FH_EXPECT_OK(fh_backend_run(api, b.stream, large, 5));
  for (size_t i = 0; i < BYTES; i++) assert_int_equal(to[i], i < BYTES / 2 ? 9 : pattern(i, 1));
  fh_command part = download(host + 100, a, PART); /* the driver's own way, and then a large one that reads it */
  part.copy.from.offset = 0;
  const fh_command mixed[] = {fill(a, PART, 3), part, upload(c, host, BYTES), download(to, c, BYTES)};
  FH_EXPECT_OK(fh_backend_run(api, b.stream, mixed, 4));
  for (size_t i = 0; i < PART; i++) assert_int_equal(to[100 + i], 3);
  const fh_command small[] = {download(host, a, BYTES), upload(c, host, PART), download(host, c, PART), download(to, c, PART)};
  FH_EXPECT_OK(fh_backend_run(api, b.stream, small, 4));
  for (size_t i = 0; i < PART; i++) assert_true(to[i] == 3 && host[i] == 3);
  const fh_command twice[] = {fill(a, BYTES, 4), download(host, a, BYTES), fill(a, BYTES, 5), download(host, a, BYTES)};
  FH_EXPECT_OK(fh_backend_run(api, b.stream, twice, 4));
  for (size_t i = 0; i < BYTES; i++) assert_int_equal(host[i], 5);
  api->free(a);
  api->free(c);
  free(host);
  free(to);
  tear_down(&b);
}

/* Memory that nobody has used is filled while the stream works; what comes after waits for it. */
static void copies_beside_kernels(void) {
  enum { BYTES = MIB };
  bench b;
  set_up(&b);
  uint8_t *from = patterned(BYTES, 3), *to = calloc(BYTES, 1);
  fh_memory *busy = alloc(&b, 64);
  fh_point first, last;
  bool done = true;
  fh_command work[] = {fill(busy, 64, 1), fill(busy, 64, 2), fill(busy, 64, 3), fill(busy, 64, 4)};
  FH_EXPECT_OK(api->submit(b.stream, work, 4, &first));
  fh_memory *fresh = alloc(&b, BYTES); /* while the stream works: not in order with it */
  int streams = fh_cuda_calls("cuStreamCreate");
  const fh_command copies[] = {upload(fresh, from, BYTES), download(to, fresh, BYTES)};
  FH_EXPECT_OK(api->submit(b.stream, copies, 2, &last));
  assert_int_equal(fh_cuda_calls("cuStreamCreate"), streams + 1);
  assert_in_range(fh_cuda_calls("cuStreamWaitEvent"), 1, 4);
  FH_EXPECT_OK(api->wait(b.stream, last, -1));
  FH_EXPECT_OK(api->poll(b.stream, first, &done));
  assert_true(done);
  expect_pattern(to, BYTES, 3);
  FH_EXPECT_OK(api->submit(b.stream, work, 4, &first));
  const fh_command again[] = {upload(fresh, to, BYTES)}; /* used before: in order, or it would be overwritten too early */
  int waits = fh_cuda_calls("cuStreamWaitEvent");
  FH_EXPECT_OK(fh_backend_run(api, b.stream, again, 1));
  assert_int_equal(fh_cuda_calls("cuStreamWaitEvent"), waits);
  api->free(busy);
  api->free(fresh);
  free(from);
  free(to);
  tear_down(&b);
}

/* ---- faults ---------------------------------------------------------------------------------------------------------------------- */

static void a_fault_on_the_way(void) {
  bench b;
  set_up(&b);
  uint8_t *host = calloc(20 * MIB, 1);
  fh_memory *memory = alloc(&b, 20 * MIB);
  const fh_command commands[] = {upload(memory, host, 20 * MIB), download(host, memory, 20 * MIB)};
  fh_status status = fh_backend_run(api, b.stream, commands, 2);
  assert_string_equal(fh_status_cause(status), "KERNEL-FAULT");
  fh_expect_code(status, FH_UNAVAILABLE);
  api->free(memory);
  free(host);
  tear_down(&b);
}

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  static const fh_cuda_case cases[] = {
      {.name = "copies every size", .run = copies_every_size},
      {.name = "copies every size, slowly, from a pool", .settings = "pools=1,delay=0.002", .run = copies_every_size},
      {.name = "goes through pinned memory", .run = goes_through_pinned_memory},
      {.name = "pins a share only", .run = pins_a_share_only},
      {.name = "the next stream takes over", .run = the_next_stream_takes_over},
      {.name = "short memory ends idle streams", .run = short_memory_ends_idle_streams},
      {.name = "an ended stream counts as given back", .run = an_ended_stream_counts_as_given_back},
      {.name = "pinned memory goes to who needs it", .settings = "pinned=16MiB", .run = pinned_memory_goes_to_who_needs_it},
      {.name = "threads share idle streams", .settings = "pools=1", .run = threads_share_idle_streams},
      {.name = "a failed stream ends", .run = a_failed_stream_ends},
      {.name = "no pinned memory", .settings = "pinned=0", .run = works_without_pinned_memory},
      {.name = "room for one chunk", .settings = "pinned=4MiB", .run = works_without_pinned_memory},
      {.name = "room for two chunks", .faults = "cuMemHostAlloc@3=OOM", .run = copies_every_size},
      {.name = "leaves pinned memory alone", .run = leaves_pinned_memory_alone},
      {.name = "registered memory goes straight", .run = registered_memory_goes_straight},
      {.name = "memory between registered memory is not", .run = memory_between_registered_is_not},
      {.name = "a copy is there at its point", .settings = "delay=0.01", .run = is_there_at_its_point},
      {.name = "host memory is in order", .settings = "delay=0.005", .run = host_memory_is_in_order},
      {.name = "copies beside kernels", .settings = "delay=0.03", .run = copies_beside_kernels},
      {.name = "copies beside kernels, from a pool", .settings = "delay=0.03,pools=1", .run = copies_beside_kernels},
      {.name = "a fault in a copy to the device", .faults = "cuMemcpyHtoDAsync@3=late:719", .run = a_fault_on_the_way},
      {.name = "a fault in a copy to the host", .faults = "cuMemcpyDtoHAsync@5=late:719", .run = a_fault_on_the_way},
      {.name = "a copy is refused", .faults = "cuMemcpyDtoHAsync@3=719", .run = a_fault_on_the_way},
  };
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
