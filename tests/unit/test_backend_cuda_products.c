/* Products by cuBLASLt, on its stand-in and the stand-in CUDA driver: right, chosen only where a measurement says so and the caller allows
 * it, and no loss where it is missing or fails. SPDX-License-Identifier: Apache-2.0
 * TEST: fakes=yes cross=no timeout=120 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dlfcn.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "backends/library.h"
#include "kernels/contracts.h"
#include "runtime/base/log.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_call.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"

extern const fh_backend_api fh_backend_cuda;
static const fh_backend_api *const api = &fh_backend_cuda;

/* The loader goes by the name of what is loaded: so does a program that brings cuBLASLt itself. */
static void load_stand_in(const char *name) {
  char path[4096];
  const char *carried = getenv("FOGHORN_TEST_FAKES");
  snprintf(path, sizeof path, "%s/%s/libcublasLt.so.12", carried && *carried ? carried : FH_BINARY_DIR "/tests/fakes", name);
  if (!dlopen(path, RTLD_LAZY | RTLD_LOCAL)) fail_msg("%s", dlerror());
}

static const fh_kernel_image *image_of(const fh_kernel_contract *contract) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  while (images->contract != contract) images++;
  return images;
}

/* ---- layouts --------------------------------------------------------------------------------------------------------------- */

enum { M = 3, N = 5, K = 4, BATCH = 2 };

static const char *said(const int64_t a[3], const int64_t b[3], const int64_t c[3], int64_t k, fh_library_product *out) {
  const fh_view_desc views[] = {{FH_F32, 3, {BATCH, M, k}, {a[0], a[1], a[2]}},
                                {FH_F32, 3, {BATCH, k, N}, {b[0], b[1], b[2]}},
                                {FH_F32, 3, {BATCH, M, N}, {c[0], c[1], c[2]}}};
  fh_bound bound;
  FH_EXPECT_OK(fh_contract_matmul.bind(views, NULL, &bound));
  return fh_library_product_of(&fh_contract_matmul, &bound, out);
}
#define STRIDES(...) ((const int64_t[3]){__VA_ARGS__})

static void expect_matrix(const fh_library_matrix *m, int64_t rows, int64_t columns, int64_t pitch, int64_t sheet, bool turned) {
  assert_int_equal(m->rows, rows);
  assert_int_equal(m->columns, columns);
  assert_int_equal(m->pitch, pitch);
  assert_int_equal(m->sheet, sheet);
  assert_int_equal(m->turned, turned);
}

static void says_layouts_by_columns(void) {
  fh_library_product p;
  /* By rows: the transposes are multiplied, the other way round. */
  assert_null(said(STRIDES(12, K, 1), STRIDES(0, N, 1), STRIDES(30, 10, 1), K, &p));
  assert_int_equal(p.left_operand, 1);
  assert_int_equal(p.m, N);
  expect_matrix(&p.left, N, K, N, 0, false);
  expect_matrix(&p.right, K, M, K, 12, false);
  expect_matrix(&p.out, N, M, 10, 30, false);
  /* c by columns, a by rows, b by columns. */
  assert_null(said(STRIDES(12, K, 1), STRIDES(20, 1, K), STRIDES(15, 1, M), K, &p));
  assert_int_equal(p.left_operand, 0);
  expect_matrix(&p.left, K, M, K, 12, true);
  expect_matrix(&p.right, K, N, K, 20, false);
  expect_matrix(&p.out, M, N, M, 15, false);
}

static void expect_unfit(const char *why, const char *part) {
  if (!why || !strstr(why, part)) fail_msg("no \"%s\" in: %s", part, why ? why : "it fits");
}

