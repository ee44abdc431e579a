/* The decision for a launch, as text or JSON. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/base/text.h"
#include "runtime/plan/crossover.h"
#include "runtime/plan/split.h"

typedef struct decision {
  fh_verdict *verdicts;
  int count;
  fh_plan plan;
  fh_split split;
} decision;

static int best_first(const void *a, const void *b) {
  const fh_verdict *x = a, *y = b;
  bool no_x = x->reason.code != FH_REASON_NONE, no_y = y->reason.code != FH_REASON_NONE;
  if (no_x != no_y) return no_x - no_y;
  return (x->seconds > y->seconds) - (x->seconds < y->seconds);
}

static fh_status decide(const fh_queue *queue, const fh_call *call, decision *out) {
  const fh_plan_kernel *k = fh_plan_kernel_in(queue->context, call->kernel);
  *out = (decision){.verdicts = calloc((size_t)k->count + 1, sizeof *out->verdicts)};
  if (!out->verdicts) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_explain: no memory");
  fh_profile_use(queue->context);
  for (int i = 0; i < k->count; i++) out->verdicts[out->count++] = fh_candidate_judge_for_plan(queue, &k->candidates[i], call);
  qsort(out->verdicts, (size_t)out->count, sizeof *out->verdicts, best_first);
  out->plan = fh_plan_make(queue, call);
  fh_split_find(queue, call, &out->plan, &out->split);
  return FH_OK;
}

static const char *test_name(const fh_candidate *candidate) {
  static const char *const names[] = {"not tested yet", "self-test passed", "self-test failed"};
  return candidate ? names[candidate->test] : names[0];
}

static const char *source_name(fh_cost_source source) {
  static const char *const names[] = {"a guess", "a scaled guess", "calibrated", "measured", "assumed"};
  return names[source];
}

static const char *source_key(fh_cost_source source) {
  static const char *const keys[] = {"guess", "scaled_guess", "calibrated", "measured", "assumed"};
  return keys[source];
}

static const char *human(double seconds, char text[static 24]) {
  const char *unit = seconds >= 1 ? "s" : seconds >= 1e-3 ? "ms" : "us";
  snprintf(text, 24, "%8.3g %s", seconds >= 1 ? seconds : seconds >= 1e-3 ? seconds * 1e3 : seconds * 1e6, unit);
  return text;
}

static void print_way(const fh_link_figures *link, const char *before, const char *where, const fh_transfer *t, fh_way way, fh_text *text) {
  if (t->copies[way])
    fh_text_add(text, "%s%.3g MB %s at %.3g GB/s (%s)", before, t->bytes[way] / 1e6, where, link->bytes_per_s / 1e9,
                source_name(link->bandwidth_source));
}

/* What must move for the candidate, and how fast that is known to go. */
static void print_transfer(const fh_context *context, const fh_verdict *v, fh_text *text) {
  if (!v->candidate) return; /* never so; an analyzer cannot know */
  const fh_transfer *t = &v->transfer;
  const fh_plan_device *device = &context->devices[v->candidate->device];
  char time[24];
  if (device->info.host_memory && t->seconds > 0)
    fh_text_add(text, "       transfer %s  of it: %.3g MB that are on a device only, %s\n", human(t->seconds, time),
                t->bytes[FH_FROM_DEVICE] / 1e6, source_name(t->source));
  if (device->info.host_memory) return;
  const fh_link_figures to = fh_link_of(device, FH_TO_DEVICE), from = fh_link_of(device, FH_FROM_DEVICE);
  fh_text_add(text, "       transfer        %s  of it:", human(t->seconds, time));
  if (!t->copies[FH_TO_DEVICE]) fh_text_add(text, " all inputs are there");
  print_way(&to, " ", "there", t, FH_TO_DEVICE, text);
  print_way(&from, ", ", "back", t, FH_FROM_DEVICE, text);
  fh_text_add(text, "\n");
}

/* ---- sizes at which the choice changes: of shapes, where there is a choice --------------------------------------------- */

typedef struct scaling {
  fh_crossover host[FH_CROSSOVERS], resident[FH_CROSSOVERS];
  int host_count, resident_count; /* 0: nothing to tell */
  int64_t rows;
  int device; /* that has the data in the second */
} scaling;

