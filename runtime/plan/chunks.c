/* A call on some of its rows: for jobs that do not fit a device, and jobs that several share. SPDX-License-Identifier: Apache-2.0
 *
 * Which views have rows is the contract's chunking rule. A chunk's views are buffers of their own over the host memory of the whole's, so
 * that a device holds no more than the chunk, and a chunk is run, recorded, brought home and made again like any other call.
 */
#include <math.h>
#include <string.h>

#include "runtime/mem/owner.h"
#include "runtime/plan/plan.h"

int64_t fh_call_rows(const fh_call *call, uint32_t *out_cut) {
  const fh_kernel_contract *contract = call->image->contract;
  int64_t rows = 1;
  uint32_t cut = 0;
  *out_cut = 0;
  for (int v = 0; v < call->view_count; v++) {
    const fh_view_desc *desc = &call->descs[v];
    const bool counts = contract->chunks && contract->chunks[v] & FH_RANK(desc->rank);
    if (!counts && contract->views[v].role != FH_ROLE_IN) return 1;
    if (!counts) continue;
    if (cut && desc->shape[0] != rows) return 1; /* one number of all rows, say */
    rows = desc->shape[0];
    cut |= UINT32_C(1) << v;
  }
  if (rows > 1) *out_cut = cut;
  return rows > 1 ? rows : 1;
}

/* The bytes of a buffer that rows [first, last) of the view lie in; [*out_low, *out_high). */
static void span_of(const fh_view *view, int64_t first, int64_t last, int64_t *out_low, int64_t *out_high) {
  const int64_t size = (int64_t)fh_dtype_size(view->dtype);
  int64_t low = view->offset + first * view->strides[0] * size, high = low + size;
  for (int d = 0; d < view->rank; d++) {
    const int64_t extent = d == 0 ? last - first : view->shape[d], reach = (extent - 1) * view->strides[d] * size;
    if (extent == 0) high = low;
    if (extent == 0) break;
    *(reach < 0 ? &low : &high) += reach;
  }
  *out_low = low;
  *out_high = high;
}

/* Views of one buffer stay views of one buffer: outputs that lie between each other must not bring home each other's old bytes. */
static void span_of_all(const fh_call *whole, uint32_t cut, const fh_buffer *buffer, int64_t first, int64_t last, int64_t *out_low,
                        int64_t *out_high) {
  *out_low = INT64_MAX;
  *out_high = 0;
  for (int v = 0; v < whole->view_count; v++) {
    if (!(cut >> v & 1) || whole->views[v].buffer != buffer) continue;
    int64_t low, high;
    span_of(&whole->views[v], first, last, &low, &high);
    if (low < *out_low) *out_low = low;
    if (high > *out_high) *out_high = high;
  }
}

/* Of views that have rows, or of those that every chunk needs whole. */
static double bytes_of(const fh_call *whole, uint32_t cut, int64_t rows, bool of_rows) {
  double bytes = 0;
  for (int v = 0; v < whole->view_count; v++) {
    if ((cut >> v & 1) != of_rows) continue;
    const fh_buffer *buffer = whole->views[v].buffer;
    int64_t low = 0, high = buffer ? (int64_t)buffer->bytes : 0;
    bool counted = false;
    for (int before = 0; before < v; before++) counted |= buffer && whole->views[before].buffer == buffer && (cut >> before & 1) == of_rows;
    if (counted) continue;
    if (buffer && of_rows) span_of_all(whole, cut, buffer, 0, rows, &low, &high);
    if (buffer) {
      bytes += (double)(high - low);
    } else { /* shapes only */
      const int64_t all = whole->descs[v].rank > 0 ? whole->descs[v].shape[0] : 1;
      bytes += fh_desc_bytes(&whole->descs[v]) * (of_rows && all > 0 ? (double)rows / (double)all : 1);
    }
  }
  return bytes;
}

double fh_chunk_bytes(const fh_call *whole, uint32_t cut, int64_t rows) {
  return bytes_of(whole, cut, rows, false) + bytes_of(whole, cut, rows, true);
}

