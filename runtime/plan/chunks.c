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

double fh_chunk_bytes(const fh_call *whole, uint32_t cut, int64_t rows) {
  double bytes = 0;
  for (int v = 0; v < whole->view_count; v++) {
    const fh_buffer *buffer = whole->views[v].buffer;
    int64_t low = 0, high = buffer ? (int64_t)buffer->bytes : 0;
    bool counted = false;
    for (int before = 0; before < v; before++)
      counted |= buffer && whole->views[before].buffer == buffer && (cut >> before & 1) == (cut >> v & 1);
    if (counted) continue;
    if (buffer && (cut >> v & 1)) span_of_all(whole, cut, buffer, 0, rows, &low, &high);
    if (buffer) {
      bytes += (double)(high - low);
    } else { /* shapes only */
      const int64_t all = whole->descs[v].rank > 0 ? whole->descs[v].shape[0] : 1;
      bytes += fh_desc_bytes(&whole->descs[v]) * (cut >> v & 1 && all > 0 ? (double)rows / (double)all : 1);
    }
  }
  return bytes;
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
static fh_status come_home(fh_context *context, const fh_call *call, uint32_t cut) {
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

/* The best of a device's candidates for the call; NULL: none may run it. */
static fh_candidate *best_on(const fh_queue *queue, int device, const fh_call *call) {
  fh_plan_kernel *k = fh_plan_kernel_in(queue->context, call->kernel);
  fh_candidate *best = NULL;
  double least = 0;
  for (int i = 0; i < k->count; i++) {
    if (k->candidates[i].device != device) continue;
    const fh_verdict verdict = fh_candidate_judge(queue, &k->candidates[i], call);
    if (verdict.reason.code != FH_REASON_NONE || (best && verdict.seconds >= least)) continue;
    best = &k->candidates[i];
    least = verdict.seconds;
  }
  return best;
}

/* A variant may fit the whole and not some of its rows: then another one of its device takes them; NULL: there is none. */
static fh_candidate *fitting(fh_queue *queue, fh_candidate *candidate, const fh_call *chunk) {
  if (fh_candidate_unfit(queue->context, candidate, &chunk->bound).code == FH_REASON_NONE) return candidate;
  for (;;) { /* who fails the test is not asked again */
    fh_candidate *best = best_on(queue, candidate->device, chunk);
    if (!best || best->test == FH_TEST_PASSED) return best;
    fh_candidate_test(queue, best);
    if (best->test == FH_UNTESTED) return NULL;
  }
}

static fh_status run_on(fh_queue *queue, fh_candidate *candidate, const fh_call *chunk) {
  fh_candidate *runs = fitting(queue, candidate, chunk);
  if (runs) return fh_execute(queue, runs, chunk);
  return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no variant of %s takes the rows that there is memory for", chunk->image->contract->name,
                   queue->context->devices[candidate->device].info.id);
}

static fh_status run_chunk(fh_queue *queue, fh_candidate *candidate, const fh_call *whole, uint32_t cut, int64_t first, int64_t last) {
  fh_chunk chunk;
  FH_TRY(fh_chunk_take(queue->context, whole, cut, first, last, &chunk));
  fh_status status = run_on(queue, candidate, &chunk.call);
  for (int v = 0; v < whole->view_count && !status; v++)
    if (whole->image->contract->views[v].role != FH_ROLE_IN) status = fh_buffer_to_host(queue->context, chunk.call.views[v].buffer);
  fh_chunk_end(&chunk);
  return status;
}

/* True: less is tried. */
static bool halve(fh_context *context, int device, const fh_call *call, fh_progress *progress) {
  if (context->devices[device].info.host_memory || progress->halvings == MOST_HALVINGS) return false;
  if (!worth_halving(call, progress->cut, progress->step)) return false;
  progress->halvings++;
  progress->step -= progress->step / 2;
  return true;
}

/* All of the results are new, whatever they were before. */
static void written_at_home(const fh_call *call) {
  for (int v = 0; v < call->view_count; v++)
    if (call->image->contract->views[v].role != FH_ROLE_IN) call->views[v].buffer->lost = false;
}

fh_status fh_chunks_run(fh_queue *queue, fh_candidate *candidate, const fh_call *call, fh_progress *progress) {
  fh_context *context = queue->context;
  const fh_plan_device *device = &context->devices[candidate->device];
  if (progress->done == 0) FH_TRY(come_home(context, call, progress->cut));
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
    if (device->state != FH_STATE_OPEN) /* what it had was made again elsewhere */
      return FH_STATUS_CAUSE(FH_ABORTED, device->cause, "%s: %s was lost in the middle of a launch", call->image->contract->name,
                             device->info.id);
  }
  written_at_home(call);
  return FH_OK;
}
