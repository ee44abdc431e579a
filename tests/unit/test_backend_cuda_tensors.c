/* Tensor maps and clusters on the stand-in CUDA driver: its rules for maps, launches that pass them, and drivers that have none.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "backends/check.h"
#include "backends/cuda/cuda_internal.h"
#include "kernels/contracts.h"
#include "kernels/product_tensors.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

static void open_fake(fh_backend_fixture *f) { fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, f); }

static void expect_refused(fh_status status, fh_code code, const char *part) {
  if (!status || !strstr(fh_status_message(status), part)) print_error("no \"%s\" in: %s\n", part, fh_status_message(status));
  assert_true(status && strstr(fh_status_message(status), part));
  fh_expect_code(status, code);
}

/* ---- the driver's rules --------------------------------------------------------------------------------------------------- */

/* A request that is right, of which each row changes one thing. */
typedef struct request {
  fh_cu_tensor_type type;
  uint32_t rank;
  uint64_t address, extents[5], strides[4];
  uint32_t box[5], steps[5];
  fh_cu_tensor_swizzle swizzle;
  size_t map_offset;
} request;

static const request right = {.type = FH_CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
                              .rank = 3,
                              .address = 0x10000,
                              .extents = {100, 50, 2},
                              .strides = {208, 10400},
                              .box = {64, 128, 1},
                              .steps = {1, 1, 1},
                              .swizzle = FH_CU_TENSOR_MAP_SWIZZLE_128B};

static fh_cu_result encode(const fh_cuda_functions *fn, const request *r) {
  _Alignas(64) unsigned char map[2 * FH_CU_TENSOR_MAP_BYTES];
  return fn->cuTensorMapEncodeTiled((fh_cu_tensor_map_ptr)(void *)(map + r->map_offset), r->type, r->rank, (void *)(uintptr_t)r->address,
                                    r->extents, r->strides, r->box, r->steps, FH_CU_TENSOR_MAP_INTERLEAVE_NONE, r->swizzle,
                                    FH_CU_TENSOR_MAP_L2_PROMOTION_L2_256B, FH_CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
}

static void expect_encoded(const fh_cuda_functions *fn, const request *r, bool well) {
  assert_int_equal(encode(fn, r), well ? FH_CUDA_SUCCESS : FH_CUDA_ERROR_INVALID_VALUE);
}

static void refuses_wrong_maps(void) {
  fh_backend_fixture f;
  open_fake(&f);
  const fh_cuda_functions *fn = f.device->fn;
  FH_EXPECT_OK(fh_cuda_enter(f.device));
  expect_encoded(fn, &right, true);
#define CHANGED(member, value) \
  request r = right;           \
  r.member = (value)
#define REFUSED(member, value)     \
  do {                             \
    CHANGED(member, value);        \
    expect_encoded(fn, &r, false); \
  } while (0)
#define TAKEN(member, value)      \
  do {                            \
    CHANGED(member, value);       \
    expect_encoded(fn, &r, true); \
  } while (0)
  REFUSED(rank, 0);
  REFUSED(rank, 6);
  REFUSED(address, 0x10008);
  REFUSED(extents[1], 0);
  REFUSED(extents[1], (UINT64_C(1) << 32) + 1);
  TAKEN(extents[1], UINT64_C(1) << 32);
  REFUSED(strides[0], 200);
  REFUSED(strides[1], UINT64_C(1) << 40);
  TAKEN(strides[1], (UINT64_C(1) << 40) - 16);
  REFUSED(box[1], 0);
  REFUSED(box[1], 257);
  TAKEN(box[1], 256);
  REFUSED(box[0], 60); /* 120 bytes */
  REFUSED(box[0], 72); /* 144 bytes, above the swizzle */
  REFUSED(swizzle, FH_CU_TENSOR_MAP_SWIZZLE_64B);
  TAKEN(swizzle, FH_CU_TENSOR_MAP_SWIZZLE_NONE);
  REFUSED(steps[2], 0);
  REFUSED(steps[2], 9);
  REFUSED(map_offset, 32);
#undef TAKEN
#undef REFUSED
#undef CHANGED
  fh_cuda_leave(f.device);
  fh_backend_fixture_close(&f);
}

/* ---- a product whose text the tests write ---------------------------------------------------------------------------------- */

/* The head and the parameters are all that the stand-in reads of PTX, so this works in a build without any. */
static const char ptx[] =
    ".version 8.0\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 fh_dynamic_shared[];\n"
    ".visible .entry matmul_bf16_wgmma_small(.param .u64 items,\n"
    " .param .u64 a, .param .u64 ao, .param .u64 b, .param .u64 bo, .param .u64 c, .param .u64 co,\n"
    " .param .u64 batch, .param .u64 m, .param .u64 n, .param .u64 k,\n"
    " .param .u64 s0, .param .u64 s1, .param .u64 s2, .param .u64 s3, .param .u64 s4, .param .u64 s5,\n"
    " .param .u64 s6, .param .u64 s7, .param .u64 s8, .param .u64 s9, .param .u64 s10,\n"
    " .param .align 64 .b8 t0[128], .param .align 64 .b8 t1[128]\n)\n"
    ".reqntid 384, 1, 1\n{\n mov.u64 %rd1, fh_dynamic_shared;\n ret;\n}\n";

static fh_block_image text = {"matmul_bf16_sm90a", ptx, NULL, NULL};
static fh_kernel_image image;

static fh_block_variant narrow(void) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  while (strcmp(images->contract->name, "matmul_bf16") != 0) images++;
  image = *images;
  image.blocks = &text;
  image.block_count = 1;
  const fh_block_variant *variant = image.contract->blocks;
  while (strcmp(variant->name, "wgmma_small") != 0) variant++;
  return *variant;
}

