/* No variant is a candidate before it passed its own test on this machine. SPDX-License-Identifier: Apache-2.0
 *
 * The test is the conformance procedure on operands that are buffers of the context, so what it runs is what a launch runs.
 */
#include <stdio.h>
#include <string.h>

#include "backends/check.h"
#include "runtime/base/log.h"
#include "runtime/plan/plan.h"

/* The first cases are small and cost microseconds; `devprobe verify` runs them all, in every layout. Variants that take few cases come to
 * larger ones. Most loops and later launches of a variant for blocks do nothing in calls so small, so one call that has several blocks in
 * as many launches as any is run beside them. */
enum { SELFTEST_CASES = 3, SELFTEST_CASES_OF_FORMS = 5 };

/* ---- a conformance call as a launch ------------------------------------------------------------------------ */

typedef struct runner {
  fh_queue *queue;
  fh_candidate *candidate;
} runner;

/* Views of the caller's memory; operands in one place are one buffer. */
static fh_status wrap_views(fh_context *context, const fh_conform_call *call, fh_view *views, int count) {
  for (int i = 0; i < count; i++) {
    const fh_conform_place *place = &call->places[i];
    const fh_view_desc *desc = &call->views[i];
    int same = 0;
    while (same < i && call->places[same].memory != place->memory) same++;
    if (same < i) {
      FH_TRY(fh_view_retain(&views[same], &views[i]));
      continue;
    }
    fh_shape shape = {.rank = desc->rank};
    memcpy(shape.extents, desc->shape, sizeof shape.extents);
    FH_TRY(fh_view_wrap_strided(context, place->memory, place->bytes, (char *)place->memory + place->offset, desc->dtype, shape,
                                desc->strides, FH_READ_WRITE, &views[i]));
  }
  return FH_OK;
}

static fh_status execute(const runner *r, const fh_conform_call *call, const fh_view *views) {
  const fh_kernel_contract *contract = call->image->contract;
  fh_call bound = {.image = call->image, .kernel = r->candidate->kernel, .view_count = contract->view_count, .bound = *call->bound};
  for (int i = 0; i < bound.view_count; i++) {
    bound.views[i] = views[i];
    bound.descs[i] = call->views[i];
  }
  memcpy(bound.params, call->scalars, sizeof(fh_value) * (size_t)contract->scalar_count);
  fh_context *context = r->queue->context;
  fh_context_lock(context);
  bool probing = r->queue->probing;
  r->queue->probing = true;
  fh_status status = fh_execute(r->queue, r->candidate, &bound);
  for (int i = 0; i < bound.view_count && !status; i++)
    if (contract->views[i].role != FH_ROLE_IN) status = fh_buffer_to_host(context, views[i].buffer);
  r->queue->probing = probing;
  fh_context_unlock(context);
  return status;
}

static fh_status run_call(void *arg, const fh_conform_call *call) {
  const runner *r = arg;
  int count = call->image->contract->view_count;
  fh_view views[FH_MAX_VIEWS] = {0};
  fh_status status = wrap_views(r->queue->context, call, views, count);
  if (!status) status = execute(r, call, views);
  for (int i = 0; i < count; i++) fh_view_release(&views[i]);
  return status;
}

static bool unfit_for(void *arg, const fh_bound *bound, const int64_t offsets[FH_MAX_VIEWS]) {
  const runner *r = arg;
  const fh_block_variant *block = r->candidate->block;
  return fh_candidate_unfit(r->queue->context, r->candidate, bound).code != FH_REASON_NONE ||
         (block && fh_block_misplaced(block, bound, offsets));
}

/* Launches of several blocks in a call: these work on pieces, and what follows brings the pieces together. */
static int launches_of_many(void *arg, const fh_bound *bound) {
  const runner *r = arg;
  const fh_block_variant *block = r->candidate->block;
  const fh_device_info *info = &r->queue->context->devices[r->candidate->device].info;
  int launches = 0;
  for (int step = 0; block && step < fh_block_steps(block); step++) {
    fh_block_shape shape = {0};
    fh_block_step_of(block, step).shape(bound, info->compute_units, &shape);
    launches += shape.grid[0] > 1 || shape.grid[1] > 1 || shape.grid[2] > 1;
  }
  return launches;
}

