/* Candidates, their verdicts, and the plan made of them. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "backends/library.h"
#include "runtime/plan/profile.h"

/* A condition, and the members of the reason that it is. */
#define NO(condition, ...)            \
  if (condition) return (fh_reason) { \
      __VA_ARGS__                     \
    }

/* ---- what never changes ----------------------------------------------------------------------------------- */

/* The first feature that a tuned variant needs and the CPU lacks; FH_FEATURE_COUNT: none. */
static fh_cpu_feature missing_feature(const fh_context *context, const fh_candidate *c) {
  int i = 0;
  while (i < FH_FEATURE_COUNT && (!c->tuned || !(c->tuned->needs & ~context->features & FH_NEEDS(i)))) i++;
  return (fh_cpu_feature)i;
}

/* Is the device new enough for a variant for blocks? */
static fh_reason too_old(const fh_device_info *info, const fh_block_variant *block) {
  NO(block->only ? info->capability != block->capability : info->capability < block->capability, .code = FH_REASON_CAPABILITY,
     .text = block->only ? "exactly " : "", .need = block->capability, .have = info->capability);
  return (fh_reason){0};
}

/* And is there code of its text for this device? */
static fh_reason block_ruled_out(const fh_kernel_image *image, const fh_device_info *info, const fh_block_variant *block) {
  if (fh_is_library_variant(block)) return too_old(info, block);
  const fh_block_image *text = fh_block_image_of(image, block);
  NO(!text, .code = FH_REASON_NOT_BUILT, .text = "the kernel's folder has no text of this variant");
  NO(info->capability == 0 && !text->cl_source, .code = FH_REASON_NOT_BUILT, .text = "the variant has no OpenCL text");
  if (info->capability == 0) return (fh_reason){0};
  const fh_reason old = too_old(info, block);
  if (old.code != FH_REASON_NONE) return old;
  NO(!text->ptx, .code = FH_REASON_NOT_BUILT, .text = text->missing);
  return (fh_reason){0};
}

static fh_reason ruled_out(const fh_context *context, const fh_kernel_image *image, const fh_candidate *c) {
  const fh_plan_device *d = &context->devices[c->device];
  bool cpu = d->info.kind == FH_DEVICE_CPU;
  NO(cpu && !context->isa_usable[c->isa], .code = FH_REASON_ISA_MISSING, .text = fh_isa_name(c->isa));
  NO(cpu && missing_feature(context, c) != FH_FEATURE_COUNT, .code = FH_REASON_ISA_MISSING,
     .text = fh_cpu_feature_name(missing_feature(context, c)));
  NO(cpu && context->config.isa_cap >= 0 && (int)c->isa > context->config.isa_cap, .code = FH_REASON_ISA_CAPPED,
     .text = fh_isa_name((fh_isa)context->config.isa_cap));
  return c->block ? block_ruled_out(image, &d->info, c->block) : (fh_reason){0};
}

static void settle(const fh_context *context, const fh_kernel_image *image, fh_candidate *c) {
  c->ruled_out = ruled_out(context, image, c);
  fh_candidate_guess(&context->devices[c->device], c);
}

/* ---- the list -------------------------------------------------------------------------------------------- */

/* Variants for blocks that a device might run: OpenCL has only the portable ones, and the others are not worth a line in every decision. */
static bool lists_block(const fh_device_info *info, const fh_block_variant *block) {
  return info->blocks.threads > 0 && (info->capability > 0 || block->capability == FH_BLOCK_PORTABLE);
}

static int count_for(const fh_context *context, const fh_kernel_image *image) {
  int count = 0;
  for (int d = 0; d < context->device_count; d++)
    count +=
        context->devices[d].info.kind == FH_DEVICE_CPU ? FH_ISA_COUNT + image->contract->tuned_count : 2 + image->contract->block_count;
  return count;
}

static fh_candidate *add(fh_plan_kernel *k, int device) {
  fh_candidate *c = &k->candidates[k->count++];
  *c = (fh_candidate){.kernel = fh_kernel_slot(k->image), .device = device, .numerics = k->image->contract->dialect_numerics};
  return c;
}