static void runs_with_maps(void) {
  fh_backend_fixture f;
  fh_conform_report report;
  open_fake(&f);
  const fh_block_variant block = narrow();
  FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, &image, &block, &(fh_conform_options){.cases = 1}, &report));
  assert_string_equal(report.text, "");
  assert_int_equal(report.verdict, FH_CONFORM_PASS);
  assert_true(report.runs > 0);
  assert_int_equal(fh_cuda_calls("cuTensorMapEncodeTiled"), 2 * report.runs);
  fh_backend_fixture_close(&f);
}

static void clusters_of_two(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  fh_tensor_narrow_shape(bound, multiprocessors, out);
  out->grid[0] = 4;
  out->cluster = 2;
}
static void clusters_of_three(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  clusters_of_two(bound, multiprocessors, out);
  out->cluster = 3;
}

/* Blocks beyond the tiles have nothing to do. */
static void launches_clusters(void) {
  fh_backend_fixture f;
  fh_conform_report report;
  open_fake(&f);
  fh_block_variant block = narrow();
  block.shape = clusters_of_two;
  const fh_conform_options options = {.cases = 1, .quick = true};
  FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, &image, &block, &options, &report));
  assert_string_equal(report.text, "");
  assert_true(report.runs > 0);
  assert_int_equal(fh_cuda_calls("cuLaunchKernelEx"), report.runs);
  assert_int_equal(fh_cuda_calls("cuLaunchKernel"), 0);
  block.shape = clusters_of_three;
  FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, &image, &block, &options, &report));
  if (!strstr(report.text, "clusters of 3 of its 4 blocks")) fail_msg("%s", report.text);
  fh_backend_fixture_close(&f);
}

