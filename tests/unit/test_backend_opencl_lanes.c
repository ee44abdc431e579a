/* The OpenCL backend on GPUs: what each vendor gets, and lanes in work-items, on the stand-in GPU. SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=180 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/check.h"
#include "backends/opencl/opencl_internal.h"
#include "runtime/base/log.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/opencl_gpu.h"

extern const fh_backend_api fh_backend_opencl;
static const fh_backend_options fakes = {.isa_cap = -1, .allow_fake = true};

static char warned[4096];
static void keep_log(void *user, int level, const char *text) {
  (void)user;
  if (level == FH_LOG_WARN) snprintf(warned, sizeof warned, "%s", text);
}

/* Opens the backend with the stand-in in the part of a vendor. */
static fh_backend *open_as(const char *persona) {
  fh_backend *backend = NULL;
  setenv("FOGHORN_FAKE_OPENCL", persona, 1);
  FH_EXPECT_OK(fh_backend_opencl.open(&fakes, &backend));
  assert_int_equal(backend->device_count, 1);
  return backend;
}

/* ---- vendors -------------------------------------------------------------------------------------------------------- */

static void each_vendor_gets_what_it_can_run(void **state) {
  (void)state;
  static const struct {
    const char *persona;
    fh_cl_lanes lanes;
    const char *c_version, *driver, *refused;
    bool exact, shares;
  } rows[] = {
      {"khr", FH_CL_LANES_KHR, "CL3.0", "lanes in work-items, by cl_khr_subgroup_shuffle", NULL, true, false},
      {"intel", FH_CL_LANES_INTEL, "CL2.0", "lanes in work-items, by cl_intel_subgroups", NULL, true, true},
      {"amd", FH_CL_LANES_AMD, "CL1.2", "lanes in work-items, by ds_swizzle", NULL, true, false},
      {"nvidia", FH_CL_LANES_NVIDIA, "CL1.2", "lanes in work-items, by shfl.sync", NULL, true, false},
      {"clover", FH_CL_VECTORS, "CL1.2", "lanes in vectors", "rusticl", false, false},
      {"rusticl", FH_CL_VECTORS, "CL1.2", "lanes in vectors", NULL, false, false}, /* of 32 and 64 */
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    fh_backend *backend = open_as(rows[i].persona);
    const fh_cl_found *found = &backend->devices[0];
    assert_int_equal(found->lanes, rows[i].lanes);
    assert_string_equal(found->c_version, rows[i].c_version);
    assert_non_null(strstr(found->info.driver, rows[i].driver));
    assert_int_equal(found->info.exact, rows[i].exact);
    assert_int_equal(found->shares_host_memory, rows[i].shares);
    assert_int_equal(found->info.kind, FH_DEVICE_GPU);
    assert_true(found->info.fake);
    fh_device *device = NULL;
    fh_status status = fh_backend_opencl.device_open(backend, 0, &device);
    if (rows[i].refused) {
      assert_int_equal(fh_status_code(status), FH_INCOMPATIBLE);
      assert_non_null(strstr(fh_status_message(status), rows[i].refused));
      fh_status_free(status);
    } else {
      FH_EXPECT_OK(status);
    }
    fh_backend_opencl.device_close(device);
    fh_backend_opencl.destroy(backend);
  }
}

static void what_a_device_lacks_is_told(void **state) {
  (void)state;
  fh_backend *backend = open_as("rusticl");
  assert_non_null(strstr(backend->devices[0].info.why_not_exact, "correctly rounded division"));
  assert_false(backend->devices[0].rounds_divide);
  fh_backend_opencl.destroy(backend);
}

static void a_stand_in_must_be_asked_for(void **state) {
  (void)state;
  fh_backend *backend = NULL;
  fh_device *device = NULL;
  setenv("FOGHORN_FAKE_OPENCL", "khr", 1);
  FH_EXPECT_OK(fh_backend_opencl.open(&(fh_backend_options){.isa_cap = -1}, &backend));
  fh_expect_code(fh_backend_opencl.device_open(backend, 0, &device), FH_INCOMPATIBLE);
  assert_null(device);
  fh_backend_opencl.destroy(backend);
}

static void the_variable_is_obeyed_or_refused(void **state) {
  (void)state;
  fh_backend *backend = NULL;
  fh_device *device = NULL;
  setenv(FH_CL_LANES_VARIABLE, "vectors", 1);
  backend = open_as("khr");
  assert_int_equal(backend->devices[0].lanes, FH_CL_VECTORS);
  fh_backend_opencl.destroy(backend);
  setenv(FH_CL_LANES_VARIABLE, "work-items", 1);
  backend = open_as("rusticl");
  fh_expect_code(fh_backend_opencl.device_open(backend, 0, &device), FH_INCOMPATIBLE);
  fh_backend_opencl.destroy(backend);
  setenv(FH_CL_LANES_VARIABLE, "sideways", 1);
  fh_expect_code(fh_backend_opencl.open(&fakes, &backend), FH_INVALID_ARGUMENT);
  unsetenv(FH_CL_LANES_VARIABLE);
}

