/* Candidates, their verdicts, and the plan made of them. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/profile.h"

/* ---- the list -------------------------------------------------------------------------------------------- */

static int count_for(const fh_context *context, const fh_kernel_image *image) {
  int count = 0;
  for (int d = 0; d < context->device_count; d++)
    count += context->devices[d].info.kind == FH_DEVICE_CPU ? FH_ISA_COUNT + image->contract->tuned_count : 1;
  return count;
}

static void add_cpu(fh_context *context, const fh_kernel_image *image, int kernel, int device) {
  const fh_kernel_contract *contract = image->contract;
  /* Tuned ones first: what comes first wins among equals. */
  for (int t = 0; t < contract->tuned_count; t++) {
    const fh_tuned *tuned = &contract->tuned[t];
    fh_candidate *c = &context->candidates[context->candidate_count++];
    *c = (fh_candidate){.kernel = kernel, .device = device, .isa = tuned->isa, .tuned = tuned, .numerics = tuned->numerics};
    snprintf(c->name, sizeof c->name, "cpu/%s/%s", fh_isa_name(tuned->isa), tuned->name);
  }
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    if (!image->entries[0].cpu[isa]) continue; /* of another architecture: not worth a line in every decision */
    fh_candidate *c = &context->candidates[context->candidate_count++];
    *c = (fh_candidate){.kernel = kernel, .device = device, .isa = (fh_isa)isa, .numerics = contract->dialect_numerics};
    snprintf(c->name, sizeof c->name, "cpu/%s", fh_isa_name((fh_isa)isa));
  }
}

fh_status fh_candidates_build(fh_context *context) {
  int kernels, total = 0;
  const fh_kernel_image *images = fh_kernel_images(&kernels);
  for (int k = 0; k < kernels; k++) total += count_for(context, &images[k]);
  context->candidates = calloc((size_t)total + 1, sizeof *context->candidates);
  context->first_of = calloc((size_t)kernels + 1, sizeof *context->first_of);
  context->incumbents = calloc((size_t)kernels * FH_PLAN_BUCKETS + 1, sizeof *context->incumbents);
  if (!context->candidates || !context->first_of || !context->incumbents)
    return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_context_create: no memory for %d candidates", total);
  for (int k = 0; k < kernels; k++) {
    context->first_of[k] = context->candidate_count;
    for (int d = 0; d < context->device_count; d++) {
      if (context->devices[d].info.kind == FH_DEVICE_CPU) {
        add_cpu(context, &images[k], k, d);
        continue;
      }
      fh_candidate *c = &context->candidates[context->candidate_count++];
      *c = (fh_candidate){.kernel = k, .device = d, .numerics = images[k].contract->dialect_numerics};
      snprintf(c->name, sizeof c->name, "%s", context->devices[d].info.id);
    }
  }
  context->first_of[kernels] = context->candidate_count;
  return FH_OK;
}

void fh_candidates_free(fh_context *context) {
  for (int i = 0; i < context->candidate_count; i++) {
    fh_candidate *c = &context->candidates[i];
    const fh_plan_device *device = &context->devices[c->device];
    for (int s = 0; s < FH_MAX_STAGES; s++)
      if (c->executables[s]) device->api->release(c->executables[s]);
    free(c->samples);
    free(c->calibrated);
  }
  free(context->candidates);
  free(context->first_of);
  free(context->incumbents);
  context->candidates = NULL;
  context->first_of = NULL;
  context->incumbents = NULL;
  context->candidate_count = 0;
}

/* ---- verdicts ------------------------------------------------------------------------------------------------ */

static double needed_bytes(const fh_call *call) {
  double bytes = 0;
  for (int i = 0; i < call->view_count; i++)
    bytes += call->views[i].buffer ? (double)call->views[i].buffer->bytes : fh_desc_bytes(&call->descs[i]);
  for (int t = 0; t < call->bound.temp_count; t++) bytes += (double)call->bound.temp_bytes[t];
  return bytes;
}

/* The first feature that a tuned variant needs and the CPU lacks; FH_FEATURE_COUNT: none. */
static fh_cpu_feature missing_feature(const fh_context *context, const fh_candidate *c) {
  int i = 0;
  while (i < FH_FEATURE_COUNT && (!c->tuned || !(c->tuned->needs & ~context->features & FH_NEEDS(i)))) i++;
  return (fh_cpu_feature)i;
}

