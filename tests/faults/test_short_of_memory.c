/* Jobs larger than the memory that a device has, or has left: in chunks on it, the same bits, said once, counted exactly.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 fakes=yes cross=no
 *
 * Self-tests are off, so the n-th call of the driver is of the n-th launch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "kernels/contract.h"
#include "runtime/plan/plan.h"
#include "tests/support/backend_suite.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/launches.h"

enum { ROWS = 6000, D = 1024, PANEL = 64 }; /* 23.4 MiB a matrix, on devices of 16 MiB */

/* y += x, in place; and the products and norms of rows. Both on the device and on the CPU. */
typedef struct job {
  fh_context *context, *cpu;
  fh_view x[2], y[2], b[2], c[2], n[2];
} job;

static job job_begin(const char *devices, fh_fallback fallback, fh_order order) {
  job j = {.context = open_kept(devices, fallback), .cpu = open_kept("cpu", FH_FALLBACK_WARN)};
  for (int i = 0; i < 2; i++) {
    fh_context *of = i ? j.cpu : j.context;
    j.x[i] = new_matrix(of, ROWS, D, order, 1);
    j.y[i] = new_matrix(of, ROWS, D, order, 2);
    j.b[i] = new_matrix(of, D, PANEL, FH_ROW_MAJOR, 3);
    j.c[i] = new_matrix(of, ROWS, PANEL, FH_ROW_MAJOR, 4);
    j.n[i] = new_matrix(of, ROWS, D, order, 5);
  }
  return j;
}

static void job_end(job *j) {
  for (int i = 0; i < 2; i++) {
    fh_view *views[] = {&j->x[i], &j->y[i], &j->b[i], &j->c[i], &j->n[i]};
    for (int v = 0; v < 5; v++) fh_view_release(views[v]);
  }
  fh_context_release(j->context);
  fh_context_release(j->cpu);
}

static void job_run(job *j) {
  for (int i = 0; i < 2; i++) {
    fh_queue *queue = fh_context_queue(i ? j->cpu : j->context);
    FH_EXPECT_OK(fh_axpy(queue, 0.5f, &j->x[i], &j->y[i], NULL));
    FH_EXPECT_OK(fh_matmul(queue, &j->y[i], &j->b[i], &j->c[i], NULL));
    FH_EXPECT_OK(fh_l2_normalize(queue, &j->y[i], &j->n[i], 1e-12f, NULL));
  }
  same_bits(&j->y[0], &j->y[1]);
  same_bits(&j->c[0], &j->c[1]);
  same_bits(&j->n[0], &j->n[1]);
}

/* Everything ran on the device, and that it took chunks was said once. */
static void larger_than_the_device(void) {
  job j = job_begin("cuda:0,cpu", FH_FALLBACK_WARN, FH_ROW_MAJOR);
  job_run(&j);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.launches, 3);
  assert_int_equal(c.executed_intended, 3);
  assert_int_equal(c.chunked, 3);
  assert_true(c.chunks >= 3 + 3 + 2);
  assert_int_equal(times_said("CHUNKED"), 1);
  assert_int_equal(times_said("FALLBACK"), 0);
  assert_int_equal(times_said("OUT-OF-MEMORY"), 2); /* the cause, and where to read on */
  char *text;
  FH_EXPECT_OK(fh_report(j.context, false, &text));
  if (!strstr(text, "3 launches ran as")) fail_msg("%s", text);
  free(text);
  job_end(&j);
}

/* What the driver was asked for, in order, a letter each: T a copy to the device, K a launch, H a copy to the host. Of equals in a row one.
 */
static void driver_was_asked(const char *log, char *out, size_t size) {
  static const struct {
    const char *call;
    char letter;
  } letters[] = {{"cuMemcpyHtoDAsync", 'T'}, {"cuLaunchKernel", 'K'}, {"cuMemcpyDtoHAsync", 'H'}};
  FILE *file = fopen(log, "r");
  assert_non_null(file);
  size_t used = 0;
  for (char line[256]; fgets(line, sizeof line, file);)
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++)
      if (strncmp(line, letters[i].call, strlen(letters[i].call)) == 0 && used + 1 < size && (!used || out[used - 1] != letters[i].letter))
        out[used++] = letters[i].letter;
  out[used] = '\0';
  fclose(file);
}