static void add_cpu(fh_plan_kernel *k, int device) {
  const fh_kernel_contract *contract = k->image->contract;
  /* Tuned ones first: what comes first wins among equals. */
  for (int t = 0; t < contract->tuned_count; t++) {
    const fh_tuned *tuned = &contract->tuned[t];
    fh_candidate *c = add(k, device);
    c->isa = tuned->isa;
    c->tuned = tuned;
    c->numerics = tuned->numerics;
    snprintf(c->name, sizeof c->name, "cpu/%s/%s", fh_isa_name(tuned->isa), tuned->name);
  }
  for (int isa = 0; isa < FH_ISA_COUNT; isa++) {
    if (!k->image->entries[0].cpu[isa]) continue; /* of another architecture: not worth a line in every decision */
    fh_candidate *c = add(k, device);
    c->isa = (fh_isa)isa;
    snprintf(c->name, sizeof c->name, "cpu/%s", fh_isa_name((fh_isa)isa));
  }
  if (fh_image_has_text(k->image)) return;
  fh_candidate *c = add(k, device);
  c->reference = true;
  c->numerics = FH_BOUNDED; /* its bits are those of double precision, not of a text to come */
  snprintf(c->name, sizeof c->name, "cpu/reference");
}

static void add_block(fh_plan_kernel *k, int device, const fh_device_info *info, const fh_block_variant *block) {
  fh_candidate *c = add(k, device);
  c->block = block;
  c->numerics = block->numerics;
  snprintf(c->name, sizeof c->name, "%s/%s", info->id, block->name);
}

/* Variants for blocks first, as with tuned ones; a vendor's library last. */
static void add_device(fh_plan_kernel *k, int device, const fh_plan_device *d) {
  const fh_kernel_contract *contract = k->image->contract;
  for (int b = 0; b < contract->block_count; b++)
    if (lists_block(&d->info, &contract->blocks[b])) add_block(k, device, &d->info, &contract->blocks[b]);
  fh_candidate *c = add(k, device);
  snprintf(c->name, sizeof c->name, "%s", d->info.id);
  const fh_block_variant *library = d->api && d->api->lacks_library ? fh_library_variant_of(contract) : NULL;
  if (library && lists_block(&d->info, library)) add_block(k, device, &d->info, library);
}

/* A text of doubles inside does not compile where there are none. */
static bool text_wants_doubles(const fh_context *context, const fh_kernel_image *image) {
  bool wants = false;
  for (int d = 0; d < context->device_count && image->cl_source && !wants; d++)
    wants = context->devices[d].info.no_doubles && strstr(image->cl_source, "cl_khr_fp64");
  return wants;
}

static fh_status make_kernel(const fh_context *context, const fh_kernel_image *image, fh_plan_kernel **out_kernel) {
  const int count = count_for(context, image);
  fh_plan_kernel *k = calloc(1, sizeof *k + (size_t)count * sizeof k->candidates[0]);
  if (!k) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for %d candidates", image->contract->name, count);
  k->image = image;
  k->text_wants_doubles = text_wants_doubles(context, image);
  for (int d = 0; d < context->device_count; d++) {
    if (context->devices[d].info.kind == FH_DEVICE_CPU) {
      add_cpu(k, d);
    } else {
      add_device(k, d, &context->devices[d]);
    }
  }
  for (int i = 0; i < k->count; i++) settle(context, image, &k->candidates[i]);
  *out_kernel = k;
  return FH_OK;
}

fh_status fh_candidates_build(fh_context *context) {
  int count;
  const fh_kernel_image *images = fh_kernel_images(&count);
  context->kernels = calloc((size_t)fh_kernel_slots(), sizeof *context->kernels);
  if (!context->kernels) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_context_create: no memory for %d kernels", fh_kernel_slots());
  for (int k = 0; k < count; k++) {
    fh_plan_kernel *made;
    FH_TRY(make_kernel(context, &images[k], &made));
    atomic_store_explicit(&context->kernels[k], made, memory_order_release);
  }
  return FH_OK;
}