static scaling scale(const fh_queue *queue, const fh_call *call) {
  scaling out = {.device = -1};
  uint32_t cut;
  if (call->view_count == 0 || call->views[0].buffer || fh_crossover_devices(queue->context, &out.device) < 2) return out;
  out.rows = fh_call_rows(call, &cut);
  out.host_count = fh_crossovers(queue, call, out.host);
  fh_call resident = *call;
  resident.resident = (int16_t)(out.device + 1);
  if (out.device >= 0) out.resident_count = fh_crossovers(queue, &resident, out.resident);
  return out;
}

static void print_crossovers(const fh_context *context, const fh_crossover *all, int count, fh_text *text) {
  fh_text_add(text, " %s%s", context->devices[all[0].device].info.id, count == 1 ? " at every size" : "");
  for (int i = 1; i < count; i++) fh_text_add(text, ", from %lld on %s", (long long)all[i].rows, context->devices[all[i].device].info.id);
  fh_text_add(text, "\n");
}

static void print_scaling(const fh_context *context, const scaling *s, fh_text *text) {
  if (!s->host_count) return;
  fh_text_add(text, "  chosen by the number of rows (here %lld)\n    data on the host:", (long long)s->rows);
  print_crossovers(context, s->host, s->host_count, text);
  if (!s->resident_count) return;
  fh_text_add(text, "    data on %s:", context->devices[s->device].info.id);
  print_crossovers(context, s->resident, s->resident_count, text);
}

static json_t *crossovers_json(const fh_context *context, const fh_crossover *all, int count) {
  json_t *out = json_array();
  for (int i = 0; i < count; i++)
    json_array_append_new(out,
                          json_pack("{sI ss}", "from_rows", (json_int_t)all[i].rows, "device", context->devices[all[i].device].info.id));
  return out;
}

/* NULL: nothing to tell. */
static json_t *scaling_json(const fh_context *context, const scaling *s) {
  if (!s->host_count) return NULL;
  json_t *out = json_pack("{sI so}", "rows", (json_int_t)s->rows, "data_on_host", crossovers_json(context, s->host, s->host_count));
  if (!s->resident_count) return out;
  json_object_set_new(out, "resident_on", json_string(context->devices[s->device].info.id));
  json_object_set_new(out, "data_resident", crossovers_json(context, s->resident, s->resident_count));
  return out;
}

/* ---- shared by several devices, where that wins over the best of them alone --------------------------------------------- */

static void print_split(const fh_context *context, const fh_split *split, fh_text *text) {
  char who[FH_SPLIT_TEXT], time[24];
  if (split->count == 0) return;
  fh_split_print(context, split, who, sizeof who);
  fh_text_add(text, "  -> split %s  %s\n", who, human(split->seconds, time));
  for (int i = 0; i < split->count; i++) {
    const fh_share *s = &split->shares[i];
    fh_text_add(text, "       %-19s %s  %lld of %lld rows, %s", s->candidate->name, human(s->work, time), (long long)s->rows,
                (long long)split->rows, source_name(s->source));
    if (s->there + s->back > 0) fh_text_add(text, "; copies %s", human(s->there + s->back, time));
    fh_text_add(text, "\n");
  }
}

/* NULL: the launch stays whole. */
static json_t *split_json(const fh_split *split) {
  if (split->count == 0) return NULL;
  json_t *shares = json_array();
  for (int i = 0; i < split->count; i++) {
    const fh_share *s = &split->shares[i];
    json_array_append_new(
        shares, json_pack("{ss sI sf sf sf ss}", "variant", s->candidate->name, "rows", (json_int_t)s->rows, "seconds_there", s->there,
                          "seconds_work", s->work, "seconds_back", s->back, "prediction", source_key(s->source)));
  }
  return json_pack("{sI sf so}", "rows", (json_int_t)split->rows, "predicted_seconds", split->seconds, "shares", shares);
}

/* ---- the whole ---------------------------------------------------------------------------------------------------------- */