/* Two chunks at a time: the next has its operands and is launched before the results of the one before it are fetched. */
static void copies_overlap_work(void) {
  char asked[256], *again;
  fh_context *of[2] = {open_kept("cuda:0,cpu", FH_FALLBACK_WARN), open_kept("cpu", FH_FALLBACK_WARN)};
  fh_view x[2], y[2];
  for (int i = 0; i < 2; i++) {
    x[i] = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 1);
    y[i] = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 2);
    FH_EXPECT_OK(fh_axpy(fh_context_queue(of[i]), 0.5f, &x[i], &y[i], NULL));
  }
  same_bits(&y[0], &y[1]);
  const fh_counters c = counters_of(of[0]);
  assert_true(c.chunks >= 4);
  assert_int_equal(c.bytes_to_device, 2 * (uint64_t)ROWS * D * sizeof(float)); /* each byte once */
  assert_int_equal(c.bytes_from_device, (uint64_t)ROWS * D * sizeof(float));
  driver_was_asked(getenv("FOGHORN_FAKE_CUDA_LOG"), asked, sizeof asked);
  if (strncmp(asked, "TKTKH", 5) != 0) fail_msg("%s", asked);
  for (again = asked + 4; strncmp(again, "HTK", 3) == 0;) again += 3;
  assert_string_equal(again, "H");
  assert_true(strlen(asked) >= 3 * 4);
  const int streams = fh_cuda_calls("cuStreamCreate"), chunks = fh_cuda_calls("cuMemHostAlloc");
  assert_in_range(chunks, 1, 8);
  FH_EXPECT_OK(fh_axpy(fh_context_queue(of[0]), 0.5f, &x[0], &y[0], NULL)); /* its second stream, and what that copies through, are there */
  assert_true(counters_of(of[0]).chunked == 2);
  assert_int_equal(fh_cuda_calls("cuStreamCreate"), streams);
  assert_int_equal(fh_cuda_calls("cuMemHostAlloc"), chunks);
  for (int i = 0; i < 2; i++) {
    fh_view_release(&x[i]);
    fh_view_release(&y[i]);
    fh_context_release(of[i]);
  }
}

/* Memory that is short for a second chunk, or for long ones: one at a time, and shorter. */
static void one_at_a_time(void) {
  fh_context *of[2] = {open_kept("cuda:0,cpu", FH_FALLBACK_WARN), open_kept("cpu", FH_FALLBACK_WARN)};
  fh_view x[2], y[2];
  for (int i = 0; i < 2; i++) {
    x[i] = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 1);
    y[i] = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 2);
    FH_EXPECT_OK(fh_axpy(fh_context_queue(of[i]), 0.5f, &x[i], &y[i], NULL));
  }
  same_bits(&y[0], &y[1]);
  const fh_counters c = counters_of(of[0]);
  assert_int_equal(c.executed_intended, 1);
  assert_int_equal(c.chunked, 1);
  assert_int_equal(times_said("CHUNKED"), 1);
  assert_int_equal(times_said("FALLBACK"), 0);
  for (int i = 0; i < 2; i++) {
    fh_view_release(&x[i]);
    fh_view_release(&y[i]);
    fh_context_release(of[i]);
  }
}

/* The same where a chunk can be lost, on the way there, at work, and on the way back: what is left runs on the CPU. */
static void lost_in_the_middle(void) {
  job j = job_begin("cuda:0,cpu", FH_FALLBACK_WARN, FH_ROW_MAJOR);
  job_run(&j);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.launches, 3);
  assert_true(c.executed_elsewhere >= 2);
  assert_int_equal(c.failed, 0);
  assert_int_equal(times_said("FALLBACK device cuda:0 lost"), 1);
  assert_int_equal(times_said("FALLBACK"), 1);
  job_end(&j);
}