/* Held, and the context locked. */
static fh_status take_in(fh_context *context, const fh_kernel_image *image, fh_plan_kernel **out_kernel) {
  FH_TRY(make_kernel(context, image, out_kernel));
  atomic_store_explicit(&context->kernels[fh_kernel_slot(image)], *out_kernel, memory_order_release);
  fh_profile_use_for(context, *out_kernel);
  return FH_OK;
}

fh_status fh_plan_kernel_of(fh_context *context, const fh_kernel_image *image, fh_plan_kernel **out_kernel) {
  const int slot = fh_kernel_slot(image);
  *out_kernel = fh_plan_kernel_in(context, slot);
  if (*out_kernel && (*out_kernel)->image == image) return FH_OK;
  FH_TRY(fh_kernel_hold(image)); /* fails for the old handle of a slot that means another kernel now */
  fh_context_lock(context);
  *out_kernel = fh_plan_kernel_in(context, slot);
  const bool mine = !*out_kernel;
  fh_status status = mine ? take_in(context, image, out_kernel) : FH_OK;
  fh_context_unlock(context);
  if (!mine || status) fh_kernel_drop(image); /* held once by a context */
  return status;
}

static void free_kernel(const fh_context *context, fh_plan_kernel *k) {
  for (int i = 0; i < k->count; i++) {
    fh_candidate *c = &k->candidates[i];
    for (int s = 0; s < FH_PLAN_LAUNCHES; s++)
      if (c->executables[s]) context->devices[c->device].api->release(c->executables[s]);
    free(c->samples);
    free(c->calibrated);
    free(c->shared);
  }
  fh_kernel_drop(k->image);
  free(k);
}

void fh_candidates_free(fh_context *context) {
  for (int slot = 0; context->kernels && slot < fh_kernel_slots(); slot++) {
    fh_plan_kernel *k = fh_plan_kernel_in(context, slot);
    if (k) free_kernel(context, k);
  }
  free(context->kernels);
  context->kernels = NULL;
}

fh_account_row *fh_candidate_row(fh_context *context, fh_candidate *candidate) {
  fh_account *account = &context->account;
  if (candidate->row == 0) {
    const char *kernel = fh_plan_kernel_in(context, candidate->kernel)->image->contract->name;
    const fh_account_row *row = fh_account_row_of(account, kernel, context->devices[candidate->device].info.id);
    if (!row) return NULL;
    candidate->row = (int)(row - account->rows) + 1;
  }
  return &account->rows[candidate->row - 1];
}

/* ---- verdicts ------------------------------------------------------------------------------------------------ */

double fh_call_bytes(const fh_call *call) {
  double bytes = 0;
  for (int i = 0; i < call->view_count; i++) {
    const fh_buffer *buffer = call->views[i].buffer;
    bool counted = false; /* one buffer may have several views */
    for (int before = 0; before < i; before++) counted |= buffer && call->views[before].buffer == buffer;
    if (!counted) bytes += buffer ? (double)buffer->bytes : fh_desc_bytes(&call->descs[i]);
  }
  for (int t = 0; t < call->bound.temp_count; t++) bytes += (double)call->bound.temp_bytes[t];
  return bytes;
}

static bool wants_doubles(const fh_context *context, const fh_call *call) {
  bool wants = fh_plan_kernel_in(context, call->kernel)->text_wants_doubles;
  for (int i = 0; i < call->view_count; i++) wants |= call->descs[i].dtype == FH_F64;
  return wants;
}

size_t fh_candidate_scratch(const fh_context *context, const fh_candidate *candidate, const fh_bound *bound) {
  const fh_block_variant *block = candidate->block;
  if (!block || !block->scratch_bytes || bound->stage_count < 1) return 0;
  return block->scratch_bytes(bound, context->devices[candidate->device].info.compute_units);
}

/* A variant gets the operands of the first entry. A call may begin with another one that has the same, which unfit() then tells apart. */
static bool begins_otherwise(const fh_kernel_image *image, const fh_bound *bound) {
  const fh_stage *first = &bound->stages[0];
  if (first->entry == 0) return false;
  bool same = first->operand_count == image->entries[0].param_count;
  for (int i = 0; same && i < first->operand_count; i++) {
    const fh_operand_kind formal = image->entries[0].params[i].kind, kind = first->operands[i].kind;
    same = kind == formal || (kind == FH_OPERAND_TEMP && formal < FH_OPERAND_I64); /* a stage may leave its results in scratch */
  }
  return !same;
}

