/* The contracts' chunking rules: the rows of a call, one after another, are bit for bit the rows of the whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "runtime/plan/plan.h"
#include "tests/support/cpu_context.h"

enum { SHORT = 24 }; /* rows up to which each is a chunk */

typedef struct runner {
  fh_candidate *candidate;
  int chunked; /* calls that were cut */
} runner;

static void wrap(const fh_conform_call *from, int v, fh_view *out) {
  const fh_conform_place *place = &from->places[v];
  fh_shape shape = {.rank = from->views[v].rank};
  memcpy(shape.extents, from->views[v].shape, sizeof shape.extents);
  FH_EXPECT_OK(fh_view_wrap_strided(context, place->memory, place->bytes, (char *)place->memory + place->offset, from->views[v].dtype,
                                    shape, from->views[v].strides, FH_READ_WRITE, out));
}

/* A fh_conform_variant.run. */
static fh_status run_in_chunks(void *arg, const fh_conform_call *from) {
  runner *r = arg;
  const fh_kernel_contract *contract = from->image->contract;
  fh_call call = {.image = from->image, .kernel = r->candidate->kernel, .view_count = contract->view_count, .bound = *from->bound};
  memcpy(call.params, from->scalars, sizeof(fh_value) * (size_t)contract->scalar_count);
  for (int v = 0; v < call.view_count; v++) {
    call.descs[v] = from->views[v];
    wrap(from, v, &call.views[v]);
  }
  fh_progress progress = {.halvings = 0};
  progress.rows = fh_call_rows(&call, &progress.cut);
  r->chunked += progress.rows > 1;
  const int64_t step = progress.rows <= SHORT ? 1 : (progress.rows + 6) / 7;
  fh_context_lock(context);
  fh_queue *queue = fh_context_queue(context);
  queue->probing = true;
  fh_status status = FH_OK;
  bool refused = false;
  for (int64_t first = 0; first < progress.rows && progress.cut && !status && !refused; first += step) {
    fh_chunk chunk;
    const int64_t last = first + step < progress.rows ? first + step : progress.rows;
    status = fh_chunk_take(context, &call, progress.cut, first, last, &chunk);
    refused = fh_status_code(status) == FH_INVALID_ARGUMENT; /* wild indexes, which a launch looks for before it is cut */
    if (!status) status = fh_execute(queue, r->candidate, &chunk.call);
    if (!status) fh_chunk_end(&chunk);
  }
  if (refused) fh_status_free(status);
  if (refused || !progress.cut) status = fh_execute(queue, r->candidate, &call);
  queue->probing = false;
  fh_context_unlock(context);
  for (int v = 0; v < call.view_count; v++) fh_view_release(&call.views[v]);
  return status;
}

static fh_candidate *best_exact(fh_plan_kernel *kernel) {
  for (int i = 0; i < kernel->count; i++)
    if (kernel->candidates[i].ruled_out.code == FH_REASON_NONE && kernel->candidates[i].numerics == FH_EXACT) return &kernel->candidates[i];
  return NULL;
}

static void chunks_are_the_rows_of_the_whole(void **state) {
  (void)state;
  int count, ruled = 0;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int k = 0; k < count; k++) {
    fh_plan_kernel *kernel;
    FH_EXPECT_OK(fh_plan_kernel_of(context, &images[k], &kernel));
    runner r = {.candidate = best_exact(kernel)};
    if (!images[k].contract->chunks || !r.candidate) continue;
    ruled++;
    const fh_conform_variant variant = {.name = r.candidate->name, .numerics = FH_EXACT, .alignment = 1, .run = run_in_chunks, .arg = &r};
    fh_conform_report report = {.verdict = FH_CONFORM_PASS};
    for (int cases = 12; cases < 100 && !r.chunked && report.verdict == FH_CONFORM_PASS; cases *= 2)
      FH_EXPECT_OK(fh_conform(&images[k], &variant, &(fh_conform_options){.cases = cases}, &report));
    if (report.verdict != FH_CONFORM_PASS) print_error("%s: %s\n", images[k].contract->name, report.text);
    assert_int_equal(report.verdict, FH_CONFORM_PASS);
    if (!r.chunked) print_error("%s: no case was cut\n", images[k].contract->name);
    assert_true(r.chunked > 0);
  }
  assert_true(ruled >= 30);
}

/* What has no rows is one piece, and so is what its rule does not fit. */
static void what_cannot_be_cut_is_whole(void **state) {
  (void)state;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  for (int k = 0; k < count; k++) {
    fh_call call = {.image = &images[k], .view_count = images[k].contract->view_count};
    const bool norm = strcmp(images[k].contract->name, "layer_norm") == 0, reduce = strcmp(images[k].contract->name, "reduce") == 0;
    uint32_t cut;
    for (int v = 0; v < call.view_count; v++) call.descs[v] = (fh_view_desc){.dtype = FH_F32, .rank = 1, .shape = {8}, .strides = {1}};
    if (norm) assert_int_equal(fh_call_rows(&call, &cut), 1); /* a single row */
    call.descs[0] = (fh_view_desc){.dtype = FH_F32, .rank = 2, .shape = {8, 8}, .strides = {8, 1}};
    call.descs[1].shape[0] = 1;
    if (reduce) assert_int_equal(fh_call_rows(&call, &cut), 1); /* one number of all rows */
    if (!images[k].contract->chunks) assert_int_equal(fh_call_rows(&call, &cut), 1);
  }
}