/* The output holds an older result, on the device alone, when the device is lost: that one is not made again over the rows that are new. */
static void an_older_result_stays_away(void) {
  fh_context *of[2] = {open_kept("cuda:0,cpu", FH_FALLBACK_WARN), open_kept("cpu", FH_FALLBACK_WARN)};
  fh_view views[2][4];
  for (int i = 0; i < 2; i++) {
    fh_view *v = views[i];
    v[0] = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 1);
    v[1] = new_matrix(of[i], D, PANEL, FH_ROW_MAJOR, 2);
    v[2] = new_matrix(of[i], ROWS, PANEL, FH_ROW_MAJOR, 3);
    v[3] = new_matrix(of[i], ROWS, PANEL, FH_ROW_MAJOR, 4);
    FH_EXPECT_OK(fh_exp(fh_context_queue(of[i]), &v[2], &v[3], NULL));
    FH_EXPECT_OK(fh_matmul(fh_context_queue(of[i]), &v[0], &v[1], &v[3], NULL));
  }
  same_bits(&views[0][3], &views[1][3]);
  assert_int_equal(times_said("FALLBACK device cuda:0 lost"), 1);
  for (int i = 0; i < 2; i++) {
    for (int v = 0; v < 4; v++) fh_view_release(&views[i][v]);
    fh_context_release(of[i]);
  }
}

/* An input that every chunk needs whole and the result are slices of one allocation: the device's copy has the result as it was. */
static void the_result_lies_beside_an_input(void) {
  fh_context *of[2] = {open_kept("cuda:0,cpu", FH_FALLBACK_WARN), open_kept("cpu", FH_FALLBACK_WARN)};
  fh_view sums[2];
  for (int i = 0; i < 2; i++) {
    fh_queue *queue = fh_context_queue(of[i]);
    fh_view all = new_matrix(of[i], D + ROWS, PANEL, FH_ROW_MAJOR, 1), a = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 2), b, c;
    sums[i] = new_matrix(of[i], ROWS, PANEL, FH_ROW_MAJOR, 3);
    FH_EXPECT_OK(fh_view_slice(&all, 0, 0, D, 1, &b));
    FH_EXPECT_OK(fh_view_slice(&all, 0, D, ROWS, 1, &c));
    FH_EXPECT_OK(fh_matmul(queue, &a, &b, &c, NULL));
    FH_EXPECT_OK(fh_queue_pin(queue, i ? "cpu" : "cuda:0"));
    FH_EXPECT_OK(fh_axpy(queue, 1, &c, &sums[i], NULL));
    fh_view *mine[] = {&all, &a, &b, &c};
    for (int v = 0; v < 4; v++) fh_view_release(mine[v]);
  }
  assert_int_equal(counters_of(of[0]).chunked, 1);
  same_bits(&sums[0], &sums[1]);
  for (int i = 0; i < 2; i++) {
    fh_view_release(&sums[i]);
    fh_context_release(of[i]);
  }
}

enum { FEW = 300 };

/* Rows of y += 1 in chunks, one or two at a time, while the host has memory for n more allocations. Those that came home are new, the
 * others as they were: a chunk that there is no memory to take home beside its operand is not written over it, for a copy can fail
 * half-way. */
