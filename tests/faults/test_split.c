/* Launches that two GPUs and the CPU share: the same bits, exact counts, and whoever fails is stood in for.
 * SPDX-License-Identifier: Apache-2.0
 * TEST: timeout=120 fakes=yes cross=no
 *
 * The planner is told what each device takes, so that it splits whatever the stand-in takes. Self-tests are off: the n-th call of the
 * driver is of the n-th share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <foghorn/foghorn.h>

#include "runtime/plan/split.h"
#include "tests/support/cuda_cases.h"
#include "tests/support/expect.h"
#include "tests/support/fail_alloc.h"
#include "tests/support/launches.h"

enum { ROWS = 3000, D = 96, PANEL = 64 };

/* No list of devices, as far as the planner goes: all are worth the same. */
static fh_context *open_with(const char *devices, fh_fallback fallback) {
  fh_context *context = open_kept(devices, fallback);
  for (int d = 0; d < context->device_count; d++) context->devices[d].rank = 0;
  return context;
}

/* For a launch like this every device takes 30 ms alone, and the links nearly nothing. */
static void all_are_equal(fh_context *context, const char *name, const fh_view *const *views, int count, const fh_param_value *params,
                          int param_count) {
  const fh_kernel *kernel;
  fh_call call;
  FH_EXPECT_OK(fh_kernel_find(name, &kernel));
  FH_EXPECT_OK(fh_call_bind(context, kernel, views, count, params, param_count, &call));
  fh_plan_kernel *variants = fh_plan_kernel_in(context, call.kernel);
  for (int i = 0; i < variants->count; i++) fh_candidate_calibrate(&variants->candidates[i], fh_cost_bucket(&call.bound), 0.03);
  for (int d = 0; d < context->device_count; d++)
    for (int way = 0; way < FH_WAYS; way++) fh_link_calibrate(&context->devices[d], (fh_way)way, 1e-6, 1e12);
}

/* c = a b on three devices and on the CPU; then a += 0.5 a, in place. */
typedef struct job {
  fh_context *context, *cpu;
  fh_view a[2], b[2], c[2];
} job;

static job job_begin(fh_fallback fallback, fh_order order) {
  job j = {.context = open_with("cuda:0,cuda:1,cpu", fallback), .cpu = open_with("cpu", FH_FALLBACK_WARN)};
  for (int i = 0; i < 2; i++) {
    fh_context *of = i ? j.cpu : j.context;
    j.a[i] = new_matrix(of, ROWS, D, FH_ROW_MAJOR, 1);
    j.b[i] = new_matrix(of, D, PANEL, FH_ROW_MAJOR, 2);
    j.c[i] = new_matrix(of, ROWS, PANEL, order, 3);
  }
  return j;
}

static void job_end(job *j) {
  for (int i = 0; i < 2; i++) {
    fh_view_release(&j->a[i]);
    fh_view_release(&j->b[i]);
    fh_view_release(&j->c[i]);
  }
  fh_context_release(j->context);
  fh_context_release(j->cpu);
}

static fh_status multiply(job *j) {
  const fh_view *views[] = {&j->a[0], &j->b[0], &j->c[0]};
  all_are_equal(j->context, "matmul", views, 3, NULL, 0);
  FH_EXPECT_OK(fh_matmul(fh_context_queue(j->cpu), &j->a[1], &j->b[1], &j->c[1], NULL));
  return fh_matmul(fh_context_queue(j->context), &j->a[0], &j->b[0], &j->c[0], NULL);
}

static void three_share(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  fh_counters c = counters_of(j.context);
  assert_int_equal(c.launches, 1);
  assert_int_equal(c.executed_intended, 1);
  assert_int_equal(c.split, 1);
  assert_int_equal(c.shares, 3);
  assert_true(fh_cuda_calls("cuLaunchKernel") == 2);
  assert_true(c.bytes_from_device > 0 && c.bytes_from_device < (uint64_t)ROWS * PANEL * sizeof(float));
  const fh_view *views[] = {&j.a[0], &j.a[0]};
  const fh_param_value half = {.f = 0.5};
  all_are_equal(j.context, "axpy", views, 2, &half, 1);
  for (int i = 0; i < 2; i++) {
    fh_view twice = new_matrix(i ? j.cpu : j.context, ROWS, D, FH_ROW_MAJOR, 7);
    FH_EXPECT_OK(fh_axpy(fh_context_queue(i ? j.cpu : j.context), 0.5f, &twice, &j.a[i], NULL));
    fh_view_release(&twice);
  }
  same_bits(&j.a[0], &j.a[1]);
  c = counters_of(j.context);
  assert_int_equal(c.split, 2);
  assert_string_equal(said, "");
  char *text;
  FH_EXPECT_OK(fh_report(j.context, false, &text));
  if (!strstr(text, "2 launches were split between devices, in 6 shares")) fail_msg("%s", text);
  free(text);
  job_end(&j);
}

