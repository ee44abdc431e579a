/* Variants for blocks of threads on the stand-in CUDA driver: which devices run them, what a launch may ask for, and what becomes of one
 * that the driver refuses. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include <foghorn/extend.h>

#include "backends/check.h"
#include "detect/drivers/cuda_driver.h"
#include "kernels/tables.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

static void open_fake(fh_backend_fixture *f) { fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, f); }

/* ---- a product whose text the tests write ------------------------------------------------------------------------------------ */

enum { THREADS = 256, DECLARED = 16384 };

/* The head and the parameters are all that the stand-in reads of PTX, so this works in a build without any. */
static const char *product_ptx(const char *version, const char *target) {
  static char ptx[4096];
  static const char form[] =
      ".version %s\n.target %s\n.address_size 64\n"
      ".shared .align 128 .b8 matmul_tiles_window[16384];\n"
      ".visible .entry matmul_tiles(.param .u64 items,\n"
      " .param .u64 a, .param .u64 ao, .param .u64 b, .param .u64 bo, .param .u64 c, .param .u64 co,\n"
      " .param .u64 batch, .param .u64 m, .param .u64 n, .param .u64 k,\n"
      " .param .u64 s0, .param .u64 s1, .param .u64 s2, .param .u64 s3, .param .u64 s4, .param .u64 s5,\n"
      " .param .u64 s6, .param .u64 s7, .param .u64 s8\n)\n"
      ".reqntid 256, 1, 1\n{\n mov.u64 %%rd1, matmul_tiles_window;\n ret;\n}\n";
  snprintf(ptx, sizeof ptx, form, version, target);
  return ptx;
}

static const fh_kernel_image *built_image(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  while (strcmp(images->contract->name, "matmul") != 0) images++;
  return images;
}

static fh_block_image text;
static fh_kernel_image image;
static fh_block_shape shape;

static void as_the_test_says(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)bound;
  assert_int_equal(multiprocessors, 7);
  *out = shape;
}

static fh_block_variant variant_with(const char *ptx, fh_block_shape its_shape) {
  text = (fh_block_image){"matmul_block", ptx, "the test left it out", NULL};
  image = *built_image();
  image.blocks = &text;
  image.block_count = 1;
  shape = its_shape;
  return (fh_block_variant){.name = "tiles",
                            .entry = "matmul_tiles",
                            .text = "matmul_block",
                            .capability = FH_BLOCK_PORTABLE,
                            .numerics = FH_EXACT,
                            .shape = as_the_test_says,
                            .efficiency = 0.5};
}

static fh_status prepare(const fh_backend_fixture *f, const fh_block_variant *block, fh_executable **out) {
  return api->prepare(f->device, &(fh_recipe){.image = &image, .block = block}, out);
}

/* A product of 1 x 1 x 0, which reads nothing; the shape is what counts. */
static fh_status launch(const fh_backend_fixture *f, fh_executable *executable) {
  const fh_view_desc one = {FH_F32, 2, {1, 1}, {1, 1}}, row = {FH_F32, 2, {1, 0}, {0, 1}}, column = {FH_F32, 2, {0, 1}, {1, 1}};
  fh_bound bound;
  fh_stream *stream = NULL;
  fh_memory *memory = NULL;
  fh_launch_operand operands[FH_MAX_OPERANDS] = {{0}};
  FH_EXPECT_OK(built_image()->contract->bind((const fh_view_desc[]){row, column, one}, NULL, &bound));
  FH_EXPECT_OK(api->alloc(f->device, 64, &memory));
  FH_EXPECT_OK(api->stream_open(f->device, &stream));
  const fh_stage *stage = &bound.stages[0];
  for (int i = 0; i < stage->operand_count; i++) {
    operands[i].kind = stage->operands[i].kind;
    operands[i].i = stage->operands[i].i;
    if (operands[i].kind < FH_OPERAND_I64) operands[i].place = (fh_place){.memory = memory};
  }
  const fh_command command = {
      .kind = FH_COMMAND_LAUNCH,
      .launch = {.executable = executable, .items = 1, .operands = operands, .operand_count = stage->operand_count, .bound = &bound}};
  fh_status status = fh_backend_run(api, stream, &command, 1);
  api->stream_close(stream);
  api->free(memory);
  return status;
}

static void expect_refused(fh_status status, fh_code code, const char *part) {
  if (!status || !strstr(fh_status_message(status), part)) print_error("no \"%s\" in: %s\n", part, fh_status_message(status));
  assert_true(status && strstr(fh_status_message(status), part));
  fh_expect_code(status, code);
}

