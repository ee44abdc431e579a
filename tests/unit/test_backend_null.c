/* The skeleton backend keeps the rules of backend.h. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/backend_suite.h"
#include "tests/support/fail_alloc.h"

extern const fh_backend_api fh_backend_null;
static const fh_backend_options options = {.isa_cap = -1};

static void keeps_the_rules(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_backend_fixture_open(&fh_backend_null, &options, 0, &f);
  fh_backend_suite(&f);
  fh_backend_fixture_close(&f);
}

static void refuses_kernels_with_a_reason(void **state) {
  (void)state;
  const fh_kernel_contract contract = {.name = "probe"};
  const fh_entry_image entry = {.entry = "probe"};
  const fh_kernel_image image = {.contract = &contract, .entries = &entry, .entry_count = 1};
  fh_backend_fixture f;
  fh_backend_fixture_open(&fh_backend_null, &options, 0, &f);
  fh_executable *executable = NULL;
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &image}, &executable), FH_INCOMPATIBLE);
  assert_null(executable);
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){.image = &image, .entry = 1}, &executable), FH_INVALID_ARGUMENT);
  fh_expect_code(f.api->prepare(f.device, &(fh_recipe){0}, &executable), FH_INVALID_ARGUMENT);
  fh_stream *stream = NULL;
  fh_point point;
  FH_EXPECT_OK(f.api->stream_open(f.device, &stream));
  fh_command launch = {.kind = FH_COMMAND_LAUNCH, .launch = {.items = 1}};
  fh_expect_code(f.api->submit(stream, &launch, 1, &point), FH_INCOMPATIBLE);
  f.api->stream_close(stream);
  uint64_t bytes = 1;
  fh_expect_code(f.api->query_free_memory(f.device, &bytes), FH_UNIMPLEMENTED);
  fh_backend_fixture_close(&f);
}

static fh_status open_all(fh_backend **backend, fh_device **device, fh_memory **memory, fh_stream **stream) {
  FH_TRY(fh_backend_null.open(&options, backend));
  FH_TRY(fh_backend_null.device_open(*backend, 0, device));
  FH_TRY(fh_backend_null.alloc(*device, 100, memory));
  return fh_backend_null.stream_open(*device, stream);
}

static void survives_every_failed_allocation(void **state) {
  (void)state;
  if (!fh_fail_alloc_possible()) {
    print_message("NOT RUN: this build's allocator cannot be made to fail (sanitizers bring their own)\n");
    skip();
  }
  bool failed = true;
  for (int n = 0; failed && n < 100; n++) {
    fh_backend *backend = NULL;
    fh_device *device = NULL;
    fh_memory *memory = NULL;
    fh_stream *stream = NULL;
    fh_fail_alloc(n);
    fh_status status = open_all(&backend, &device, &memory, &stream);
    failed = fh_fail_alloc_end();
    assert_int_equal(fh_status_code(status), failed ? FH_RESOURCE_EXHAUSTED : FH_CODE_OK);
    fh_status_free(status);
    fh_backend_null.stream_close(stream);
    fh_backend_null.free(memory);
    if (device) fh_backend_null.device_close(device);
    fh_backend_null.destroy(backend);
  }
  assert_false(failed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_the_rules),
      cmocka_unit_test(refuses_kernels_with_a_reason),
      cmocka_unit_test(survives_every_failed_allocation),
  };
  return cmocka_run_group_tests_name("backend_null", tests, NULL, NULL);
}