/* ---- lanes in work-items --------------------------------------------------------------------------------------------- */

/* Reductions, extremes, counts, items that read what their lanes wrote, doubles: all that lanes hand to each other. */
static const char *const samples[] = {"softmax", "arg_extreme", "dot_f64", "histogram", "topk", "attention"};

static const fh_kernel_image *image_of(const char *name) {
  int count = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int i = 0; i < count; i++)
    if (strcmp(images[i].contract->name, name) == 0) return &images[i];
  fail_msg("no kernel %s", name);
  return NULL;
}

static void conform(const fh_backend_fixture *f, const fh_kernel_image *image) {
  fh_conform_report report;
  FH_EXPECT_OK(fh_backend_conform(f->api, f->device, &f->info, image, &(fh_conform_options){.cases = 8, .quick = true}, &report));
  assert_string_equal(report.text, "");
  assert_int_equal(report.verdict, FH_CONFORM_PASS);
}

static void lanes_in_work_items_give_the_same_bits(void **state) {
  (void)state;
  static const char *const personas[] = {"khr", "amd"};
  for (size_t p = 0; p < sizeof personas / sizeof personas[0]; p++) {
    fh_backend_fixture f;
    setenv("FOGHORN_FAKE_OPENCL", personas[p], 1);
    fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &f);
    assert_int_not_equal(f.device->found->lanes, FH_CL_VECTORS);
    for (size_t i = p; i < sizeof samples / sizeof samples[0]; i += 1 + 2 * p) conform(&f, image_of(samples[i]));
    fh_backend_fixture_close(&f);
  }
}

static void any_grid_is_right(void **state) {
  (void)state;
  fh_backend_fixture f;
  setenv("FOGHORN_FAKE_OPENCL", "intel", 1);
  fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &f);
  fh_executable *executable = NULL;
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = image_of("softmax")}, &executable));
  assert_true(executable->lanes);
  assert_int_equal(executable->local, FH_CL_LANES_LOCAL);
  f.api->release(executable);
  ((fh_cl_found *)(uintptr_t)f.device->found)->info.compute_units = 0; /* a device that does not say: one group at a time takes all */
  conform(&f, image_of("softmax"));
  fh_backend_fixture_close(&f);
}

static void a_compiler_that_refuses_lanes_gets_vectors(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  setenv("FOGHORN_FAKE_OPENCL", "refuses-lanes", 1);
  fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &f);
  fh_log_set(keep_log, NULL);
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = image_of("axpy")}, &executable));
  fh_log_set(NULL, NULL);
  assert_false(executable->lanes);
  assert_non_null(strstr(warned, "in vectors"));
  assert_non_null(strstr(warned, "this stand-in refuses it"));
  f.api->release(executable);
  fh_backend_fixture_close(&f);
}

static fh_opencl_functions real;
static cl_int CL_API_CALL small_groups(cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t size, void *out,
                                       size_t *out_size) {
  if (what != CL_KERNEL_WORK_GROUP_SIZE) return real.clGetKernelWorkGroupInfo(k, d, what, size, out, out_size);
  *(size_t *)out = FH_CL_LANES - 1;
  return CL_SUCCESS;
}

/* A kernel that takes so many registers that no group has room for 16 work-items; another of the same text does not. */
static void a_kernel_without_room_for_lanes_gets_vectors(void **state) {
  (void)state;
  fh_backend_fixture f;
  fh_executable *crowded = NULL, *roomy = NULL;
  setenv("FOGHORN_FAKE_OPENCL", "khr", 1);
  fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &f);
  real = f.backend->driver.fn;
  fh_log_set(keep_log, NULL);
  f.backend->driver.fn.clGetKernelWorkGroupInfo = small_groups;
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = image_of("axpy")}, &crowded));
  assert_false(crowded->lanes);
  assert_in_range(crowded->local, 1, FH_CL_LANES - 1);
  assert_non_null(strstr(warned, "in vectors"));
  assert_non_null(strstr(warned, "cannot have groups of 16 work-items"));
  fh_log_set(NULL, NULL);
  f.backend->driver.fn = real;
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = image_of("axpy")}, &roomy));
  assert_true(roomy->lanes);
  f.api->release(crowded);
  f.api->release(roomy);
  fh_backend_fixture_close(&f);
}