/* A variant for blocks has the first stage's operands, and for each of its launches a shape of its own. */
static fh_reason block_unfit(const fh_device_info *info, const fh_kernel_image *image, const fh_block_variant *block,
                             const fh_bound *bound) {
  NO(begins_otherwise(image, bound), .code = FH_REASON_UNFIT, .text = "the call begins with another entry than the variant stands for");
  const char *why = block->unfit ? block->unfit(bound) : NULL;
  NO(why, .code = FH_REASON_UNFIT, .text = why);
  for (int step = 0; step < fh_block_steps(block); step++) {
    fh_block_shape shape = {0};
    fh_block_step_of(block, step).shape(bound, info->compute_units, &shape);
    int64_t need = 0, have = 0;
    why = fh_block_exceeds(&info->blocks, &shape, &need, &have);
    NO(why, .code = FH_REASON_BLOCK_LIMIT, .text = why, .need = need, .have = have);
  }
  return (fh_reason){0};
}

fh_reason fh_candidate_unfit(const fh_context *context, const fh_candidate *candidate, const fh_bound *bound) {
  if (bound->stage_count < 1) return (fh_reason){0};
  if (candidate->block)
    return block_unfit(&context->devices[candidate->device].info, fh_plan_kernel_in(context, candidate->kernel)->image, candidate->block,
                       bound);
  const char *why = candidate->tuned && candidate->tuned->unfit ? candidate->tuned->unfit(bound) : NULL;
  NO(why, .code = FH_REASON_UNFIT, .text = why);
  return (fh_reason){0};
}

const char *fh_candidate_misplaced(const fh_candidate *candidate, const fh_call *call) {
  if (!candidate->block || candidate->block->map_count == 0 || call->bound.stage_count < 1) return NULL;
  int64_t offsets[FH_MAX_VIEWS] = {0};
  for (int i = 0; i < call->view_count; i++) offsets[i] = call->views[i].offset;
  return fh_block_misplaced(candidate->block, &call->bound, offsets);
}

/* The dialect's text for a device; without one it is not for it. */
static fh_reason not_built(const fh_plan_device *d, const fh_kernel_image *image) {
  const char *backend = d->info.kind != FH_DEVICE_CPU && d->api ? d->api->name : "";
  NO(strcmp(backend, "cuda") == 0 && !image->ptx, .code = FH_REASON_NOT_BUILT, .text = image->ptx_missing);
  NO(strcmp(backend, "opencl") == 0 && !image->cl_source, .code = FH_REASON_NOT_BUILT, .text = "the kernel has no OpenCL text");
  return (fh_reason){0};
}

/* Device memory that the call takes where there is not as much, not even for a part of it; 0: there is. */
static double memory_lacking(const fh_context *context, const fh_candidate *c, const fh_call *call) {
  const fh_device_info *info = &context->devices[c->device].info;
  const double have = (double)info->memory_bytes;
  if (info->host_memory || have <= 0) return 0;
  const double need = fh_call_bytes(call) + (double)fh_candidate_scratch(context, c, &call->bound);
  return need > have && !fh_call_fits_in_chunks(call, have) ? need : 0;
}

/* Why a candidate's library does not run on its device; NULL also while nobody has looked. */
static const char *library_lacking(const fh_context *context, const fh_candidate *c, bool load) {
  const fh_plan_device *d = &context->devices[c->device];
  return fh_is_library_variant(c->block) && d->device ? d->api->lacks_library(d->device, load) : NULL;
}

/* Most candidates take every call, and each launch asks about all of them. */
static bool may_be_unfit(const fh_candidate *c) { return c->block || (c->tuned && c->tuned->unfit); }

/* The condition and its reason stand together. Health comes last, so that a health reason means: everything else fits,
 * and this is what the caller would have got. */