/* The condition and its reason stand together. Health comes last, so that a health reason means: everything else fits,
 * and this is what the caller would have got. */
static fh_reason first_reason(const fh_queue *queue, const fh_candidate *c, const fh_call *call) {
  const fh_context *context = queue->context;
  const fh_plan_device *d = &context->devices[c->device];
  const fh_kernel_image *image = call->image;
  bool cpu = d->info.kind == FH_DEVICE_CPU;
  double need = needed_bytes(call);
#define NO(condition, ...)            \
  if (condition) return (fh_reason) { \
      __VA_ARGS__                     \
    }
  NO(queue->pinned >= 0 && queue->pinned != c->device, .code = FH_REASON_NOT_PINNED,
     .text = context->devices[queue->pinned < 0 ? 0 : queue->pinned].info.id);
  NO(!d->allowed && d->info.kind == FH_DEVICE_CPU_POSING, .code = FH_REASON_POSING);
  NO(!d->allowed, .code = FH_REASON_NOT_ALLOWED);
  NO(cpu && !context->isa_usable[c->isa], .code = FH_REASON_ISA_MISSING, .text = fh_isa_name(c->isa));
  NO(cpu && missing_feature(context, c) != FH_FEATURE_COUNT, .code = FH_REASON_ISA_MISSING,
     .text = fh_cpu_feature_name(missing_feature(context, c)));
  NO(cpu && context->config.isa_cap >= 0 && (int)c->isa > context->config.isa_cap, .code = FH_REASON_ISA_CAPPED,
     .text = fh_isa_name((fh_isa)context->config.isa_cap));
  NO(context->config.numerics == FH_EXACT && c->numerics != FH_EXACT, .code = FH_REASON_NUMERICS);
  NO(c->tuned && c->tuned->unfit && c->tuned->unfit(&call->bound), .code = FH_REASON_UNFIT, .text = c->tuned->unfit(&call->bound));
  NO(d->api && strcmp(d->api->name, "cuda") == 0 && !image->ptx, .code = FH_REASON_NOT_BUILT, .text = image->ptx_missing);
  NO(context->config.numerics == FH_EXACT && d->state == FH_STATE_OPEN && !d->info.exact, .code = FH_REASON_INEXACT_DEVICE,
     .text = d->info.why_not_exact);
  NO(!d->info.host_memory && d->info.memory_bytes > 0 && need > (double)d->info.memory_bytes, .code = FH_REASON_MEMORY,
     .need = (int64_t)need, .have = (int64_t)d->info.memory_bytes);
  NO(d->state == FH_STATE_REJECTED, .code = FH_REASON_DEVICE_REJECTED, .cause = d->cause, .text = d->reason);
  NO(d->state == FH_STATE_QUARANTINED, .code = FH_REASON_DEVICE_QUARANTINED, .cause = d->cause, .text = d->reason);
  NO(c->quarantined || c->skipped, .code = FH_REASON_VARIANT_QUARANTINED, .cause = c->cause, .text = c->reason);
  NO(c->test == FH_TEST_FAILED, .code = FH_REASON_SELFTEST, .cause = c->cause, .text = c->reason);
#undef NO
  return (fh_reason){0};
}

static bool about_health(fh_reason_code code) {
  return code == FH_REASON_DEVICE_REJECTED || code == FH_REASON_DEVICE_QUARANTINED || code == FH_REASON_SELFTEST ||
         code == FH_REASON_VARIANT_QUARANTINED;
}

