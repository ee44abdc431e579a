/* Kernels from outside: registered, found, tested, launched, ended; every wrong module and plug-in refused with its reason.
 * SPDX-License-Identifier: Apache-2.0
 * Long: every way in which a module can be wrong, beside the code of one kernel in every form. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "runtime/plan/plan.h"
#include "tests/support/expect.h"
#include "tests/support/scale_kernel.h"

enum { ROWS = 3, D = 41, COUNT = ROWS * D };

/* ---- code for the contract ------------------------------------------------------------------------------------------- */

static const fh_param scale_params[] = {
    {"x", FH_OPERAND_IN},    {"y", FH_OPERAND_OUT},   {"a", FH_OPERAND_F32},   {"n1", FH_OPERAND_I64},
    {"d", FH_OPERAND_I64},   {"xs0", FH_OPERAND_I64}, {"xs1", FH_OPERAND_I64}, {"xs", FH_OPERAND_I64},
    {"ys0", FH_OPERAND_I64}, {"ys1", FH_OPERAND_I64}, {"ys", FH_OPERAND_I64},
};

/* Any byte address is legal. */
static void scale_rows(const fh_slot *s, int64_t first, int64_t last, float a) {
  const int64_t n1 = s[3].i, d = s[4].i;
  for (int64_t row = first; row < last; row++) {
    const char *x = (const char *)s[0].cp + (row / n1 * s[5].i + row % n1 * s[6].i) * 4;
    char *y = (char *)s[1].p + (row / n1 * s[8].i + row % n1 * s[9].i) * 4;
    for (int64_t i = 0; i < d; i++) {
      float v;
      memcpy(&v, x + i * s[7].i * 4, sizeof v);
      v *= a;
      memcpy(y + i * s[10].i * 4, &v, sizeof v);
    }
  }
}
static void scale_items(const fh_slot *slots, int64_t first, int64_t last) { scale_rows(slots, first, last, slots[2].f); }
static void wrong_items(const fh_slot *slots, int64_t first, int64_t last) { scale_rows(slots, first, last, slots[2].f + 1); }

/* A tuned function does the whole: its rows are not told, so the text's operands had better say them. This one has rank 2 alone. */
static int64_t tuned_calls;
static const char *only_one_row_group(const fh_bound *bound) {
  return bound->stages[0].items == bound->stages[0].operands[3].i ? NULL : "it knows rank 1 and 2 alone";
}
static void scale_team(const fh_slot *slots, const fh_team *team) {
  (void)team;
  tuned_calls++;
  scale_rows(slots, 0, slots[3].i, slots[2].f);
}
static void wrong_team(const fh_slot *slots, const fh_team *team) {
  (void)team;
  scale_rows(slots, 0, slots[3].i, slots[2].f * 5);
}

static const char scale_cl[] =
    "__kernel void scale(long items, __global const uchar *xb, long xo, __global uchar *yb, long yo, float a, long n1, long d,\n"
    "                    long xs0, long xs1, long xs, long ys0, long ys1, long ys) {\n"
    "  long row = get_global_id(0);\n"
    "  if (row >= items) return;\n"
    "  __global const float *x = (__global const float *)(xb + xo) + row / n1 * xs0 + row % n1 * xs1;\n"
    "  __global float *y = (__global float *)(yb + yo) + row / n1 * ys0 + row % n1 * ys1;\n"
    "  for (long i = 0; i < d; i++) y[i * ys] = a * x[i * xs];\n"
    "}\n";

/* The same for blocks: one for each row, whose threads share the factor. */
static const char scale_blocks_cl[] =
    "__kernel void scale_rows(long items, __global const uchar *xb, long xo, __global uchar *yb, long yo, float a, long n1, long d,\n"
    "                         long xs0, long xs1, long xs, long ys0, long ys1, long ys) {\n"
    "  __local float factor;\n"
    "  long row = get_group_id(0);\n"
    "  if (get_local_id(0) == 0) factor = a;\n"
    "  barrier(CLK_LOCAL_MEM_FENCE);\n"
    "  __global const float *x = (__global const float *)(xb + xo) + row / n1 * xs0 + row % n1 * xs1;\n"
    "  __global float *y = (__global float *)(yb + yo) + row / n1 * ys0 + row % n1 * ys1;\n"
    "  for (long i = get_local_id(0); i < d; i += get_local_size(0)) y[i * ys] = factor * x[i * xs];\n"
    "}\n";
/* In two launches: the first leaves the products in scratch, the second brings them where they belong. */
#define SCALE_STEP(name)                                                                                              \
  "__kernel void " name                                                                                               \
  "(long items, __global const uchar *xb, long xo, __global uchar *yb, long yo, float a, long n1, long d,\n"          \
  "                       long xs0, long xs1, long xs, long ys0, long ys1, long ys, __global uchar *sb, long so) {\n" \
  "  long row = get_group_id(0);\n"                                                                                   \
  "  __global float *scratch = (__global float *)(sb + so) + row * d;\n"                                              \
  "  __global const float *x = (__global const float *)(xb + xo) + row / n1 * xs0 + row % n1 * xs1;\n"                \
  "  __global float *y = (__global float *)(yb + yo) + row / n1 * ys0 + row % n1 * ys1;\n"
static const char scale_steps_cl[] =
    SCALE_STEP("scale_multiply") "  for (long i = get_local_id(0); i < d; i += get_local_size(0)) scratch[i] = a * x[i * xs];\n}\n"
    SCALE_STEP("scale_store") "  for (long i = get_local_id(0); i < d; i += get_local_size(0)) y[i * ys] = scratch[i];\n}\n";
static const fh_block_image scale_steps_text = {"scale_block", NULL, "this test has no PTX", scale_steps_cl};

static const fh_block_image scale_block_text = {"scale_block", NULL, "this test has no PTX", scale_blocks_cl};

static void block_for_row(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  (void)multiprocessors;
  *out = (fh_block_shape){{(uint32_t)bound->stages[0].items, 1, 1}, 32, 0};
}
static void block_for_row_but_one(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  block_for_row(bound, multiprocessors, out);
  if (out->grid[0] > 1) out->grid[0]--;
}
static void huge_blocks(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  block_for_row(bound, multiprocessors, out);
  out->threads = 1u << 20;
}
static void other_threads_for_row(const fh_bound *bound, int multiprocessors, fh_block_shape *out) {
  block_for_row(bound, multiprocessors, out);
  out->threads = 16;
}
static const fh_block_step store_step = {"scale_store", other_threads_for_row};
static const fh_block_step huge_step = {"scale_store", huge_blocks};
static size_t scaled_bytes(const fh_bound *bound, int multiprocessors) {
  (void)multiprocessors;
  enum { LENGTH = 4 };
  return sizeof(float) * (size_t)(bound->stages[0].items * bound->stages[0].operands[LENGTH].i);
}

