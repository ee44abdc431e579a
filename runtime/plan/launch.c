/* fh_launch: plan, run, and when it fails, plan again. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/plan/plan.h"

/* What the caller first would have got, kept over the attempts of one launch. */
typedef struct intent {
  fh_candidate *candidate;
  double seconds;
  fh_reason reason;
  char cause[48], text[320], fix[FH_PLAN_FIX]; /* copies: reasons borrow from what may change */
} intent;

static void note_reason(const fh_context *context, intent *wanted, const fh_reason *reason) {
  if (reason->code == FH_REASON_NONE || wanted->cause[0]) return;
  wanted->reason = *reason;
  snprintf(wanted->cause, sizeof wanted->cause, "%s", reason->cause && *reason->cause ? reason->cause : "UNKNOWN");
  const char *text = reason->text ? reason->text : "";
  snprintf(wanted->text, sizeof wanted->text, "%.*s", (int)strcspn(text, "\n"), text);
  const fh_plan_device *device = &context->devices[wanted->candidate->device];
  bool of_device = reason->code == FH_REASON_DEVICE_REJECTED || reason->code == FH_REASON_DEVICE_QUARANTINED;
  if (of_device) {
    snprintf(wanted->fix, sizeof wanted->fix, "%s", device->fix);
  } else {
    fh_fault_fix(context, wanted->cause, wanted->fix, sizeof wanted->fix);
  }
}

static bool fell_back(const intent *wanted, const fh_candidate *used) { return wanted->candidate != used && wanted->cause[0]; }

static const char *human_seconds(double seconds, char text[static 24]) {
  if (seconds >= 1) {
    snprintf(text, 24, "%.2g s", seconds);
  } else if (seconds >= 1e-3) {
    snprintf(text, 24, "%.2g ms", seconds * 1e3);
  } else {
    snprintf(text, 24, "%.2g us", seconds * 1e6);
  }
  return text;
}

static void say_fallback(const fh_context *context, const fh_call *call, const intent *wanted, const fh_candidate *used, double seconds) {
  char label[160], slow[24], fast[24];
  fh_call_label(call, label, sizeof label);
  bool same_bits = wanted->candidate->numerics == FH_EXACT && used->numerics == FH_EXACT;
  double factor = wanted->seconds > 0 ? seconds / wanted->seconds : 0;
  char slower[48] = "not slower, as predicted";
  if (factor > 1) snprintf(slower, sizeof slower, "about %.3gx slower", factor);
  fh_log(FH_LOG_WARN,
         "FALLBACK %s: %s -> %s\n"
         "  cause   %s: %s\n"
         "  effect  predicted %s instead of %s (%s); %s\n"
         "  fix     %s\n"
         "  more    devprobe cause %s",
         label, context->devices[wanted->candidate->device].info.id, used->name, wanted->cause, wanted->text, human_seconds(seconds, slow),
         human_seconds(wanted->seconds, fast), slower, same_bits ? "the same bits" : "a result within the same bound", wanted->fix,
         wanted->cause);
}

static fh_status refuse(fh_queue *queue, const fh_call *call, fh_code code, const char *cause, const char *why) {
  char *decision = NULL;
  fh_call described = *call; /* a launch itself does without a word on its data */
  fh_status ignored = fh_call_inspect(queue->context, &described, true);
  fh_status_free(ignored);
  ignored = fh_decision_text(queue, &described, false, &decision);
  fh_status_free(ignored);
  fh_status status = FH_STATUS_CAUSE(code, cause, "%s: %s\n%s", call->image->contract->name, why, decision ? decision : "");
  free(decision);
  return status;
}

/* Is a fallback within what the caller allowed? */
static fh_status check_fallback(fh_queue *queue, const fh_call *call, const intent *wanted, const fh_plan *plan) {
  const fh_config *config = &queue->context->config;
  char why[768];
  if (!fell_back(wanted, plan->chosen)) return FH_OK;
  if (config->fallback == FH_FALLBACK_ERROR) {
    snprintf(why, sizeof why, "falling back from %s to %s is not allowed here (strict): %s: %s", wanted->candidate->name,
             plan->chosen->name, wanted->cause, wanted->text);
    return refuse(queue, call, FH_UNAVAILABLE, wanted->cause, why);
  }
  if (config->max_slowdown > 0 && plan->chosen_seconds > config->max_slowdown * wanted->seconds) {
    snprintf(why, sizeof why, "falling back from %s to %s is predicted %.3g times slower, more than max_slowdown %.3g: %s: %s",
             wanted->candidate->name, plan->chosen->name, plan->chosen_seconds / wanted->seconds, config->max_slowdown, wanted->cause,
             wanted->text);
    return refuse(queue, call, FH_UNAVAILABLE, wanted->cause, why);
  }
  return FH_OK;
}