/* An input and the result are slices of one allocation: the input went whole to the devices, with the result's bytes as they were. */
static void the_result_lies_beside_an_input(void) {
  fh_context *of[2] = {open_with("cuda:0,cuda:1,cpu", FH_FALLBACK_WARN), open_with("cpu", FH_FALLBACK_WARN)};
  fh_view sums[2];
  for (int i = 0; i < 2; i++) {
    fh_queue *queue = fh_context_queue(of[i]);
    fh_view all = new_matrix(of[i], D + ROWS, PANEL, FH_ROW_MAJOR, 1), a = new_matrix(of[i], ROWS, D, FH_ROW_MAJOR, 2), b, c;
    sums[i] = new_matrix(of[i], ROWS, PANEL, FH_ROW_MAJOR, 3);
    FH_EXPECT_OK(fh_view_slice(&all, 0, 0, D, 1, &b));
    FH_EXPECT_OK(fh_view_slice(&all, 0, D, ROWS, 1, &c));
    const fh_view *views[] = {&a, &b, &c};
    if (i == 0) all_are_equal(of[i], "matmul", views, 3, NULL, 0);
    FH_EXPECT_OK(fh_matmul(queue, &a, &b, &c, NULL));
    FH_EXPECT_OK(fh_queue_pin(queue, i ? "cpu" : "cuda:0"));
    FH_EXPECT_OK(fh_axpy(queue, 1, &c, &sums[i], NULL));
    fh_view *mine[] = {&all, &a, &b, &c};
    for (int v = 0; v < 4; v++) fh_view_release(mine[v]);
  }
  assert_int_equal(counters_of(of[0]).split, 1);
  same_bits(&sums[0], &sums[1]);
  for (int i = 0; i < 2; i++) {
    fh_view_release(&sums[i]);
    fh_context_release(of[i]);
  }
}

/* Copies of inputs count once where they stay: what is read again and again goes to a device for good, rather than a share at a time. */
static void data_that_is_read_again_settles(void) {
  enum { TIMES = 4 };
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  const fh_view *views[] = {&j.a[0], &j.b[0], &j.c[0]};
  const fh_kernel *kernel;
  fh_call call;
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  FH_EXPECT_OK(fh_call_bind(j.context, kernel, views, 3, NULL, 0, &call));
  fh_plan_kernel *variants = fh_plan_kernel_in(j.context, call.kernel);
  for (int i = 0; i < variants->count; i++) {
    fh_candidate *c = &variants->candidates[i];
    fh_candidate_calibrate(c, fh_cost_bucket(&call.bound), j.context->devices[c->device].info.host_memory ? 0.04 : 0.005);
  }
  for (int d = 0; d < j.context->device_count; d++)
    for (int way = 0; way < FH_WAYS; way++) fh_link_calibrate(&j.context->devices[d], (fh_way)way, 1e-6, 1e8); /* 11 ms for a */
  FH_EXPECT_OK(fh_matmul(fh_context_queue(j.cpu), &j.a[1], &j.b[1], &j.c[1], NULL));
  for (int i = 0; i < TIMES; i++) {
    FH_EXPECT_OK(fh_matmul(fh_context_queue(j.context), &j.a[0], &j.b[0], &j.c[0], NULL));
    same_bits(&j.c[0], &j.c[1]);
  }
  assert_int_equal(counters_of(j.context).split, 1);
  job_end(&j);
}

/* A launch counts as executed once, and not where another did the rows. */
static void is_counted_where_it_ran(const job *j) {
  uint64_t executed = 0;
  for (int d = 0; d < j->context->device_count; d++) {
    const fh_account_row *row = fh_account_row_of(&j->context->account, "matmul", j->context->devices[d].info.id);
    assert_non_null(row);
    executed += row->executed;
    if (j->context->devices[d].state != FH_STATE_OPEN) assert_int_equal(row->executed, 0);
  }
  assert_int_equal(executed, 1);
}

