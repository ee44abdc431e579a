/* What a launch on a candidate will take. SPDX-License-Identifier: Apache-2.0
 *
 * The best that is known of the execution: what this process measured, else what the machine's profile says (profile.c), else a guess by
 * the roofline, held to the scale of what is known of another variant of the kernel on the same device. Transfers are what is known of the
 * link (link.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/check.h"
#include "backends/library.h"
#include "runtime/plan/plan.h"

/* ---- buckets --------------------------------------------------------------------------------------------------- */

/* Of a normal number from 1 on. */
static int binary_exponent(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (int)(bits >> 52) - 1023;
}

/* Launches within a factor of two in size share an estimate, when they do about as much arithmetic per byte: a matrix times a vector is
 * no small matrix product. */
int fh_cost_bucket(const fh_bound *bound) {
  double size = bound->flops > bound->bytes ? bound->flops : bound->bytes, bytes = bound->bytes > 0 ? bound->bytes : 1;
  int step = size >= 1 ? binary_exponent(size) : 0; /* 2^step <= size < 2^(step + 1) */
  int kind = (bound->flops >= bytes) + (bound->flops >= 4 * bytes) + (bound->flops >= 16 * bytes);
  return (step < FH_PLAN_SIZES ? step : FH_PLAN_SIZES - 1) * FH_PLAN_INTENSITIES + kind;
}

/* ---- what is known ------------------------------------------------------------------------------------------------ */

/* One spike moves nothing. */
static float median_of(const float *seconds, int count) {
  float sorted[FH_PLAN_SAMPLES];
  for (int i = 0; i < count; i++) {
    int at = i;
    for (; at > 0 && sorted[at - 1] > seconds[i]; at--) sorted[at] = sorted[at - 1];
    sorted[at] = seconds[i];
  }
  return sorted[count / 2];
}

/* Two looks at the clock and a median are a fifth of the shortest launches: of those whose time is known, one in EVERY is timed. */
bool fh_candidate_wants_sample(const fh_candidate *candidate, const fh_bound *bound) {
  enum { EVERY = 4 };
  static const float brief_s = 20e-6f;
  if (!candidate->samples) return true;
  fh_samples *s = &candidate->samples[fh_cost_bucket(bound)];
  return s->count < FH_PLAN_SAMPLES || s->median > brief_s || s->passed++ % EVERY == 0;
}

void fh_candidate_sample(fh_candidate *candidate, const fh_bound *bound, double seconds) {
  if (!candidate->samples) candidate->samples = calloc(FH_PLAN_BUCKETS, sizeof *candidate->samples);
  if (!candidate->samples) return; /* without memory the prior goes on */
  fh_samples *s = &candidate->samples[fh_cost_bucket(bound)];
  s->seconds[s->count++ % FH_PLAN_SAMPLES] = (float)seconds;
  s->median = median_of(s->seconds, s->count < FH_PLAN_SAMPLES ? (int)s->count : FH_PLAN_SAMPLES);
}

void fh_candidate_calibrate(fh_candidate *candidate, int bucket, double seconds) {
  if (bucket < 0 || bucket >= FH_PLAN_BUCKETS || !(seconds > 0)) return;
  if (!candidate->calibrated) candidate->calibrated = calloc(FH_PLAN_BUCKETS, sizeof *candidate->calibrated);
  if (candidate->calibrated) candidate->calibrated[bucket] = (float)seconds;
}

/* 0: too few samples. */
static double measured_seconds(const fh_candidate *candidate, int bucket) {
  if (!candidate->samples) return 0;
  const fh_samples *s = &candidate->samples[bucket];
  return s->count < 3 ? 0 : (double)s->median;
}

bool fh_candidate_is_measured(const fh_candidate *candidate, const fh_bound *bound) {
  return measured_seconds(candidate, fh_cost_bucket(bound)) > 0;
}