static void no_blocks(const fh_bound *bound, int multiprocessors, fh_block_shape *out) { (void)bound, (void)multiprocessors, (void)out; }

static const char *const scale_entries[] = {"scale"};

/* A module that a test takes apart. */
typedef struct kernel {
  fh_kernel_contract contract;
  fh_tuned tuned;
  fh_block_variant block;
  fh_entry_image entry;
  fh_kernel_image image;
  fh_kernel_module module;
} kernel;

static kernel *reference_alone(kernel *k, const char *name) {
  *k = (kernel){.contract = SCALE_CONTRACT(name), .image = {.contract = &k->contract}, .module = FH_KERNEL_MODULE(&k->image)};
  return k;
}

static kernel *with_tuned(kernel *k, const char *name, fh_team_fn fn) {
  reference_alone(k, name);
  k->tuned =
      (fh_tuned){.name = "tuned", .isa = FH_ISA_SCALAR, .numerics = FH_EXACT, .fn = fn, .unfit = only_one_row_group, .efficiency = 0.5};
  k->contract.tuned = &k->tuned;
  k->contract.tuned_count = 1;
  return k;
}

static kernel *with_text(kernel *k, const char *name, fh_items_fn fn) {
  reference_alone(k, name);
  k->contract.dialect_numerics = FH_EXACT;
  k->contract.entries = scale_entries;
  k->contract.entry_count = 1;
  k->entry = (fh_entry_image){"scale", scale_params, FH_LENGTH(scale_params), {[FH_ISA_SCALAR] = fn}};
  k->image.entries = &k->entry;
  k->image.entry_count = 1;
  k->image.cl_source = scale_cl;
  return k;
}

static kernel *with_blocks(kernel *k, const char *name, void (*shape)(const fh_bound *, int, fh_block_shape *)) {
  with_text(k, name, scale_items);
  k->block = (fh_block_variant){.name = "rows",
                                .entry = "scale_rows",
                                .text = "scale_block",
                                .capability = FH_BLOCK_PORTABLE,
                                .numerics = FH_EXACT,
                                .shape = shape,
                                .efficiency = 0.5};
  k->contract.blocks = &k->block;
  k->contract.block_count = 1;
  k->image.blocks = &scale_block_text;
  k->image.block_count = 1;
  return k;
}

static kernel *with_steps(kernel *k, const char *name, const fh_block_step *second) {
  with_blocks(k, name, block_for_row);
  k->block.entry = "scale_multiply";
  k->block.rest = second;
  k->block.rest_count = 1;
  k->block.scratch_bytes = scaled_bytes;
  k->image.blocks = &scale_steps_text;
  return k;
}

/* ---- a caller, who knows a name and nothing else ------------------------------------------------------------------------ */

static fh_context *open_on(const char *devices) {
  fh_context *context = NULL;
  fh_context_options options = {.devices = devices};
  FH_EXPECT_OK(fh_context_create(&options, &context));
  return context;
}

static fh_status scale(fh_context *context, const char *name, const float *in, float *out, float a) {
  const fh_kernel *found = NULL;
  fh_auto(fh_view) x = {0}, y = {0};
  FH_TRY(fh_kernel_find(name, &found));
  FH_TRY(fh_view_wrap(context, in, FH_F32, FH_SHAPE(ROWS, D), FH_ROW_MAJOR, in == out ? FH_READ_WRITE : FH_READ, &x));
  if (in != out) FH_TRY(fh_view_wrap(context, out, FH_F32, FH_SHAPE(ROWS, D), FH_ROW_MAJOR, FH_WRITE, &y));
  const fh_param_value params[] = {{.f = (double)a}};
  FH_TRY(fh_launch(fh_context_queue(context), found, (const fh_view *[]){&x, in == out ? &x : &y}, 2, params, 1, NULL));
  return fh_view_sync(in == out ? &x : &y);
}

static void expect_scaled(fh_context *context, const char *name) {
  float in[COUNT], out[COUNT] = {0};
  for (int i = 0; i < COUNT; i++) in[i] = (float)(i - 20) * 0.375f;
  FH_EXPECT_OK(scale(context, name, in, out, 3));
  for (int i = 0; i < COUNT; i++)
    if (out[i] != 3 * in[i]) fail_msg("%s: element %d is %g, expected %g", name, i, (double)out[i], (double)(3 * in[i]));
}

/* What explain says of a launch, to be freed. */
static char *explained(fh_context *context, const char *name) {
  const fh_kernel *found = NULL;
  char *text = NULL;
  const fh_view_spec spec = {FH_F32, FH_SHAPE(ROWS, D)};
  const fh_param_value params[] = {{.f = 3}};
  FH_EXPECT_OK(fh_kernel_find(name, &found));
  FH_EXPECT_OK(fh_explain_shapes(fh_context_queue(context), found, (const fh_view_spec[]){spec, spec}, 2, params, 1, false, &text));
  return text;
}

static void expect_explained(fh_context *context, const char *name, const char *part) {
  char *text = explained(context, name);
  if (!strstr(text, part)) fail_msg("explain does not say \"%s\":\n%s", part, text);
  free(text);
}

/* ---- tests -------------------------------------------------------------------------------------------------------------- */

static void a_kernel_is_found_launched_and_ended(void **state) {
  (void)state;
  kernel k;
  const fh_kernel *handle = NULL, *found = NULL;
  const int before = fh_kernel_count();
  FH_EXPECT_OK(fh_kernel_register(&with_text(&k, "scale", scale_items)->module, &handle));
  assert_int_equal(fh_kernel_count(), before + 1);
  assert_ptr_equal(fh_kernel_at(before), handle);
  assert_null(fh_kernel_at(before + 1));
  assert_string_equal(fh_kernel_name(handle), "scale");
  FH_EXPECT_OK(fh_kernel_find("scale", &found));
  assert_ptr_equal(found, handle);
  fh_expect_fails(fh_kernel_find("scalf", &found), FH_NOT_FOUND, "scale");
  fh_context *context = open_on("cpu");
  FH_EXPECT_OK(fh_kernel_unregister("scale")); /* no context has used it */
  assert_int_equal(fh_kernel_count(), before);
  fh_expect_fails(fh_kernel_find("scale", &found), FH_NOT_FOUND, "no kernel is named \"scale\"");
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  expect_scaled(context, "scale"); /* of a context that is older than the kernel */
  expect_explained(context, "scale", "self-test passed");
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.launches, 1);
  assert_int_equal(counters.executed_intended, 1);
  char *report = NULL;
  FH_EXPECT_OK(fh_report(context, false, &report));
  assert_non_null(strstr(report, "scale"));
  free(report);
  fh_expect_fails(fh_kernel_unregister("scale"), FH_FAILED_PRECONDITION, "scale is in use by 1 context");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("scale"));
}