static void print_text(const fh_context *context, const fh_call *call, const decision *d, fh_text *text) {
  char profile[1000], label[160], line[400], time[24];
  fh_call_label(call, label, sizeof label);
  fh_text_add(text, "%s: %.3g GFLOP, %.3g MB\n", label, call->bound.flops / 1e9, call->bound.bytes / 1e6);
  if (call->note[0]) fh_text_add(text, "  data: %s\n", call->note);
  print_split(context, &d->split, text);
  for (int i = 0; i < d->count; i++) {
    const fh_verdict *v = &d->verdicts[i];
    bool chosen = v->candidate == d->plan.chosen && d->split.count == 0;
    if (v->reason.code == FH_REASON_NONE) {
      fh_text_add(text, "  %s %-20s %s  %s, %s\n", chosen ? "->" : "  ", v->candidate->name, human(v->seconds, time),
                  source_name(v->source), test_name(v->candidate));
      print_transfer(context, v, text);
    } else {
      fh_reason_print(&v->reason, line, sizeof line);
      fh_text_add(text, "     %-20s no: %s\n", v->candidate->name, line);
    }
  }
  fh_profile_print(context, profile, sizeof profile);
  fh_text_add(text, "  %s\n", profile);
  if (!d->plan.intended || d->plan.intended == d->plan.chosen) return;
  fh_reason_print(&d->plan.fallback, line, sizeof line);
  fh_text_add(text, "  what if: without this (%s)\n           it would run on %s, predicted %s", line, d->plan.intended->name,
              human(d->plan.intended_seconds, time));
  if (d->plan.chosen && d->plan.chosen_seconds > d->plan.intended_seconds)
    fh_text_add(text, ", about %.3gx faster", d->plan.chosen_seconds / d->plan.intended_seconds);
  fh_text_add(text, "\n");
}

static json_t *way_json(const fh_link_figures *link, double bytes, int copies) {
  return json_pack("{sf si sf ss sf ss}", "bytes", bytes, "copies", copies, "bytes_per_s", link->bytes_per_s, "bandwidth",
                   source_key(link->bandwidth_source), "latency_s", link->latency_s, "latency", source_key(link->latency_source));
}

/* NULL: host memory, and nothing to bring home. */
static json_t *transfer_json(const fh_context *context, const fh_verdict *v) {
  if (!v->candidate) return NULL; /* never so; an analyzer cannot know */
  const fh_transfer *t = &v->transfer;
  const fh_plan_device *device = &context->devices[v->candidate->device];
  if (device->info.host_memory && t->seconds <= 0) return NULL;
  json_t *out = json_pack("{sf ss}", "seconds", t->seconds, "prediction", source_key(t->source));
  const fh_link_figures to = fh_link_of(device, FH_TO_DEVICE), from = fh_link_of(device, FH_FROM_DEVICE);
  if (device->info.host_memory) {
    json_object_set_new(out, "bytes_from_devices", json_real(t->bytes[FH_FROM_DEVICE]));
  } else {
    json_object_set_new(out, "to_device", way_json(&to, t->bytes[FH_TO_DEVICE], t->copies[FH_TO_DEVICE]));
    json_object_set_new(out, "from_device", way_json(&from, t->bytes[FH_FROM_DEVICE], t->copies[FH_FROM_DEVICE]));
  }
  return out;
}

static json_t *verdict_json(const fh_context *context, const fh_verdict *v, bool chosen) {
  char line[400];
  fh_reason_print(&v->reason, line, sizeof line);
  json_t *out =
      json_pack("{ss sb sb sf ss ss}", "variant", v->candidate->name, "chosen", chosen, "may_run", v->reason.code == FH_REASON_NONE,
                "predicted_seconds", v->seconds, "prediction", source_key(v->source), "test", test_name(v->candidate));
  json_t *transfer = transfer_json(context, v);
  if (transfer) json_object_set_new(out, "transfer", transfer);
  if (v->reason.code == FH_REASON_NONE) return out;
  json_object_set_new(out, "reason", fh_json_text(line));
  if (v->reason.cause) json_object_set_new(out, "cause", fh_json_text(v->reason.cause));
  return out;
}

static char *print_json(const fh_context *context, const fh_call *call, const decision *d, const scaling *sizes) {
  char label[160];
  fh_call_label(call, label, sizeof label);
  json_t *candidates = json_array();
  for (int i = 0; i < d->count; i++)
    json_array_append_new(candidates, verdict_json(context, &d->verdicts[i], d->verdicts[i].candidate == d->plan.chosen));
  json_t *out =
      json_pack("{ss ss ss sf sf so so so}", "schema", "foghorn.explain/1", "kernel", call->image->contract->name, "call", label, "flops",
                call->bound.flops, "bytes", call->bound.bytes, "chosen", fh_json_text(d->plan.chosen ? d->plan.chosen->name : NULL),
                "intended", fh_json_text(d->plan.intended ? d->plan.intended->name : NULL), "candidates", candidates);
  if (call->note[0]) json_object_set_new(out, "data", fh_json_text(call->note));
  char profile[1000];
  fh_profile_print(context, profile, sizeof profile);
  json_object_set_new(out, "profile", fh_json_text(profile));
  json_t *crossover = scaling_json(context, sizes);
  if (crossover) json_object_set_new(out, "crossover", crossover);
  json_t *split = split_json(&d->split);
  if (split) json_object_set_new(out, "split", split);
  return fh_json_print(out);
}

