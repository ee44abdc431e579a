/* Candidates, their verdicts and predicted costs, and the plan made of them. SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/plan/plan.h"

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
  if (!context->candidates || !context->first_of)
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
  }
  free(context->candidates);
  free(context->first_of);
  context->candidates = NULL;
  context->first_of = NULL;
  context->candidate_count = 0;
}

/* ---- cost -------------------------------------------------------------------------------------------------- */

/* Launches within a factor of two in size share an estimate. */
static int bucket_of(const fh_bound *bound) {
  double size = bound->flops > bound->bytes ? bound->flops : bound->bytes;
  int bucket = size < 1 ? 0 : (int)log2(size);
  return bucket < FH_PLAN_BUCKETS ? bucket : FH_PLAN_BUCKETS - 1;
}

void fh_candidate_sample(fh_candidate *candidate, const fh_bound *bound, double seconds) {
  if (!candidate->samples) candidate->samples = calloc(FH_PLAN_BUCKETS, sizeof *candidate->samples);
  if (!candidate->samples) return; /* without memory the prior goes on */
  fh_samples *s = &candidate->samples[bucket_of(bound)];
  s->seconds[s->count++ % FH_PLAN_SAMPLES] = (float)seconds;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

/* The median of the last samples: one spike moves nothing. 0: too few. */
static double measured_seconds(const fh_candidate *candidate, const fh_bound *bound) {
  if (!candidate->samples) return 0;
  const fh_samples *s = &candidate->samples[bucket_of(bound)];
  if (s->count < 3) return 0;
  int count = s->count < FH_PLAN_SAMPLES ? s->count : FH_PLAN_SAMPLES;
  float sorted[FH_PLAN_SAMPLES];
  memcpy(sorted, s->seconds, sizeof sorted);
  qsort(sorted, (size_t)count, sizeof sorted[0], by_value);
  return sorted[count / 2];
}

/* Roofline prior (Williams, Waterman, Patterson 2009): the slower of arithmetic and memory, at the fraction of each limit that this
 * form of kernel usually reaches, and a part of the faster one, since the two never overlap wholly. A guess, and said to be one. */
static double prior_seconds(const fh_plan_device *device, const fh_candidate *candidate, const fh_bound *bound) {
  static const double width[FH_ISA_COUNT] = {
      [FH_ISA_SCALAR] = 0.2, [FH_ISA_SSE42] = 0.3, [FH_ISA_AVX2] = 0.7, [FH_ISA_AVX512] = 1, [FH_ISA_NEON] = 1};
  bool cpu = device->info.kind == FH_DEVICE_CPU;
  double efficiency = candidate->tuned ? candidate->tuned->efficiency : cpu ? 0.3 * width[candidate->isa] : 0.1;
  double flops = device->info.peak_flops > 0 ? device->info.peak_flops : 1e10;
  double bytes = device->info.peak_bytes_per_s > 0 ? device->info.peak_bytes_per_s : 1e10;
  double arithmetic = bound->flops / (flops * efficiency);
  double memory = bound->bytes / (bytes * (cpu ? 0.5 + 0.3 * width[candidate->isa] : 0.6));
  return arithmetic > memory ? arithmetic + 0.25 * memory : memory + 0.25 * arithmetic;
}

/* A guess is worth nothing beside a measurement of another variant, unless it is held to the same scale: how far off the guess for a
 * measured variant of this kernel on this device was. 1: none was measured. */
static double guess_scale(const fh_context *context, const fh_candidate *candidate, const fh_bound *bound) {
  for (int i = context->first_of[candidate->kernel]; i < context->first_of[candidate->kernel + 1]; i++) {
    const fh_candidate *sibling = &context->candidates[i];
    if (sibling == candidate || sibling->device != candidate->device) continue;
    double measured = measured_seconds(sibling, bound);
    if (measured > 0) return measured / prior_seconds(&context->devices[sibling->device], sibling, bound);
  }
  return 1;
}

double fh_call_missing_bytes(const fh_call *call, int device) {
  double bytes = 0;
  for (int i = 0; i < call->view_count; i++) {
    const fh_buffer *buffer = call->views[i].buffer;
    if (!buffer || call->image->contract->views[i].role == FH_ROLE_OUT) continue;
    const fh_replica *replica = &buffer->replicas[device];
    if (!replica->memory || replica->version != buffer->version) bytes += (double)buffer->bytes;
  }
  return bytes;
}

static double view_bytes(const fh_view_desc *desc) {
  double bytes = (double)fh_dtype_size(desc->dtype);
  for (int i = 0; i < desc->rank; i++) bytes *= (double)desc->shape[i];
  return bytes;
}

static double transfer_seconds(const fh_queue *queue, const fh_call *call, int device) {
  const fh_plan_device *d = &queue->context->devices[device];
  double bytes = 0, link = d->info.link_bytes_per_s > 0 ? d->info.link_bytes_per_s : 1e10;
  bool shapes_only = call->views[0].buffer == NULL; /* fh_explain_shapes: everything is on the host */
  if (d->info.host_memory) {
    /* What only a device has must come back first. */
    for (int i = 0; i < call->view_count && !shapes_only; i++) {
      const fh_buffer *buffer = call->views[i].buffer;
      if (call->image->contract->views[i].role != FH_ROLE_OUT && buffer->host_version != buffer->version) bytes += (double)buffer->bytes;
    }
    return bytes / 1e10;
  }
  for (int i = 0; i < call->view_count; i++) {
    if (call->image->contract->views[i].role != FH_ROLE_IN) bytes += view_bytes(&call->descs[i]); /* expected read-back */
    if (shapes_only && call->image->contract->views[i].role != FH_ROLE_OUT) bytes += view_bytes(&call->descs[i]);
  }
  if (!shapes_only) bytes += fh_call_missing_bytes(call, device);
  return bytes / link;
}

static double predicted_seconds(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call, bool *out_measured) {
  const fh_plan_device *device = &queue->context->devices[candidate->device];
  double execution = measured_seconds(candidate, &call->bound);
  *out_measured = execution > 0;
  if (!*out_measured) {
    execution = prior_seconds(device, candidate, &call->bound) * guess_scale(queue->context, candidate, &call->bound);
    execution += call->bound.stage_count * device->info.launch_s;
  }
  return execution + transfer_seconds(queue, call, candidate->device);
}

/* ---- verdicts ------------------------------------------------------------------------------------------------ */

static double needed_bytes(const fh_call *call) {
  double bytes = 0;
  for (int i = 0; i < call->view_count; i++)
    bytes += call->views[i].buffer ? (double)call->views[i].buffer->bytes : view_bytes(&call->descs[i]);
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
  verdict.seconds = predicted_seconds(queue, candidate, call, &verdict.measured);
  return verdict;
}

/* A list of devices is an order of preference: a request beats a plan. Among equals the predicted time decides. */
static bool better(const fh_context *context, const fh_candidate *a, double seconds_a, const fh_candidate *b, double seconds_b) {
  if (!b) return true;
  int rank_a = context->devices[a->device].rank, rank_b = context->devices[b->device].rank;
  return rank_a != rank_b ? rank_a < rank_b : seconds_a < seconds_b;
}

fh_plan fh_plan_make(const fh_queue *queue, const fh_call *call) {
  fh_plan plan = {0};
  fh_verdict wanted = {0};
  for (int i = queue->context->first_of[call->kernel]; i < queue->context->first_of[call->kernel + 1]; i++) {
    fh_candidate *candidate = &queue->context->candidates[i];
    fh_verdict verdict = fh_candidate_judge(queue, candidate, call);
    bool ok = verdict.reason.code == FH_REASON_NONE;
    if (ok && better(queue->context, candidate, verdict.seconds, plan.chosen, plan.chosen_seconds)) {
      plan.chosen = candidate;
      plan.chosen_seconds = verdict.seconds;
    }
    if ((ok || about_health(verdict.reason.code)) &&
        better(queue->context, candidate, verdict.seconds, plan.intended, plan.intended_seconds)) {
      plan.intended = candidate;
      plan.intended_seconds = verdict.seconds;
      wanted = verdict;
    }
  }
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