static void an_old_handle_is_refused(void **state) {
  (void)state;
  kernel k, other;
  const fh_kernel *old = NULL, *now = NULL;
  FH_EXPECT_OK(fh_kernel_register(&with_text(&k, "scale", scale_items)->module, &old));
  FH_EXPECT_OK(fh_kernel_unregister("scale"));
  FH_EXPECT_OK(fh_kernel_register(&with_text(&other, "other_scale", scale_items)->module, &now)); /* in its place */
  fh_context *context = open_on("cpu");
  expect_scaled(context, "other_scale");
  float data[COUNT] = {0};
  fh_view x;
  char *text = NULL;
  const fh_param_value a = {.f = 1};
  const fh_view_spec spec = {FH_F32, FH_SHAPE(ROWS, D)};
  FH_EXPECT_OK(fh_view_wrap(context, data, FH_F32, FH_SHAPE(ROWS, D), FH_ROW_MAJOR, FH_READ_WRITE, &x));
  fh_expect_fails(fh_launch(fh_context_queue(context), old, (const fh_view *[]){&x, &x}, 2, &a, 1, NULL), FH_FAILED_PRECONDITION,
                  "scale: this handle is of a kernel that was unregistered");
  fh_expect_fails(fh_explain_shapes(fh_context_queue(context), old, (const fh_view_spec[]){spec, spec}, 2, &a, 1, false, &text),
                  FH_FAILED_PRECONDITION, "unregistered");
  assert_string_equal(fh_kernel_name(old), "scale");
  fh_view_release(&x);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("other_scale"));
}

/* A reference first, then a tuned function, then a text: the caller is the same, and each step was tested against the reference. */
static void a_kernel_grows_behind_its_name(void **state) {
  (void)state;
  kernel k;
  FH_EXPECT_OK(fh_kernel_register(&reference_alone(&k, "growing")->module, NULL));
  fh_context *context = open_on("cpu");
  expect_scaled(context, "growing");
  expect_explained(context, "growing", "-> cpu/reference");
  expect_explained(context, "growing", "self-test passed");
  float in_place[COUNT];
  for (int i = 0; i < COUNT; i++) in_place[i] = (float)i;
  FH_EXPECT_OK(scale(context, "growing", in_place, in_place, 2));
  for (int i = 0; i < COUNT; i++) assert_true(in_place[i] == 2 * (float)i);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("growing"));

  FH_EXPECT_OK(fh_kernel_register(&with_tuned(&k, "growing", scale_team)->module, NULL));
  context = open_on("cpu");
  tuned_calls = 0;
  expect_scaled(context, "growing");
  assert_true(tuned_calls > 1); /* its self-test, and the launch */
  expect_explained(context, "growing", "-> cpu/scalar/tuned");
  expect_explained(context, "growing", "cpu/reference");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("growing"));

  FH_EXPECT_OK(fh_kernel_register(&with_text(&k, "growing", scale_items)->module, NULL));
  context = open_on("cpu");
  expect_scaled(context, "growing");
  expect_explained(context, "growing", "-> cpu/scalar ");
  fh_context_release(context);
  context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "opencl"}, &context);
  if (status) {
    printf("NOT RUN: the step to a device: %s\n", fh_status_message(status));
    fh_status_free(status);
  } else {
    expect_scaled(context, "growing");
    expect_explained(context, "growing", "-> opencl:");
  }
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("growing"));
}

/* A context on an OpenCL device; NULL, and said: there is none. */
static fh_context *open_on_opencl(void) {
  fh_context *context = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "opencl"}, &context);
  if (status) printf("NOT RUN: blocks of threads on a device: %s\n", fh_status_message(status));
  fh_status_free(status);
  return context;
}

/* The variant for blocks takes no time: on a CPU behind OpenCL it would not be chosen for its prior. */
static void make_blocks_fast(fh_context *context, const char *name) {
  const fh_kernel *found = NULL;
  fh_plan_kernel *k = NULL;
  FH_EXPECT_OK(fh_kernel_find(name, &found));
  FH_EXPECT_OK(fh_plan_kernel_of(context, fh_kernel_image_of(found), &k));
  for (int i = 0; i < k->count; i++)
    for (int bucket = 0; k->candidates[i].block && bucket < FH_PLAN_BUCKETS; bucket++)
      fh_candidate_calibrate(&k->candidates[i], bucket, 1e-9);
}

static void blocks_of_threads_run_as_work_groups(void **state) {
  (void)state;
  static const struct {
    void (*shape)(const fh_bound *, int, fh_block_shape *);
    const char *chosen, *reason;
    int elsewhere;
  } rows[] = {
      {block_for_row, "-> opencl:0/rows", "self-test passed", 0},
      {block_for_row_but_one, "-> opencl:0 ", "its self-test failed: opencl:0/rows, case", 1},
      {huge_blocks, "-> opencl:0 ", "needs 1048576 threads of a block, the device gives", 0},
      {no_blocks, "-> opencl:0 ", "blocks of 0 threads, expected at least 1 of each", 1},
  };
  for (int i = 0; i < FH_LENGTH(rows); i++) {
    kernel k;
    FH_EXPECT_OK(fh_kernel_register(&with_blocks(&k, "in_blocks", rows[i].shape)->module, NULL));
    fh_context *context = open_on_opencl();
    if (context) {
      make_blocks_fast(context, "in_blocks");
      expect_scaled(context, "in_blocks");
      expect_explained(context, "in_blocks", rows[i].chosen);
      expect_explained(context, "in_blocks", rows[i].reason);
      fh_counters counters;
      fh_context_counters(context, &counters);
      assert_int_equal(counters.executed_elsewhere, rows[i].elsewhere);
    }
    fh_context_release(context);
    FH_EXPECT_OK(fh_kernel_unregister("in_blocks"));
  }
}