/* Older drivers lack the functions: this variant alone is not for them. */
static void drivers_may_lack_them(void) {
  fh_backend_fixture f;
  fh_conform_report report;
  fh_executable *executable = NULL;
  open_fake(&f);
  fh_block_variant block = narrow();
  fh_cuda_functions *fn = &f.backend->driver.fn;
  fn->cuLaunchKernelEx = NULL;
  block.shape = clusters_of_two;
  FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, &image, &block, &(fh_conform_options){.cases = 1, .quick = true}, &report));
  assert_int_equal(report.verdict, FH_CONFORM_UNSUPPORTED);
  if (!strstr(report.text, "no cuLaunchKernelEx")) fail_msg("%s", report.text);
  fn->cuTensorMapEncodeTiled = NULL;
  expect_refused(api->prepare(f.device, &(fh_recipe){.image = &image, .block = &block}, &executable), FH_INCOMPATIBLE,
                 "no cuTensorMapEncodeTiled");
  FH_EXPECT_OK(fh_cuda_run_axpy(f.device));
  fh_backend_fixture_close(&f);
}

/* ---- launches that come again -------------------------------------------------------------------------------------------------- */

static uint64_t rows_of_a; /* that its map shows; the others are read as zeros */

static void maps_of_some_rows(const fh_bound *bound, fh_tensor_map *out) {
  fh_tensor_product_maps(bound, FH_BF16, FH_BF16, FH_TENSOR_NARROW, out);
  out[0].extent[1] = rows_of_a;
}

typedef struct product {
  fh_memory *memory[3];
  fh_executable *executable;
  fh_bound bound;
  fh_launch_operand operands[FH_MAX_OPERANDS];
  fh_command command;
} product;

static void open_product(const fh_backend_fixture *f, const fh_block_variant *block, product *p) {
  const fh_case c = fh_product_case((const int64_t[]){0, 64, 64, 64}, FH_BF16, FH_BF16, FH_F32, 2, FH_PRODUCT_PLAIN);
  FH_EXPECT_OK(image.contract->bind(c.views, NULL, &p->bound));
  FH_EXPECT_OK(api->prepare(f->device, &(fh_recipe){.image = &image, .block = block}, &p->executable));
  const fh_stage *stage = &p->bound.stages[0];
  for (int i = 0; i < 3; i++) FH_EXPECT_OK(api->alloc(f->device, 64 * 64 * sizeof(float), &p->memory[i]));
  for (int i = 0; i < stage->operand_count; i++) {
    const fh_operand *o = &stage->operands[i];
    p->operands[i] = (fh_launch_operand){.kind = o->kind, .i = o->i};
    if (fh_operand_is_pointer(o->kind)) p->operands[i].place = (fh_place){.memory = p->memory[o->index], .offset = o->offset};
  }
  p->command = (fh_command){.kind = FH_COMMAND_LAUNCH,
                            .launch = {.executable = p->executable,
                                       .items = stage->items,
                                       .operands = p->operands,
                                       .operand_count = stage->operand_count,
                                       .bound = &p->bound}};
}

static void close_product(product *p) {
  api->release(p->executable);
  for (int i = 0; i < 3; i++) api->free(p->memory[i]);
}

static void replay_and_wait(fh_stream *stream, const product *p, fh_replay **replay) {
  fh_point point;
  bool refused;
  FH_EXPECT_OK(api->replay(stream, &p->command, 1, replay, &point, &refused));
  assert_false(refused);
  FH_EXPECT_OK(api->wait(stream, point, -1));
}

/* Maps of another tensor are another launch, whatever the arguments: no graph of the former is launched. */
static void graphs_compare_maps(void) {
  fh_backend_fixture f;
  fh_stream *stream = NULL;
  fh_replay *replay = NULL;
  product p = {0};
  open_fake(&f);
  fh_block_variant block = narrow();
  block.maps = maps_of_some_rows;
  open_product(&f, &block, &p);
  FH_EXPECT_OK(api->stream_open(f.device, &stream));
  rows_of_a = 64;
  for (int i = 0; i < 3; i++) replay_and_wait(stream, &p, &replay);
  assert_int_equal(fh_cuda_calls("cuGraphLaunch"), 2);
  rows_of_a = 1;
  replay_and_wait(stream, &p, &replay);
  assert_int_equal(fh_cuda_calls("cuGraphLaunch"), 2);
  assert_int_equal(fh_cuda_calls("cuGraphExecDestroy"), 1);
  replay_and_wait(stream, &p, &replay);
  assert_int_equal(fh_cuda_calls("cuGraphLaunch"), 3);
  api->replay_end(replay);
  api->stream_close(stream);
  close_product(&p);
  fh_backend_fixture_close(&f);
}