static fh_reason first_reason(const fh_queue *queue, const fh_candidate *c, const fh_call *call) {
  const fh_context *context = queue->context;
  const fh_plan_device *d = &context->devices[c->device];
  NO(queue->pinned >= 0 && queue->pinned != c->device, .code = FH_REASON_NOT_PINNED,
     .text = context->devices[queue->pinned < 0 ? 0 : queue->pinned].info.id);
  NO(!d->allowed && d->info.kind == FH_DEVICE_CPU_POSING, .code = FH_REASON_POSING);
  NO(!d->allowed, .code = FH_REASON_NOT_ALLOWED);
  if (c->ruled_out.code != FH_REASON_NONE) return c->ruled_out;
  NO(context->config.numerics == FH_EXACT && c->numerics != FH_EXACT, .code = FH_REASON_NUMERICS);
  if (may_be_unfit(c)) {
    const fh_reason unfit = fh_candidate_unfit(context, c, &call->bound);
    if (unfit.code != FH_REASON_NONE) return unfit;
    const char *misplaced = fh_candidate_misplaced(c, call);
    NO(misplaced, .code = FH_REASON_UNFIT, .text = misplaced);
  }
  if (!c->block && d->info.kind != FH_DEVICE_CPU) {
    const fh_reason missing = not_built(d, call->image);
    if (missing.code != FH_REASON_NONE) return missing;
  }
  const char *no_library = library_lacking(context, c, false);
  NO(no_library, .code = FH_REASON_NO_LIBRARY, .text = no_library);
  NO(context->config.numerics == FH_EXACT && d->state == FH_STATE_OPEN && !d->info.exact, .code = FH_REASON_INEXACT_DEVICE,
     .text = d->info.why_not_exact);
  NO(d->state == FH_STATE_OPEN && d->info.no_doubles && wants_doubles(context, call), .code = FH_REASON_NO_DOUBLES);
  const double lacking = memory_lacking(context, c, call);
  NO(lacking > 0, .code = FH_REASON_MEMORY, .need = (int64_t)lacking, .have = (int64_t)d->info.memory_bytes);
  NO(d->state == FH_STATE_REJECTED, .code = FH_REASON_DEVICE_REJECTED, .cause = d->cause, .text = d->reason);
  NO(d->state == FH_STATE_QUARANTINED, .code = FH_REASON_DEVICE_QUARANTINED, .cause = d->cause, .text = d->reason);
  NO(c->quarantined || c->skipped, .code = FH_REASON_VARIANT_QUARANTINED, .cause = c->cause, .text = c->reason);
  NO(c->test == FH_TEST_FAILED, .code = FH_REASON_SELFTEST, .cause = c->cause, .text = c->reason);
  return (fh_reason){0};
}

/* A library sums in an order of its own: only a measurement makes it the choice, also where nothing else was built for its device. */
static fh_reason not_measured(const fh_candidate *candidate, fh_cost_source source) {
  NO(fh_is_library_variant(candidate->block) && source < FH_COST_CALIBRATED, .code = FH_REASON_NOT_MEASURED);
  return (fh_reason){0};
}
#undef NO

static bool about_health(fh_reason_code code) {
  return code == FH_REASON_DEVICE_REJECTED || code == FH_REASON_DEVICE_QUARANTINED || code == FH_REASON_SELFTEST ||
         code == FH_REASON_VARIANT_QUARANTINED;
}

fh_verdict fh_candidate_judge(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  fh_verdict verdict = {.candidate = candidate, .reason = first_reason(queue, candidate, call)};
  if (verdict.reason.code == FH_REASON_NONE && library_lacking(queue->context, candidate, true))
    verdict.reason = first_reason(queue, candidate, call);
  fh_outlook outlook = fh_outlook_of(call);
  verdict.seconds = fh_cost(queue, candidate, call, &outlook, &verdict.source);
  verdict.transfer = outlook.transfer;
  return verdict;
}

fh_verdict fh_candidate_judge_for_plan(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call) {
  fh_verdict verdict = fh_candidate_judge(queue, candidate, call);
  if (verdict.reason.code == FH_REASON_NONE) verdict.reason = not_measured(candidate, verdict.source);
  return verdict;
}