static void blocks_may_launch_twice_and_share_scratch(void **state) {
  (void)state;
  static const struct {
    const fh_block_step *second;
    const char *chosen, *reason;
  } rows[] = {
      {&store_step, "-> opencl:0/rows", "self-test passed"},
      {&huge_step, "-> opencl:0 ", "needs 1048576 threads of a block, the device gives"},
  };
  for (int i = 0; i < FH_LENGTH(rows); i++) {
    kernel k;
    FH_EXPECT_OK(fh_kernel_register(&with_steps(&k, "in_steps", rows[i].second)->module, NULL));
    fh_context *context = open_on_opencl();
    if (context) {
      make_blocks_fast(context, "in_steps");
      expect_scaled(context, "in_steps");
      expect_explained(context, "in_steps", rows[i].chosen); /* before times of real launches count */
      expect_explained(context, "in_steps", rows[i].reason);
      for (int again = 0; again < 2; again++) expect_scaled(context, "in_steps");
    }
    fh_context_release(context);
    FH_EXPECT_OK(fh_kernel_unregister("in_steps"));
  }
}

static const char *never_fits(const fh_bound *bound) {
  (void)bound;
  return "it never fits";
}

/* What another device would run has no line; what does not fit says why. */
static void blocks_that_cannot_run_say_why(void **state) {
  (void)state;
  kernel k;
  with_blocks(&k, "in_blocks", block_for_row)->block.unfit = never_fits;
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  fh_context *context = open_on_opencl();
  if (context) expect_explained(context, "in_blocks", "does not fit this shape: it never fits");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("in_blocks"));

  with_blocks(&k, "in_blocks", block_for_row)->block.capability = 80;
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  context = open_on_opencl();
  char *text = context ? explained(context, "in_blocks") : NULL;
  if (text) assert_null(strstr(text, "opencl:0/rows"));
  free(text);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("in_blocks"));
}

/* Exactness is a promise about texts: the reference computes in double precision. */
static void the_reference_is_not_exact(void **state) {
  (void)state;
  kernel k;
  FH_EXPECT_OK(fh_kernel_register(&reference_alone(&k, "inexact")->module, NULL));
  fh_context *context = NULL;
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cpu", .numerics = FH_EXACT}, &context));
  float in[COUNT] = {0}, out[COUNT];
  fh_expect_fails(scale(context, "inexact", in, out, 1), FH_UNAVAILABLE, "exact results are asked for, this variant is bounded");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("inexact"));
}

static void wrong_code_does_not_get_past_its_test(void **state) {
  (void)state;
  kernel k;
  with_tuned(&k, "wrong_tuned", wrong_team);
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  fh_context *context = open_on("cpu");
  expect_scaled(context, "wrong_tuned"); /* by the reference */
  expect_explained(context, "wrong_tuned", "its self-test failed");
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_elsewhere, 1);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("wrong_tuned"));

  FH_EXPECT_OK(fh_kernel_register(&with_text(&k, "wrong_text", wrong_items)->module, NULL));
  context = open_on("cpu");
  float in[COUNT] = {0}, out[COUNT];
  fh_expect_fails(scale(context, "wrong_text", in, out, 1), FH_UNAVAILABLE, "the oracle says");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("wrong_text"));
}

/* Takes what the tests launch, and no case of the contract. */
static const char *only_the_launch(const fh_bound *bound) {
  return bound->stages[0].operands[3].i == ROWS && bound->stages[0].operands[4].i == D ? NULL : "it knows one shape";
}

static void what_no_case_fits_is_not_tested(void **state) {
  (void)state;
  kernel k;
  with_tuned(&k, "untested", scale_team)->tuned.unfit = only_the_launch;
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  fh_context *context = open_on("cpu");
  expect_scaled(context, "untested"); /* by the reference */
  expect_explained(context, "untested", "no case of the contract fits cpu/scalar/tuned, so that it could not be tested");
  char *text = explained(context, "untested"), *report = NULL;
  assert_null(strstr(text, "self-test failed: no case"));
  free(text);
  FH_EXPECT_OK(fh_report(context, false, &report));
  assert_null(strstr(report, "WRONG-RESULT"));
  if (!strstr(report, "NOT-TESTED")) fail_msg("%s", report);
  free(report);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("untested"));
}

static int looked_at, referenced;
static bool endless_case(int i, fh_case *out) {
  looked_at++;
  return scale_case_at(i % 3, out);
}
static void counting_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  referenced++;
  scale_reference(views, data, scalars);
}
static bool takes_nothing(void *arg, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]) {
  (void)arg, (void)bound, (void)offsets;
  return true;
}

static void cases_without_end_cost_little(void **state) {
  (void)state;
  kernel k;
  with_text(&k, "endless", scale_items);
  k.contract.case_at = endless_case;
  k.contract.reference = counting_reference;
  const fh_conform_variant variant = {.name = "none", .alignment = 1, .unfit = takes_nothing};
  for (int quick = 0; quick < 2; quick++) {
    fh_conform_report report;
    looked_at = referenced = 0;
    FH_EXPECT_OK(fh_conform(&k.image, &variant, &(fh_conform_options){.cases = 3, .quick = quick}, &report));
    assert_int_equal(report.verdict, FH_CONFORM_UNSUPPORTED);
    assert_int_equal(report.runs, 0);
    assert_int_equal(looked_at, 4096);
    assert_int_equal(referenced, 0);
  }
}

/* Right for its own cases, and not for others. */
static fh_status lying_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  if (views[0].rank == 2 && views[0].shape[1] == D) out->stages[0].operands[0].index = 7;
  return FH_OK;
}

static void what_bind_fills_is_looked_at_each_time(void **state) {
  (void)state;
  kernel k;
  with_text(&k, "lying", scale_items)->contract.bind = lying_bind;
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  fh_context *context = open_on("cpu");
  float in[COUNT] = {0}, out[COUNT];
  fh_expect_fails(scale(context, "lying", in, out, 1), FH_INVALID_ARGUMENT, "bind fills operand 0 (x) of scale with view 7, there are 2");
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("lying"));
}

/* As many operands as the shape has dimensions: without a text nothing says how many there are. */
static fh_status bind_by_rank(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  for (int i = 0; out->stage_count && i < views[0].rank; i++) fh_push(&out->stages[0], fh_op_i64(views[0].shape[i]));
  return FH_OK;
}

static fh_status scale_shaped(fh_context *context, const char *name, fh_shape shape, const void *in, void *out) {
  const fh_kernel *found = NULL;
  fh_auto(fh_view) x = {0}, y = {0};
  FH_TRY(fh_kernel_find(name, &found));
  FH_TRY(fh_view_wrap(context, in, FH_F32, shape, FH_ROW_MAJOR, FH_READ, &x));
  FH_TRY(fh_view_wrap(context, out, FH_F32, shape, FH_ROW_MAJOR, FH_WRITE, &y));
  FH_TRY(fh_launch(fh_context_queue(context), found, (const fh_view *[]){&x, &y}, 2, &(fh_param_value){.f = 2}, 1, NULL));
  return fh_view_sync(&y);
}

