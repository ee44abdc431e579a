/* What every backend must do, whatever its device. SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/backend_suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void fh_backend_fixture_open(const fh_backend_api *api, const fh_backend_options *options, int index, fh_backend_fixture *out) {
  *out = (fh_backend_fixture){.api = api};
  FH_EXPECT_OK(api->open(options, &out->backend));
  fh_device_info infos[16];
  out->device_count = api->enumerate(out->backend, infos, 16);
  assert_in_range(index, 0, out->device_count - 1);
  out->info = infos[index];
  FH_EXPECT_OK(api->device_open(out->backend, index, &out->device));
}

void fh_backend_fixture_close(fh_backend_fixture *fixture) {
  fixture->api->device_close(fixture->device);
  fixture->api->destroy(fixture->backend);
}

fh_status fh_backend_run(const fh_backend_api *api, fh_stream *stream, const fh_command *commands, int count) {
  fh_point point = 0;
  FH_TRY(api->submit(stream, commands, count, &point));
  return api->wait(stream, point, 20000000000);
}

/* ---- commands ------------------------------------------------------------------------------------------ */

static fh_command to_device(const void *host, fh_memory *memory, int64_t offset, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY,
                      .copy = {.from = {.host = (void *)(uintptr_t)host}, .to = {memory, NULL, offset}, .bytes = bytes}};
}
static fh_command to_host(fh_memory *memory, int64_t offset, void *host, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = {memory, NULL, offset}, .to = {.host = host}, .bytes = bytes}};
}
static fh_command within(fh_memory *from, int64_t from_offset, fh_memory *to, int64_t to_offset, size_t bytes) {
  return (fh_command){.kind = FH_COMMAND_COPY, .copy = {.from = {from, NULL, from_offset}, .to = {to, NULL, to_offset}, .bytes = bytes}};
}
static fh_command fill(fh_memory *memory, int64_t offset, size_t bytes, uint8_t value) {
  return (fh_command){.kind = FH_COMMAND_FILL, .fill = {.to = {memory, NULL, offset}, .bytes = bytes, .value = value}};
}

/* ---- cases --------------------------------------------------------------------------------------------- */

static void info_is_complete(const fh_backend_fixture *f) {
  assert_true(f->info.id[0] && f->info.name[0] && f->info.driver[0]);
  assert_in_range(f->info.kind, FH_DEVICE_CPU, FH_DEVICE_CPU_POSING);
  assert_true(f->info.exact || f->info.why_not_exact); /* a "no" has its reason */
  assert_int_equal(f->api->abi, FH_BACKEND_ABI);
  assert_int_equal(f->api->enumerate(f->backend, NULL, 0), f->device_count);
}

static void wrong_indices_are_refused(const fh_backend_fixture *f) {
  const int wrong[] = {-1, f->device_count, INT32_MAX};
  for (int i = 0; i < 3; i++) {
    fh_device *device = f->device;
    fh_expect_code(f->api->device_open(f->backend, wrong[i], &device), FH_NOT_FOUND);
    assert_null(device);
  }
}

static void oversize_is_refused(const fh_backend_fixture *f) {
  const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63, (size_t)PTRDIFF_MAX, (size_t)1 << 60};
  for (int i = 0; i < 4; i++) {
    fh_memory *memory = NULL;
    fh_expect_code(f->api->alloc(f->device, sizes[i], &memory), FH_RESOURCE_EXHAUSTED);
    assert_null(memory);
  }
}

static void bytes_survive(const fh_backend_fixture *f, fh_stream *stream) {
  enum { N = 4099 };
  static uint8_t in[N], out[N];
  for (int i = 0; i < N; i++) in[i] = (uint8_t)(i * 37 + 11);
  fh_memory *a = NULL, *b = NULL;
  FH_EXPECT_OK(f->api->alloc(f->device, N, &a));
  FH_EXPECT_OK(f->api->alloc(f->device, N + 7, &b));
  memset(out, 0, sizeof out);
  const fh_command commands[] = {to_device(in, a, 0, N), fill(b, 0, N + 7, 0xee), within(a, 3, b, 10, N - 3), fill(b, 12, 5, 0x5a),
                                 to_host(b, 7, out, N)};
  FH_EXPECT_OK(fh_backend_run(f->api, stream, commands, 5));
  for (int i = 0; i < N; i++) {
    uint8_t want = i < 3 ? 0xee : in[i];
    if (i >= 5 && i < 10) want = 0x5a;
    assert_int_equal(out[i], want);
  }
  const fh_command overlapping[] = {within(a, 0, a, 100, 1000), to_host(a, 0, out, N)};
  FH_EXPECT_OK(fh_backend_run(f->api, stream, overlapping, 2));
  assert_memory_equal(out, in, 100);
  assert_memory_equal(out + 100, in, 1000);
  f->api->free(a);
  f->api->free(b);
}

static void host_to_host_works(const fh_backend_fixture *f, fh_stream *stream) {
  char in[5] = "abcd", out[5] = "";
  fh_command command = {.kind = FH_COMMAND_COPY, .copy = {.from = {.host = in}, .to = {.host = out}, .bytes = 5}};
  FH_EXPECT_OK(fh_backend_run(f->api, stream, &command, 1));
  assert_string_equal(out, "abcd");
}