/* Seconds that were measured, here or for the profile; 0: none. */
static double known_seconds(const fh_candidate *candidate, int bucket, fh_cost_source *out_source) {
  double seconds = measured_seconds(candidate, bucket);
  *out_source = FH_COST_MEASURED;
  if (seconds > 0) return seconds;
  *out_source = FH_COST_CALIBRATED;
  return candidate->calibrated ? (double)candidate->calibrated[bucket] : 0;
}

static const double text_efficiency = 0.1, text_bandwidth = 0.6; /* of a dialect text on a device */

/* Of limits of arithmetic and of memory. A barrier costs a GPU next to nothing; on a CPU behind a GPU's interface it cuts every loop of a
 * block in two, and what was tuned for registers of a GPU lies in memory: less than the dialect's text, until it is measured. */
static void guess_block(const fh_plan_device *device, const fh_block_variant *block, double *out_flops, double *out_bytes) {
  const bool posing = device->info.kind == FH_DEVICE_CPU_POSING;
  *out_flops = posing ? text_efficiency / 3 : block->efficiency;
  *out_bytes = posing ? text_bandwidth / 3 : text_bandwidth;
}

/* Roofline prior (Williams, Waterman, Patterson 2009): the slower of arithmetic and memory, at the fraction of each limit that this
 * form of kernel usually reaches, and a part of the faster one, since the two never overlap wholly. A guess, and said to be one. */
void fh_candidate_guess(const fh_plan_device *device, fh_candidate *candidate) {
  static const double width[FH_ISA_COUNT] = {
      [FH_ISA_SCALAR] = 0.2, [FH_ISA_SSE42] = 0.3, [FH_ISA_AVX2] = 0.7, [FH_ISA_AVX512] = 1, [FH_ISA_NEON] = 1};
  bool cpu = device->info.kind == FH_DEVICE_CPU;
  double efficiency = candidate->tuned ? candidate->tuned->efficiency : cpu ? 0.3 * width[candidate->isa] : text_efficiency;
  double bandwidth = cpu ? 0.5 + 0.3 * width[candidate->isa] : text_bandwidth;
  if (candidate->block) guess_block(device, candidate->block, &efficiency, &bandwidth);
  double flops = device->info.peak_flops > 0 ? device->info.peak_flops : 1e10;
  double bytes = device->info.peak_bytes_per_s > 0 ? device->info.peak_bytes_per_s : 1e10;
  candidate->flop_s = 1 / (flops * efficiency);
  candidate->byte_s = 1 / (bytes * bandwidth);
  const bool library = candidate->block && fh_is_library_variant(candidate->block), gpu = !cpu && device->info.kind != FH_DEVICE_CPU_POSING;
  candidate->units = gpu && !library ? device->info.compute_units : 0;
}

/* Of a variant's launches the one that works: it keeps the most in shared memory. What prepares for it, or joins its parts, streams, and
 * says nothing of how well the work is shared out. The first, where all keep as much. */
static fh_block_shape working_shape(const fh_block_variant *block, const fh_bound *bound, int multiprocessors) {
  fh_block_shape working = {0};
  block->shape(bound, multiprocessors, &working);
  for (int i = 0; i < block->rest_count; i++) {
    fh_block_shape other = {0};
    block->rest[i].shape(bound, multiprocessors, &other);
    if (other.shared_bytes > working.shared_bytes) working = other;
  }
  return working;
}

/* Blocks of a candidate's launch, and threads of each; a text has 16 threads for an item. */
typedef struct share_out {
  double blocks, threads;
} share_out;

static share_out share_out_of(const fh_candidate *candidate, const fh_bound *bound) {
  enum { TEXT_THREADS = 128, TEXT_ITEMS = TEXT_THREADS / 16 };
  if (!candidate->block) return (share_out){ceil((double)bound->stages[0].items / TEXT_ITEMS), TEXT_THREADS};
  const fh_block_shape shape = working_shape(candidate->block, bound, candidate->units);
  return (share_out){(double)shape.grid[0] * shape.grid[1] * shape.grid[2], shape.threads};
}