static void without_a_text_operands_may_go_by_rank(void **state) {
  (void)state;
  kernel alone, tuned;
  reference_alone(&alone, "alone")->contract.bind = bind_by_rank;
  with_tuned(&tuned, "tuned_by_rank", scale_team)->contract.bind = bind_by_rank;
  FH_EXPECT_OK(fh_kernel_register(&alone.module, NULL));
  FH_EXPECT_OK(fh_kernel_register(&tuned.module, NULL));
  fh_context *context = open_on("cpu");
  const fh_shape shapes[] = {FH_SHAPE(24), FH_SHAPE(4, 6), FH_SHAPE(2, 3, 4)};
  for (int s = 0; s < FH_LENGTH(shapes); s++) {
    float in[24], out[24] = {0}, out_tuned[24] = {0};
    for (int i = 0; i < 24; i++) in[i] = (float)i;
    FH_EXPECT_OK(scale_shaped(context, "alone", shapes[s], in, out));
    FH_EXPECT_OK(scale_shaped(context, "tuned_by_rank", shapes[s], in, out_tuned));
    for (int i = 0; i < 24; i++) assert_true(out[i] == 2 * in[i] && out_tuned[i] == 2 * in[i]);
  }
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("alone"));
  FH_EXPECT_OK(fh_kernel_unregister("tuned_by_rank"));
}

static void aligned_reference(const fh_view_desc *views, void *const *data, const fh_value *scalars) {
  for (int v = 0; v < 2; v++) assert_int_equal((uintptr_t)data[v] % sizeof(float), 0);
  scale_reference(views, data, scalars);
}

/* References read elements as such. What lies between an output's elements is not theirs. */
static void a_reference_never_sees_an_odd_address(void **state) {
  (void)state;
  enum { N = 5 };
  kernel k;
  reference_alone(&k, "odd")->contract.reference = aligned_reference;
  FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
  fh_context *context = open_on("cpu");
  _Alignas(16) char in[N * 4 + 1], out[2 * N * 4 + 1], before[sizeof out];
  for (int i = 0; i < N; i++) memcpy(in + 1 + i * 4, &(float){(float)i - 2}, 4);
  for (size_t i = 0; i < sizeof out; i++) out[i] = before[i] = (char)(i * 7);
  fh_auto(fh_view) x = {0}, y = {0}, in_place = {0};
  const fh_kernel *found = NULL;
  const fh_param_value a = {.f = 2};
  FH_EXPECT_OK(fh_kernel_find("odd", &found));
  FH_EXPECT_OK(fh_view_wrap(context, in + 1, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, FH_READ, &x));
  FH_EXPECT_OK(
      fh_view_wrap_strided(context, out, sizeof out, out + 1 + 4 * 2 * (N - 1), FH_F32, FH_SHAPE(N), (const int64_t[]){-2}, FH_WRITE, &y));
  FH_EXPECT_OK(fh_launch(fh_context_queue(context), found, (const fh_view *[]){&x, &y}, 2, &a, 1, NULL));
  FH_EXPECT_OK(fh_view_sync(&y));
  for (int i = 0; i < N; i++) {
    const float want = 2 * ((float)i - 2);
    memcpy(before + 1 + 4 * 2 * (N - 1 - i), &want, 4);
  }
  assert_memory_equal(out, before, sizeof out);
  FH_EXPECT_OK(fh_view_wrap(context, in + 1, FH_F32, FH_SHAPE(N), FH_ROW_MAJOR, FH_READ_WRITE, &in_place));
  FH_EXPECT_OK(fh_launch(fh_context_queue(context), found, (const fh_view *[]){&in_place, &in_place}, 2, &a, 1, NULL));
  FH_EXPECT_OK(fh_view_sync(&in_place));
  for (int i = 0; i < N; i++) assert_memory_equal(in + 1 + i * 4, &(float){2 * ((float)i - 2)}, 4);
  fh_view_release(&in_place);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
  FH_EXPECT_OK(fh_kernel_unregister("odd"));
}

/* Caches and profiles go by it. */
static uint64_t hash_with(const char *cl_source, const char *ptx, uint64_t hash) {
  kernel k;
  fh_kernel_record *record = NULL;
  with_text(&k, "hashed", scale_items);
  k.image.cl_source = cl_source;
  k.image.ptx = ptx;
  k.image.hash = hash;
  FH_EXPECT_OK(fh_record_make(&k.image, NULL, &record));
  const uint64_t made = fh_record_image(record)->hash;
  fh_record_free(record);
  return made;
}

static void the_hash_is_of_every_text(void **state) {
  (void)state;
  const uint64_t hashes[] = {hash_with("a", "b", 1),   hash_with("a", "c", 1),   hash_with("a", NULL, 1),
                             hash_with("ab", NULL, 1), hash_with(NULL, "ab", 1), hash_with("a", "b", 2)};
  for (int i = 0; i < FH_LENGTH(hashes); i++)
    for (int j = 0; j < i; j++)
      if (hashes[i] == hashes[j]) fail_msg("texts %d and %d have one hash", j, i);
  assert_true(hash_with("a", "b", 1) == hashes[0]);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------------- */

static bool no_case(int i, fh_case *out) {
  (void)i, (void)out;
  return false;
}
/* What bind() never is handed: a rank to read past the end by. */
static bool high_case(int i, fh_case *out) {
  if (!scale_case_at(i, out)) return false;
  out->views[0].rank = 99;
  return true;
}
static bool bind_was_called;
static fh_status noting_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  bind_was_called = true;
  return scale_bind(views, scalars, out);
}

static void cases_are_looked_at_before_bind_is(void **state) {
  (void)state;
  kernel k;
  reference_alone(&k, "high");
  k.contract.case_at = high_case;
  k.contract.bind = noting_bind;
  fh_expect_fails(fh_kernel_register(&k.module, NULL), FH_INVALID_ARGUMENT, "high: case 0: x has rank 99");
  assert_false(bind_was_called);
}

static fh_status many_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  if (out->stage_count) out->stages[0].operand_count = FH_MAX_OPERANDS + 1;
  return FH_OK;
}
static fh_status far_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  out->stages[0].operands[1].index = 2;
  return FH_OK;
}

static void what_tuned_functions_get_is_within_limits(void **state) {
  (void)state;
  kernel k;
  with_tuned(&k, "limits", scale_team)->contract.bind = many_bind;
  fh_expect_fails(fh_kernel_register(&k.module, NULL), FH_INVALID_ARGUMENT, "bind fills 49 operands, at most 48");
  with_tuned(&k, "limits", scale_team)->contract.bind = far_bind;
  fh_expect_fails(fh_kernel_register(&k.module, NULL), FH_INVALID_ARGUMENT, "with view 2, there are 2");
}