fh_verdict fh_candidate_judge(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  fh_verdict verdict = {.candidate = candidate, .reason = first_reason(queue, candidate, call)};
  verdict.seconds = fh_cost(queue, candidate, call, &verdict.source);
  return verdict;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

/* Of two variants within this factor the one that ran last goes on: noise in the estimates is no reason to change. */
static const double clearly_better = 0.9;

static int16_t *incumbent_of(const fh_context *context, const fh_call *call) {
  return &context->incumbents[call->kernel * FH_PLAN_BUCKETS + fh_cost_bucket(&call->bound)];
}

void fh_plan_settled(fh_context *context, const fh_call *call, const fh_candidate *candidate) {
  *incumbent_of(context, call) = (int16_t)(candidate - &context->candidates[context->first_of[call->kernel]] + 1);
}

/* A candidate with what speaks for it. */
typedef struct bid {
  fh_candidate *candidate;
  double seconds, weighed; /* predicted; and with the incumbent's advantage */
} bid;

/* A list of devices is an order of preference: a request beats a plan. Among equals the predicted time decides. */
static bool better(const fh_context *context, const bid *a, const bid *b) {
  if (!b->candidate) return true;
  int rank_a = context->devices[a->candidate->device].rank, rank_b = context->devices[b->candidate->device].rank;
  return rank_a != rank_b ? rank_a < rank_b : a->weighed < b->weighed;
}

fh_plan fh_plan_make(const fh_queue *queue, const fh_call *call) {
  fh_context *context = queue->context;
  fh_profile_use(context);
  const int first = context->first_of[call->kernel], incumbent = *incumbent_of(context, call);
  bid chosen = {0}, intended = {0};
  fh_verdict wanted = {0};
  for (int i = first; i < context->first_of[call->kernel + 1]; i++) {
    fh_verdict verdict = fh_candidate_judge(queue, &context->candidates[i], call);
    bid this = {&context->candidates[i], verdict.seconds, verdict.seconds * (i - first + 1 == incumbent ? clearly_better : 1)};
    bool ok = verdict.reason.code == FH_REASON_NONE;
    if (ok && better(context, &this, &chosen)) chosen = this;
    if ((ok || about_health(verdict.reason.code)) && better(context, &this, &intended)) {
      intended = this;
      wanted = verdict;
    }
  }
  fh_plan plan = {
      .chosen = chosen.candidate, .intended = intended.candidate, .chosen_seconds = chosen.seconds, .intended_seconds = intended.seconds};
  if (plan.intended != plan.chosen) plan.fallback = wanted.reason;
  return plan;
}

/* ---- reasons in words ----------------------------------------------------------------------------------------- */

void fh_reason_print(const fh_reason *reason, char *out, size_t size) {
  const char *text = reason->text ? reason->text : "";
  switch (reason->code) {
    case FH_REASON_NONE:
      snprintf(out, size, "may run");
      return;
    case FH_REASON_NOT_BUILT:
      snprintf(out, size, "not built: %s", text);
      return;
    case FH_REASON_DEVICE_REJECTED:
      snprintf(out, size, "the device cannot be used: %s: %s", reason->cause, text);
      return;
    case FH_REASON_DEVICE_QUARANTINED:
      snprintf(out, size, "the device failed earlier in this process: %s: %s", reason->cause, text);
      return;
    case FH_REASON_NOT_ALLOWED:
      snprintf(out, size, "the device is outside the policy or the list of devices");
      return;
    case FH_REASON_NOT_PINNED:
      snprintf(out, size, "the queue is pinned to %s", text);
      return;
    case FH_REASON_POSING:
      snprintf(out, size, "a CPU behind a GPU interface: used only when asked for by name");
      return;
    case FH_REASON_ISA_MISSING:
      snprintf(out, size, "this machine cannot run %s (CPU or operating system)", text);
      return;
    case FH_REASON_ISA_CAPPED:
      snprintf(out, size, "above the ISA cap %s", text);
      return;
    case FH_REASON_NUMERICS:
      snprintf(out, size, "exact results are asked for, this variant is bounded");
      return;
    case FH_REASON_INEXACT_DEVICE:
      snprintf(out, size, "exact results are asked for, the device cannot give them: %s", text);
      return;
    case FH_REASON_UNFIT:
      snprintf(out, size, "does not fit this shape: %s", text);
      return;
    case FH_REASON_MEMORY:
      snprintf(out, size, "needs %.1f MiB of device memory, the device has %.1f MiB", (double)reason->need / 1048576,
               (double)reason->have / 1048576);
      return;
    case FH_REASON_SELFTEST:
      snprintf(out, size, "its self-test failed: %s", text);
      return;
    case FH_REASON_VARIANT_QUARANTINED:
      snprintf(out, size, "it failed earlier in this process: %s: %s", reason->cause, text);
      return;
  }
  snprintf(out, size, "reason %d", (int)reason->code);
}