static void a_text_of_its_own_prelude_is_left_alone(void **state) {
  (void)state;
  static const fh_param params[] = {{"y", FH_OPERAND_OUT}};
  static const fh_entry_image entry = {.entry = "mark", .params = params, .param_count = 1};
  static const fh_kernel_contract contract = {.name = "mark", .version = 1};
  static const fh_kernel_image image = {
      .contract = &contract,
      .entries = &entry,
      .entry_count = 1,
      .cl_source = "__kernel void mark(long items, __global uchar *y, long offset) { if (get_local_id(0) == 0) y[offset] = 1; }",
      .hash = 3};
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  setenv("FOGHORN_FAKE_OPENCL", "khr", 1);
  fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &f);
  FH_EXPECT_OK(f.api->prepare(f.device, &(fh_recipe){.image = &image}, &executable));
  assert_false(executable->lanes);
  f.api->release(executable);
  fh_backend_fixture_close(&f);
}

/* ---- a compiler that crashes -------------------------------------------------------------------------------------------- */

/* A variant for blocks of one text, on a device that the test may make another before. */
typedef struct blocks {
  fh_backend_fixture f;
  fh_memory *memory;
  fh_stream *stream;
  fh_executable *executable;
} blocks;

static void one_block(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)bound, (void)multiprocessors;
  *out = (fh_block_shape){.grid = {1, 1, 1}, .threads = 16};
}

static void blocks_open(const char *persona, blocks *b) {
  *b = (blocks){0};
  setenv("FOGHORN_FAKE_OPENCL", persona, 1);
  fh_backend_fixture_open(&fh_backend_opencl, &fakes, 0, &b->f);
}
static void blocks_close(blocks *b) {
  if (b->executable) b->f.api->release(b->executable);
  fh_backend_fixture_close(&b->f);
}

static fh_status blocks_prepare(blocks *b, const char *text) {
  static const fh_param params[] = {{"y", FH_OPERAND_OUT}};
  static const fh_entry_image entry = {.entry = "mark", .params = params, .param_count = 1};
  static const fh_block_variant variant = {.name = "tiles", .text = "mark_block", .entry = "mark", .shape = one_block};
  static const fh_kernel_contract contract = {.name = "mark", .version = 1, .blocks = &variant, .block_count = 1};
  const fh_block_image texts[] = {{.text = "mark_block", .cl_source = text}};
  const fh_kernel_image image = {
      .contract = &contract, .entries = &entry, .entry_count = 1, .cl_source = "none", .hash = 4, .blocks = texts, .block_count = 1};
  return b->f.api->prepare(b->f.device, &(fh_recipe){.image = &image, .block = &variant}, &b->executable);
}

static const char mark[] = "__kernel void mark(long items, __global uchar *y, long offset) { y[offset] = 1; }";

static void a_compiler_that_crashes_does_so_in_a_child(void **state) {
  (void)state;
  blocks b;
  blocks_open("old-pocl", &b);
  fh_status status = blocks_prepare(&b, "/* crash_the_compiler */");
  assert_int_equal(fh_status_code(status), FH_INCOMPATIBLE);
  assert_string_equal(fh_status_cause(status), "BUILD-FAILED");
  assert_non_null(strstr(fh_status_message(status), "crashes on mark_block"));
  fh_status_free(status);
  FH_EXPECT_OK(blocks_prepare(&b, mark));
  blocks_close(&b);
}

/* ---- what a block may have ---------------------------------------------------------------------------------------------- */

static cl_ulong local_bytes; /* that every kernel declares */
static cl_int CL_API_CALL declares(cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t size, void *out, size_t *out_size) {
  if (what != CL_KERNEL_LOCAL_MEM_SIZE) return real.clGetKernelWorkGroupInfo(k, d, what, size, out, out_size);
  assert_int_equal(size, sizeof local_bytes);
  *(cl_ulong *)out = local_bytes;
  return local_bytes ? CL_SUCCESS : CL_INVALID_KERNEL;
}

static void expect_no_resources(fh_status status, const char *word) {
  assert_int_equal(fh_status_code(status), FH_INCOMPATIBLE);
  assert_string_equal(fh_status_cause(status), "LAUNCH-RESOURCES");
  if (!strstr(fh_status_message(status), word)) fail_msg("no \"%s\" in: %s", word, fh_status_message(status));
  fh_status_free(status);
}