/* The part of all multiprocessors' time in which they are at work: 64 blocks leave half of 132 idle, and so do 133, one of which is the
 * last. Of a multiprocessor that has a block of 64 threads alone two of four schedulers are idle: it takes as long as two would. What is
 * shared out by the driver, or by a library, is taken to be shared out well. */
static double busy(const fh_candidate *candidate, const fh_bound *bound) {
  enum { WARP = 32, SCHEDULERS = 4 };
  if (candidate->units <= 0 || bound->stage_count < 1) return 1;
  const share_out out = share_out_of(candidate, bound);
  const double least = SCHEDULERS / fmin(SCHEDULERS, ceil(out.threads / WARP));
  const double rounds = fmax(ceil(out.blocks / candidate->units), least);
  return out.blocks > 0 ? out.blocks / (rounds * candidate->units) : 1;
}

/* What launches leave for each other is written and read. */
static double scratch_traffic(const fh_candidate *candidate, const fh_bound *bound) {
  const fh_block_variant *block = candidate->block;
  return block && block->scratch_bytes && candidate->units > 0 && bound->stage_count > 0
             ? 2 * (double)block->scratch_bytes(bound, candidate->units)
             : 0;
}

static double prior_seconds(const fh_candidate *candidate, const fh_bound *bound) {
  double arithmetic = bound->flops * candidate->flop_s / busy(candidate, bound);
  double memory = (bound->bytes + scratch_traffic(candidate, bound)) * candidate->byte_s;
  return arithmetic > memory ? arithmetic + 0.25 * memory : memory + 0.25 * arithmetic;
}

/* A launch waits for the host; those behind it are queued by then, and wait for the one before to drain. */
static double launches_of(const fh_candidate *candidate, const fh_bound *bound) {
  static const double behind = 0.25;
  return candidate->block ? 1 + behind * (fh_block_steps(candidate->block) - 1) : bound->stage_count;
}

double fh_candidate_guessed_seconds(const fh_plan_device *device, const fh_candidate *candidate, const fh_bound *bound, double scale) {
  return prior_seconds(candidate, bound) * scale + launches_of(candidate, bound) * device->info.launch_s;
}

/* A guess is worth nothing beside a measurement of another variant, unless it is held to the same scale: how far off the guess for a
 * measured variant of this kernel on this device was. 0: none was measured. One answer for all that were not, so it is looked for once. */
static double guess_scale(fh_outlook *outlook, const fh_context *context, const fh_candidate *candidate, const fh_bound *bound) {
  const fh_plan_kernel *k = fh_plan_kernel_in(context, candidate->kernel);
  if (outlook->scale >= 0) return outlook->scale;
  outlook->scale = 0;
  for (int i = 0; i < k->count && outlook->scale <= 0; i++) {
    const fh_candidate *other = &k->candidates[i];
    if (other->device != candidate->device || fh_is_library_variant(other->block)) continue; /* whose guess says nothing */
    fh_cost_source source;
    const double known = known_seconds(other, outlook->bucket, &source), prior = prior_seconds(other, bound);
    if (known > 0 && prior > 0) outlook->scale = known / prior;
  }
  return outlook->scale;
}

double fh_desc_bytes(const fh_view_desc *desc) {
  double bytes = (double)fh_dtype_size(desc->dtype);
  for (int i = 0; i < desc->rank; i++) bytes *= (double)desc->shape[i];
  return bytes;
}

/* ---- transfers -------------------------------------------------------------------------------------------------- */

static void move(const fh_plan_device *device, fh_way way, double bytes, fh_transfer *t) {
  fh_cost_source source;
  const double seconds = fh_link_seconds(device, way, bytes, 1, &source);
  const bool first = t->copies[FH_TO_DEVICE] + t->copies[FH_FROM_DEVICE] == 0;
  t->bytes[way] += bytes;
  t->copies[way]++;
  t->seconds += seconds;
  if (first || source < t->source) t->source = source;
}

