/* A context that takes CUDA's driver for a working one: that no child is asked then, that one is asked where the driver has failed since,
 * and when the answer is kept and forgotten. In place of detect/os_proven.c stands a table that has a good answer once.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes cross=no */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "detect/os_proven.h"
#include "runtime/plan/plan.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"

/* ---- the answer ---------------------------------------------------------------------------------------------------- */

enum { KEPT_TICKET = 4711 };
#define DEVICE(index) "{\"index\":" #index ",\"name\":\"stand-in\",\"capability\":80,\"memory_total\":1073741824,\"context_code\":0}"
#define ANSWER(count, devices) \
  "{\"library\":\"libcuda.so.1\",\"init_code\":0,\"count_code\":0,\"count\":" #count ",\"version\":12040,\"devices\":[" devices "]}"
static const char one_device[] = ANSWER(1, DEVICE(0)), two_devices[] = ANSWER(2, DEVICE(0) "," DEVICE(1));
static const char *kept = one_device;

static bool has_answer;
static int given, put_back, forgotten; /* answers, times */
static fh_os_api api;
static const fh_os_api *real;

static int start(fh_os *os, const char *question, const char *const *changes, int *out_ticket) {
  if (!has_answer || changes || strcmp(question, "cuda") != 0) return real->ask_start(os, question, changes, out_ticket);
  has_answer = false;
  given++;
  *out_ticket = KEPT_TICKET;
  return 0;
}

static int collect(fh_os *os, int ticket, fh_os_answer *out) {
  if (ticket != KEPT_TICKET) return real->ask_collect(os, ticket, out);
  *out = (fh_os_answer){.json = strdup(kept)};
  return 0;
}

fh_os *fh_os_proven(fh_os *inner, const char *folder) {
  assert_true(*folder);
  real = inner->api;
  api = *real;
  api.ask_start = start;
  api.ask_collect = collect;
  inner->api = &api;
  return inner;
}

bool fh_os_proven_used(const fh_os *os) {
  assert_ptr_equal(os->api, &api);
  return given > 0;
}

void fh_os_proven_keep(fh_os *os) {
  assert_ptr_equal(os->api, &api);
  put_back++;
}

void fh_os_proven_forget(const char *folder) {
  assert_non_null(folder);
  forgotten++;
}

/* ---- contexts ------------------------------------------------------------------------------------------------------ */

static fh_status open_cuda(fh_context **out) {
  return fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = true}, out);
}

static void expect_lives(fh_context *context) {
  const int device = fh_device_named(context, "cuda:0");
  assert_true(device >= 0);
  assert_int_equal(context->devices[device].state, FH_STATE_OPEN);
}

/* The driver is started once, by this process. */
static void no_child_is_asked(void) {
  fh_context *context;
  has_answer = true;
  FH_EXPECT_OK(open_cuda(&context));
  expect_lives(context);
  assert_int_equal(given, 1);
  assert_int_equal(put_back, 1);
  assert_int_equal(fh_cuda_calls("cuInit"), 1);
  fh_context_release(context);
}

static void a_child_is_asked_without_an_answer(void) {
  fh_context *context;
  FH_EXPECT_OK(open_cuda(&context));
  expect_lives(context);
  assert_int_equal(put_back, 1);
  assert_int_equal(fh_cuda_calls("cuInit"), 2);
  fh_context_release(context);
}

/* With the words that a child finds, as if there had been no answer. */
static void a_child_tells_what_failed_since(void) {
  fh_context *context = NULL;
  char before[2048];
  fh_status asked = open_cuda(&context);
  assert_non_null(asked);
  snprintf(before, sizeof before, "%s", fh_status_message(asked));
  fh_status_free(asked);
  has_answer = true;
  fh_status status = open_cuda(&context);
  assert_int_equal(given, 1);
  assert_string_equal(fh_status_message(status), before);
  fh_status_free(status);
  assert_int_equal(put_back, 0);
}

/* The CPU goes on where no device was asked for by name, with the device among those that are rejected. */
static void what_failed_since_is_rejected(void) {
  fh_context *context;
  has_answer = true;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.allow_fake = true}, &context));
  const int device = fh_device_named(context, "cuda:0");
  assert_true(device >= 0);
  assert_int_equal(context->devices[device].state, FH_STATE_REJECTED);
  assert_true(fh_device_named(context, "cpu") >= 0);
  assert_int_equal(given, 1);
  assert_int_equal(put_back, 0);
  fh_context_release(context);
}

/* The driver starts, and has one device less than it had: only a child finds what became of the other, and nothing is put back. */
static void a_child_is_asked_where_a_device_is_missing(void) {
  fh_context *context;
  has_answer = true;
  kept = two_devices;
  FH_EXPECT_OK(open_cuda(&context));
  expect_lives(context);
  assert_int_equal(given, 1);
  assert_int_equal(put_back, 0);
  assert_int_equal(fh_cuda_calls("cuInit"), 3);
  fh_context_release(context);
}

static void nothing_is_taken_where_proof_is_required(void) {
  fh_context *context;
  has_answer = true;
  setenv("FOGHORN_REQUIRE", "cpus>=1", 1);
  FH_EXPECT_OK(open_cuda(&context));
  assert_int_equal(given, 0);
  assert_int_equal(put_back, 0);
  fh_context_release(context);
  unsetenv("FOGHORN_REQUIRE");
  setenv("FOGHORN_CACHE_DIR", "", 1);
  FH_EXPECT_OK(open_cuda(&context));
  assert_int_equal(given, 0);
  fh_context_release(context);
}

static void a_lost_device_is_forgotten(void) {
  fh_context *context;
  fh_view view;
  has_answer = true;
  FH_EXPECT_OK(open_cuda(&context));
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(100), FH_ROW_MAJOR, &view));
  fh_status_free(fh_queue_prefetch(fh_context_queue(context), &view, "cuda:0", NULL));
  fh_status_free(fh_queue_finish(fh_context_queue(context)));
  assert_int_equal(forgotten, 1);
  fh_view_release(&view);
  fh_context_release(context);
}

int main(int argc, char **argv) {
  static const char settings[] = "capability=80,multiprocessors=4";
  static const fh_cuda_case cases[] = {
      {"no child is asked", settings, NULL, no_child_is_asked, 0, 0, 0},
      {"a child is asked without an answer", settings, NULL, a_child_is_asked_without_an_answer, 0, 0, 0},
      {"a child tells why the driver fails since", settings, "cuInit@1+=999", a_child_tells_what_failed_since, 0, 0, 0},
      {"a child tells why the device fails since", settings, "cuDevicePrimaryCtxRetain@1+=2", a_child_tells_what_failed_since, 0, 0, 0},
      {"what failed since is rejected", settings, "cuDevicePrimaryCtxRetain@1+=2", what_failed_since_is_rejected, 0, 0, 0},
      {"a child is asked where a device is missing", settings, NULL, a_child_is_asked_where_a_device_is_missing, 0, 0, 0},
      {"nothing is taken where proof is required", settings, NULL, nothing_is_taken_where_proof_is_required, 0, 0, 0},
      {"a lost device is forgotten", settings, "cuMemcpyHtoDAsync_v2@1+=719", a_lost_device_is_forgotten, 0, 0, 0},
  };
  (void)argc;
  setenv("FOGHORN_CACHE_DIR", "/tmp/foghorn-no-proof", 1); /* of which nothing is read or written */
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, sizeof cases / sizeof *cases);
}