static void a_text_declares_no_more_than_a_block_may_have(void **state) {
  (void)state;
  blocks b;
  blocks_open("khr", &b);
  const uint32_t most = b.f.info.blocks.shared_bytes;
  real = b.f.backend->driver.fn;
  b.f.backend->driver.fn.clGetKernelWorkGroupInfo = declares;
  local_bytes = most + 1;
  expect_no_resources(blocks_prepare(&b, mark), "65537 bytes");
  assert_null(b.executable);
  local_bytes = 0;
  expect_no_resources(blocks_prepare(&b, mark), "CL_INVALID_KERNEL");
  local_bytes = most;
  FH_EXPECT_OK(blocks_prepare(&b, mark));
  blocks_close(&b);
}

/* Drivers may count work-items in 32 bits. */
static void a_launch_has_no_more_items_than_a_driver_counts(void **state) {
  (void)state;
  const fh_block_limits limits = {.threads = 256, .grid = {UINT32_MAX, UINT32_MAX, UINT32_MAX}, .items = 1 << 30};
  int64_t need, have;
  assert_null(fh_block_exceeds(&limits, &(fh_block_shape){.grid = {1 << 22, 1, 1}, .threads = 256}, &need, &have));
  assert_null(fh_block_exceeds(&limits, &(fh_block_shape){.grid = {1 << 20, 2, 2}, .threads = 256}, &need, &have));
  assert_non_null(fh_block_exceeds(&limits, &(fh_block_shape){.grid = {(1 << 22) + 1, 1, 1}, .threads = 256}, &need, &have));
  assert_true(need == (INT64_C(1) << 30) + 256 && have == 1 << 30);
  assert_non_null(fh_block_exceeds(&limits, &(fh_block_shape){.grid = {1 << 31, 1 << 31, 1 << 31}, .threads = 256}, &need, &have));
  fh_backend *backend = open_as("khr");
  assert_int_equal(backend->devices[0].info.blocks.items, 1 << 30);
  fh_backend_opencl.destroy(backend);
}

static cl_int CL_API_CALL no_resources(cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g, const size_t *l,
                                       cl_uint n, const cl_event *w, cl_event *e) {
  (void)q, (void)k, (void)d, (void)o, (void)g, (void)l, (void)n, (void)w, (void)e;
  return CL_OUT_OF_RESOURCES;
}

/* No memory is short: what else is on the device may stay. */
static void a_block_that_a_driver_refuses_is_incompatible(void **state) {
  (void)state;
  blocks b;
  fh_point point;
  const fh_bound bound = {0};
  blocks_open("khr", &b);
  FH_EXPECT_OK(blocks_prepare(&b, mark));
  FH_EXPECT_OK(b.f.api->alloc(b.f.device, 64, &b.memory));
  FH_EXPECT_OK(b.f.api->stream_open(b.f.device, &b.stream));
  const fh_launch_operand operands[] = {{.kind = FH_OPERAND_OUT, .place = {.memory = b.memory}}};
  const fh_command command = {
      .kind = FH_COMMAND_LAUNCH,
      .launch = {.executable = b.executable, .items = 1, .operands = operands, .operand_count = 1, .bound = &bound}};
  FH_EXPECT_OK(fh_backend_run(b.f.api, b.stream, &command, 1));
  b.f.backend->driver.fn.clEnqueueNDRangeKernel = no_resources;
  expect_no_resources(b.f.api->submit(b.stream, &command, 1, &point), "CL_OUT_OF_RESOURCES");
  b.f.api->stream_close(b.stream);
  b.f.api->free(b.memory);
  blocks_close(&b);
}

int main(void) {
  if (!fh_use_opencl_gpu()) return 77;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_vendor_gets_what_it_can_run),
      cmocka_unit_test(what_a_device_lacks_is_told),
      cmocka_unit_test(a_stand_in_must_be_asked_for),
      cmocka_unit_test(the_variable_is_obeyed_or_refused),
      cmocka_unit_test(lanes_in_work_items_give_the_same_bits),
      cmocka_unit_test(any_grid_is_right),
      cmocka_unit_test(a_compiler_that_refuses_lanes_gets_vectors),
      cmocka_unit_test(a_kernel_without_room_for_lanes_gets_vectors),
      cmocka_unit_test(a_text_of_its_own_prelude_is_left_alone),
      cmocka_unit_test(a_compiler_that_crashes_does_so_in_a_child),
      cmocka_unit_test(a_text_declares_no_more_than_a_block_may_have),
      cmocka_unit_test(a_launch_has_no_more_items_than_a_driver_counts),
      cmocka_unit_test(a_block_that_a_driver_refuses_is_incompatible),
  };
  return cmocka_run_group_tests_name("backend_opencl_lanes", tests, NULL, NULL);
}