static void says_what_does_not_fit(void) {
  fh_library_product p;
  expect_unfit(said(STRIDES(24, 8, 2), STRIDES(0, N, 1), STRIDES(15, N, 1), K, &p), "of a factor");
  expect_unfit(said(STRIDES(12, 0, 1), STRIDES(0, N, 1), STRIDES(15, N, 1), K, &p), "of a factor");
  expect_unfit(said(STRIDES(12, K, 1), STRIDES(0, N, 1), STRIDES(60, 20, 2), K, &p), "of c");
  expect_unfit(said(STRIDES(-12, K, 1), STRIDES(0, N, 1), STRIDES(15, N, 1), K, &p), "backwards");
  expect_unfit(said(STRIDES(0, 0, 1), STRIDES(0, N, 1), STRIDES(15, N, 1), 0, &p), "k is 0");
  assert_null(fh_library_variant_of(&fh_contract_axpy));
}

/* ---- results ----------------------------------------------------------------------------------------------------------------- */

static void gives_right_results(void) {
  static const fh_kernel_contract *const of[] = {&fh_contract_matmul, &fh_contract_matmul_bf16, &fh_contract_matmul_f16};
  fh_backend_fixture f;
  load_stand_in("cublaslt");
  fh_backend_fixture_open(api, &fh_cuda_fake_allowed, 0, &f);
  for (int i = 0; i < 3; i++) {
    fh_conform_report report;
    FH_EXPECT_OK(fh_backend_conform_block(api, f.device, &f.info, image_of(of[i]), fh_library_variant_of(of[i]),
                                          &(fh_conform_options){.cases = 14}, &report));
    printf("       %s %d runs\n", of[i]->name, report.runs);
    assert_string_equal(report.text, "");
    assert_int_equal(report.verdict, FH_CONFORM_PASS);
    assert_true(report.runs > 20);
  }
  assert_int_equal(fh_cuda_calls("cuLaunchKernel"), 0);
  fh_backend_fixture_close(&f);
}

/* ---- through the planner ---------------------------------------------------------------------------------------------------------- */

static int warnings, infos;
static void count_log(void *user, int level, const char *text) {
  (void)user;
  warnings += level <= FH_LOG_WARN;
  infos += level == FH_LOG_INFO && strstr(text, "cuBLASLt") != NULL;
  if (level <= FH_LOG_WARN) printf("       %s\n", text);
}

enum { SIDE = 24 };
static float a[SIDE * SIDE], b[SIDE * SIDE], c[SIDE * SIDE];

static void wrap(fh_context *context, float *from, fh_access access, fh_view *out) {
  FH_EXPECT_OK(fh_view_wrap(context, from, FH_F32, FH_SHAPE(SIDE, SIDE), FH_ROW_MAJOR, access, out));
}

/* Multiplies small integers, whose sums are exact in every order. */
static void multiply(fh_context *context) {
  fh_view views[3];
  for (int i = 0; i < SIDE * SIDE; i++) a[i] = (float)(i % 7), b[i] = (float)(i % 5), c[i] = -1;
  wrap(context, a, FH_READ, &views[0]);
  wrap(context, b, FH_READ, &views[1]);
  wrap(context, c, FH_WRITE, &views[2]);
  FH_EXPECT_OK(fh_matmul(fh_context_queue(context), &views[0], &views[1], &views[2], NULL));
  FH_EXPECT_OK(fh_view_sync(&views[2]));
  for (int i = 0; i < SIDE; i++)
    for (int j = 0; j < SIDE; j++) {
      float sum = 0;
      for (int l = 0; l < SIDE; l++) sum += a[i * SIDE + l] * b[l * SIDE + j];
      assert_true(c[i * SIDE + j] == sum);
    }
  for (int i = 0; i < 3; i++) fh_view_release(&views[i]);
}