/* ---- the plan --------------------------------------------------------------------------------------------------- */

/* Of two variants within this factor the one that ran last goes on: noise in the estimates is no reason to change. */
static const double clearly_better = 0.9;

void fh_plan_settled(fh_context *context, const fh_call *call, const fh_candidate *candidate) {
  fh_plan_kernel *k = fh_plan_kernel_in(context, call->kernel);
  k->incumbents[fh_cost_bucket(&call->bound)] = (int16_t)(candidate - k->candidates + 1);
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

static fh_plan choose(const fh_queue *queue, const fh_call *call) {
  fh_context *context = queue->context;
  fh_plan_kernel *k = fh_plan_kernel_in(context, call->kernel);
  fh_outlook outlook = fh_outlook_of(call);
  const int incumbent = k->incumbents[outlook.bucket];
  bid chosen = {0}, intended = {0};
  fh_reason why_not = {0}; /* the intended one */
  fh_candidate *unmeasured = NULL;
  for (int i = 0; i < k->count; i++) {
    fh_candidate *candidate = &k->candidates[i];
    const fh_reason reason = first_reason(queue, candidate, call);
    const bool ok = reason.code == FH_REASON_NONE;
    if (!ok && !about_health(reason.code)) continue; /* whatever it would take */
    fh_cost_source source;
    const double seconds = fh_cost(queue, candidate, call, &outlook, &source);
    if (not_measured(candidate, source).code != FH_REASON_NONE) {
      if (ok) unmeasured = candidate;
      continue;
    }
    const bid this = {candidate, seconds, seconds * (i + 1 == incumbent ? clearly_better : 1)};
    if (ok && better(context, &this, &chosen)) chosen = this;
    if (better(context, &this, &intended)) {
      intended = this;
      why_not = reason;
    }
  }
  fh_plan plan = {.chosen = chosen.candidate,
                  .intended = intended.candidate,
                  .unmeasured = unmeasured,
                  .chosen_seconds = chosen.seconds,
                  .intended_seconds = intended.seconds};
  if (plan.intended != plan.chosen) plan.fallback = why_not;
  return plan;
}

/* A library is looked for when it would be the best: one that is not here leaves the choice to the others from then on. */
fh_plan fh_plan_make(const fh_queue *queue, const fh_call *call) {
  fh_profile_use(queue->context);
  fh_plan plan = choose(queue, call);
  while (plan.chosen && library_lacking(queue->context, plan.chosen, true)) plan = choose(queue, call);
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
    case FH_REASON_NO_DOUBLES:
      snprintf(out, size, "the device computes no f64");
      return;
    case FH_REASON_UNFIT:
      snprintf(out, size, "does not fit this shape: %s", text);
      return;
    case FH_REASON_CAPABILITY:
      snprintf(out, size, "needs %scompute capability %d.%d, this is %d.%d", text, (int)reason->need / 10, (int)reason->need % 10,
               (int)reason->have / 10, (int)reason->have % 10);
      return;
    case FH_REASON_BLOCK_LIMIT:
      snprintf(out, size, "needs %lld %s, the device gives %lld", (long long)reason->need, text, (long long)reason->have);
      return;
    case FH_REASON_NO_LIBRARY:
      snprintf(out, size, "%s", text);
      return;
    case FH_REASON_NOT_MEASURED:
      snprintf(out, size, "only a measurement chooses a library, and there is none: devprobe bench --calibrate");
      return;
    case FH_REASON_MEMORY:
      snprintf(out, size, "needs %.1f MiB of device memory, the device has %.1f MiB", (double)reason->need / 1048576,
               (double)reason->have / 1048576);
      return;
    case FH_REASON_SELFTEST:
      snprintf(out, size, "%s%s", strcmp(reason->cause, "NOT-TESTED") == 0 ? "" : "its self-test failed: ", text);
      return;
    case FH_REASON_VARIANT_QUARANTINED:
      snprintf(out, size, "it failed earlier in this process: %s: %s", reason->cause, text);
      return;
  }
  snprintf(out, size, "reason %d", (int)reason->code);
}