/* ---- which devices ------------------------------------------------------------------------------------------------------------- */

static void needs_a_newer_gpu(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = variant_with(product_ptx("7.0", "sm_80"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  block.capability = 80;
  expect_refused(prepare(&f, &block, &executable), FH_INCOMPATIBLE, "needs compute capability 8.0, this is 7.5");
  assert_int_equal(fh_cuda_calls("cuModuleLoadDataEx"), 0);
  assert_null(executable);
  fh_backend_fixture_close(&f);
}

static void is_for_one_gpu_alone(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = variant_with(product_ptx("8.0", "sm_90a"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  block.capability = 90;
  block.only = true;
  expect_refused(prepare(&f, &block, &executable), FH_INCOMPATIBLE, "needs exactly compute capability 9.0, this is 10.0");
  block.only = false; /* the driver knows it too */
  expect_refused(prepare(&f, &block, &executable), FH_INCOMPATIBLE, "CUDA_ERROR_NO_BINARY_FOR_GPU");
  fh_backend_fixture_close(&f);
}

static void says_what_was_not_built(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = variant_with(NULL, (fh_block_shape){{1, 1, 1}, THREADS, 0});
  expect_refused(prepare(&f, &block, &executable), FH_UNAVAILABLE, "matmul_block was not built for CUDA: the test left it out");
  block.text = "matmul_sm70";
  expect_refused(prepare(&f, &block, &executable), FH_UNAVAILABLE, "has no such text");
  fh_backend_fixture_close(&f);
}

static void wants_a_newer_driver(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = variant_with(product_ptx("8.0", "sm_80"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  fh_status status = prepare(&f, &block, &executable);
  assert_string_equal(fh_status_cause(status), "CU-DRIVER-TOO-OLD");
  expect_refused(status, FH_INCOMPATIBLE, "compiling matmul_block for capability 8.6");
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device)); /* the device lives */
  fh_backend_fixture_close(&f);
}

/* ---- what a launch asks for ------------------------------------------------------------------------------------------------------ */

static void checks_the_shape(void) {
  static const struct {
    fh_block_shape shape;
    fh_code code;
    const char *part;
  } rows[] = {
      {{{1, 1, 1}, 2048, 0}, FH_INCOMPATIBLE, "needs 2048 threads of a block, the device gives 1024"},
      {{{1, 1, 1}, 512, 0}, FH_INCOMPATIBLE, "needs 512 threads of a block, its registers allow 256"},
      {{{1, 70000, 1}, THREADS, 0}, FH_INCOMPATIBLE, "needs 70000 blocks in the second dimension, the device gives 65535"},
      {{{1, 1, 70000}, THREADS, 0}, FH_INCOMPATIBLE, "needs 70000 blocks in the third dimension, the device gives 65535"},
      {{{1, 0, 1}, THREADS, 0}, FH_INTERNAL, "is 1 x 0 x 1 blocks of 256 threads, expected at least 1 of each"},
      {{{1, 1, 1}, THREADS, 200000}, FH_INCOMPATIBLE, "needs 200000 bytes of shared memory for a block, the device gives 101376"},
      {{{1, 1, 1}, THREADS, 100000}, FH_INCOMPATIBLE, "needs 100000 bytes of shared memory for a block and declares 16384 itself"},
  };
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  const fh_block_variant block = variant_with(product_ptx("6.0", "sm_60"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  FH_EXPECT_OK(prepare(&f, &block, &executable));
  FH_EXPECT_OK(launch(&f, executable));
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    shape = rows[i].shape;
    expect_refused(launch(&f, executable), rows[i].code, rows[i].part);
  }
  assert_int_equal(fh_cuda_calls("cuLaunchKernel"), 1);
  assert_int_equal(fh_cuda_calls("cuFuncSetAttribute"), 0);
  api->release(executable);
  fh_backend_fixture_close(&f);
}

/* More than the usual shared memory is asked for once, as much as is needed. The emulator takes none beside what a text declares: the
 * driver's own checks come first, and are what counts here. */
static void asks_for_shared_memory_once(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  const fh_block_variant block = variant_with(product_ptx("6.0", "sm_60"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  FH_EXPECT_OK(prepare(&f, &block, &executable));
  FH_EXPECT_OK(launch(&f, executable));
  assert_int_equal(fh_cuda_calls("cuFuncSetAttribute"), 0);
  shape.shared_bytes = 101376 - DECLARED;
  expect_refused(launch(&f, executable), FH_UNAVAILABLE, "CUDA_ERROR_LAUNCH_FAILED");
  assert_int_equal(fh_cuda_calls("cuFuncSetAttribute"), 1);
  assert_int_equal(fh_cuda_calls("cuLaunchKernel"), 2);
  api->release(executable);
  fh_backend_fixture_close(&f);
}

/* ---- the driver's own rules -------------------------------------------------------------------------------------------------------- */

static void needs_the_right_recipe(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  const fh_block_variant block = variant_with(product_ptx("6.0", "sm_60"), (fh_block_shape){{1, 1, 1}, THREADS, 0});
  fh_entry_image twice[] = {image.entries[0], image.entries[0]};
  image.entries = twice;
  image.entry_count = 2;
  expect_refused(api->prepare(f.device, &(fh_recipe){.image = &image, .entry = 1, .block = &block}, &executable), FH_INVALID_ARGUMENT,
                 "which stands for the first one");
  fh_backend_fixture_close(&f);
}

/* Text that the stand-in must not take, and the code that a driver has for it. */
static void refuses_wrong_text(const fh_cuda_functions *fn) {
  static const struct {
    const char *from, *to;
    fh_cu_result code;
  } rows[] = {
      {".target sm_60", ".target sm_90a", FH_CUDA_ERROR_NO_BINARY_FOR_GPU}, /* of one architecture, and this is the next */
      {"[16384]", "[50000]", FH_CUDA_ERROR_INVALID_PTX},                    /* more than a block has without asking */
      {".reqntid 256", ".reqntid 2048", FH_CUDA_ERROR_INVALID_PTX},
      {".param .u64 m,", ".param .f32 m,", FH_CUDA_ERROR_INVALID_PTX}, /* the parameters of the text */
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *ptx = product_ptx("6.0", "sm_60"), *at = strstr(ptx, rows[i].from);
    char wrong[4200];
    fh_cu_module module;
    assert_non_null(at);
    snprintf(wrong, sizeof wrong, "%.*s%s%s", (int)(at - ptx), ptx, rows[i].to, at + strlen(rows[i].from));
    assert_int_equal(fn->cuModuleLoadDataEx(&module, wrong, 0, NULL, NULL), rows[i].code);
  }
}

static int attribute_of(const fh_cuda_functions *fn, fh_cu_function function, fh_cu_function_attribute which) {
  int value = -1;
  assert_int_equal(fn->cuFuncGetAttribute(&value, which, function), 0);
  return value;
}

/* A driver that took what no device does would prove little. */
static void the_stand_in_is_strict(void) {
  static fh_cuda_driver driver;
  const fh_cuda_functions *fn = &driver.fn;
  fh_cu_context context;
  fh_cu_module module;
  fh_cu_function function;
  fh_cu_stream stream;
  FH_EXPECT_OK(fh_cuda_driver_load(&driver));
  assert_int_equal(fn->cuInit(0), 0);
  assert_int_equal(fn->cuDevicePrimaryCtxRetain(&context, 0), 0);
  assert_int_equal(fn->cuCtxPushCurrent_v2(context), 0);
  refuses_wrong_text(fn);
  assert_int_equal(fn->cuModuleLoadDataEx(&module, product_ptx("6.0", "sm_60"), 0, NULL, NULL), 0);
  assert_int_equal(fn->cuModuleGetFunction(&function, module, "matmul_tiles"), 0);
  assert_int_equal(fn->cuStreamCreate(&stream, FH_CU_STREAM_NON_BLOCKING), 0);
  assert_int_equal(attribute_of(fn, function, FH_CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK), THREADS);
  assert_int_equal(attribute_of(fn, function, FH_CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES), DECLARED);
  assert_int_equal(attribute_of(fn, function, FH_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES), 49152 - DECLARED);

  int64_t nothing = 0;
  void *params[32];
  for (int i = 0; i < 32; i++) params[i] = &nothing;
#define LAUNCH(x, y, z, threads, shared) fn->cuLaunchKernel(function, x, y, z, threads, 1, 1, shared, stream, params, NULL)
  assert_int_equal(LAUNCH(1, 1, 1, 128, 0), FH_CUDA_ERROR_INVALID_VALUE); /* .reqntid says 256 */
  assert_int_equal(LAUNCH(1, 1, 1, 512, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(LAUNCH(1, 65536, 1, THREADS, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(LAUNCH(1, 1, 65536, THREADS, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(LAUNCH(1, 0, 1, THREADS, 0), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(LAUNCH(1, 1, 1, THREADS, 49152 - DECLARED + 1), FH_CUDA_ERROR_INVALID_VALUE); /* nobody asked for so much */
#undef LAUNCH
  const fh_cu_function_attribute dynamic = FH_CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
  assert_int_equal(fn->cuFuncSetAttribute(function, dynamic, 232448 - DECLARED + 1), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuFuncSetAttribute(function, dynamic, 232448 - DECLARED), 0);
  assert_int_equal(attribute_of(fn, function, dynamic), 232448 - DECLARED);
  assert_int_equal(fn->cuFuncSetAttribute(function, FH_CU_FUNC_ATTRIBUTE_NUM_REGS, 8), FH_CUDA_ERROR_INVALID_VALUE);
  assert_int_equal(fn->cuCtxPopCurrent_v2(&context), 0);
  assert_int_equal(fn->cuDevicePrimaryCtxRelease_v2(0), 0);
  fh_cuda_driver_close(&driver);
}

/* ---- the build's own ----------------------------------------------------------------------------------------------------------------- */

/* Every variant that this device takes keeps its contract, compact operands being enough here: `devprobe verify` tries them in every
 * layout. True: one was run. */
static bool conform(const fh_backend_fixture *f, const fh_kernel_image *of, const fh_block_variant *block) {
  fh_conform_report report;
  const fh_block_image *its = fh_block_image_of(of, block);
  if (!its || !its->ptx || (block->only ? f->info.capability != block->capability : f->info.capability < block->capability)) return false;
  int cases = 6;
  do { /* some take calls that come late in the list alone, */
    const fh_conform_options options = {.cases = cases, .quick = true};
    FH_EXPECT_OK(fh_backend_conform_block(api, f->device, &f->info, of, block, &options, &report));
  } while (report.runs == 0 && (cases *= 4) < 400);
  if (report.runs == 0) /* rows that lie side by side are no compact operands */
    FH_EXPECT_OK(fh_backend_conform_block(api, f->device, &f->info, of, block,
                                          &(fh_conform_options){.cases = 6, .quick = true, .forms = true}, &report));
  if (report.runs == 0) /* and some take a few turned matrices alone */
    FH_EXPECT_OK(fh_backend_conform_block(api, f->device, &f->info, of, block, &(fh_conform_options){.cases = 24}, &report));
  printf("       %s/%s %d runs\n", of->contract->name, block->name, report.runs);
  assert_string_equal(report.text, "");
  assert_int_equal(report.verdict, FH_CONFORM_PASS);
  return true;
}

/* A sanitizer makes the emulator many times slower, as does a build for coverage, which is not optimized; `devprobe verify` runs them all
 * in a release: every eighth is enough there. */
#ifdef __OPTIMIZE__
static const bool optimized = true;
#else
static const bool optimized = false;
#endif

static void runs_every_variant(void) {
  int count, ran = 0, seen = 0;
  const int every = getenv("FH_SANITIZED") || !optimized ? 8 : 1;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_backend_fixture f;
  open_fake(&f);
  for (int i = 0; i < count; i++)
    for (int b = 0; b < images[i].contract->block_count; b++)
      if (seen++ % every == 0) ran += conform(&f, &images[i], &images[i].contract->blocks[b]);
  if (!ran) printf("NOT RUN: this build has no text for blocks as PTX\n");
  fh_backend_fixture_close(&f);
}

/* ---- a product through the planner ------------------------------------------------------------------------------------------------------
 */

enum { SIDE = 40 };

static void multiply_by(fh_context *context, const fh_kernel *kernel, int side) {
  static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];
  fh_view A, B, C;
  for (int i = 0; i < side * side; i++) a[i] = (float)(i % 7), b[i] = (float)(i % 5), c[i] = -1;
  FH_EXPECT_OK(fh_view_wrap(context, a, FH_F32, FH_SHAPE(side, side), FH_ROW_MAJOR, FH_READ, &A));
  FH_EXPECT_OK(fh_view_wrap(context, b, FH_F32, FH_SHAPE(side, side), FH_ROW_MAJOR, FH_READ, &B));
  FH_EXPECT_OK(fh_view_wrap(context, c, FH_F32, FH_SHAPE(side, side), FH_ROW_MAJOR, FH_WRITE, &C));
  FH_EXPECT_OK(fh_launch(fh_context_queue(context), kernel, (const fh_view *const[]){&A, &B, &C}, 3, NULL, 0, NULL));
  FH_EXPECT_OK(fh_view_sync(&C));
  for (int i = 0; i < side; i++)
    for (int j = 0; j < side; j++) {
      float sum = 0;
      for (int l = 0; l < side; l++) sum += a[i * side + l] * b[l * side + j];
      assert_true(c[i * side + j] == sum);
    }
  fh_view_release(&A);
  fh_view_release(&B);
  fh_view_release(&C);
}

/* ---- several launches with scratch ----------------------------------------------------------------------------------------------------
 */

#define MATMUL_PARAMS                                                                                                  \
  "(.param .u64 items, .param .u64 a, .param .u64 ao, .param .u64 b, .param .u64 bo, .param .u64 c, .param .u64 co,\n" \
  " .param .u64 batch, .param .u64 m, .param .u64 n, .param .u64 k,\n"                                                 \
  " .param .u64 s0, .param .u64 s1, .param .u64 s2, .param .u64 s3, .param .u64 s4, .param .u64 s5,\n"                 \
  " .param .u64 s6, .param .u64 s7, .param .u64 s8"

/* As tests/fakes/block/product_steps.k would be compiled. */
static const char steps_ptx[] =
    ".version 6.0\n.target sm_60\n.address_size 64\n"
    ".visible .entry product_pack" MATMUL_PARAMS
    ", .param .u64 scratch, .param .u64 scratcho)\n.reqntid 32, 1, 1\n{\n ret;\n}\n"
    ".visible .entry product_multiply" MATMUL_PARAMS ", .param .u64 scratch, .param .u64 scratcho)\n.reqntid 64, 1, 1\n{\n ret;\n}\n";

static void pack_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)bound;
  *out = (fh_block_shape){.grid = {(uint32_t)multiprocessors, 1, 1}, .threads = 32};
}
static void multiply_shape(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)bound;
  *out = (fh_block_shape){.grid = {2 * (uint32_t)multiprocessors, 1, 1}, .threads = 64};
}
static size_t packed_bytes(const fh_bound *bound, int multiprocessors) {
  enum { BATCH = 3, M, N, K };
  const fh_operand *of = bound->stages[0].operands;
  assert_int_equal(multiprocessors, 7);
  return sizeof(float) * (size_t)(of[BATCH].i * of[M].i * of[K].i);
}

static const fh_block_step multiply_step = {"product_multiply", multiply_shape};

static fh_block_variant in_steps(void) {
  fh_block_variant block = variant_with(steps_ptx, (fh_block_shape){.threads = 0});
  block.name = "steps";
  block.entry = "product_pack";
  block.shape = pack_shape;
  block.numerics = FH_BOUNDED;
  block.rest = &multiply_step;
  block.rest_count = 1;
  block.scratch_bytes = packed_bytes;
  block.efficiency = 1;
  return block;
}

static void runs_in_steps(void) {
  fh_backend_fixture f;
  fh_conform_report report;
  fh_executable *executable = NULL;
  open_fake(&f);
  const fh_block_variant block = in_steps();
  FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, &image, &block, &(fh_conform_options){.cases = 8, .quick = true}, &report));
  assert_string_equal(report.text, "");
  assert_int_equal(report.verdict, FH_CONFORM_PASS);
  assert_true(report.runs > 0);
  expect_refused(api->prepare(f.device, &(fh_recipe){.image = &image, .block = &block, .step = 2}, &executable), FH_INVALID_ARGUMENT,
                 "launch 2 of kernel matmul; steps has 2");
  expect_refused(api->prepare(f.device, &(fh_recipe){.image = &image, .step = 1}, &executable), FH_INVALID_ARGUMENT,
                 "launch 1 of kernel matmul; an entry has 1");
  FH_EXPECT_OK(prepare(&f, &block, &executable));
  expect_refused(launch(&f, executable), FH_INVALID_ARGUMENT, "variant steps has scratch, expected it as the last");
  api->release(executable);
  fh_backend_fixture_close(&f);
}

/* A second launch that one device of this kind cannot have rules the variant out. */
static void steps_are_each_within_limits(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = in_steps();
  const fh_block_step huge = {"product_multiply", as_the_test_says};
  shape = (fh_block_shape){.grid = {1, 1, 70000}, .threads = 64};
  block.rest = &huge;
  fh_block_shape out;
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = &image, .block = &block, .step = 1}, &executable));
  fh_bound none = {0};
  FH_EXPECT_OK(fh_check_block_shape(&f.info, &block, 0, &none, &out));
  expect_refused(fh_check_block_shape(&f.info, &block, 1, &none, &out), FH_INCOMPATIBLE, "needs 70000 blocks in the third dimension");
  api->release(executable);
  fh_backend_fixture_close(&f);
}

/* The planner's way: a registered kernel whose one variant that a device has launches twice. Repeated, and with more to pack each time. */
static void is_planned_in_steps(void) {
  static fh_kernel_contract contract;
  static fh_block_variant block;
  static fh_kernel_module module;
  fh_context *context = NULL;
  const fh_kernel *kernel = NULL;
  block = in_steps();
  contract = *built_image()->contract;
  contract.name = "product_in_steps";
  contract.blocks = &block;
  contract.block_count = 1;
  contract.tuned_count = 0;
  image.contract = &contract;
  image.ptx = NULL;
  image.ptx_missing = "the test left it out";
  module = (fh_kernel_module)FH_KERNEL_MODULE(&image);
  FH_EXPECT_OK(fh_kernel_register(&module, &kernel));
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0", .allow_fake = true}, &context));
  for (int side = 1; side <= SIDE; side += 13) multiply_by(context, kernel, side);
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_intended, counters.launches);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("product_in_steps"));
}

/* ---- the planner: what a refusing driver means -------------------------------------------------------------------------------------- */

static void multiply(fh_context *context) {
  const fh_kernel *kernel = NULL;
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  multiply_by(context, kernel, SIDE);
}

/* NULL: this build has no PTX, and the case says so. */
static fh_context *open_context(void) {
  fh_context *context = NULL;
  if (!built_image()->ptx) {
    printf("NOT RUN: %s\n", built_image()->ptx_missing);
    return NULL;
  }
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0", .allow_fake = true}, &context));
  return context;
}

static void expect_decision(fh_context *context, const char *part) {
  const fh_kernel *kernel = NULL;
  const fh_view_spec spec = {FH_F32, FH_SHAPE(SIDE, SIDE)};
  char *decision = NULL;
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  FH_EXPECT_OK(
      fh_explain_shapes(fh_context_queue(context), kernel, (const fh_view_spec[]){spec, spec, spec}, 3, NULL, 0, false, &decision));
  if (!strstr(decision, part)) print_error("no \"%s\" in:\n%s", part, decision);
  assert_non_null(strstr(decision, part));
  free(decision);
}

/* Without a measurement. */
static void expect_choice_of(fh_context *context, const char *name, const fh_view_spec *views, int count, const fh_param_value *params,
                             int param_count, const char *part) {
  const fh_kernel *kernel = NULL;
  char *decision = NULL;
  FH_EXPECT_OK(fh_kernel_find(name, &kernel));
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, views, count, params, param_count, false, &decision));
  if (!strstr(decision, part)) print_error("no \"%s\" in:\n%s", part, decision);
  assert_non_null(strstr(decision, part));
  free(decision);
}

static void expect_choice(fh_context *context, const char *name, const fh_view_spec *views, int count, const char *part) {
  expect_choice_of(context, name, views, count, NULL, 0, part);
}

/* Of a product (m, k) by (k, n). */
static void expect_guess(fh_context *context, const char *name, fh_dtype dtype, int64_t m, int64_t k, int64_t n, const char *part) {
  const fh_view_spec views[] = {{dtype, FH_SHAPE(m, k)}, {dtype, FH_SHAPE(k, n)}, {FH_F32, FH_SHAPE(m, n)}};
  expect_choice(context, name, views, 3, part);
}

/* Of u8 (m, k) by s8 (k, n). */
static void expect_bytes(fh_context *context, int64_t m, int64_t k, int64_t n, const char *part) {
  const fh_view_spec views[] = {{FH_U8, FH_SHAPE(m, k)}, {FH_I8, FH_SHAPE(k, n)}, {FH_I32, FH_SHAPE(m, n)}};
  expect_choice(context, "matmul_i8", views, 3, part);
}

/* Of n points of d numbers and k centroids. */
static void expect_nearest(fh_context *context, int64_t n, int64_t d, int64_t k, const char *part) {
  const fh_view_spec views[] = {{FH_F32, FH_SHAPE(n, d)}, {FH_F32, FH_SHAPE(k, d)}, {FH_I32, FH_SHAPE(n)}, {FH_F32, FH_SHAPE(n)}};
  expect_choice(context, "kmeans_assign", views, 4, part);
}

/* One step of k-means with as many. */
static void expect_step(fh_context *context, int64_t n, int64_t d, int64_t k, const char *part) {
  const fh_view_spec views[] = {{FH_F32, FH_SHAPE(n, d)}, {FH_F32, FH_SHAPE(k, d)}, {FH_I32, FH_SHAPE(n)},
                                {FH_F32, FH_SHAPE(n)},    {FH_F32, FH_SHAPE(k, d)}, {FH_I32, FH_SHAPE(k)}};
  expect_choice(context, "kmeans_step", views, 6, part);
}

/* The 10 nearest of n rows of d numbers for m queries. */
static void expect_topk(fh_context *context, int64_t m, int64_t n, int64_t d, const char *part) {
  const fh_view_spec views[] = {{FH_F32, FH_SHAPE(m, d)}, {FH_F32, FH_SHAPE(n, d)}, {FH_F32, FH_SHAPE(m, 10)}, {FH_I32, FH_SHAPE(m, 10)}};
  expect_choice_of(context, "topk", views, 4, &(fh_param_value){.i = 0}, 1, part);
}

/* Four large tiles leave 128 of 132 multiprocessors idle, 256 tiles do not. */
static void multiprocessors_are_filled(void) {
  fh_context *context = open_context();
  if (!context) return;
  expect_guess(context, "matmul_bf16", FH_BF16, 256, 8192, 256, "-> cuda:0/split");
  expect_guess(context, "matmul_bf16", FH_BF16, 2048, 2048, 2048, "-> cuda:0/mma");
  expect_guess(context, "matmul_tf32", FH_F32, 512, 16384, 512, "-> cuda:0/split");
  expect_guess(context, "matmul_tf32", FH_F32, 4096, 4096, 4096, "-> cuda:0/mma_packed");
  expect_guess(context, "matmul_tf32", FH_F32, 100, 4096, 32768, "-> cuda:0/mma"); /* packed, they are longer on their way */
  expect_bytes(context, 2048, 2048, 2048, "-> cuda:0/mma");
  expect_guess(context, "matmul", FH_F32, 4096, 4096, 4096, "-> cuda:0/stages");
  expect_nearest(context, 1000000, 128, 128, "-> cuda:0/mma"); /* and not the few blocks that prepare its centroids */
  expect_topk(context, 1, 1000000, 128, "-> cuda:0/one");
  expect_topk(context, 8, 1000000, 32, "-> cuda:0/few");
  expect_topk(context, 31, 100000, 128, "-> cuda:0/some");
  expect_topk(context, 256, 100000, 128, "-> cuda:0/chunks");
  expect_step(context, 60000, 784, 10, "-> cuda:0/fused");
  expect_step(context, 1000000, 16, 8, "-> cuda:0/few");
  fh_context_release(context);
}

/* The blocks that pack operands fill the machine, those of the product do not. */
static void multiprocessors_are_filled_by_the_product(void) {
  fh_context *context = open_context();
  if (!context) return;
  expect_guess(context, "matmul_tf32", FH_F32, 512, 16384, 512, "-> cuda:0/split");
  expect_guess(context, "matmul_tf32", FH_F32, 4096, 4096, 4096, "-> cuda:0/wgmma");
  fh_context_release(context);
}

/* Without rows, say. The first such case of a kernel; 0: all of its cases have work. */
static int explain_nothing(fh_context *context, const fh_kernel_contract *contract) {
  fh_case c = {0};
  for (int i = 0; contract->case_at(i, &c); i++, c = (fh_case){0}) {
    fh_bound bound;
    FH_EXPECT_OK(contract->bind(c.views, c.scalars, &bound));
    if (bound.stage_count > 0) continue;
    const fh_kernel *kernel = NULL;
    fh_view_spec specs[FH_MAX_VIEWS] = {0};
    fh_param_value params[FH_MAX_PARAMS];
    char *decision = NULL;
    for (int v = 0; v < contract->view_count; v++) {
      specs[v] = (fh_view_spec){c.views[v].dtype, {.rank = c.views[v].rank}};
      memcpy(specs[v].shape.extents, c.views[v].shape, sizeof specs[v].shape.extents);
    }
    memcpy(params, c.scalars, sizeof params);
    FH_EXPECT_OK(fh_kernel_find(contract->name, &kernel));
    FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), kernel, specs, contract->view_count, params, contract->scalar_count, false,
                                   &decision));
    assert_non_null(strstr(decision, "cuda:0"));
    free(decision);
    return 1;
  }
  return 0;
}

