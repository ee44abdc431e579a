/* A launch that several devices share: all at once, and whoever fails is stood in for. SPDX-License-Identifier: Apache-2.0
 *
 * The calling thread copies the operands of one device after another and starts it, does the CPU's share while they work, and fetches their
 * results. A device that is lost with its share is met like one that is lost with any result: what it had accepted is run again
 * (recover.c). Rows that it did not accept are launched anew, as a launch of their own that is not counted.
 */
#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/plan/split.h"

/* The CPU's share in pieces: between them it is looked whose work is done, which is all there is to time a share by. */
enum { PIECES = 4 };

typedef enum part_state { PART_OPEN = 0, PART_AT_WORK, PART_WORKED, PART_HOME, PART_FAILED } part_state;

typedef struct part {
  const fh_share *share;
  int64_t first, last;
  part_state state;
  fh_chunk chunk;        /* while AT_WORK or WORKED */
  double begun, working; /* when it began, and was last seen at work */
} part;

typedef struct parts {
  fh_queue *queue;
  const fh_split *split;
  const fh_call *call;
  int count;
  part all[FH_SPLIT_SHARES];
} parts;

static bool on_cpu(const parts *p, const part *one) { return p->queue->context->devices[one->share->candidate->device].info.host_memory; }

/* ---- devices ---------------------------------------------------------------------------------------------------------- */

/* Of an input that is whole on the device no rows are copied there again. */
static void use_what_is_there(const fh_call *whole, int device, int64_t first, fh_chunk *chunk) {
  for (int v = 0; v < whole->view_count; v++) {
    fh_buffer *buffer = whole->views[v].buffer;
    if (!(chunk->owned >> v & 1) || whole->image->contract->views[v].role != FH_ROLE_IN) continue;
    if (!buffer->replicas[device].memory || buffer->replicas[device].version != buffer->version) continue;
    fh_view there = whole->views[v];
    there.offset += first * there.strides[0] * (int64_t)fh_dtype_size(there.dtype);
    there.shape[0] = chunk->call.views[v].shape[0];
    fh_view_release(&chunk->call.views[v]);
    chunk->call.views[v] = there;
    chunk->owned &= ~(UINT32_C(1) << v);
  }
}

static fh_status start(const parts *p, part *one) {
  fh_context *context = p->queue->context;
  fh_candidate *candidate = one->share->candidate;
  FH_TRY(fh_candidate_prepare(context, candidate));
  FH_TRY(fh_flow_begin(p->queue, candidate->device, p->call, p->split->cut));
  FH_TRY(fh_chunk_take(context, p->call, p->split->cut, one->first, one->last, &one->chunk));
  use_what_is_there(p->call, candidate->device, one->first, &one->chunk);
  one->chunk.call.flows = true;
  fh_status status = fh_chunk_execute(p->queue, candidate, &one->chunk.call);
  if (status) {
    fh_chunk_end(&one->chunk);
    return status;
  }
  one->begun = one->working = fh_now_seconds();
  one->state = PART_AT_WORK;
  return FH_OK;
}

/* What the device did not take, for want of memory or because it is lost, is for later. */
static fh_status leave(const parts *p, part *one, fh_status failure) {
  fh_candidate *candidate = one->share->candidate;
  one->state = PART_FAILED;
  if (fh_status_code(failure) != FH_RESOURCE_EXHAUSTED) return fh_recover(p->queue->context, candidate, candidate->device, failure);
  fh_candidate_blame(candidate, failure);
  fh_status_free(failure);
  return FH_OK;
}

static fh_status start_or_leave(const parts *p, part *one) {
  fh_status status = start(p, one);
  if (!status) return FH_OK;
  return leave(p, one, status);
}

static void worked(const parts *p, part *one, double seconds) {
  one->state = PART_WORKED;
  fh_split_learn_share(p->split, p->call, one->share, one->last - one->first, seconds);
}

/* Who has ended since the last look did so between the two. */
static void look(parts *p) {
  for (int i = 0; i < p->count; i++) {
    part *one = &p->all[i];
    const int d = one->share->candidate->device;
    const fh_plan_device *device = &p->queue->context->devices[d];
    if (one->state != PART_AT_WORK || device->state != FH_STATE_OPEN || !p->queue->streams[d]) continue;
    bool done = false;
    fh_status status = device->api->poll(p->queue->streams[d], p->queue->last[d], &done);
    const bool failed = status != FH_OK; /* waiting for it meets the failure again */
    fh_status_free(status);
    const double now = fh_now_seconds();
    if (!failed && done) worked(p, one, (one->working + now) / 2 - one->begun);
    if (!failed && !done) one->working = now;
  }
}

static bool any_at_work(const parts *p) {
  bool any = false;
  for (int i = 0; i < p->count; i++) any |= p->all[i].state == PART_AT_WORK;
  return any;
}

/* ---- the CPU ------------------------------------------------------------------------------------------------------------ */

static fh_status run_rows(const parts *p, fh_candidate *candidate, int64_t first, int64_t last) {
  fh_chunk chunk;
  FH_TRY(fh_chunk_take(p->queue->context, p->call, p->split->cut, first, last, &chunk));
  fh_status status = fh_chunk_execute(p->queue, candidate, &chunk.call);
  fh_chunk_end(&chunk);
  return status;
}