fh_status fh_decision_text(const fh_queue *queue, const fh_call *call, bool json, char **out_text) {
  decision d;
  FH_TRY(decide(queue, call, &d));
  const scaling sizes = scale(queue, call);
  if (json) {
    *out_text = print_json(queue->context, call, &d, &sizes);
  } else {
    fh_text text = {0};
    print_text(queue->context, call, &d, &text);
    print_scaling(queue->context, &sizes, &text);
    *out_text = fh_text_take(&text);
  }
  free(d.verdicts);
  return *out_text ? FH_OK : FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_explain: no memory");
}

static fh_status locked_decision(fh_queue *queue, const fh_call *call, bool json, char **out_text) {
  fh_context_lock(queue->context);
  fh_status status = fh_decision_text(queue, call, json, out_text);
  fh_context_unlock(queue->context);
  return status;
}

fh_status fh_explain(fh_queue *queue, const fh_kernel *kernel, const fh_view *const *views, int view_count, const fh_param_value *params,
                     int param_count, bool json, char **out_text) {
  *out_text = NULL;
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_explain: queue is NULL");
  fh_call call;
  FH_TRY(fh_call_bind(queue->context, kernel, views, view_count, params, param_count, &call));
  fh_context_lock(queue->context);
  fh_status status = fh_call_inspect(queue->context, &call, true);
  if (!status) status = fh_decision_text(queue, &call, json, out_text);
  fh_context_unlock(queue->context);
  return status;
}

fh_status fh_explain_shapes(fh_queue *queue, const fh_kernel *kernel, const fh_view_spec *specs, int spec_count,
                            const fh_param_value *params, int param_count, bool json, char **out_text) {
  *out_text = NULL;
  if (!queue || !kernel) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_explain_shapes: %s is NULL", queue ? "kernel" : "queue");
  const fh_kernel_image *image = fh_kernel_image_of(kernel);
  fh_plan_kernel *variants;
  FH_TRY(fh_plan_kernel_of(queue->context, image, &variants));
  const fh_kernel_contract *contract = image->contract;
  if (spec_count != contract->view_count || param_count != contract->scalar_count || !specs || (param_count > 0 && !params))
    return FH_STATUS(FH_INVALID_ARGUMENT, "fh_explain_shapes: %s takes %d shapes and %d parameters, found %d and %d", contract->name,
                     contract->view_count, contract->scalar_count, specs ? spec_count : 0, params ? param_count : 0);
  fh_call call = {.image = image, .kernel = fh_kernel_slot(image), .view_count = spec_count};
  for (int i = 0; i < spec_count; i++) {
    if (specs[i].shape.rank < 0 || specs[i].shape.rank > FH_MAX_RANK)
      return FH_STATUS(FH_INVALID_ARGUMENT, "fh_explain_shapes: %s: rank %d, expected 0 to %d", contract->views[i].name,
                       specs[i].shape.rank, FH_MAX_RANK);
    fh_view_desc *desc = &call.descs[i];
    *desc = (fh_view_desc){.dtype = specs[i].dtype, .rank = specs[i].shape.rank};
    int64_t stride = 1;
    for (int d = desc->rank - 1; d >= 0; d--) {
      desc->shape[d] = specs[i].shape.extents[d];
      desc->strides[d] = stride;
      if (desc->shape[d] < 0 || __builtin_mul_overflow(stride, desc->shape[d] ? desc->shape[d] : 1, &stride))
        return FH_STATUS(FH_INVALID_ARGUMENT, "fh_explain_shapes: %s: dimension %d is %lld: negative, or more elements than 2^63",
                         contract->views[i].name, d, (long long)desc->shape[d]);
    }
  }
  for (int i = 0; i < param_count; i++) memcpy(&call.params[i], &params[i], sizeof call.params[i]);
  FH_TRY(fh_call_cut(&call));
  return locked_decision(queue, &call, json, out_text);
}
