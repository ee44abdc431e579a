/* Who gets how many rows of a launch, and whether that is worth it. SPDX-License-Identifier: Apache-2.0
 *
 * One thread hands out the shares: it copies the operands of one device after another (through pinned memory that is work of the host's),
 * then takes part with the CPU, then fetches the results one after another. So work begins at different times, and the shares are cut such
 * that it ends at the same time; what is copied before and after counts whole. */
#include "runtime/plan/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double least_seconds = 2e-3; /* of a launch that is worth handing out */
static const double worth_it = 0.87;      /* of the time of the best device alone: less is within the noise of the estimates */
static const double hand_out_s = 50e-6;   /* cutting, submitting and gathering a share */

/* ---- who may take part ------------------------------------------------------------------------------------------------ */

/* A device's part in seconds: fixed, and for each row. */
typedef struct member {
  fh_candidate *candidate;
  fh_cost_source source;
  double there_fixed, there_row, work_row, back_fixed, back_row;
  int64_t most_rows; /* that its memory takes */
  bool practised;    /* the time is of earlier shares */
} member;

/* Two views of one piece of silicon would only take turns. Devices of one driver are different ones; of two drivers only the place on the
 * bus tells. */
static bool same_silicon(const fh_plan_device *a, const fh_plan_device *b) {
  if (a->info.kind == FH_DEVICE_CPU || b->info.kind == FH_DEVICE_CPU) return a == b;
  if (a->api == b->api) return a == b;
  return !a->info.pci[0] || !b->info.pci[0] || strcmp(a->info.pci, b->info.pci) == 0;
}

/* A CPU behind a GPU's interface has the CPU's cores, and a GPU that works in host memory its bandwidth. */
static bool is_additional(const fh_plan_device *d) {
  return d->info.kind == FH_DEVICE_CPU || (d->info.kind != FH_DEVICE_CPU_POSING && !d->info.host_memory);
}

static bool is_known(fh_cost_source source) { return source >= FH_COST_CALIBRATED; }

static bool link_is_known(const fh_plan_device *device) {
  if (device->info.host_memory) return true;
  return is_known(fh_link_of(device, FH_TO_DEVICE).bandwidth_source) && is_known(fh_link_of(device, FH_FROM_DEVICE).bandwidth_source);
}

/* The time for the whole, at the speed that its shares had; 0: it had none. */
static double shared_seconds(const fh_candidate *candidate, const fh_call *call) {
  return candidate->shared ? (double)candidate->shared[fh_cost_bucket(&call->bound)] : 0;
}

static bool is_there(const fh_call *call, int view, int device) {
  const fh_buffer *buffer = call->views[view].buffer;
  return buffer && buffer->replicas[device].memory && buffer->replicas[device].version == buffer->version;
}

static double add_copy(const fh_plan_device *d, fh_way way, double bytes, double *seconds_a_row, int64_t rows) {
  const fh_link_figures link = fh_link_of(d, way);
  if (rows > 0) *seconds_a_row += bytes / link.bytes_per_s / (double)rows;
  return link.latency_s + (rows > 0 ? 0 : bytes / link.bytes_per_s);
}

static void count_copies(const fh_context *context, const fh_call *call, uint32_t cut, int64_t rows, member *m) {
  const int device = m->candidate->device;
  const fh_plan_device *d = &context->devices[device];
  for (int v = 0; v < call->view_count && !d->info.host_memory; v++) {
    const bool has_rows = cut >> v & 1;
    const fh_view_role role = call->image->contract->views[v].role;
    const double bytes = fh_desc_bytes(&call->descs[v]);
    if (role != FH_ROLE_OUT && !is_there(call, v, device))
      m->there_fixed += add_copy(d, FH_TO_DEVICE, bytes, &m->there_row, has_rows ? rows : 0);
    if (role != FH_ROLE_IN) m->back_fixed += add_copy(d, FH_FROM_DEVICE, bytes, &m->back_row, rows);
  }
}