/* A variant is asked about work alone: its shape and its scratch are of stages. */
static void nothing_to_do_is_explained(void) {
  int count, empty = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  fh_context *context = open_context();
  if (!context) return;
  for (int i = 0; i < count; i++) empty += explain_nothing(context, images[i].contract);
  assert_true(empty > 20);
  fh_context_release(context);
}

static void is_planned_and_tested(void) {
  fh_context *context = open_context();
  if (!context) return;
  multiply(context);
  expect_decision(context, "-> cuda:0/");
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_intended, 1);
  fh_context_release(context);
}

/* A variant for rows that lie side by side takes no compact operands: its self-test has to find others, or it would never be used. */
static void is_tested_by_columns(void) {
  enum { ROWS = 40, D = 600 };
  static float x[ROWS * D], y[ROWS];
  fh_context *context = open_context();
  if (!context) return;
  for (int i = 0; i < ROWS * D; i++) x[i] = (float)(i % 3);
  fh_view X, Y;
  FH_EXPECT_OK(fh_view_wrap(context, x, FH_F32, FH_SHAPE(ROWS, D), FH_COL_MAJOR, FH_READ, &X));
  FH_EXPECT_OK(fh_view_wrap(context, y, FH_F32, FH_SHAPE(ROWS), FH_ROW_MAJOR, FH_WRITE, &Y));
  FH_EXPECT_OK(fh_sum(fh_context_queue(context), &X, &Y, NULL));
  FH_EXPECT_OK(fh_view_sync(&Y));
  for (int r = 0; r < ROWS; r++) { /* 40 i + r is i + r modulo 3 */
    assert_true(y[r] == (float)D);
  }
  const fh_kernel *kernel;
  char *decision = NULL;
  FH_EXPECT_OK(fh_kernel_find("reduce", &kernel));
  const fh_param_value sum = {.i = 0};
  FH_EXPECT_OK(fh_explain(fh_context_queue(context), kernel, (const fh_view *const[]){&X, &Y}, 2, &sum, 1, false, &decision));
  if (!strstr(decision, "-> cuda:0/columns")) fail_msg("expected cuda:0/columns in\n%s", decision);
  free(decision);
  fh_view_release(&X);
  fh_view_release(&Y);
  fh_context_release(context);
}