static fh_status add_with_memory_for(fh_context *context, const fh_view *x, const fh_view *y, bool overlapped, int n, bool *out_failed,
                                     bool *out_kept) {
  const fh_kernel *kernel;
  fh_call call;
  FH_EXPECT_OK(fh_kernel_find("axpy", &kernel));
  FH_EXPECT_OK(fh_call_bind(context, kernel, (const fh_view *[]){x, y}, 2, &(fh_param_value){.f = 1}, 1, &call));
  fh_progress progress = {.step = FEW / 2, .halvings = !overlapped};
  progress.rows = fh_call_rows(&call, &progress.cut);
  float *data;
  FH_EXPECT_OK(fh_view_map(y, FH_READ, (void **)&data));
  const float old = data[0];
  const int launched = fh_cuda_calls("cuLaunchKernel");
  fh_context_lock(context);
  fh_queue *queue = fh_context_queue(context);
  fh_candidate *candidate = fh_candidate_best_on(queue, fh_device_named(context, "cuda:0"), &call);
  fh_fail_alloc(n);
  fh_status status = fh_chunks_run(queue, candidate, &call, &progress);
  *out_failed = fh_fail_alloc_end();
  fh_context_unlock(context);
  FH_EXPECT_OK(fh_view_map(y, FH_READ, (void **)&data));
  for (int64_t i = 0; i < (int64_t)FEW * D; i++) assert_true(data[i] == (i < progress.done * D ? old + 1 : old));
  assert_int_equal(progress.done == FEW, status == FH_OK);
  *out_kept = status && fh_cuda_calls("cuLaunchKernel") > launched + progress.chunks;
  FH_EXPECT_OK(fh_view_map(y, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < (int64_t)FEW * D; i++) data[i] = 0;
  return status;
}

static void chunks_stay_as_they_were(bool overlapped) {
  if (!fh_fail_alloc_possible()) {
    print_message("NOT RUN: this part: allocations cannot be made to fail here\n");
    return;
  }
  fh_context *context = open_kept("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_matrix(context, FEW, D, FH_ROW_MAJOR, 1), y = new_matrix(context, FEW, D, FH_ROW_MAJOR, 2);
  fh_view *views[] = {&x, &y};
  for (int v = 0; v < 2; v++) {
    float *data;
    FH_EXPECT_OK(fh_view_map(views[v], FH_WRITE, (void **)&data));
    for (int i = 0; i < FEW * D; i++) data[i] = (float)(1 - v);
  }
  bool failed = true, any_kept = false;
  for (int n = -1; failed && n < 100; n++) {
    bool kept;
    fh_status status = add_with_memory_for(context, &x, &y, overlapped, n < 0 ? 1 << 20 : n, &failed, &kept);
    if (n < 0) failed = status == FH_OK; /* there was memory, and so there is something to look for */
    any_kept |= kept;
    if (status) assert_int_equal(fh_status_code(status), FH_RESOURCE_EXHAUSTED);
    fh_status_free(status);
  }
  assert_false(failed);
  assert_true(any_kept);
  for (int v = 0; v < 2; v++) fh_view_release(views[v]);
  fh_context_release(context);
}

static void a_chunk_that_cannot_come_home_stays_as_it_was(void) { chunks_stay_as_they_were(false); }
static void so_do_those_that_overlap(void) { chunks_stay_as_they_were(true); }

/* Memory is there by its size, and not to be had. */
static void no_memory_left(void) {
  job j = job_begin("cuda:0,cpu", FH_FALLBACK_WARN, FH_ROW_MAJOR);
  job_run(&j);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.executed_elsewhere, 3);
  assert_true(times_said("FALLBACK") >= 1);
  assert_int_equal((uint64_t)times_said("FALLBACK"), c.fallback_warnings);
  assert_int_equal(times_said("CHUNKED"), 0);
  job_end(&j);
}

/* A launch that the driver refuses for want of memory: room is made, and it is launched again. */
static void refused_once(void) {
  fh_context *context = open_kept("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_matrix(context, 64, 64, FH_ROW_MAJOR, 1), y = new_matrix(context, 64, 64, FH_ROW_MAJOR, 2);
  fh_view p = new_matrix(context, 64, 64, FH_ROW_MAJOR, 1), q = new_matrix(context, 64, 64, FH_ROW_MAJOR, 2);
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &x, &y, NULL));
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 1, &p, &q, NULL)); /* refused; x and y make room */
  same_bits(&y, &q);
  const fh_counters c = counters_of(context);
  assert_int_equal(c.executed_intended, 2);
  assert_int_equal(c.chunked, 0);
  assert_string_equal(said, "");
  fh_view *views[] = {&x, &y, &p, &q};
  for (int v = 0; v < 4; v++) fh_view_release(views[v]);
  fh_context_release(context);
}