static void nothing_is_a_success(const fh_backend_fixture *f, fh_stream *stream) {
  fh_memory *memory = NULL;
  FH_EXPECT_OK(f->api->alloc(f->device, 0, &memory));
  fh_point first = 0, second = 0;
  FH_EXPECT_OK(f->api->submit(stream, NULL, 0, &first));
  const fh_command commands[] = {to_device(NULL, memory, 0, 0), fill(memory, 0, 0, 1), to_host(memory, 0, NULL, 0)};
  FH_EXPECT_OK(f->api->submit(stream, commands, 3, &second));
  assert_true(second > first);
  FH_EXPECT_OK(f->api->wait(stream, second, -1));
  bool done = false;
  FH_EXPECT_OK(f->api->poll(stream, first, &done));
  assert_true(done);
  FH_EXPECT_OK(f->api->poll(stream, second, &done));
  assert_true(done);
  FH_EXPECT_OK(f->api->wait(stream, second, 0));
  FH_EXPECT_OK(f->api->wait(stream, 0, -1)); /* the point before everything */
  FH_EXPECT_OK(f->api->poll(stream, second + 1, &done));
  assert_false(done);
  fh_expect_code(f->api->wait(stream, second + 1, -1), FH_OUT_OF_RANGE); /* would be for ever */
  f->api->free(memory);
}

static void host_pointer_agrees(const fh_backend_fixture *f) {
  fh_memory *memory = NULL;
  FH_EXPECT_OK(f->api->alloc(f->device, 100, &memory));
  void *host = f->api->map(memory);
  if (f->info.host_memory) {
    assert_non_null(host);
    assert_int_equal((uintptr_t)host % 64, 0);
    memset(host, 1, 100);
  } else {
    assert_null(host);
  }
  f->api->free(memory);
  f->api->free(NULL);
}

/* A batch that is wrong kills its stream, and no other. */
static void a_failure_is_for_ever(const fh_backend_fixture *f) {
  fh_memory *memory = NULL;
  fh_stream *dead = NULL, *alive = NULL;
  char host[64] = "";
  FH_EXPECT_OK(f->api->alloc(f->device, 64, &memory));
  const fh_command wrong[] = {to_device(host, memory, 1, 64), to_device(host, memory, -1, 4), to_host(memory, 65, host, 0),
                              fill(memory, 60, 5, 0),         fill(memory, INT64_MAX, 1, 0),  within(memory, 0, memory, 32, SIZE_MAX)};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    fh_point point = 0;
    bool done = false;
    FH_EXPECT_OK(f->api->stream_open(f->device, &dead));
    FH_EXPECT_OK(f->api->stream_open(f->device, &alive));
    fh_expect_code(f->api->submit(dead, &wrong[i], 1, &point), FH_OUT_OF_RANGE);
    fh_expect_code(f->api->poll(dead, 1, &done), FH_OUT_OF_RANGE);
    fh_expect_code(f->api->wait(dead, 1, -1), FH_OUT_OF_RANGE);
    fh_expect_code(f->api->submit(dead, NULL, 0, &point), FH_OUT_OF_RANGE);
    fh_command right = fill(memory, 0, 64, 7);
    FH_EXPECT_OK(fh_backend_run(f->api, alive, &right, 1));
    f->api->stream_close(dead);
    f->api->stream_close(alive);
  }
  FH_EXPECT_OK(f->api->stream_open(f->device, &dead));
  fh_point point = 0;
  fh_command unknown = {.kind = (fh_command_kind)99};
  fh_expect_code(f->api->submit(dead, &unknown, 1, &point), FH_INVALID_ARGUMENT);
  f->api->stream_close(dead);
  f->api->free(memory);
}

static void many_streams_keep_apart(const fh_backend_fixture *f) {
  enum { STREAMS = 24 };
  fh_stream *streams[STREAMS];
  fh_memory *memories[STREAMS];
  uint8_t out[STREAMS][256];
  fh_point points[STREAMS];
  for (int i = 0; i < STREAMS; i++) {
    FH_EXPECT_OK(f->api->stream_open(f->device, &streams[i]));
    FH_EXPECT_OK(f->api->alloc(f->device, 256, &memories[i]));
    const fh_command commands[] = {fill(memories[i], 0, 256, (uint8_t)(i + 1)), to_host(memories[i], 0, out[i], 256)};
    FH_EXPECT_OK(f->api->submit(streams[i], commands, 2, &points[i]));
  }
  for (int i = STREAMS - 1; i >= 0; i--) {
    FH_EXPECT_OK(f->api->wait(streams[i], points[i], -1));
    for (int j = 0; j < 256; j++) assert_int_equal(out[i][j], i + 1);
    f->api->stream_close(streams[i]);
    f->api->free(memories[i]);
  }
  f->api->stream_close(NULL);
}

void fh_backend_suite(const fh_backend_fixture *fixture) {
  fh_stream *stream = NULL;
  info_is_complete(fixture);
  wrong_indices_are_refused(fixture);
  oversize_is_refused(fixture);
  host_pointer_agrees(fixture);
  FH_EXPECT_OK(fixture->api->stream_open(fixture->device, &stream));
  bytes_survive(fixture, stream);
  host_to_host_works(fixture, stream);
  nothing_is_a_success(fixture, stream);
  fixture->api->stream_close(stream);
  a_failure_is_for_ever(fixture);
  many_streams_keep_apart(fixture);
}