/* A context in which the library is said to be the fastest by far. */
static fh_candidate *begin(fh_numerics numerics, const char *script, fh_context **out_context) {
  setenv("FOGHORN_CACHE_DIR", "", 1);
  if (script) setenv("FOGHORN_FAKE_CUBLASLT", script, 1);
  fh_log_set(count_log, NULL);
  FH_EXPECT_OK(fh_context_create(&(fh_context_options){.devices = "cuda:0,cpu", .allow_fake = true, .numerics = numerics}, out_context));
  fh_plan_kernel *kernel;
  FH_EXPECT_OK(fh_plan_kernel_of(*out_context, image_of(&fh_contract_matmul), &kernel));
  for (int i = 0; i < kernel->count; i++) {
    fh_candidate *candidate = &kernel->candidates[i];
    if (strcmp(candidate->name, "cuda:0/cublaslt") != 0) continue;
    for (int bucket = 0; bucket < FH_PLAN_BUCKETS; bucket++) fh_candidate_calibrate(candidate, bucket, 1e-9);
    return candidate;
  }
  fail_msg("cuda:0/cublaslt is not listed");
  return NULL;
}

static int64_t memory_sets(void) { return fh_cuda_calls("cuMemsetD8Async"); } /* one for each product of the stand-in */

static void runs_where_it_is_the_fastest(void) {
  fh_context *context;
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_BOUNDED, NULL, &context);
  multiply(context);
  assert_int_equal(library->test, FH_TEST_PASSED);
  assert_true(memory_sets() > 0);
  assert_int_equal(warnings, 0);
  fh_context_release(context);
}

/* The same launches often, as a graph of ours: y = a b, z = exp(y). With the library's product the driver gets no graph, and all runs. */
static void repeat(fh_numerics numerics, bool by_library) {
  enum { ROUNDS = 12 };
  fh_context *context;
  fh_graph *graph;
  fh_view views[4];
  load_stand_in("cublaslt");
  (void)begin(numerics, NULL, &context);
  fh_queue *queue = fh_context_queue(context);
  for (int i = 0; i < SIDE * SIDE; i++) a[i] = (float)(i % 7) / 64, b[i] = (float)(i % 5) / 64, c[i] = -1;
  wrap(context, a, FH_READ, &views[0]);
  wrap(context, b, FH_READ, &views[1]);
  wrap(context, c, FH_WRITE, &views[2]);
  FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(SIDE, SIDE), FH_ROW_MAJOR, &views[3]));
  FH_EXPECT_OK(fh_queue_capture_begin(queue));
  FH_EXPECT_OK(fh_matmul(queue, &views[0], &views[1], &views[2], NULL));
  FH_EXPECT_OK(fh_exp(queue, &views[2], &views[3], NULL));
  FH_EXPECT_OK(fh_queue_capture_end(queue, &graph));
  for (int i = 0; i < ROUNDS; i++) FH_EXPECT_OK(fh_graph_launch(graph, NULL));
  const int products = (int)memory_sets();
  for (int i = 0; i < ROUNDS; i++) FH_EXPECT_OK(fh_graph_launch(graph, NULL));
  assert_int_equal(memory_sets(), products + (by_library ? ROUNDS : 0)); /* each time */
  assert_int_equal(fh_cuda_calls("cuStreamBeginCapture_v2"), by_library ? 0 : 1);
  assert_int_equal(fh_cuda_calls("cuGraphInstantiateWithFlags"), by_library ? 0 : 1);
  fh_counters counters;
  fh_context_counters(context, &counters);
  assert_int_equal(counters.executed_intended, 2 * 2 * ROUNDS);
  assert_int_equal(warnings, 0);
  FH_EXPECT_OK(fh_view_sync(&views[2]));
  for (int i = 0; i < SIDE; i++) {
    float sum = 0; /* exact: small integers, scaled by powers of two */
    for (int l = 0; l < SIDE; l++) sum += a[i * SIDE + l] * b[l * SIDE];
    assert_true(c[i * SIDE] == sum);
  }
  fh_graph_release(graph);
  for (int i = 0; i < 4; i++) fh_view_release(&views[i]);
  fh_context_release(context);
}