/* ---- operands that no map can begin at --------------------------------------------------------------------------------------- */

static void the_planner_sees_where_operands_lie(void) {
  const fh_block_variant block = narrow();
  const fh_candidate candidate = {.block = &block};
  const int64_t shape[] = {0, 64, 64, 64};
  const fh_case c = fh_product_case(shape, FH_BF16, FH_BF16, FH_F32, 2, FH_PRODUCT_PLAIN);
  fh_call call = {.image = &image, .view_count = 3};
  FH_EXPECT_OK(image.contract->bind(c.views, NULL, &call.bound));
  assert_null(fh_candidate_misplaced(&candidate, &call));
  call.views[2].offset = 4; /* written by threads */
  assert_null(fh_candidate_misplaced(&candidate, &call));
  call.views[1].offset = 2;
  assert_non_null(strstr(fh_candidate_misplaced(&candidate, &call), "boundary of 16 bytes"));
  call.views[1].offset = 0;
  call.bound.stages[0].operands[FH_PRODUCT_A].offset = 8;
  assert_non_null(fh_candidate_misplaced(&candidate, &call));
}

/* Should one come to the backend nevertheless, its words say what was wrong. */
static void the_backend_says_what_is_wrong(void) {
  fh_backend_fixture f;
  fh_executable *executable = NULL;
  fh_cuda_maps maps;
  fh_bound bound;
  open_fake(&f);
  const fh_block_variant block = narrow();
  const fh_case c = fh_product_case((const int64_t[]){0, 64, 64, 64}, FH_BF16, FH_BF16, FH_F32, 2, FH_PRODUCT_PLAIN);
  FH_EXPECT_OK(image.contract->bind(c.views, NULL, &bound));
  FH_EXPECT_OK(api->prepare(f.device, &(fh_recipe){.image = &image, .block = &block}, &executable));
  const fh_cu_ptr addresses[FH_MAX_OPERANDS] = {0x10000, 0x20002};
  const fh_command command = {.kind = FH_COMMAND_LAUNCH, .launch = {.executable = executable, .bound = &bound}};
  FH_EXPECT_OK(fh_cuda_enter(f.device));
  expect_refused(fh_cuda_encode_maps(f.device, &command, addresses, &maps), FH_INTERNAL, "refuses tensor map 1");
  fh_cuda_leave(f.device);
  api->release(executable);
  fh_backend_fixture_close(&f);
}

static const fh_cuda_case cases[] = {
    {"refuses wrong maps", "capability=90", NULL, refuses_wrong_maps, 0, 0, 0},
    {"runs with maps", "capability=90,multiprocessors=4", NULL, runs_with_maps, 0, 0, 0},
    {"launches clusters", "capability=90,multiprocessors=4", NULL, launches_clusters, 0, 0, 0},
    {"drivers may lack them", "capability=90,multiprocessors=4", NULL, drivers_may_lack_them, 0, 0, 0},
    {"graphs compare maps", "capability=90,multiprocessors=4", NULL, graphs_compare_maps, 0, 0, 0},
    {"the planner sees where operands lie", NULL, NULL, the_planner_sees_where_operands_lie, 0, 0, 0},
    {"the backend says what is wrong", "capability=90", NULL, the_backend_says_what_is_wrong, 0, 0, 0},
};

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
