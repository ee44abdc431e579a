/* fh_launch: plan, run, and when it fails, plan again. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/base/text.h"
#include "runtime/plan/split.h"

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
         label, wanted->candidate->device == used->device ? wanted->candidate->name : context->devices[wanted->candidate->device].info.id,
         used->name, wanted->cause, wanted->text, human_seconds(seconds, slow), human_seconds(wanted->seconds, fast), slower,
         same_bits ? "the same bits" : "a result within the same bound", wanted->fix, wanted->cause);
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

/* Nothing is left to run it. */
static fh_status refuse_all(fh_queue *queue, const fh_call *call, const intent *wanted, const fh_plan *plan) {
  char why[320] = "no allowed device can run it";
  if (plan->unmeasured)
    snprintf(why, sizeof why,
             "of the allowed devices only %s can run it, which a measurement alone chooses\n"
             "next: devprobe bench --calibrate %s, or allow cpu",
             plan->unmeasured->name, call->image->contract->name);
  return refuse(queue, call, FH_UNAVAILABLE, wanted->cause[0] ? wanted->cause : NULL, why);
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

/* Some rows of a launch are counted with it; that they fell back is said, and counted, where it happens. */
static void count(fh_context *context, const fh_call *call, const intent *wanted, bool elsewhere) {
  if (call->part) return;
  fh_account_row *row = fh_candidate_row(context, wanted->candidate);
  if (row) row->intended++;
  (*(elsewhere ? &context->account.counters.executed_elsewhere : &context->account.counters.executed_intended))++;
}

static void done(fh_queue *queue, const fh_call *call, const intent *wanted, const fh_candidate *used, double seconds) {
  fh_context *context = queue->context;
  fh_counters *counters = &context->account.counters;
  const char *kernel = call->image->contract->name;
  const char *from = context->devices[wanted->candidate->device].info.id;
  count(context, call, wanted, fell_back(wanted, used));
  if (!call->part) fh_record_launch(context, call, used, wanted->candidate, wanted->cause);
  if (!fell_back(wanted, used)) {
    fh_plan_settled(context, call, used);
    return;
  }
  fh_account_fallback_add(&context->account, kernel, from, context->devices[used->device].info.id, wanted->cause);
  bool of_device = wanted->reason.code == FH_REASON_DEVICE_REJECTED || wanted->reason.code == FH_REASON_DEVICE_QUARANTINED;
  if (context->config.fallback != FH_FALLBACK_WARN || !fh_account_say(&context->account, of_device ? "*" : kernel, from, wanted->cause))
    return;
  counters->fallback_warnings++;
  say_fallback(context, call, wanted, used, seconds);
}

/* ---- memory ------------------------------------------------------------------------------------------------- */

/* How a launch gets along with the memory that there is. */
typedef struct room {
  fh_progress progress;
  bool trimmed;     /* the device gave up all it could */
  bool short_of_it; /* candidates were skipped */
  char why[320];    /* in words; what it ran out of */
} room;

static fh_status attempt(fh_queue *queue, fh_candidate *candidate, const fh_call *call, room *r) {
  const fh_device_info *info = &queue->context->devices[candidate->device].info;
  const bool whole = r->progress.step == 0 && !info->host_memory;
  const double have = (double)info->memory_bytes;
  const double need = whole ? fh_call_bytes(call) + (double)fh_candidate_scratch(queue->context, candidate, &call->bound) : 0;
  if (have > 0 && need > have && fh_chunks_begin(call, have, &r->progress))
    snprintf(r->why, sizeof r->why, "it needs %.1f MiB, %s has %.1f MiB", need / 1048576, info->id, have / 1048576);
  return r->progress.step > 0 ? fh_chunks_run(queue, candidate, call, &r->progress) : fh_execute(queue, candidate, call);
}

/* First what others left on the device goes, then the job is halved, then the candidate is out. Takes the status; memory may be that of
 * the host too, and there only the last helps. */
static void make_do(fh_queue *queue, fh_candidate *candidate, const fh_call *call, room *r, fh_status failure) {
  fh_candidate_blame(candidate, failure);
  const bool device = !queue->context->devices[candidate->device].info.host_memory && r->progress.step == 0;
  if (!r->why[0]) snprintf(r->why, sizeof r->why, "%s", candidate->reason);
  if (device && !r->trimmed && fh_device_trim(queue, candidate->device, call) > 0) {
    r->trimmed = true;
  } else if (!device || !fh_chunks_begin(call, HUGE_VAL, &r->progress)) {
    candidate->skipped = r->short_of_it = true;
  }
  fh_status_free(failure);
}

static void say_chunked(fh_context *context, const fh_call *call, const fh_candidate *used, const room *r) {
  static const char cause[] = "OUT-OF-MEMORY";
  const char *id = context->devices[used->device].info.id;
  char label[160], fix[FH_PLAN_FIX];
  if (context->config.fallback == FH_FALLBACK_ALLOW || !fh_account_say(&context->account, "chunks", id, cause)) return;
  fh_call_label(call, label, sizeof label);
  fh_fault_fix(context, cause, fix, sizeof fix);
  fh_log(FH_LOG_WARN,
         "CHUNKED %s: %s runs it in %d chunks\n"
         "  cause   %s: %s\n"
         "  effect  each chunk is copied there and back; the same bits where the kernel is exact\n"
         "  fix     %s\n"
         "  more    devprobe cause %s",
         label, id, r->progress.chunks, cause, r->why, fix, cause);
}

static void count_chunks(fh_context *context, const fh_call *call, fh_candidate *used, bool elsewhere, const room *r) {
  if (r->progress.step == 0) return;
  if (!call->part) fh_candidate_executed(context, used);
  if (r->progress.chunks < 2) return; /* no device had room for any: the CPU ran it whole */
  context->account.counters.chunked++;
  context->account.counters.chunks += (uint64_t)r->progress.chunks;
  if (!elsewhere) say_chunked(context, call, used, r);
}

/* ---- several devices at once ---------------------------------------------------------------------------------- */

/* The first of those that share whose variant was not tested yet; NULL: none. */
static fh_candidate *untested(const fh_split *split) {
  for (int i = 0; i < split->count; i++)
    if (split->shares[i].candidate->test == FH_UNTESTED) return split->shares[i].candidate;
  return NULL;
}

/* Who stands for a launch that several shared: whom it was planned for, where that one did its share, or else the first that did. */
static fh_candidate *who_ran(const fh_split *split, const fh_split_outcome *outcome, fh_candidate *planned) {
  fh_candidate *first = NULL;
  for (int i = 0; i < split->count; i++) {
    fh_candidate *candidate = split->shares[i].candidate;
    if (outcome->moved[i]) continue;
    if (candidate->device == planned->device) return planned;
    if (!first) first = candidate;
  }
  return first ? first : planned;
}

static fh_status run_split(fh_queue *queue, const fh_split *split, const fh_call *call, const intent *wanted) {
  fh_context *context = queue->context;
  fh_split_outcome outcome;
  FH_TRY(fh_split_run(queue, split, call, &outcome));
  fh_candidate *ran = who_ran(split, &outcome, wanted->candidate);
  count(context, call, wanted, outcome.elsewhere);
  fh_candidate_executed(context, ran);
  fh_record_launch(context, call, ran, wanted->candidate, outcome.cause);
  context->account.counters.split++;
  context->account.counters.shares += (uint64_t)split->count;
  return FH_OK;
}

/* ---- the launch --------------------------------------------------------------------------------------------- */

/* Outputs of a launch that failed in the middle of its chunks are new up to a row. */
static fh_status annotate(fh_status status, const fh_call *call, const room *r) {
  if (!status || r->progress.done == 0) return status;
  return fh_status_annotate(status, "%s ran in chunks: rows 0 to %lld of %lld of its results are new, the others as they were",
                            call->image->contract->name, (long long)r->progress.done - 1, (long long)r->progress.rows);
}

/* What keeps a candidate that was planned from running. */
static void begin_with(const fh_queue *queue, const fh_call *call, fh_candidate *planned, intent *wanted) {
  const fh_plan_device *device = &queue->context->devices[planned->device];
  const bool lost = device->state != FH_STATE_OPEN;
  const fh_reason reason = {.code = lost ? FH_REASON_DEVICE_QUARANTINED : FH_REASON_VARIANT_QUARANTINED,
                            .cause = lost ? device->cause : planned->cause,
                            .text = lost ? device->reason : planned->reason};
  wanted->candidate = planned;
  wanted->seconds = fh_candidate_judge(queue, planned, call).seconds;
  note_reason(queue->context, wanted, &reason);
}

/* planned NULL: what the plan wants first. */
static fh_status launch(fh_queue *queue, fh_call *call, fh_candidate *planned) {
  fh_context *context = queue->context;
  room left;
  left.progress = (fh_progress){0};
  left.trimmed = left.short_of_it = false;
  left.why[0] = '\0';
  intent wanted;
  wanted.candidate = NULL; /* the texts are filled when there is something to say */
  wanted.seconds = 0;
  wanted.cause[0] = '\0';
  if (planned) begin_with(queue, call, planned, &wanted);
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
      status = refuse_all(queue, call, &wanted, &plan);
      break;
    }
    if (plan.chosen->test == FH_UNTESTED) {
      fh_candidate_test(queue, plan.chosen);
      left.short_of_it |= plan.chosen->skipped;
      continue;
    }
    fh_split split;
    split.count = 0;
    split.held_back = false;
    if (left.progress.step == 0) fh_split_find(queue, call, &plan, &split);
    if (split.held_back) fh_split_relent(context, call);
    fh_candidate *helper = untested(&split);
    if (helper) {
      fh_candidate_test(queue, helper);
      left.short_of_it |= helper->skipped;
      continue;
    }
    status = check_fallback(queue, call, &wanted, &plan);
    if (status) break;
    if (!wanted.candidate) wanted.candidate = plan.chosen; /* never so: what may run was intended; an analyzer cannot know */
    call->elsewhere = fell_back(&wanted, plan.chosen);
    if (split.count > 0) {
      call->ran = NULL;
      status = run_split(queue, &split, call, &wanted);
      break;
    }
    status = attempt(queue, plan.chosen, call, &left);
    if (!status) {
      count_chunks(context, call, plan.chosen, call->elsewhere, &left);
      done(queue, call, &wanted, plan.chosen, plan.chosen_seconds);
      call->ran = left.progress.step == 0 && !call->elsewhere ? plan.chosen : NULL;
      break;
    }
    if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED) {
      make_do(queue, plan.chosen, call, &left, status);
      status = FH_OK;
      continue;
    }
    status = fh_recover(context, plan.chosen, plan.chosen->device, status);
    if (status) break;
  }
  fh_plan_kernel *k = fh_plan_kernel_in(context, call->kernel);
  for (int i = 0; (left.short_of_it || left.progress.step > 0) && i < k->count; i++)
    k->candidates[i].skipped = false; /* next time there may be some */
  return annotate(status, call, &left);
}

fh_status fh_launch_part(fh_queue *queue, fh_call *call, fh_candidate *planned) {
  return call->bound.stage_count == 0 ? FH_OK : launch(queue, call, planned);
}

fh_status fh_launch_call(fh_queue *queue, fh_call *call) {
  fh_context *context = queue->context;
  if (call->bound.stage_count == 0) return FH_OK;
  context->account.counters.launches++;
  fh_status status = launch(queue, call, NULL);
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
  if (queue->capture) {
    fh_status noted = fh_graph_note(queue->capture, &call);
    if (!noted && out_event) *out_event = (fh_event){.queue = queue, .point = queue->point};
    fh_context_unlock(queue->context);
    return noted;
  }
  call.begun_ns = fh_record_begin(queue->context);
  fh_status status = fh_call_inspect(queue->context, &call, queue->context->config.trace[0] != 0);
  if (!status) status = fh_launch_call(queue, &call);
  uint64_t point = ++queue->point;
  fh_context_unlock(queue->context);
  if (out_event) *out_event = (fh_event){.queue = queue, .point = point};
  return status;
}