static int64_t most_rows(const fh_plan_device *device, const fh_call *call, uint32_t cut, int64_t rows) {
  const double have = 0.8 * (double)device->info.memory_bytes, one = fh_chunk_bytes(call, cut, 1);
  if (device->info.host_memory || device->info.memory_bytes == 0 || fh_chunk_bytes(call, cut, rows) <= have) return rows;
  const double each = (fh_chunk_bytes(call, cut, rows) - one) / (double)(rows - 1);
  return one > have || each <= 0 ? 0 : 1 + (int64_t)((have - one) / each);
}

/* False: it takes no part. */
static bool make_member(const fh_queue *queue, const fh_call *call, const fh_plan_device *d, uint32_t cut, int64_t rows, member *out) {
  const int device = (int)(d - queue->context->devices);
  if (d->state != FH_STATE_OPEN || !d->allowed || !is_additional(d) || !link_is_known(d)) return false;
  fh_candidate *best = fh_candidate_best_on(queue, device, call);
  if (!best) return false;
  const fh_verdict verdict = fh_candidate_judge(queue, best, call);
  const double seen = shared_seconds(best, call);
  if (!is_known(verdict.source)) return false;
  *out = (member){.candidate = best, .source = seen > 0 ? FH_COST_MEASURED : verdict.source, .most_rows = most_rows(d, call, cut, rows)};
  out->practised = seen > 0;
  out->work_row = (seen > 0 ? seen : verdict.seconds - verdict.transfer.seconds) / (double)rows;
  count_copies(queue->context, call, cut, rows, out);
  return out->work_row > 0 && out->most_rows > 0;
}

static bool is_new_silicon(const fh_context *context, const fh_plan_device *d, const member *members, int count) {
  bool is_new = true;
  for (int i = 0; i < count; i++) is_new = is_new && !same_silicon(d, &context->devices[members[i].candidate->device]);
  return is_new;
}

/* The planned one first; those that the caller's list of devices puts behind it are its fallbacks, and no helpers. */
static int find_members(const fh_queue *queue, const fh_call *call, const fh_candidate *planned, uint32_t cut, int64_t rows,
                        member members[FH_SPLIT_SHARES]) {
  const fh_context *context = queue->context;
  int count = make_member(queue, call, &context->devices[planned->device], cut, rows, &members[0]);
  for (int d = 0; count > 0 && d < context->device_count && count < FH_SPLIT_SHARES; d++) {
    const fh_plan_device *device = &context->devices[d];
    if (d == planned->device || device->rank != context->devices[planned->device].rank) continue;
    if (is_new_silicon(context, device, members, count) && make_member(queue, call, device, cut, rows, &members[count])) count++;
  }
  return count;
}

/* ---- shares that end together --------------------------------------------------------------------------------------- */

static bool is_cpu(const fh_context *context, const member *m) { return context->devices[m->candidate->device].info.host_memory; }

/* The rows that all get when work ends at `end`: devices in their order, the CPU (last) after all copies. */
static double rows_by(const member *const *team, int count, double end, double rows[FH_SPLIT_SHARES]) {
  double now = hand_out_s * count, sum = 0;
  for (int i = 0; i < count; i++) {
    const double left = end - now - team[i]->there_fixed, most = (double)team[i]->most_rows;
    rows[i] = left > 0 ? left / (team[i]->there_row + team[i]->work_row) : 0;
    if (rows[i] > most) rows[i] = most;
    if (rows[i] > 0) now += team[i]->there_fixed + rows[i] * team[i]->there_row;
    sum += rows[i];
  }
  return sum;
}

static double seconds_alone(const member *m, double rows) {
  return m->there_fixed + m->back_fixed + rows * (m->there_row + m->work_row + m->back_row);
}

/* Predicted seconds; negative: they have not the memory for all of it. */
static double divide(const member *const *team, int count, int64_t all, double rows[FH_SPLIT_SHARES]) {
  double low = 0, high = hand_out_s * count;
  for (int i = 0; i < count; i++) high += seconds_alone(team[i], (double)all);
  if (rows_by(team, count, high, rows) < (double)all) return -1;
  for (int step = 0; step < 48; step++) {
    const double middle = (low + high) / 2;
    *(rows_by(team, count, middle, rows) < (double)all ? &low : &high) = middle;
  }
  rows_by(team, count, high, rows);
  double seconds = high;
  for (int i = 0; i < count; i++)
    if (rows[i] > 0) seconds += team[i]->back_fixed + rows[i] * team[i]->back_row;
  return seconds;
}