static const char *few_rows(const fh_bound *bound) { return bound->flops < 1e6 ? "few rows" : NULL; }
static void must_not_run(const fh_slot *slots, const fh_team *team) {
  (void)slots, (void)team;
  fail_msg("a variant ran that does not fit");
}

/* What fits the whole need not fit the rows that are left. */
static void another_variant_takes_rows_that_one_does_not_fit(void **state) {
  (void)state;
  enum { ROWS = 200, DONE = 190, D = 64 };
  const fh_kernel *kernel;
  fh_view a, b, c;
  float *data[3];
  fh_view *views[] = {&a, &b, &c};
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  for (int v = 0; v < 3; v++) {
    FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(v == 1 ? D : ROWS, D), FH_ROW_MAJOR, views[v]));
    FH_EXPECT_OK(fh_view_map(views[v], FH_WRITE, (void **)&data[v]));
    for (int64_t i = 0; i < fh_view_elements(views[v]); i++) data[v][i] = v < 2 ? 1 : 0;
  }
  fh_call call;
  const fh_view *operands[] = {&a, &b, &c};
  FH_EXPECT_OK(fh_call_bind(context, kernel, operands, 3, NULL, 0, &call));
  fh_plan_kernel *variants = fh_plan_kernel_in(context, call.kernel);
  fh_candidate *first = &variants->candidates[0];
  const fh_candidate before = *first;
  const fh_tuned picky = {.name = "picky", .isa = FH_ISA_SCALAR, .numerics = FH_EXACT, .fn = must_not_run, .unfit = few_rows};
  first->tuned = &picky;
  assert_int_equal(fh_candidate_unfit(context, first, &call.bound).code, FH_REASON_NONE);
  fh_progress progress = {.done = DONE, .step = ROWS - DONE};
  progress.rows = fh_call_rows(&call, &progress.cut);
  fh_context_lock(context);
  FH_EXPECT_OK(fh_chunks_run(fh_context_queue(context), first, &call, &progress));
  fh_context_unlock(context);
  *first = before;
  assert_int_equal(progress.done, ROWS);
  FH_EXPECT_OK(fh_view_map(&c, FH_READ, (void **)&data[2]));
  for (int64_t i = 0; i < (int64_t)ROWS * D; i++) assert_true(data[2][i] == (i < (int64_t)DONE * D ? 0 : D));
  for (int v = 0; v < 3; v++) fh_view_release(views[v]);
}

/* A real driver that copies: a product in chunks on OpenCL, with the CPU's bits. The device has memory enough, so it is told to have less.
 */
static void on_opencl_too(void **state) {
  (void)state;
  enum { ROWS = 700, D = 96 };
  fh_context *both = NULL;
  fh_status status = fh_context_create(&(fh_context_options){.devices = "opencl:0,cpu", .numerics = FH_EXACT}, &both);
  const int device = status ? -1 : fh_device_named(both, "opencl:0");
  if (device < 0 || both->devices[device].state != FH_STATE_OPEN || both->devices[device].info.host_memory) {
    print_message("NOT RUN: chunks on OpenCL: %s\n", status ? fh_status_message(status) : "no device with memory of its own");
    fh_status_free(status);
    if (both) fh_context_release(both);
    return;
  }
  both->devices[device].info.memory_bytes = (uint64_t)ROWS * D * sizeof(float);
  fh_view views[2][3];
  float *data[2][3];
  for (int i = 0; i < 2; i++) {
    fh_context *of = i ? context : both;
    for (int v = 0; v < 3; v++) {
      FH_EXPECT_OK(fh_view_create(of, FH_F32, FH_SHAPE(v == 1 ? D : ROWS, D), FH_ROW_MAJOR, &views[i][v]));
      FH_EXPECT_OK(fh_view_map(&views[i][v], FH_WRITE, (void **)&data[i][v]));
      for (int64_t e = 0; e < fh_view_elements(&views[i][v]); e++) data[i][v][e] = (float)((e * 2654435761) >> 7 & 0xfff) * 0x1p-11f - 1;
    }
    FH_EXPECT_OK(fh_matmul(fh_context_queue(of), &views[i][0], &views[i][1], &views[i][2], NULL));
    FH_EXPECT_OK(fh_view_sync(&views[i][2]));
  }
  assert_memory_equal(data[0][2], data[1][2], (size_t)ROWS * D * sizeof(float));
  fh_counters counters;
  fh_context_counters(both, &counters);
  assert_int_equal(counters.chunked, 1);
  assert_true(counters.chunks >= 2);
  assert_int_equal(counters.executed_intended, 1);
  for (int i = 0; i < 6; i++) fh_view_release(&views[i / 3][i % 3]);
  fh_context_release(both);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chunks_are_the_rows_of_the_whole),
      cmocka_unit_test(what_cannot_be_cut_is_whole),
      cmocka_unit_test(another_variant_takes_rows_that_one_does_not_fit),
      cmocka_unit_test(on_opencl_too),
  };
  return cmocka_run_group_tests(tests, open_context, close_context);
}