static fh_status refusing_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  (void)views, (void)scalars, (void)out;
  return FH_STATUS(FH_INVALID_ARGUMENT, "never");
}
static fh_status short_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  if (out->stage_count) out->stages[0].operand_count--;
  return FH_OK;
}
static fh_status swapping_bind(const fh_view_desc *views, const fh_value *scalars, fh_bound *out) {
  FH_TRY(scale_bind(views, scalars, out));
  out->stages[0].operands[1].index = SCALE_X;
  return FH_OK;
}

static void make_block_no_shape(kernel *k) { with_blocks(k, "scale", NULL); }
static void make_block_old(kernel *k) { with_blocks(k, "scale", block_for_row)->block.capability = 50; }
static void make_block_slow(kernel *k) { with_blocks(k, "scale", block_for_row)->block.efficiency = 2; }
static void make_block_long(kernel *k) { with_blocks(k, "scale", block_for_row)->block.name = "twenty_four_letters_long"; }
static void make_block_lost(kernel *k) { with_blocks(k, "scale", block_for_row)->image.block_count = 0; }
static void make_block_of_many(kernel *k) { with_steps(k, "scale", &store_step)->block.rest_count = FH_MAX_BLOCK_STEPS; }
static void make_block_of_none(kernel *k) { with_steps(k, "scale", NULL); }
static void make_block_step_shapeless(kernel *k) {
  static const fh_block_step shapeless = {"scale_store", NULL};
  with_steps(k, "scale", &shapeless);
}
static void make_block_alone(kernel *k) {
  with_blocks(k, "scale", block_for_row)->contract.entry_count = 0;
  k->image.entry_count = 0;
}
static void make_block_twice(kernel *k) {
  static fh_block_variant twice[2];
  with_blocks(k, "scale", block_for_row);
  twice[0] = twice[1] = k->block;
  k->contract.blocks = twice;
  k->contract.block_count = 2;
}

static void make_abi(kernel *k) { k->module.abi = 77; }
static void make_bytes(kernel *k) { k->module.contract_bytes -= 8; }
static void make_layout(kernel *k) { k->module.layout ^= 1; }
static void make_no_image(kernel *k) { k->module.image = NULL; }
static void make_no_contract(kernel *k) { k->image.contract = NULL; }
static void make_no_name(kernel *k) { k->contract.name = NULL; }
static void make_scalar_chunks(kernel *k) {
  static const uint16_t chunks[] = {FH_RANK(2), FH_RANK(0) | FH_RANK(2)};
  k->contract.chunks = chunks;
}
static void make_capitals(kernel *k) { k->contract.name = "Scale"; }
static void make_long(kernel *k) { k->contract.name = "a_name_of_more_than_thirty_one_letters"; }
static void make_no_views(kernel *k) { k->contract.view_count = 0; }
static void make_inputs_alone(kernel *k) { k->contract.view_count = 1; }
static void make_many_scalars(kernel *k) { k->contract.scalar_count = 100; }
static void make_no_reference(kernel *k) { k->contract.reference = NULL; }
static void make_nan_bound(kernel *k) { k->contract.bound_rel = (double)NAN; }
static void make_inspects(kernel *k) { k->contract.inspects = 1; }
static void make_efficiency(kernel *k) { k->tuned.efficiency = 0; }
static void make_tuned_isa(kernel *k) { k->tuned.isa = (fh_isa)42; }
static void make_tuned_long(kernel *k) { k->tuned.name = "thirty_two_characters_are_too_ma"; }
static void make_tuned_twice(kernel *k) {
  static fh_tuned twice[2];
  twice[0] = twice[1] = k->tuned;
  k->contract.tuned = twice;
  k->contract.tuned_count = 2;
}
static void make_entry_name(kernel *k) { k->entry.entry = "skale"; }
static void make_entry_count(kernel *k) { k->contract.entry_count = 2; }
static void make_no_scalar(kernel *k) {
  k->entry.cpu[FH_ISA_AVX2] = k->entry.cpu[FH_ISA_SCALAR];
  k->entry.cpu[FH_ISA_SCALAR] = NULL;
}
static void make_param_kind(kernel *k) { k->entry.param_count = 0; }
static void make_no_entries(kernel *k) { k->image.entry_count = 0; }
static void make_no_case(kernel *k) { k->contract.case_at = no_case; }
static void make_refusing(kernel *k) { k->contract.bind = refusing_bind; }
static void make_short(kernel *k) { k->contract.bind = short_bind; }
static void make_swapping(kernel *k) { k->contract.bind = swapping_bind; }