static void done(fh_queue *queue, const fh_call *call, const intent *wanted, const fh_candidate *used, double seconds) {
  fh_context *context = queue->context;
  fh_counters *counters = &context->account.counters;
  const char *kernel = call->image->contract->name;
  const char *from = context->devices[wanted->candidate->device].info.id;
  fh_account_row *row = fh_candidate_row(context, wanted->candidate);
  if (row) row->intended++;
  fh_record_launch(context, call, used, wanted->candidate, wanted->cause);
  if (!fell_back(wanted, used)) {
    fh_plan_settled(context, call, used);
    counters->executed_intended++;
    return;
  }
  counters->executed_elsewhere++;
  fh_account_fallback_add(&context->account, kernel, from, context->devices[used->device].info.id, wanted->cause);
  bool of_device = wanted->reason.code == FH_REASON_DEVICE_REJECTED || wanted->reason.code == FH_REASON_DEVICE_QUARANTINED;
  if (context->config.fallback != FH_FALLBACK_WARN || !fh_account_say(&context->account, of_device ? "*" : kernel, from, wanted->cause))
    return;
  counters->fallback_warnings++;
  say_fallback(context, call, wanted, used, seconds);
}

static fh_status launch(fh_queue *queue, fh_call *call) {
  fh_context *context = queue->context;
  intent wanted;
  wanted.candidate = NULL; /* the texts are filled when there is something to say */
  wanted.seconds = 0;
  wanted.cause[0] = '\0';
  bool short_of_memory = false;
  fh_status status = FH_OK;
  /* Each failed attempt takes one candidate or device out, so this ends. */
  for (;;) {
    fh_plan plan = fh_plan_make(queue, call);
    if (plan.intended && !wanted.candidate) {
      wanted.candidate = plan.intended;
      wanted.seconds = plan.intended_seconds;
    }
    if (wanted.candidate) note_reason(context, &wanted, &plan.fallback);
    if (!plan.chosen) {
      status = refuse(queue, call, FH_UNAVAILABLE, wanted.cause[0] ? wanted.cause : NULL, "no allowed device can run it");
      break;
    }
    if (plan.chosen->test == FH_UNTESTED) {
      fh_candidate_test(queue, plan.chosen);
      short_of_memory |= plan.chosen->skipped;
      continue;
    }
    status = check_fallback(queue, call, &wanted, &plan);
    if (status) break;
    if (!wanted.candidate) wanted.candidate = plan.chosen; /* never so: what may run was intended; an analyzer cannot know */
    call->elsewhere = fell_back(&wanted, plan.chosen);
    status = fh_execute(queue, plan.chosen, call);
    if (!status) {
      done(queue, call, &wanted, plan.chosen, plan.chosen_seconds);
      break;
    }
    if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED) {
      fh_candidate_blame(plan.chosen, status);
      plan.chosen->skipped = short_of_memory = true;
      fh_status_free(status);
      status = FH_OK;
      continue;
    }
    status = fh_recover(context, plan.chosen, plan.chosen->device, status);
    if (status) break;
  }
  fh_plan_kernel *k = fh_plan_kernel_in(context, call->kernel);
  for (int i = 0; short_of_memory && i < k->count; i++) k->candidates[i].skipped = false; /* next time there may be some */
  return status;
}

fh_status fh_launch_call(fh_queue *queue, fh_call *call) {
  fh_context *context = queue->context;
  if (call->bound.stage_count == 0) return FH_OK;
  context->account.counters.launches++;
  fh_status status = launch(queue, call);
  if (status) context->account.counters.failed++;
  return status;
}

fh_status fh_launch(fh_queue *queue, const fh_kernel *kernel, const fh_view *const *views, int view_count, const fh_param_value *params,
                    int param_count, fh_event *out_event) {
  if (out_event) *out_event = (fh_event){0};
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_launch: queue is NULL");
  fh_call call;
  FH_TRY(fh_call_bind(queue->context, kernel, views, view_count, params, param_count, &call));
  fh_context_lock(queue->context);
  if (queue->context->running) {
    fh_context_unlock(queue->context);
    return FH_STATUS(FH_FAILED_PRECONDITION,
                     "fh_launch: %s: this thread is in the middle of a launch of the same context\n"
                     "  host_pool's run called it from work of the program's own that it took up while it waited; run must not",
                     call.image->contract->name);
  }
  call.begun_ns = fh_record_begin(queue->context);
  fh_status status = fh_call_inspect(queue->context, &call, queue->context->config.trace[0] != 0);
  if (!status) status = fh_launch_call(queue, &call);
  uint64_t point = ++queue->point;
  fh_context_unlock(queue->context);
  if (out_event) *out_event = (fh_event){.queue = queue, .point = point};
  return status;
}