/* The text for blocks is refused, the dialect's is not: the same device goes on, and says so once. */
static void falls_back_to_the_dialect(void) {
  setenv("FOGHORN_CACHE_DIR", "", 1); /* what was compiled before would be loaded */
  fh_context *context = open_context();
  if (!context) return;
  for (int i = 0; i < 3; i++) multiply(context);
  expect_decision(context, "-> cuda:0 ");
  expect_decision(context, "CU-DRIVER-TOO-OLD");
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.launches, 3);
  assert_int_equal(counters.executed_intended + counters.executed_elsewhere, 3);
  assert_true(counters.executed_elsewhere >= 1);
  assert_int_equal(counters.fallback_warnings, 1);
  fh_context_release(context);
}

int main(int argc, char **argv) {
  (void)argc;
  static const fh_cuda_case cases[] = {
      {"needs a newer GPU", "capability=75,multiprocessors=7", NULL, needs_a_newer_gpu, 0, 0, 0},
      {"is for one GPU alone", "capability=100,multiprocessors=7", NULL, is_for_one_gpu_alone, 0, 0, 0},
      {"says what was not built", "capability=86,multiprocessors=7", NULL, says_what_was_not_built, 0, 0, 0},
      {"wants a newer driver", "capability=86,multiprocessors=7,version=11080", NULL, wants_a_newer_driver, 0, 0, 0},
      {"checks the shape", "capability=86,multiprocessors=7", NULL, checks_the_shape, 0, 0, 0},
      {"asks for shared memory once", "capability=86,multiprocessors=7", NULL, asks_for_shared_memory_once, 0, 0, 0},
      {"the stand-in is strict", "capability=100", NULL, the_stand_in_is_strict, 0, 0, 0},
      {"needs the right recipe", "capability=86,multiprocessors=7", NULL, needs_the_right_recipe, 0, 0, 0},
      {"runs every variant", "capability=90,multiprocessors=7", NULL, runs_every_variant, 0, 300, 0},
      {"runs in steps", "capability=60,multiprocessors=7", NULL, runs_in_steps, 0, 0, 0},
      {"steps are each within limits", "capability=60,multiprocessors=7", NULL, steps_are_each_within_limits, 0, 0, 0},
      {"is planned in steps", "capability=60,multiprocessors=7", NULL, is_planned_in_steps, 0, 0, 0},
      {"is planned and tested", "capability=60,multiprocessors=7", NULL, is_planned_and_tested, 0, 0, 0},
      {"multiprocessors are filled", "capability=80,multiprocessors=132", NULL, multiprocessors_are_filled, 0, 0, 0},
      {"by the product as well", "capability=90,multiprocessors=132", NULL, multiprocessors_are_filled_by_the_product, 0, 0, 0},
      {"nothing to do is explained", "capability=90,multiprocessors=132", NULL, nothing_to_do_is_explained, 0, 0, 0},
      {"is tested by columns", "capability=60,multiprocessors=7", NULL, is_tested_by_columns, 0, 0, 0},
      {"falls back to the dialect", "capability=60,multiprocessors=7", "cuModuleLoadDataEx@1=222", falls_back_to_the_dialect, 0, 0, 0},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, FH_LENGTH(cases));
}