static void every_wrong_module_is_refused(void **state) {
  (void)state;
  static const struct {
    void (*make)(kernel *k);
    fh_code code;
    const char *part;
  } wrong[] = {
      {make_abi, FH_INCOMPATIBLE, "module->abi is 77, expected 3"},
      {make_bytes, FH_INCOMPATIBLE, "a contract of"},
      {make_layout, FH_INCOMPATIBLE, "structures or limits of the contract differ"},
      {make_no_image, FH_INVALID_ARGUMENT, "module->image is NULL"},
      {make_no_contract, FH_INVALID_ARGUMENT, "the contract of module->image is NULL"},
      {make_no_name, FH_INVALID_ARGUMENT, "contract->name is NULL"},
      {make_capitals, FH_INVALID_ARGUMENT, "\"Scale\"\nexpected 1 to 31 of a-z"},
      {make_long, FH_INVALID_ARGUMENT, "and more"},
      {make_no_views, FH_INVALID_ARGUMENT, "scale: 0 views, expected 1 to 12"},
      {make_inputs_alone, FH_INVALID_ARGUMENT, "none of its views is an output"},
      {make_many_scalars, FH_INVALID_ARGUMENT, "100 parameters, expected 0 to 8"},
      {make_scalar_chunks, FH_INVALID_ARGUMENT, "scale: chunks[1] (y) names rank 0, expected ranks from 1 on"},
      {make_no_reference, FH_INVALID_ARGUMENT, "contract->reference is NULL"},
      {make_nan_bound, FH_INVALID_ARGUMENT, "the bound is nan"},
      {make_inspects, FH_INVALID_ARGUMENT, "inspect is NULL"},
      {make_efficiency, FH_INVALID_ARGUMENT, "tuned[0] (tuned): efficiency is 0"},
      {make_tuned_isa, FH_INVALID_ARGUMENT, "isa 42"},
      {make_tuned_long, FH_INVALID_ARGUMENT, "thirty_two_characters_are_too_m\" and more"},
      {make_tuned_twice, FH_INVALID_ARGUMENT, "tuned[0] and tuned[1] are both \"tuned\" for scalar"},
      {make_entry_name, FH_INVALID_ARGUMENT, "entry 0 of its text is \"skale\", of its contract \"scale\""},
      {make_entry_count, FH_INVALID_ARGUMENT, "1 entries in its code and 2 in its contract"},
      {make_no_scalar, FH_INVALID_ARGUMENT, "other instruction sets"},
      {make_param_kind, FH_INVALID_ARGUMENT, "entry scale has 0 parameters"},
      {make_no_entries, FH_INVALID_ARGUMENT, "a text for devices without a table of its entries"},
      {make_no_case, FH_INVALID_ARGUMENT, "case_at(0) has no case"},
      {make_refusing, FH_INVALID_ARGUMENT, "case 0 (3x83) of its own: never"},
      {make_short, FH_INVALID_ARGUMENT, "bind fills 10 operands of scale, its text has 11 parameters"},
      {make_block_no_shape, FH_INVALID_ARGUMENT, "blocks[0] has no shape"},
      {make_block_old, FH_INVALID_ARGUMENT, "blocks[0] (rows): capability 50"},
      {make_block_slow, FH_INVALID_ARGUMENT, "blocks[0] (rows): efficiency is 2"},
      {make_block_long, FH_INVALID_ARGUMENT, "expected 1 to 23 characters"},
      {make_block_lost, FH_INVALID_ARGUMENT, "there is no text scale_block\nexpected the file scale_block.k beside scale.k"},
      {make_block_of_many, FH_INVALID_ARGUMENT, "blocks[0] (rows): 4 launches behind the first, expected 0 to 3"},
      {make_block_of_none, FH_INVALID_ARGUMENT, "blocks[0] (rows): 1 launches behind the first and no table, expected 0 to 3"},
      {make_block_step_shapeless, FH_INVALID_ARGUMENT, "blocks[0] (rows): rest[0] has no shape"},
      {make_block_alone, FH_INVALID_ARGUMENT, "variants for blocks without a text"},
      {make_block_twice, FH_INVALID_ARGUMENT, "blocks[0] and blocks[1] are both \"rows\""},
      {make_swapping, FH_INVALID_ARGUMENT, "which is written, with x, an input"},
  };
  const int before = fh_kernel_count();
  for (int i = 0; i < FH_LENGTH(wrong); i++) {
    kernel k;
    const fh_kernel *handle = (const fh_kernel *)(const void *)&k;
    with_tuned(&k, "scale", scale_team);
    const fh_tuned tuned = k.tuned;
    with_text(&k, "scale", scale_items);
    k.tuned = tuned;
    k.contract.tuned = &k.tuned;
    k.contract.tuned_count = 1;
    wrong[i].make(&k);
    fh_expect_fails(fh_kernel_register(&k.module, &handle), wrong[i].code, wrong[i].part);
    assert_null(handle);
  }
  fh_expect_fails(fh_kernel_register(NULL, NULL), FH_INVALID_ARGUMENT, "module is NULL");
  assert_int_equal(fh_kernel_count(), before);
}

static void names_are_one_kernel_s(void **state) {
  (void)state;
  kernel k;
  fh_expect_fails(fh_kernel_register(&with_text(&k, "softmax", scale_items)->module, NULL), FH_ALREADY_EXISTS, "of the library");
  FH_EXPECT_OK(fh_kernel_register(&with_text(&k, "scale", scale_items)->module, NULL));
  fh_expect_fails(fh_kernel_register(&k.module, NULL), FH_ALREADY_EXISTS, "registered already");
  fh_expect_fails(fh_kernel_unregister("softmax"), FH_INVALID_ARGUMENT, "of the library");
  fh_expect_fails(fh_kernel_unregister("scalf"), FH_NOT_FOUND, "fh_kernel_unregister: no kernel is named");
  fh_expect_fails(fh_kernel_unregister(NULL), FH_INVALID_ARGUMENT, "name is NULL");
  FH_EXPECT_OK(fh_kernel_unregister("scale"));
}

/* Many come and go in places of the table by name that others' searches pass; then it is full. */
static void there_is_room_for_256(void **state) {
  (void)state;
  enum { MOST = 256 };
  static kernel kernels[MOST + 1];
  static char names[MOST + 1][32];
  for (int turn = 0; turn < 3; turn++) {
    for (int i = 0; i <= MOST; i++) {
      snprintf(names[i], sizeof names[i], "many_%d_%d", turn, i);
      fh_status status = fh_kernel_register(&with_text(&kernels[i], names[i], scale_items)->module, NULL);
      if (i < MOST)
        FH_EXPECT_OK(status);
      else
        fh_expect_fails(status, FH_RESOURCE_EXHAUSTED, "256 kernels are registered");
    }
    for (int i = 0; i < MOST; i++) {
      const fh_kernel *found = NULL;
      FH_EXPECT_OK(fh_kernel_find(names[i], &found));
      FH_EXPECT_OK(fh_kernel_unregister(names[i]));
      fh_expect_fails(fh_kernel_find(names[i], &found), FH_NOT_FOUND, names[i]);
    }
  }
}

/* ---- threads --------------------------------------------------------------------------------------------------------------- */

static _Atomic bool stop;

static void *come_and_go(void *unused) {
  (void)unused;
  kernel k;
  with_text(&k, "fleeting", scale_items);
  while (!atomic_load(&stop)) {
    FH_EXPECT_OK(fh_kernel_register(&k.module, NULL));
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    fh_status status;
    while ((status = fh_kernel_unregister("fleeting")) != FH_OK) { /* while the other launches it */
      assert_int_equal(fh_status_code(status), FH_FAILED_PRECONDITION);
      fh_status_free(status);
    }
  }
  return NULL;
}

static void launches_and_registrations_meet(void **state) {
  (void)state;
  pthread_t thread;
  atomic_store(&stop, false);
  assert_int_equal(pthread_create(&thread, NULL, come_and_go, NULL), 0);
  int launched = 0;
  for (int turn = 0; turn < 1000 && launched < 20; turn++) {
    fh_context *context = open_on("cpu");
    float in[COUNT], out[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) in[i] = (float)i;
    fh_status status = scale(context, "fleeting", in, out, 2);
    if (!status) {
      launched++;
      for (int i = 0; i < COUNT; i++) assert_true(out[i] == 2 * (float)i);
    } else if (fh_status_code(status) != FH_NOT_FOUND) {
      assert_int_equal(fh_status_code(status), FH_FAILED_PRECONDITION);
    }
    fh_status_free(status);
    fh_context_release(context);
  }
  atomic_store(&stop, true);
  assert_int_equal(pthread_join(thread, NULL), 0);
  print_message("%d launches between registrations\n", launched);
}