/* The device that alone has the newest contents; -1: the host has them too, or nobody. */
static int holder_of(const fh_context *context, const fh_buffer *buffer) {
  if (buffer->host_version == buffer->version) return -1;
  for (int d = 0; d < context->device_count; d++)
    if (buffer->replicas[d].memory && buffer->replicas[d].version == buffer->version) return d;
  return -1;
}

/* Operands of one buffer come together. */
static bool came_before(const fh_call *call, int view) {
  bool before = false;
  for (int v = 0; v < view; v++)
    before |= call->views[view].buffer && call->views[v].buffer == call->views[view].buffer &&
              call->image->contract->views[v].role != FH_ROLE_OUT;
  return before;
}

/* fh_explain_shapes: everything is on the host, or on one device. */
static void bring_shape(const fh_context *context, const fh_call *call, int view, int device, fh_transfer *t) {
  const fh_plan_device *d = &context->devices[device];
  const double bytes = fh_desc_bytes(&call->descs[view]);
  const int holder = call->resident - 1;
  if (holder == device) return;
  enum { OWN_ALIGNMENT = 64 }; /* of memory that Foghorn makes */
  const bool in_place = call->image->contract->views[view].role == FH_ROLE_IN && d->info.alias_alignment - 1 < OWN_ALIGNMENT;
  if (holder >= 0) move(&context->devices[holder], FH_FROM_DEVICE, bytes, t);
  if (!d->info.host_memory && !in_place) move(d, FH_TO_DEVICE, bytes, t);
}

/* What an input takes to where the candidate runs. */
static void bring(const fh_context *context, const fh_call *call, int view, int device, fh_transfer *t) {
  const fh_plan_device *d = &context->devices[device];
  const fh_buffer *buffer = call->views[view].buffer;
  if (!buffer) {
    bring_shape(context, call, view, device, t);
    return;
  }
  const bool there = buffer->replicas[device].memory && buffer->replicas[device].version == buffer->version;
  const int holder = holder_of(context, buffer);
  if (there && !d->info.host_memory) return;
  if (holder >= 0) move(&context->devices[holder], FH_FROM_DEVICE, (double)buffer->bytes, t);
  const bool in_place = call->image->contract->views[view].role == FH_ROLE_IN && fh_device_may_alias(d, buffer);
  if (!d->info.host_memory && !in_place) move(d, FH_TO_DEVICE, (double)buffer->bytes, t);
}

static fh_transfer transfer_of(const fh_context *context, const fh_call *call, int device) {
  fh_transfer t = {.source = FH_COST_MEASURED};
  for (int v = 0; v < call->view_count; v++) {
    const fh_view_role role = call->image->contract->views[v].role;
    if (role != FH_ROLE_OUT && !came_before(call, v)) bring(context, call, v, device, &t);
    const bool stays = call->resident - 1 == device;
    if (role != FH_ROLE_IN && !context->devices[device].info.host_memory && !stays) /* expected read-back */
      move(&context->devices[device], FH_FROM_DEVICE, fh_desc_bytes(&call->descs[v]), &t);
  }
  return t;
}

fh_outlook fh_outlook_of(const fh_call *call) { return (fh_outlook){.bucket = fh_cost_bucket(&call->bound), .device = -1}; }

double fh_cost(const fh_queue *queue, const fh_candidate *candidate, const fh_call *call, fh_outlook *outlook, fh_cost_source *out_source) {
  const fh_plan_device *device = &queue->context->devices[candidate->device];
  if (outlook->device != candidate->device) {
    outlook->device = candidate->device;
    outlook->scale = -1;
    outlook->transfer = transfer_of(queue->context, call, candidate->device);
  }
  double execution = known_seconds(candidate, outlook->bucket, out_source);
  if (execution <= 0) {
    double scale = guess_scale(outlook, queue->context, candidate, &call->bound);
    *out_source = scale > 0 ? FH_COST_SCALED : FH_COST_GUESS;
    execution = fh_candidate_guessed_seconds(device, candidate, &call->bound, scale > 0 ? scale : 1);
  }
  return execution + outlook->transfer.seconds;
}