typedef struct team {
  const member *members[FH_SPLIT_SHARES];
  int count;
  double seconds;
} team;

/* With one more; the CPU stays last. */
static team with(const fh_context *context, const team *t, const member *m, int64_t all) {
  team out = *t;
  double rows[FH_SPLIT_SHARES];
  int at = t->count;
  if (at > 0 && is_cpu(context, t->members[at - 1])) at--;
  memmove(&out.members[at + 1], &out.members[at], (size_t)(t->count - at) * sizeof(out.members[0]));
  out.members[at] = m;
  out.count++;
  out.seconds = divide(out.members, out.count, all, rows);
  return out;
}

/* Whoever helps most comes next, while anybody does. */
static team gather(const fh_context *context, const member *members, int count, int64_t all) {
  team best = {0};
  best = with(context, &best, &members[0], all);
  for (bool better = true; better;) {
    better = false;
    const team before = best;
    for (int i = 0; i < count; i++) {
      bool taken = false;
      for (int t = 0; t < before.count; t++) taken |= before.members[t] == &members[i];
      if (taken) continue;
      const team more = with(context, &before, &members[i], all);
      if (more.seconds < 0 || (best.seconds >= 0 && more.seconds >= best.seconds)) continue;
      best = more;
      better = true;
    }
  }
  return best;
}

/* ---- the split ------------------------------------------------------------------------------------------------------ */

/* Views begin at round places where there are rows enough. */
static int64_t grain_of(int64_t rows) { return rows >= 4096 ? 64 : rows >= 256 ? 8 : 1; }

static void cut_shares(const team *t, fh_split *split) {
  double rows[FH_SPLIT_SHARES];
  const int64_t grain = grain_of(split->rows);
  int64_t left = split->rows;
  split->practised = true;
  divide(t->members, t->count, split->rows, rows);
  for (int i = 0; i < t->count; i++) {
    const member *m = t->members[i];
    int64_t take = i + 1 == t->count ? left : (int64_t)(rows[i] / (double)grain + 0.5) * grain;
    if (take > left) take = left;
    if (take <= 0) continue;
    left -= take;
    split->practised = split->practised && m->practised;
    split->shares[split->count++] = (fh_share){.candidate = m->candidate,
                                               .rows = take,
                                               .source = m->source,
                                               .there = m->there_fixed + (double)take * m->there_row,
                                               .work = (double)take * m->work_row,
                                               .back = m->back_fixed + (double)take * m->back_row};
  }
}

/* Operands that are on a device alone are of a chain of launches there, which a split would break. */
static bool all_home(const fh_call *call) {
  bool home = call->resident == 0;
  for (int v = 0; v < call->view_count; v++) {
    const fh_buffer *buffer = call->views[v].buffer;
    home = home && (!buffer || (buffer->host_version == buffer->version && !buffer->lost));
  }
  return home;
}

static bool may_split(const fh_queue *queue, const fh_call *call, const fh_plan *plan) {
  const fh_context *context = queue->context;
  if (!plan->chosen || plan->chosen != plan->intended || plan->chosen_seconds < least_seconds || call->part) return false;
  return context->device_count > 1 && !context->config.keep_whole && queue->pinned < 0 && !queue->probing && all_home(call);
}

/* Inputs that a split has read before, as they are, are read again and again: on a device alone they would be there from the next launch
 * on. What that saves. */
static double spared_when_whole(const fh_context *context, const fh_call *call, int device) {
  const fh_plan_device *d = &context->devices[device];
  double seconds = 0;
  for (int v = 0; v < call->view_count && !d->info.host_memory; v++) {
    const fh_buffer *buffer = call->views[v].buffer;
    if (!buffer || call->image->contract->views[v].role != FH_ROLE_IN || buffer->split_version != buffer->version) continue;
    fh_cost_source ignored;
    if (!is_there(call, v, device)) seconds += fh_link_seconds(d, FH_TO_DEVICE, (double)buffer->bytes, 1, &ignored);
  }
  return seconds;
}