/* Rows that lie between each other take all of the memory, however few: no chunk helps. */
static void columns_first(void) {
  fh_context *context = open_kept("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_matrix(context, ROWS, D, FH_COL_MAJOR, 1), y = new_matrix(context, ROWS, D, FH_COL_MAJOR, 1);
  FH_EXPECT_OK(fh_axpy(fh_context_queue(context), 0, &x, &y, NULL));
  same_bits(&x, &y);
  assert_int_equal(counters_of(context).chunked, 0);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

/* Room is made by what was used longest ago, not by what came first. */
static void the_least_recently_used_goes_first(void) {
  enum { KEPT = 3, MADE = 2 };
  fh_context *context = open_kept("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_queue *queue = fh_context_queue(context);
  fh_view kept[KEPT], made[MADE];
  for (int i = 0; i < KEPT + MADE; i++) {
    fh_view *view = i < KEPT ? &kept[i] : &made[i - KEPT];
    *view = new_matrix(context, 1024, D, FH_ROW_MAJOR, (uint32_t)i); /* 4 MiB */
  }
  for (int i = 0; i < KEPT; i++) FH_EXPECT_OK(fh_queue_prefetch(queue, &kept[i], "cuda:0", NULL));
  FH_EXPECT_OK(fh_queue_prefetch(queue, &kept[0], "cuda:0", NULL)); /* now the second is the oldest */
  FH_EXPECT_OK(fh_exp(queue, &made[0], &made[1], NULL));
  const uint64_t copied = counters_of(context).bytes_to_device;
  FH_EXPECT_OK(fh_queue_prefetch(queue, &kept[0], "cuda:0", NULL));
  FH_EXPECT_OK(fh_queue_prefetch(queue, &kept[2], "cuda:0", NULL));
  assert_int_equal(counters_of(context).bytes_to_device, copied); /* both are there */
  fh_expect_code(fh_queue_prefetch(queue, &kept[1], "cuda:0", NULL), FH_RESOURCE_EXHAUSTED);
  assert_int_equal(counters_of(context).chunked, 0);
  for (int i = 0; i < KEPT + MADE; i++) fh_view_release(i < KEPT ? &kept[i] : &made[i - KEPT]);
  fh_context_release(context);
}

/* A view that comes back takes the scratch of a launch before it: then they do not go together, and none runs without. */
static void launches_that_go_together_keep_their_scratch(void) {
  enum { MEBI = 1 << 18, WARM = 6 };
  fh_context *context = open_kept("cuda:0", FH_FALLBACK_WARN);
  fh_queue *queue = fh_context_queue(context);
  const int device = fh_device_named(context, "cuda:0");
  fh_view x, sum, a, other;
  fh_view *views[] = {&x, &sum, &a, &other};
  static const int64_t counts[] = {4 * MEBI, 1, 20 * MEBI, 40 * MEBI};
  float *data;
  for (int v = 0; v < 4; v++) FH_EXPECT_OK(fh_view_create(context, FH_F32, FH_SHAPE(counts[v]), FH_ROW_MAJOR, views[v]));
  FH_EXPECT_OK(fh_view_map(&x, FH_WRITE, (void **)&data));
  for (int64_t i = 0; i < counts[0]; i++) data[i] = 1;
  fh_graph *graph;
  FH_EXPECT_OK(fh_queue_capture_begin(queue));
  FH_EXPECT_OK(fh_axpy(queue, 0, &x, &x, NULL));
  FH_EXPECT_OK(fh_sum(queue, &x, &sum, NULL));
  FH_EXPECT_OK(fh_axpy(queue, 0, &a, &a, NULL));
  FH_EXPECT_OK(fh_queue_capture_end(queue, &graph));
  for (int i = 0; i < WARM; i++) FH_EXPECT_OK(fh_graph_launch(graph, NULL));
  FH_EXPECT_OK(fh_view_sync(&a));
  bool any = false;
  for (int t = 0; t < FH_PLAN_SCRATCHES; t++) any |= queue->scratch[device][t].bytes > 0;
  assert_true(any);
  FH_EXPECT_OK(fh_axpy(queue, 0, &other, &other, NULL)); /* pushes the others out */
  FH_EXPECT_OK(fh_view_sync(&other));
  const int streams = fh_cuda_calls("cuStreamCreate");
  FH_EXPECT_OK(fh_graph_launch(graph, NULL));
  FH_EXPECT_OK(fh_view_map(&sum, FH_READ, (void **)&data));
  assert_true(*data == counts[0]);
  assert_int_equal(fh_cuda_calls("cuStreamCreate"), streams); /* none died of a launch that the driver refused */
  assert_int_equal(counters_of(context).executed_intended, 3 * (WARM + 1) + 1);
  fh_graph_release(graph);
  for (int v = 0; v < 4; v++) fh_view_release(views[v]);
  fh_context_release(context);
}

/* A pinned queue has no other device: what fails in the middle says how far it came. */
static void a_pinned_queue_says_how_far(void) {
  fh_context *context = open_kept("cuda:0,cpu", FH_FALLBACK_WARN);
  fh_view x = new_matrix(context, ROWS, D, FH_ROW_MAJOR, 1), y = new_matrix(context, ROWS, D, FH_ROW_MAJOR, 2);
  FH_EXPECT_OK(fh_queue_pin(fh_context_queue(context), "cuda:0"));
  fh_status status = fh_axpy(fh_context_queue(context), 1, &x, &y, NULL);
  assert_non_null(status);
  if (!strstr(fh_status_message(status), "axpy ran in chunks: rows 0 to")) fail_msg("%s", fh_status_message(status));
  fh_status_free(status);
  assert_int_equal(counters_of(context).failed, 1);
  fh_view_release(&x);
  fh_view_release(&y);
  fh_context_release(context);
}

#define SMALL "devices=1,memory=16MiB"

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "larger than the device", .settings = SMALL, .run = larger_than_the_device},
      {.name = "copies overlap work", .settings = SMALL, .run = copies_overlap_work},
      {.name = "copies overlap slow work", .settings = SMALL ",delay=0.003", .run = copies_overlap_work},
      {.name = "room for one chunk at a time", .settings = "devices=1,memory=16MiB,others=9MiB", .run = one_at_a_time},
      {.name = "no room for a second chunk once", .settings = SMALL, .faults = "cuMemAlloc@3=OOM;cuMemAlloc@4=OOM", .run = one_at_a_time},
      {.name = "lost at work", .settings = SMALL, .faults = "cuLaunchKernel@3=719", .run = lost_in_the_middle},
      {.name = "lost at work, late", .settings = SMALL, .faults = "cuLaunchKernel@2=late:719", .run = lost_in_the_middle},
      {.name = "lost on the way there", .settings = SMALL, .faults = "cuMemcpyHtoDAsync@4=719", .run = lost_in_the_middle},
      {.name = "lost on the way back", .settings = SMALL, .faults = "cuMemcpyDtoHAsync@2=late:719", .run = lost_in_the_middle},
      {.name = "an older result stays away", .settings = SMALL, .faults = "cuLaunchKernel@3=719", .run = an_older_result_stays_away},
      {.name = "the result lies beside an input", .settings = SMALL, .run = the_result_lies_beside_an_input},
      {.name = "no memory left", .settings = "devices=1,memory=256MiB", .faults = "cuMemAlloc@1+=OOM", .run = no_memory_left},
      {.name = "a chunk that cannot come home stays as it was", .settings = SMALL, .run = a_chunk_that_cannot_come_home_stays_as_it_was},
      {.name = "so do those that overlap", .settings = SMALL, .run = so_do_those_that_overlap},
      {.name = "refused once", .settings = SMALL, .faults = "cuLaunchKernel@2=OOM", .run = refused_once},
      {.name = "columns first", .settings = SMALL, .run = columns_first},
      {.name = "the least recently used goes first", .settings = "devices=1,memory=18MiB", .run = the_least_recently_used_goes_first},
      {.name = "launches that go together keep their scratch",
       .settings = "devices=1,memory=56MiB",
       .run = launches_that_go_together_keep_their_scratch},
      {.name = "a pinned queue says how far", .settings = SMALL, .faults = "cuLaunchKernel@3=719", .run = a_pinned_queue_says_how_far},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