/* Lost before, at and after its work: the others' rows are untouched, its own are done by somebody else. */
static void one_is_lost(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.executed_elsewhere, 1);
  assert_int_equal(c.failed, 0);
  assert_int_equal(c.split, 1);
  is_counted_where_it_ran(&j);
  assert_int_equal(times_said("FALLBACK device cuda:"), 1);
  assert_int_equal(times_said("FALLBACK"), 1);
  assert_int_equal(c.fallback_warnings, 1);
  FH_EXPECT_OK(multiply(&j)); /* the context goes on */
  same_bits(&j.c[0], &j.c[1]);
  job_end(&j);
}

static void both_are_lost(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.executed_elsewhere, 1);
  assert_int_equal(times_said("FALLBACK device cuda:0 lost"), 1);
  assert_int_equal(times_said("FALLBACK device cuda:1 lost"), 1);
  is_counted_where_it_ran(&j);
  assert_int_equal(c.fallback_warnings, 2);
  job_end(&j);
}

/* The one that was predicted the fastest alone. */
static void the_planned_one_is_lost(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  const fh_view *views[] = {&j.a[0], &j.b[0], &j.c[0]};
  const fh_kernel *kernel;
  fh_call call;
  all_are_equal(j.context, "matmul", views, 3, NULL, 0);
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  FH_EXPECT_OK(fh_call_bind(j.context, kernel, views, 3, NULL, 0, &call));
  fh_plan_kernel *variants = fh_plan_kernel_in(j.context, call.kernel);
  for (int i = 0; i < variants->count; i++)
    if (j.context->devices[variants->candidates[i].device].info.host_memory)
      fh_candidate_calibrate(&variants->candidates[i], fh_cost_bucket(&call.bound), 0.04);
  const int planned = fh_plan_make(fh_context_queue(j.context), &call).chosen->device;
  assert_string_equal(j.context->devices[planned].info.id, "cuda:0");
  FH_EXPECT_OK(fh_matmul(fh_context_queue(j.cpu), &j.a[1], &j.b[1], &j.c[1], NULL));
  FH_EXPECT_OK(fh_matmul(fh_context_queue(j.context), &j.a[0], &j.b[0], &j.c[0], NULL));
  same_bits(&j.c[0], &j.c[1]);
  assert_int_equal(counters_of(j.context).split, 1);
  assert_int_not_equal(j.context->devices[planned].state, FH_STATE_OPEN);
  is_counted_where_it_ran(&j);
  job_end(&j);
}

static void no_memory(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  const fh_counters c = counters_of(j.context);
  assert_int_equal(c.executed_elsewhere, 1);
  assert_int_equal((uint64_t)times_said("FALLBACK"), c.fallback_warnings);
  assert_true(c.fallback_warnings >= 1 && c.fallback_warnings <= 2); /* each device has a cause of its own */
  job_end(&j);
}

/* For a moment: the share is done where it was to be done. */
static void no_memory_once(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  assert_int_equal(counters_of(j.context).failed, 0);
  job_end(&j);
}

/* From some allocation of the host on there is no more: the launch is right or says so, and with memory the next one is right. */
static void no_memory_on_the_host(void) {
  if (!fh_fail_alloc_possible()) {
    puts("       not here: sanitizers bring their own allocator");
    return;
  }
  bool failed = true;
  int refused = 0;
  for (int n = 0; failed && n < 200; n += n < 12 ? 1 : 7) {
    job j = job_begin(FH_FALLBACK_ALLOW, FH_ROW_MAJOR);
    const fh_view *views[] = {&j.a[0], &j.b[0], &j.c[0]};
    all_are_equal(j.context, "matmul", views, 3, NULL, 0);
    fh_fail_alloc(n);
    fh_status status = fh_matmul(fh_context_queue(j.context), &j.a[0], &j.b[0], &j.c[0], NULL);
    failed = fh_fail_alloc_end();
    refused += status != FH_OK;
    if (status && !failed) fail_msg("%s", fh_status_message(status));
    fh_status_free(status);
    FH_EXPECT_OK(multiply(&j));
    same_bits(&j.c[0], &j.c[1]);
    job_end(&j);
  }
  assert_false(failed);
  printf("       %d launches were refused\n", refused);
}

/* The CPU has its share in pieces. In the last, which is short, it refuses: the rows before it are new already, and are not done again. */
static double whole_piece; /* operations */
static const char *short_of_a_piece(const fh_bound *bound) { return bound->flops < whole_piece ? "short of a piece" : NULL; }