bool fh_results_apart(const fh_call *whole, uint32_t cut, int64_t first, int64_t middle, int64_t last) {
  for (int v = 0; v < whole->view_count; v++) {
    if (whole->image->contract->views[v].role == FH_ROLE_IN || !whole->views[v].buffer) continue;
    int64_t low, high, next_low, next_high;
    span_of_all(whole, cut, whole->views[v].buffer, first, middle, &low, &high);
    span_of_all(whole, cut, whole->views[v].buffer, middle, last, &next_low, &next_high);
    if (low < next_high && next_low < high) return false;
  }
  return true;
}

static fh_status take_view(fh_context *context, const fh_call *whole, uint32_t cut, int v, int64_t first, int64_t last, fh_call *chunk) {
  fh_buffer *parent = whole->views[v].buffer, *buffer = NULL;
  fh_view *view = &chunk->views[v];
  int64_t low, high;
  span_of_all(whole, cut, parent, first, last, &low, &high);
  for (int before = 0; before < v; before++)
    if (cut >> before & 1 && whole->views[before].buffer == parent) buffer = chunk->views[before].buffer;
  if (buffer) {
    fh_buffer_retain(buffer);
  } else {
    FH_TRY(fh_buffer_new(fh_context_residency(), context, parent->host + low, (size_t)(high - low), parent->read_only, parent->made_file,
                         parent->made_line, &buffer));
  }
  view->buffer = buffer;
  view->generation = buffer->generation;
  view->offset += first * view->strides[0] * (int64_t)fh_dtype_size(view->dtype) - low;
  view->shape[0] = chunk->descs[v].shape[0] = last - first;
  return FH_OK;
}

fh_status fh_chunk_take(fh_context *context, const fh_call *whole, uint32_t cut, int64_t first, int64_t last, fh_chunk *out_chunk) {
  out_chunk->call = *whole;
  out_chunk->owned = 0;
  fh_status status = FH_OK;
  for (int v = 0; v < whole->view_count && !status; v++) {
    if (!(cut >> v & 1)) continue;
    status = take_view(context, whole, cut, v, first, last, &out_chunk->call);
    if (!status) out_chunk->owned |= UINT32_C(1) << v;
  }
  if (!status) status = fh_call_cut(&out_chunk->call);
  if (!status) status = fh_call_inspect(context, &out_chunk->call, false);
  out_chunk->call.part = true;
  if (status) fh_chunk_end(out_chunk);
  return status;
}

void fh_chunk_end(fh_chunk *chunk) {
  for (int v = 0; v < chunk->call.view_count; v++)
    if (chunk->owned >> v & 1) fh_view_release(&chunk->call.views[v]);
  chunk->owned = 0;
}

/* After a failure. What did not come home must not do so later, at the end of its views: another candidate has its rows, and in place rows
 * are not done twice. */
static void discard(fh_chunk *chunk) {
  for (int v = 0; v < chunk->call.view_count; v++)
    if (chunk->owned >> v & 1 && chunk->call.image->contract->views[v].role != FH_ROLE_IN) chunk->call.views[v].buffer->lost = true;
  fh_chunk_end(chunk);
}

/* ---- running them ------------------------------------------------------------------------------------------------ */

/* A device with less room than this for a job is of no use to it. */
enum { MOST_HALVINGS = 6 };

/* Halving must save something: rows that lie between each other in memory take all of it, however few they are. */
static bool worth_halving(const fh_call *call, uint32_t cut, int64_t rows) {
  return rows > 1 && fh_chunk_bytes(call, cut, rows - rows / 2) < 0.9 * fh_chunk_bytes(call, cut, rows);
}

bool fh_call_fits_in_chunks(const fh_call *call, double bytes) {
  uint32_t cut;
  return fh_call_rows(call, &cut) > 1 && fh_chunk_bytes(call, cut, 1) <= bytes;
}

bool fh_chunks_begin(const fh_call *call, double bytes, fh_progress *progress) {
  const int64_t rows = fh_call_rows(call, &progress->cut);
  if (progress->step > 0 || rows < 2) return false;
  int64_t step = rows - rows / 2;
  while (step > 1 && fh_chunk_bytes(call, progress->cut, step) > bytes) step -= step / 2;
  if (fh_chunk_bytes(call, progress->cut, step) > bytes) return false;
  if (isinf(bytes) && !worth_halving(call, progress->cut, rows)) return false;
  progress->rows = rows;
  progress->step = step;
  return true;
}