static double scale_of(const fh_context *context, const fh_call *call) {
  const float scale = fh_plan_kernel_in(context, call->kernel)->split_scale[fh_cost_bucket(&call->bound)];
  return scale > 0 ? (double)scale : 1;
}

static bool results_apart(const fh_call *call, const fh_split *split) {
  int64_t cut_at = 0;
  bool apart = true;
  for (int i = 0; i + 1 < split->count; i++) {
    cut_at += split->shares[i].rows;
    apart = apart && fh_results_apart(call, split->cut, 0, cut_at, split->rows);
  }
  return apart;
}

void fh_split_find(const fh_queue *queue, const fh_call *call, const fh_plan *plan, fh_split *out_split) {
  member members[FH_SPLIT_SHARES];
  out_split->count = 0;
  out_split->held_back = false;
  if (!may_split(queue, call, plan)) return;
  out_split->rows = fh_call_rows(call, &out_split->cut);
  if (out_split->rows < 2) return;
  const int count = find_members(queue, call, plan->chosen, out_split->cut, out_split->rows, members);
  if (count < 2) return;
  const team t = gather(queue->context, members, count, out_split->rows);
  const double bar = worth_it * (plan->chosen_seconds - spared_when_whole(queue->context, call, plan->chosen->device));
  out_split->seconds = t.seconds * scale_of(queue->context, call);
  if (t.count < 2 || t.seconds < 0 || t.seconds >= bar) return;
  out_split->held_back = out_split->seconds >= bar;
  if (out_split->held_back) return;
  cut_shares(&t, out_split);
  if (out_split->count < 2 || !results_apart(call, out_split)) out_split->count = 0;
}

void fh_split_print(const fh_context *context, const fh_split *split, char *out, size_t size) {
  int used = 0;
  for (int i = 0; i < split->count && used >= 0 && (size_t)used < size; i++)
    used +=
        snprintf(out + used, size - (size_t)used, "%s%s %.0f%%", i ? " + " : "",
                 context->devices[split->shares[i].candidate->device].info.id, 100 * (double)split->shares[i].rows / (double)split->rows);
}

/* ---- what is learnt --------------------------------------------------------------------------------------------------- */

/* Half of what was believed, half of what was seen: estimates of shares meet each other, whatever they began with. */
static float halfway(float believed, double seen) { return (float)(believed > 0 ? ((double)believed + seen) / 2 : seen); }

void fh_split_learn_share(const fh_split *split, const fh_call *call, const fh_share *share, int64_t rows, double work_seconds) {
  fh_candidate *candidate = share->candidate;
  if (rows < 1 || !(work_seconds > 0)) return;
  if (!candidate->shared) candidate->shared = calloc(FH_PLAN_BUCKETS, sizeof *candidate->shared);
  if (!candidate->shared) return; /* without memory what is known of the whole goes on */
  float *shared = &candidate->shared[fh_cost_bucket(&call->bound)];
  const double whole = (double)split->rows, believed = share->work * whole / (double)share->rows;
  *shared = halfway((float)believed, work_seconds * whole / (double)rows);
}

void fh_split_learn(const fh_context *context, const fh_split *split, const fh_call *call, double seconds) {
  if (!split->practised || split->seconds <= 0) return; /* the first time a driver makes ready what it needs */
  float *scale = &fh_plan_kernel_in(context, call->kernel)->split_scale[fh_cost_bucket(&call->bound)];
  *scale = halfway((float)scale_of(context, call), seconds / split->seconds * scale_of(context, call));
}

void fh_split_relent(const fh_context *context, const fh_call *call) {
  float *scale = &fh_plan_kernel_in(context, call->kernel)->split_scale[fh_cost_bucket(&call->bound)];
  *scale = 1 + (*scale - 1) * 15 / 16;
}