/* ---- plug-ins ---------------------------------------------------------------------------------------------------------------- */

#define PLUGIN(name) FH_BINARY_DIR "/tests/fakes/lib" name ".so"

static void a_plugin_brings_its_kernels(void **state) {
  (void)state;
  const fh_kernel *found = NULL;
  fh_plugin *plugin = NULL, *again = NULL;
  FH_EXPECT_OK(fh_plugin_open(PLUGIN("plugin"), &plugin));
  fh_expect_fails(fh_plugin_open(PLUGIN("plugin"), &again), FH_ALREADY_EXISTS, "in the plug-in " PLUGIN("plugin"));
  fh_context *context = open_on("cpu");
  expect_scaled(context, "plugged_scale");
  fh_expect_fails(fh_kernel_unregister("plugged_scale"), FH_INVALID_ARGUMENT, "belongs to a plug-in");
  fh_expect_fails(fh_plugin_close(plugin), FH_FAILED_PRECONDITION, "fh_plugin_close: plugged_scale is in use by 1 context");
  expect_scaled(context, "plugged_scale"); /* nothing was changed */
  fh_context_release(context);
  FH_EXPECT_OK(fh_plugin_close(plugin));
  fh_expect_fails(fh_kernel_find("plugged_scale", &found), FH_NOT_FOUND, "plugged_scale");
  FH_EXPECT_OK(fh_plugin_close(NULL));
}

static void wrong_plugins_are_refused(void **state) {
  (void)state;
  const int before = fh_kernel_count();
  fh_plugin *plugin = NULL;
  fh_expect_fails(fh_plugin_open(NULL, &plugin), FH_INVALID_ARGUMENT, "file is NULL");
  fh_expect_fails(fh_plugin_open(PLUGIN("plugin"), NULL), FH_INVALID_ARGUMENT, "out_plugin is NULL");
  fh_expect_fails(fh_plugin_open("", &plugin), FH_INVALID_ARGUMENT, "file is empty");
  fh_expect_fails(fh_plugin_open("/nonexistent/k.so", &plugin), FH_NOT_FOUND, "/nonexistent/k.so cannot be loaded");
  fh_expect_fails(fh_plugin_open("libm.so.6", &plugin), FH_INCOMPATIBLE, "libm.so.6 exports no foghorn_plugin");
  fh_expect_fails(fh_plugin_open(PLUGIN("plugin_old"), &plugin), FH_INCOMPATIBLE, "version 4 of the kernel interface, expected 3");
  fh_expect_fails(fh_plugin_open(PLUGIN("plugin_half"), &plugin), FH_ALREADY_EXISTS, "\"softmax\" is the name of a kernel of the library");
  assert_null(plugin);
  assert_int_equal(fh_kernel_count(), before); /* none of a half */
}

static void a_wrong_list_opens_nothing(void **state) {
  (void)state;
  fh_context *context = NULL;
  setenv("FOGHORN_PLUGINS", "", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT, "no file is named");
  setenv("FOGHORN_PLUGINS", PLUGIN("plugin") ":/nonexistent/k.so", 1);
  fh_expect_fails(fh_context_create(NULL, &context), FH_NOT_FOUND, "FOGHORN_PLUGINS=");
  assert_null(context);
  const fh_kernel *found = NULL;
  fh_expect_fails(fh_kernel_find("plugged_scale", &found), FH_NOT_FOUND, "plugged_scale");
  unsetenv("FOGHORN_PLUGINS");
}

/* What the second file's constructor does: another context takes the first one's kernel into use. */
static fh_context *other_context;
static void use_the_first(void) { expect_scaled(other_context, "plugged_scale"); }

/* Last: plug-ins of the environment stay. */
static void a_list_that_failed_goes_on_where_it_was(void **state) {
  (void)state;
  fh_context *context = NULL;
  char at[32];
  other_context = open_on("cpu");
  snprintf(at, sizeof at, "%llu", (unsigned long long)(uintptr_t)use_the_first);
  setenv("FOGHORN_TEST_HOOK", at, 1);
  setenv("FOGHORN_PLUGINS", PLUGIN("plugin") ":" PLUGIN("plugin_hook"), 1);
  for (int i = 0; i < 2; i++) {
    fh_expect_fails(fh_context_create(NULL, &context), FH_INCOMPATIBLE, "exports no foghorn_plugin");
    expect_scaled(other_context, "plugged_scale"); /* it is in use, so it stayed */
  }
  setenv("FOGHORN_PLUGINS", PLUGIN("plugin"), 1);
  for (int i = 0; i < 2; i++) { /* opened once */
    context = open_on("cpu");
    expect_scaled(context, "plugged_scale");
    fh_context_release(context);
  }
  fh_context_release(other_context);
  unsetenv("FOGHORN_PLUGINS");
  unsetenv("FOGHORN_TEST_HOOK");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_kernel_is_found_launched_and_ended),
      cmocka_unit_test(an_old_handle_is_refused),
      cmocka_unit_test(a_kernel_grows_behind_its_name),
      cmocka_unit_test(the_reference_is_not_exact),
      cmocka_unit_test(wrong_code_does_not_get_past_its_test),
      cmocka_unit_test(what_no_case_fits_is_not_tested),
      cmocka_unit_test(cases_without_end_cost_little),
      cmocka_unit_test(what_bind_fills_is_looked_at_each_time),
      cmocka_unit_test(without_a_text_operands_may_go_by_rank),
      cmocka_unit_test(a_reference_never_sees_an_odd_address),
      cmocka_unit_test(cases_are_looked_at_before_bind_is),
      cmocka_unit_test(what_tuned_functions_get_is_within_limits),
      cmocka_unit_test(the_hash_is_of_every_text),
      cmocka_unit_test(blocks_of_threads_run_as_work_groups),
      cmocka_unit_test(blocks_may_launch_twice_and_share_scratch),
      cmocka_unit_test(blocks_that_cannot_run_say_why),
      cmocka_unit_test(every_wrong_module_is_refused),
      cmocka_unit_test(names_are_one_kernel_s),
      cmocka_unit_test(there_is_room_for_256),
      cmocka_unit_test(launches_and_registrations_meet),
      cmocka_unit_test(a_plugin_brings_its_kernels),
      cmocka_unit_test(wrong_plugins_are_refused),
      cmocka_unit_test(a_wrong_list_opens_nothing),
      cmocka_unit_test(a_list_that_failed_goes_on_where_it_was),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