/* The chunks work on the host copies of what they have rows of. Those of results count as the newest from the first chunk on: whoever wants
 * memory, or makes up for a lost device, must not bring older contents home over rows that are new. */
fh_status fh_chunks_come_home(fh_context *context, const fh_call *call, uint32_t cut) {
  for (int v = 0; v < call->view_count; v++) {
    if (!(cut >> v & 1)) continue;
    fh_buffer *buffer = call->views[v].buffer;
    const bool result = call->image->contract->views[v].role != FH_ROLE_IN;
    if (result && !buffer->lost) FH_TRY(fh_buffer_to_host(context, buffer)); /* rows that no chunk gets to stay as they were */
    FH_TRY(fh_call_bring_home(context, call, v));
    if (result) buffer->host_version = ++buffer->version;
  }
  return FH_OK;
}

fh_candidate *fh_candidate_best_on(const fh_queue *queue, int device, const fh_call *call) {
  fh_plan_kernel *k = fh_plan_kernel_in(queue->context, call->kernel);
  fh_candidate *best = NULL;
  double least = 0;
  for (int i = 0; i < k->count; i++) {
    if (k->candidates[i].device != device) continue;
    const fh_verdict verdict = fh_candidate_judge_for_plan(queue, &k->candidates[i], call);
    if (verdict.reason.code != FH_REASON_NONE || (best && verdict.seconds >= least)) continue;
    best = &k->candidates[i];
    least = verdict.seconds;
  }
  return best;
}

/* A variant may fit the whole and not some of its rows: then another one of its device takes them; NULL: there is none. */
static fh_candidate *fitting(fh_queue *queue, fh_candidate *candidate, const fh_call *chunk) {
  if (fh_candidate_unfit(queue->context, candidate, &chunk->bound).code == FH_REASON_NONE && !fh_candidate_misplaced(candidate, chunk))
    return candidate;
  for (;;) { /* who fails the test is not asked again */
    fh_candidate *best = fh_candidate_best_on(queue, candidate->device, chunk);
    if (!best || best->test == FH_TEST_PASSED) return best;
    fh_candidate_test(queue, best);
    if (best->test == FH_UNTESTED) return NULL;
  }
}

fh_status fh_chunk_execute(fh_queue *queue, fh_candidate *candidate, const fh_call *chunk) {
  fh_candidate *runs = fitting(queue, candidate, chunk);
  if (runs) return fh_execute(queue, runs, chunk);
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no variant of %s takes the rows that there is memory for", chunk->image->contract->name,
                   queue->context->devices[candidate->device].info.id);
}

/* ---- one at a time ----------------------------------------------------------------------------------------------- */

fh_status fh_chunk_fetch(fh_queue *queue, const fh_call *chunk) {
  fh_status status = FH_OK;
  for (int v = 0; v < chunk->view_count && !status; v++) {
    if (chunk->image->contract->views[v].role == FH_ROLE_IN) continue;
    fh_buffer *buffer = chunk->views[v].buffer;
    status = chunk->flows ? fh_buffer_home_on(queue, buffer) : fh_buffer_to_host(queue->context, buffer);
  }
  return status;
}

/* Rows that do not come home run again from what the host has of them, fewer at a time or on another device: until then that stays. */
static void keep_host_copy(const fh_chunk *chunk) {
  for (int v = 0; v < chunk->call.view_count; v++)
    if (chunk->owned >> v & 1) chunk->call.views[v].buffer->host_needed = true;
}

static fh_status run_chunk(fh_queue *queue, fh_candidate *candidate, const fh_call *whole, uint32_t cut, int64_t first, int64_t last) {
  fh_chunk chunk;
  FH_TRY(fh_chunk_take(queue->context, whole, cut, first, last, &chunk));
  keep_host_copy(&chunk);
  fh_status status = fh_chunk_execute(queue, candidate, &chunk.call);
  if (!status) status = fh_chunk_fetch(queue, &chunk.call);
  if (status) {
    discard(&chunk);
  } else {
    fh_chunk_end(&chunk);
  }
  return status;
}

static fh_status lost_in_the_middle(const fh_plan_device *device, const fh_call *call) {
  return FH_STATUS_CAUSE(FH_ABORTED, device->cause, "%s: %s was lost in the middle of a launch", call->image->contract->name,
                         device->info.id);
}