fh_status fh_candidate_conform(fh_queue *queue, fh_candidate *candidate, const fh_conform_options *options, fh_conform_report *out_report) {
  const fh_kernel_image *image = fh_plan_kernel_in(queue->context, candidate->kernel)->image;
  const fh_device_info *info = &queue->context->devices[candidate->device].info;
  runner r = {queue, candidate};
  fh_conform_variant variant = {.name = candidate->name,
                                .numerics = info->exact ? candidate->numerics : FH_BOUNDED,
                                .alignment = info->address_alignment ? info->address_alignment : 1,
                                .run = run_call,
                                .arg = &r,
                                .unfit = unfit_for,
                                .reach = launches_of_many};
  return fh_conform(image, &variant, options, out_report);
}

/* ---- the test before the first use ------------------------------------------------------------------------- */

static void test_failed(fh_candidate *candidate, const char *cause, const char *reason) {
  candidate->test = FH_TEST_FAILED;
  snprintf(candidate->cause, sizeof candidate->cause, "%s", cause);
  snprintf(candidate->reason, sizeof candidate->reason, "%.*s", (int)strcspn(reason, "\n"), reason);
  const char *how = strcmp(cause, "NOT-TESTED") == 0 ? "was not possible" : "failed";
  fh_log(FH_LOG_WARN, "self-test of %s %s: %s\n  it will not be used in this process", candidate->name, how, candidate->reason);
}

/* What could not run is not wrong: the device or the variant is to blame, and recovery says which. Takes the status. When recovery
 * blames neither, it is the variant: an untested one would be tested again and again. */
static void could_not_run(fh_context *context, fh_candidate *candidate, fh_status failure) {
  if (fh_status_code(failure) == FH_RESOURCE_EXHAUSTED) { /* next time there may be memory */
    fh_candidate_blame(candidate, failure);
    candidate->skipped = true;
    fh_status_free(failure);
    return;
  }
  fh_status left = fh_recover(context, candidate, candidate->device, fh_status_clone(failure));
  if (!candidate->quarantined && context->devices[candidate->device].state == FH_STATE_OPEN)
    test_failed(candidate, fh_fault_cause(failure), fh_status_message(failure));
  fh_status_free(left);
  fh_status_free(failure);
}

void fh_candidate_test(fh_queue *queue, fh_candidate *candidate) {
  if (candidate->test != FH_UNTESTED || queue->probing) return;
  if (queue->context->config.verify == FH_VERIFY_OFF) {
    candidate->test = FH_TEST_PASSED;
    return;
  }
  fh_status failure;
  /* Texts for one capability, which bring or pack tiles, have code of their own for each form of their operands; a reduction of rows that
   * lie side by side takes no compact ones. */
  const bool forms = candidate->block && candidate->block->only;
  fh_conform_options options = {.cases = forms ? SELFTEST_CASES_OF_FORMS : SELFTEST_CASES,
                                .quick = true,
                                .forms = forms,
                                .sample = candidate->block != NULL,
                                .out_failure = &failure};
  fh_conform_report report;
  fh_status status = fh_candidate_conform(queue, candidate, &options, &report);
  if (!status && !failure && candidate->block && !forms && report.verdict == FH_CONFORM_UNSUPPORTED) {
    options.forms = true;
    status = fh_candidate_conform(queue, candidate, &options, &report);
  }
  if (status) failure = status; /* no memory for the test: no run failed */
  if (failure) {
    could_not_run(queue->context, candidate, failure);
  } else if (report.verdict == FH_CONFORM_UNSUPPORTED) { /* without a failure: nothing ran */
    test_failed(candidate, "NOT-TESTED", report.text);
  } else if (report.verdict != FH_CONFORM_PASS) {
    test_failed(candidate, "WRONG-RESULT", report.text);
  } else {
    candidate->test = FH_TEST_PASSED;
  }
}