static void add_halves(const fh_slot *slots, const fh_team *team) {
  enum { FROM, TO, FACTOR, ROWS_OF, ROW };
  const float *x = slots[FROM].p;
  float *y = slots[TO].p;
  (void)team;
  assert_true(slots[FACTOR].f == 0.5f);
  for (int64_t i = 0; i < slots[ROWS_OF].i * slots[ROW].i; i++) y[i] += 0.5f * x[i];
}

static const fh_tuned add_in_pieces = {
    .name = "pieces", .isa = FH_ISA_SCALAR, .numerics = FH_EXACT, .fn = add_halves, .unfit = short_of_a_piece, .efficiency = 1};

static void the_cpu_fails_at_a_piece(void) {
  enum { SHARE = 3 * 331 + 330 }; /* rows of it, in pieces of 331 */
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  const fh_param_value half = {.f = 0.5};
  fh_view x[2];
  for (int i = 0; i < 2; i++) x[i] = new_matrix(i ? j.cpu : j.context, ROWS, D, FH_ROW_MAJOR, 7);
  FH_EXPECT_OK(fh_axpy(fh_context_queue(j.cpu), 0.5f, &x[1], &j.a[1], NULL));
  const fh_view *views[] = {&x[0], &j.a[0]};
  const fh_kernel *kernel;
  fh_call call;
  all_are_equal(j.context, "axpy", views, 2, &half, 1);
  FH_EXPECT_OK(fh_kernel_find("axpy", &kernel));
  FH_EXPECT_OK(fh_call_bind(j.context, kernel, views, 2, &half, 1, &call));
  whole_piece = call.bound.flops / ROWS * 330.5;
  fh_plan_kernel *variants = fh_plan_kernel_in(j.context, call.kernel);
  bool found = false;
  for (int i = 0; i < variants->count; i++) {
    fh_candidate *c = &variants->candidates[i];
    if (!j.context->devices[c->device].info.host_memory) continue;
    c->tuned = &add_in_pieces;
    c->ruled_out = (fh_reason){.code = found ? FH_REASON_UNFIT : FH_REASON_NONE};
    found = true;
  }
  fh_split split;
  fh_split_outcome outcome;
  const fh_plan plan = fh_plan_make(fh_context_queue(j.context), &call);
  fh_split_find(fh_context_queue(j.context), &call, &plan, &split);
  assert_int_equal(split.count, 3);
  split.shares[2].rows = SHARE;
  split.shares[1].rows = ROWS - SHARE - split.shares[0].rows;
  fh_context_lock(j.context);
  FH_EXPECT_OK(fh_split_run(fh_context_queue(j.context), &split, &call, &outcome));
  fh_context_unlock(j.context);
  assert_true(outcome.elsewhere);
  same_bits(&j.a[0], &j.a[1]);
  for (int i = 0; i < 2; i++) fh_view_release(&x[i]);
  job_end(&j);
}

static void strict_is_strict(void) {
  job j = job_begin(FH_FALLBACK_ERROR, FH_ROW_MAJOR);
  fh_status status = multiply(&j);
  assert_non_null(status);
  fh_status_free(status);
  assert_int_equal(counters_of(j.context).failed, 1);
  job_end(&j);
}

/* Rows of results that lie between each other in memory would bring home each other's old bytes. */
static void rows_between_each_other_stay_together(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_COL_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  assert_int_equal(counters_of(j.context).split, 0);
  job_end(&j);
}

static void forbidden(void) {
  setenv("FOGHORN_SPLIT", "off", 1);
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  FH_EXPECT_OK(multiply(&j));
  same_bits(&j.c[0], &j.c[1]);
  assert_int_equal(counters_of(j.context).split, 0);
  job_end(&j);
  setenv("FOGHORN_SPLIT", "perhaps", 1);
  fh_context *context = NULL;
  fh_expect_code(fh_context_create(NULL, &context), FH_INVALID_ARGUMENT);
}

static void is_explained(void) {
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  const fh_view *views[] = {&j.a[0], &j.b[0], &j.c[0]};
  const fh_kernel *kernel;
  all_are_equal(j.context, "matmul", views, 3, NULL, 0);
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  for (int json = 0; json < 2; json++) {
    char *text;
    FH_EXPECT_OK(fh_explain(fh_context_queue(j.context), kernel, views, 3, NULL, 0, json, &text));
    if (!strstr(text, json ? "\"split\"" : "-> split cuda:0 ")) fail_msg("%s", text);
    free(text);
  }
  assert_int_equal(counters_of(j.context).launches, 0);
  job_end(&j);
}