/* True: less is tried. */
static bool halve(fh_context *context, int device, const fh_call *call, fh_progress *progress) {
  if (context->devices[device].info.host_memory || progress->halvings == MOST_HALVINGS) return false;
  if (!worth_halving(call, progress->cut, progress->step)) return false;
  progress->halvings++;
  progress->step -= progress->step / 2;
  return true;
}

static fh_status run_in_turn(fh_queue *queue, fh_candidate *candidate, const fh_call *call, fh_progress *progress) {
  fh_context *context = queue->context;
  const fh_plan_device *device = &context->devices[candidate->device];
  while (progress->done < progress->rows) {
    const int64_t left = progress->rows - progress->done, step = device->info.host_memory ? left : progress->step;
    const int64_t last = progress->done + (step < left ? step : left);
    fh_status status = run_chunk(queue, candidate, call, progress->cut, progress->done, last);
    if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED && halve(context, candidate->device, call, progress)) {
      fh_status_free(status);
      continue;
    }
    if (status) return status;
    progress->done = last;
    progress->chunks++;
    if (device->state != FH_STATE_OPEN) return lost_in_the_middle(device, call); /* what it had was made again elsewhere */
  }
  return FH_OK;
}

/* ---- two at a time: while one is at work, the results of the one before it come home, and the operands of the next go there ---------- */

enum { LANES = 2 };

typedef struct flight {
  fh_chunk chunk;
  int64_t last;
} flight;

/* Chunk n runs on lane n % LANES, a queue and with it a stream of its own. Those that have begun and not ended are in the air. */
typedef struct pipeline {
  fh_queue *lanes[LANES];
  fh_candidate *candidate;
  const fh_call *call;
  fh_progress *progress;
  int64_t step, next; /* rows of a chunk; the first that no chunk has */
  int begun, ended;
  bool full; /* there was no memory for another */
  flight flights[LANES];
} pipeline;

static bool overlaps(const fh_context *context, int device, const fh_call *call, const fh_progress *progress, int64_t step) {
  const int64_t first = progress->done;
  if (context->devices[device].info.host_memory || progress->halvings > 0 || step < 1 || progress->rows - first <= step) return false;
  const double shared = bytes_of(call, progress->cut, step, false), each = bytes_of(call, progress->cut, step, true);
  if (shared + LANES * each > fh_chunk_bytes(call, progress->cut, progress->step)) return false;
  return fh_results_apart(call, progress->cut, first, first + step, progress->rows);
}

/* RESOURCE_EXHAUSTED: not even for this one is there memory beside what is in the air. */
static fh_status begin_flight(pipeline *p) {
  flight *f = &p->flights[p->begun % LANES];
  fh_queue *lane = p->lanes[p->begun % LANES];
  f->last = p->next + p->step < p->progress->rows ? p->next + p->step : p->progress->rows;
  FH_TRY(fh_chunk_take(lane->context, p->call, p->progress->cut, p->next, f->last, &f->chunk));
  f->chunk.call.flows = true;
  keep_host_copy(&f->chunk);
  fh_status status = fh_chunk_execute(lane, p->candidate, &f->chunk.call);
  if (status) {
    fh_chunk_end(&f->chunk);
    return status;
  }
  p->next = f->last;
  p->begun++;
  return FH_OK;
}

/* The end of its chunk waits for no other lane: nothing on the device needs its buffers now. */
static void land(fh_context *context, int device, fh_chunk *chunk) {
  for (int v = 0; v < chunk->call.view_count; v++)
    if (chunk->owned >> v & 1) fh_replica_drop(context, chunk->call.views[v].buffer, device);
  fh_chunk_end(chunk);
}

static fh_status end_flight(pipeline *p) {
  flight *f = &p->flights[p->ended % LANES];
  fh_queue *lane = p->lanes[p->ended % LANES];
  FH_TRY(fh_chunk_fetch(lane, &f->chunk.call));
  if (lane->context->devices[p->candidate->device].state == FH_STATE_OPEN) {
    land(lane->context, p->candidate->device, &f->chunk);
  } else {
    fh_chunk_end(&f->chunk);
  }
  p->ended++;
  p->progress->done = f->last;
  p->progress->chunks++;
  return FH_OK;
}