static void is_in_no_graph(void) { repeat(FH_BOUNDED, true); }
static void without_it_there_is_a_graph(void) {
  if (image_of(&fh_contract_matmul)->ptx)
    repeat(FH_EXACT, false);
  else
    printf("NOT RUN: this build has no PTX: without the library nothing runs on the device\n");
}

static void exact_never_chooses_it(void) {
  fh_context *context;
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_EXACT, NULL, &context);
  multiply(context);
  assert_int_equal(library->test, FH_UNTESTED);
  assert_int_equal(memory_sets(), 0);
  assert_int_equal(infos, 0); /* nor is it looked for */
  fh_context_release(context);
}

static void a_guess_never_chooses_it(void) {
  fh_context *context;
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_BOUNDED, NULL, &context);
  memset(library->calibrated, 0, FH_PLAN_BUCKETS * sizeof *library->calibrated);
  multiply(context);
  assert_int_equal(library->test, FH_UNTESTED);
  assert_int_equal(memory_sets(), 0);
  fh_context_release(context);
}

/* What is left when every other variant of its device fails: the refusal says what is missing, and so does each decision. */
static void left_alone_it_says_what_it_lacks(void) {
  fh_context *context;
  char *decision;
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_BOUNDED, NULL, &context);
  memset(library->calibrated, 0, FH_PLAN_BUCKETS * sizeof *library->calibrated);
  fh_plan_kernel *kernel = fh_plan_kernel_in(context, library->kernel);
  for (int i = 0; i < kernel->count; i++)
    if (&kernel->candidates[i] != library) kernel->candidates[i].ruled_out = (fh_reason){.code = FH_REASON_NOT_BUILT, .text = "left out"};
  fh_queue *queue = fh_context_queue(context);
  fh_view views[3];
  for (int i = 0; i < 3; i++) wrap(context, (float *[]){a, b, c}[i], i < 2 ? FH_READ : FH_WRITE, &views[i]);
  const fh_view *const operands[] = {&views[0], &views[1], &views[2]};
  const fh_kernel *matmul;
  FH_EXPECT_OK(fh_kernel_find("matmul", &matmul));
  FH_EXPECT_OK(fh_explain(queue, matmul, operands, 3, NULL, 0, false, &decision));
  if (!strstr(decision, "cuda:0/cublaslt      no: only a measurement chooses a library")) fail_msg("%s", decision);
  free(decision);
  fh_status status = fh_matmul(queue, &views[0], &views[1], &views[2], NULL);
  assert_int_equal(fh_status_code(status), FH_UNAVAILABLE);
  if (!strstr(fh_status_message(status), "only cuda:0/cublaslt can run it")) fail_msg("%s", fh_status_message(status));
  if (!strstr(fh_status_message(status), "devprobe bench --calibrate matmul")) fail_msg("%s", fh_status_message(status));
  fh_status_free(status);
  fh_call call; /* nor does a chunk or a share of a launch begin with it */
  FH_EXPECT_OK(fh_call_bind(context, matmul, operands, 3, NULL, 0, &call));
  assert_null(fh_candidate_best_on(queue, library->device, &call));
  for (int bucket = 0; bucket < FH_PLAN_BUCKETS; bucket++) fh_candidate_calibrate(library, bucket, 1e-9);
  assert_ptr_equal(fh_candidate_best_on(queue, library->device, &call), library);
  for (int i = 0; i < 3; i++) fh_view_release(&views[i]);
  fh_context_release(context);
}

/* Whatever it lacks, others multiply, and nobody is warned. */
static void goes_on_without(const char *reason) {
  fh_context *context;
  fh_candidate *library = begin(FH_BOUNDED, NULL, &context);
  multiply(context);
  multiply(context);
  assert_int_equal(library->test, FH_UNTESTED);
  assert_false(library->quarantined);
  const fh_plan_device *d = &context->devices[library->device];
  const char *lacking = d->api->lacks_library(d->device, false);
  if (!lacking || !strstr(lacking, reason)) fail_msg("no \"%s\" in: %s", reason, lacking ? lacking : "nothing");
  assert_int_equal(warnings, 0);
  assert_in_range(infos, 0, 1);
  fh_context_release(context);
}