static fh_status run_on_cpu(parts *p, part *one) {
  const double start = fh_now_seconds();
  const int64_t piece = (one->last - one->first + PIECES - 1) / PIECES;
  fh_status status = FH_OK;
  int64_t at = one->first;
  while (at < one->last && !status) {
    const int64_t end = any_at_work(p) && at + piece < one->last ? at + piece : one->last;
    status = run_rows(p, one->share->candidate, at, end);
    if (!status) at = end;
    look(p);
  }
  if (status) one->first = at; /* the rows before it are done, and in place they cannot be done again */
  if (status) return leave(p, one, status);
  worked(p, one, fh_now_seconds() - start);
  one->state = PART_HOME;
  return FH_OK;
}

/* ---- home --------------------------------------------------------------------------------------------------------------- */

static fh_status finish(parts *p, part *one) {
  const int d = one->share->candidate->device;
  look(p);
  if (one->state == PART_AT_WORK) {
    FH_TRY(fh_queue_settle(p->queue, d));
    if (p->queue->context->devices[d].state == FH_STATE_OPEN) worked(p, one, fh_now_seconds() - one->begun);
  }
  FH_TRY(fh_chunk_fetch(p->queue, &one->chunk.call));
  fh_chunk_end(&one->chunk);
  one->state = PART_HOME;
  return FH_OK;
}

static void note_elsewhere(const parts *p, const part *one, const char *cause, fh_split_outcome *outcome) {
  outcome->elsewhere = outcome->moved[one - p->all] = true;
  if (!outcome->cause[0]) snprintf(outcome->cause, sizeof outcome->cause, "%s", cause);
}

/* A share that nobody has done yet, by whoever can. */
static fh_status do_again(parts *p, part *one, fh_split_outcome *outcome) {
  fh_chunk chunk;
  FH_TRY(fh_chunk_take(p->queue->context, p->call, p->split->cut, one->first, one->last, &chunk));
  fh_status status = fh_launch_part(p->queue, &chunk.call, one->share->candidate);
  if (!status) status = fh_chunk_fetch(p->queue, &chunk.call);
  const fh_plan_device *device = &p->queue->context->devices[one->share->candidate->device];
  if (chunk.call.elsewhere) note_elsewhere(p, one, device->state == FH_STATE_OPEN ? one->share->candidate->cause : device->cause, outcome);
  fh_chunk_end(&chunk);
  if (!status) one->state = PART_HOME;
  return status;
}

/* ---- all ---------------------------------------------------------------------------------------------------------------- */

static fh_status start_all(parts *p) {
  fh_status status = FH_OK;
  for (int i = 0; i < p->count && !status; i++)
    if (!on_cpu(p, &p->all[i])) status = start_or_leave(p, &p->all[i]);
  for (int i = 0; i < p->count && !status; i++)
    if (on_cpu(p, &p->all[i])) status = run_on_cpu(p, &p->all[i]);
  return status;
}

/* Accepted by a device that is lost now: run again on the CPU, and counted as such by the launch. */
static void note_lost(parts *p, const part *one, fh_split_outcome *outcome) {
  fh_context *context = p->queue->context;
  const fh_plan_device *device = &context->devices[one->share->candidate->device];
  if (device->state == FH_STATE_OPEN) return;
  note_elsewhere(p, one, device->cause, outcome);
  fh_account_fallback_add(&context->account, p->call->image->contract->name, device->info.id, "cpu", device->cause);
}

static fh_status finish_all(parts *p, fh_split_outcome *outcome) {
  fh_status status = FH_OK;
  for (int i = 0; i < p->count && !status; i++) {
    part *one = &p->all[i];
    if (one->state != PART_AT_WORK && one->state != PART_WORKED) continue;
    status = finish(p, one);
    if (!status) note_lost(p, one, outcome);
  }
  for (int i = 0; i < p->count && !status; i++)
    if (p->all[i].state == PART_FAILED) status = do_again(p, &p->all[i], outcome);
  return status;
}

static void note_read(const fh_call *call) {
  for (int v = 0; v < call->view_count; v++)
    if (call->image->contract->views[v].role == FH_ROLE_IN) call->views[v].buffer->split_version = call->views[v].buffer->version;
}

fh_status fh_split_run(fh_queue *queue, const fh_split *split, const fh_call *call, fh_split_outcome *out_outcome) {
  parts p = {.queue = queue, .split = split, .call = call, .count = split->count};
  const double start = fh_now_seconds();
  int64_t first = 0;
  *out_outcome = (fh_split_outcome){0};
  for (int i = 0; i < p.count; i++, first = p.all[i - 1].last)
    p.all[i] = (part){.share = &split->shares[i], .first = first, .last = first + split->shares[i].rows};
  FH_TRY(fh_chunks_come_home(queue->context, call, split->cut));
  fh_status status = start_all(&p);
  if (!status) status = finish_all(&p, out_outcome);
  for (int i = 0; i < p.count; i++) /* after a failure */
    if (p.all[i].state == PART_AT_WORK || p.all[i].state == PART_WORKED) fh_chunk_end(&p.all[i].chunk);
  fh_chunks_ended(call, !status);
  if (status) return status;
  note_read(call);
  if (!out_outcome->elsewhere) fh_split_learn(queue->context, split, call, fh_now_seconds() - start);
  return FH_OK;
}