/* What failed to begin is dealt with before those in the air end: where the device is lost, they are made again first. */
static fh_status begin_or_fill(pipeline *p) {
  fh_context *context = p->lanes[0]->context;
  fh_status status = begin_flight(p);
  if (!status) return FH_OK;
  p->full = true;
  if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED) {
    fh_status_free(status);
    return FH_OK;
  }
  return fh_recover(context, p->candidate, p->candidate->device, status);
}

/* *out_stop: the host has no memory for what comes home; those in the air begin again one at a time. */
static fh_status end_or_stop(pipeline *p, bool *out_stop) {
  fh_status status = end_flight(p);
  *out_stop = fh_status_code(status) == FH_RESOURCE_EXHAUSTED;
  if (!*out_stop) return status;
  fh_status_free(status);
  return FH_OK;
}

/* To the end, or until memory is short: then what is left has not begun, or nothing of it has come home. */
static fh_status fly(pipeline *p) {
  fh_status status = FH_OK;
  const fh_plan_device *device = &p->lanes[0]->context->devices[p->candidate->device];
  bool stop = false;
  while (!status && !stop && p->progress->done < p->progress->rows) {
    p->full |= device->state != FH_STATE_OPEN;
    if (!p->full && p->next < p->progress->rows && p->begun - p->ended < LANES) {
      status = begin_or_fill(p);
    } else if (p->begun > p->ended) {
      status = end_or_stop(p, &stop);
    } else {
      break;
    }
  }
  for (; p->ended < p->begun; p->ended++) discard(&p->flights[p->ended % LANES].chunk);
  if (status || (device->state == FH_STATE_OPEN && !p->candidate->quarantined)) return status;
  return lost_in_the_middle(device, p->call);
}

static fh_status run_overlapped(fh_queue *queue, fh_candidate *candidate, const fh_call *call, fh_progress *progress, int64_t step) {
  fh_context *context = queue->context;
  pipeline p = {.lanes = {queue}, .candidate = candidate, .call = call, .progress = progress, .step = step, .next = progress->done};
  fh_status status = fh_candidate_prepare(context, candidate); /* it may allocate, which is no word on the chunks */
  if (!status) status = fh_flow_begin(queue, candidate->device, call, progress->cut);
  if (!status) status = fh_queue_create(context, &p.lanes[1]);
  if (fh_status_code(status) == FH_RESOURCE_EXHAUSTED) { /* one at a time may do with less */
    fh_status_free(status);
    return FH_OK;
  }
  FH_TRY(status);
  p.lanes[1]->pinned = queue->pinned;
  status = fly(&p);
  fh_queue_release(p.lanes[1]);
  return status;
}

/* ---- all ----------------------------------------------------------------------------------------------------------- */

/* A buffer of results may hold an input too, which went to devices whole, with results that were not new yet. */
void fh_chunks_ended(const fh_call *call, bool all) {
  for (int v = 0; v < call->view_count; v++) {
    fh_buffer *buffer = call->views[v].buffer;
    if (call->image->contract->views[v].role == FH_ROLE_IN) continue;
    buffer->host_version = ++buffer->version;
    if (all) buffer->lost = false;
  }
}

/* Two in the air take the memory of one chunk, so they are half as long; many of them, since what comes before the first and after the
 * last overlaps with nothing, but none so short that its copies are all beginning. */
static int64_t step_of_two(const fh_call *call, const fh_progress *progress) {
  static const double enough_bytes = 32 << 20;
  enum { ENOUGH = 16 };
  int64_t step = progress->step / LANES;
  while (step > progress->rows / ENOUGH && step > 1 && bytes_of(call, progress->cut, step / 2, true) >= enough_bytes) step /= 2;
  return step;
}

fh_status fh_chunks_run(fh_queue *queue, fh_candidate *candidate, const fh_call *call, fh_progress *progress) {
  if (progress->done == 0) FH_TRY(fh_chunks_come_home(queue->context, call, progress->cut));
  const int64_t step = step_of_two(call, progress);
  fh_status status = FH_OK;
  if (overlaps(queue->context, candidate->device, call, progress, step)) status = run_overlapped(queue, candidate, call, progress, step);
  if (!status) status = run_in_turn(queue, candidate, call, progress);
  fh_chunks_ended(call, !status);
  return status;
}