/* What was believed is wrong by factors: after a few launches all end together. */
static void shares_meet(void) {
  static const double truth[] = {0.020, 0.040, 0.080}; /* seconds for the whole, of each device */
  job j = job_begin(FH_FALLBACK_WARN, FH_ROW_MAJOR);
  const fh_view *views[] = {&j.a[0], &j.b[0], &j.c[0]};
  const fh_kernel *kernel;
  fh_call call;
  all_are_equal(j.context, "matmul", views, 3, NULL, 0);
  FH_EXPECT_OK(fh_kernel_find("matmul", &kernel));
  FH_EXPECT_OK(fh_call_bind(j.context, kernel, views, 3, NULL, 0, &call));
  fh_split split;
  double first = 0, last = 0;
  for (int launch = 0; launch < 12; launch++) {
    const fh_plan plan = fh_plan_make(fh_context_queue(j.context), &call);
    fh_split_find(fh_context_queue(j.context), &call, &plan, &split);
    assert_int_equal(split.count, 3);
    double longest = 0, shortest = 1;
    for (int i = 0; i < split.count; i++) {
      const fh_share *s = &split.shares[i];
      const double seconds = truth[s->candidate->device % 3] * (double)s->rows / (double)split.rows;
      if (seconds > longest) longest = seconds;
      if (seconds < shortest) shortest = seconds;
      fh_split_learn_share(&split, &call, s, s->rows, seconds);
    }
    if (launch == 0) first = longest / shortest;
    last = longest / shortest;
  }
  assert_true(first > 3);
  assert_true(last < 1.1);
  job_end(&j);
}

#define TWO "devices=2,memory=64MiB"

int main(int argc, char **argv) {
  (void)argc;
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  if (!images[0].ptx) {
    printf("NOT RUN: this build has no PTX: %s\n", images[0].ptx_missing);
    return 77;
  }
  static const fh_cuda_case cases[] = {
      {.name = "three share", .settings = TWO, .run = three_share},
      {.name = "three share, slowly", .settings = TWO ",delay=0.002", .run = three_share},
      {.name = "the result lies beside an input", .settings = TWO, .run = the_result_lies_beside_an_input},
      {.name = "data that is read again settles", .settings = TWO, .run = data_that_is_read_again_settles},
      {.name = "one is lost at once", .settings = TWO, .faults = "cuLaunchKernel@1=719", .run = one_is_lost},
      {.name = "one is lost late", .settings = TWO, .faults = "cuLaunchKernel@2=late:700", .run = one_is_lost},
      {.name = "one is lost on the way there", .settings = TWO, .faults = "cuMemcpyHtoDAsync@2=late:719", .run = one_is_lost},
      {.name = "one is lost on the way back", .settings = TWO, .faults = "cuMemcpyDtoHAsync@1=late:719", .run = one_is_lost},
      {.name = "one has an ECC error", .settings = TWO, .faults = "cuLaunchKernel@2=late:214", .run = one_is_lost},
      {.name = "one runs out of time", .settings = TWO, .faults = "cuLaunchKernel@1=late:702", .run = one_is_lost},
      {.name = "both are lost", .settings = TWO, .faults = "cuLaunchKernel@1=late:719;cuLaunchKernel@2=late:719", .run = both_are_lost},
      {.name = "the planned one is lost at once", .settings = TWO, .faults = "cuLaunchKernel@1=719", .run = the_planned_one_is_lost},
      {.name = "the planned one is lost late", .settings = TWO, .faults = "cuLaunchKernel@1=late:719", .run = the_planned_one_is_lost},
      {.name = "no memory", .settings = TWO, .faults = "cuMemAlloc@1+=OOM", .run = no_memory},
      {.name = "no memory once", .settings = TWO, .faults = "cuMemAlloc@2=OOM;cuMemAlloc@3=OOM", .run = no_memory_once},
      {.name = "no memory on the host", .settings = TWO, .run = no_memory_on_the_host},
      {.name = "the CPU fails at a piece", .settings = TWO ",delay=0.3", .run = the_cpu_fails_at_a_piece},
      {.name = "strict is strict", .settings = TWO, .faults = "cuLaunchKernel@2=late:719", .run = strict_is_strict},
      {.name = "rows between each other stay together", .settings = TWO, .run = rows_between_each_other_stay_together},
      {.name = "forbidden", .settings = TWO, .run = forbidden},
      {.name = "is explained", .settings = TWO, .run = is_explained},
      {.name = "shares meet", .settings = TWO, .run = shares_meet},
  };
  fh_cuda_cases_begin(argv);
  return fh_cuda_cases_run(argv, cases, (int)(sizeof cases / sizeof cases[0]));
}