static void is_not_needed(void) { goes_on_without("is not here"); }

static void may_be_too_old(void) {
  load_stand_in("cublaslt_old");
  goes_on_without("lacks a function of 11.0");
}

/* One that fails is left out, which is said once, and the result is right. */
static void fails_with(const char *script, const char *verify, const char *name) {
  fh_context *context;
  setenv("FOGHORN_VERIFY", verify, 1);
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_BOUNDED, script, &context);
  multiply(context);
  multiply(context);
  assert_true(library->quarantined);
  if (!strstr(library->reason, name)) fail_msg("no \"%s\" in: %s", name, library->reason);
  assert_int_equal(context->devices[library->device].state, FH_STATE_OPEN);
  assert_int_equal(warnings, 1);
  fh_context_release(context);
}

static void may_not_start(void) { fails_with("create=1", "once", "cublasLtCreate refused the product with CUBLAS_STATUS_NOT_INIT"); }
static void may_not_support_it(void) {
  fails_with("heuristic=15", "off", "cublasLtMatmulAlgoGetHeuristic refused the product with CUBLAS_STATUS_NOT_SUPPORTED");
}
static void may_fail(void) { fails_with("matmul=13", "off", "cublasLtMatmul failed with CUBLAS_STATUS_EXECUTION_FAILED"); }

/* What it was running on is gone: the device's fault, not the library's. */
static void may_lose_the_device(void) {
  fh_context *context;
  setenv("FOGHORN_VERIFY", "off", 1);
  load_stand_in("cublaslt");
  fh_candidate *library = begin(FH_BOUNDED, NULL, &context);
  multiply(context);
  assert_false(library->quarantined);
  assert_int_equal(context->devices[library->device].state, FH_STATE_QUARANTINED);
  assert_int_equal(warnings, 1);
  fh_context_release(context);
}

#define NEW_ENOUGH "version=12040,capability=80"

static const fh_cuda_case cases[] = {
    {"says layouts by columns", NULL, NULL, says_layouts_by_columns, 0, 0, 0},
    {"says what does not fit", NULL, NULL, says_what_does_not_fit, 0, 0, 0},
    {"gives right results", NEW_ENOUGH, NULL, gives_right_results, 0, 0, 0},
    {"runs where it is the fastest", NEW_ENOUGH, NULL, runs_where_it_is_the_fastest, 0, 0, 0},
    {"is in no graph", NEW_ENOUGH, NULL, is_in_no_graph, 0, 0, 0},
    {"without it there is a graph", NEW_ENOUGH, NULL, without_it_there_is_a_graph, 0, 0, 0},
    {"exact never chooses it", NEW_ENOUGH, NULL, exact_never_chooses_it, 0, 0, 0},
    {"a guess never chooses it", NEW_ENOUGH, NULL, a_guess_never_chooses_it, 0, 0, 0},
    {"left alone it says what it lacks", NEW_ENOUGH, NULL, left_alone_it_says_what_it_lacks, 0, 0, 0},
    {"is not needed", "version=11080,capability=80", NULL, is_not_needed, 0, 0, 0},
    {"may be too old", NEW_ENOUGH, NULL, may_be_too_old, 0, 0, 0},
    {"may not start", NEW_ENOUGH, NULL, may_not_start, 0, 0, 0},
    {"may not support it", NEW_ENOUGH, NULL, may_not_support_it, 0, 0, 0},
    {"may fail", NEW_ENOUGH, NULL, may_fail, 0, 0, 0},
    {"may lose the device", NEW_ENOUGH, "cuMemsetD8Async@1=719", may_lose_the_device, 0, 0, 0},
};

int main(int argc, char **argv) {
  (void)argc;
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof *cases));
}
