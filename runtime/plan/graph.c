/* Launches that are made once and launched often. SPDX-License-Identifier: Apache-2.0
 *
 * A graph runs launch by launch until one device ran all of it as planned and there is nothing left to measure. From then on its calls go
 * to that device in batches, without planning, as long as the device is well and the queue's pin is the same. Whatever keeps a batch from
 * running (memory is short, a device was lost), the launches run one by one and meet it there: there is one way to fall back. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/plan/kernels.h"
#include "runtime/plan/plan.h"

struct fh_graph {
  fh_queue *queue;
  fh_call *calls; /* bound; each holds its views */
  int count, room;
  /* How it runs in batches. */
  int device; /* -1: launch by launch */
  int pinned; /* the queue's pin then */
  fh_candidate **candidates;
  fh_recurrence *again; /* of each batch */
  fh_batch_room *batch_room;
};

/* ---- capture -------------------------------------------------------------------------------------------------------- */

static fh_status graph_new(fh_queue *queue, fh_graph **out_graph) {
  *out_graph = calloc(1, sizeof **out_graph);
  if (!*out_graph) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "fh_queue_capture_begin: no memory for a graph");
  (*out_graph)->queue = queue;
  (*out_graph)->device = -1;
  return FH_OK;
}

fh_status fh_queue_capture_begin(fh_queue *queue) {
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_queue_capture_begin: queue is NULL");
  fh_context_lock(queue->context);
  fh_status status =
      queue->capture ? FH_STATUS(FH_FAILED_PRECONDITION,
                                 "fh_queue_capture_begin: the queue captures already\nnext step: fh_queue_capture_end ends what was begun")
                     : graph_new(queue, &queue->capture);
  fh_context_unlock(queue->context);
  return status;
}

fh_status fh_queue_capture_end(fh_queue *queue, fh_graph **out_graph) {
  if (out_graph) *out_graph = NULL;
  if (!queue) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_queue_capture_end: queue is NULL");
  fh_context_lock(queue->context);
  fh_graph *graph = queue->capture;
  queue->capture = NULL;
  fh_context_unlock(queue->context);
  if (!graph)
    return FH_STATUS(FH_FAILED_PRECONDITION, "fh_queue_capture_end: the queue does not capture\nnext step: fh_queue_capture_begin first");
  if (out_graph) *out_graph = graph;
  if (!out_graph) fh_graph_release(graph);
  return FH_OK;
}

bool fh_queue_captures(const fh_queue *queue) {
  if (!queue) return false;
  fh_context_lock(queue->context);
  const bool captures = queue->capture;
  fh_context_unlock(queue->context);
  return captures;
}

fh_status fh_check_runs(const fh_queue *queue, const char *call) {
  if (!fh_queue_captures(queue)) return FH_OK;
  return FH_STATUS(FH_FAILED_PRECONDITION,
                   "%s: the queue captures, so what the call looks at before it returns is not computed\n"
                   "next step: give it an event, and fh_kmeans_check the results of the graph",
                   call);
}

static void release_views(fh_call *call, int count) {
  for (int i = 0; i < count; i++) fh_view_release(&call->views[i]);
}

static fh_status retain_views(const fh_call *call, fh_call *out) {
  for (int i = 0; i < call->view_count; i++) {
    fh_status status = fh_view_retain(&call->views[i], &out->views[i]);
    if (!status) continue;
    release_views(out, i);
    return status;
  }
  return FH_OK;
}

fh_status fh_graph_note(fh_graph *graph, const fh_call *call) {
  if (call->bound.stage_count == 0 && !call->image->contract->inspect) return FH_OK; /* an empty shape: nothing to run, ever */
  if (graph->count == graph->room) {
    const int room = graph->room ? 2 * graph->room : 16;
    fh_call *more = realloc(graph->calls, (size_t)room * sizeof *more);
    if (!more)
      return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory to keep launch %d of a graph", call->image->contract->name, graph->count);
    graph->calls = more;
    graph->room = room;
  }
  fh_call *kept = &graph->calls[graph->count];
  memcpy(kept, call, sizeof *kept);
  FH_TRY(retain_views(call, kept));
  graph->count++;
  return FH_OK;
}

int fh_graph_length(const fh_graph *graph) { return graph->count; }

/* ---- in batches ------------------------------------------------------------------------------------------------------- */

static int batch_count(const fh_graph *graph) { return (graph->count + FH_BATCH_CALLS - 1) / FH_BATCH_CALLS; }

/* What the backend keeps belongs to a device that is still open: a lost one stays open until the context ends. */
static void end_replays(fh_graph *graph) {
  const fh_backend_api *api = graph->device >= 0 ? graph->queue->context->devices[graph->device].api : NULL;
  for (int b = 0; api && graph->again && b < batch_count(graph); b++) {
    if (graph->again[b].kept) api->replay_end(graph->again[b].kept);
    graph->again[b] = (fh_recurrence){0};
  }
  graph->device = -1;
}

static bool make_batches(fh_graph *graph) {
  if (!graph->candidates) graph->candidates = calloc((size_t)graph->count, sizeof(fh_candidate *));
  if (!graph->again) graph->again = calloc((size_t)batch_count(graph), sizeof(fh_recurrence));
  if (!graph->batch_room) {
    fh_status status = fh_batch_room_new(&graph->batch_room);
    fh_status_free(status); /* without the memory it goes on launch by launch */
  }
  return graph->candidates && graph->again && graph->batch_room;
}

/* Is this launch one whose next can go without being looked at? The data of some must be looked at each time; and a candidate that has not
 * been measured is timed, which needs launches by themselves. */
static bool is_settled(const fh_queue *queue, const fh_call *call, int device) {
  if (!call->ran || call->ran->device != device || call->image->contract->inspect) return false;
  return fh_candidate_judge(queue, call->ran, call).source == FH_COST_MEASURED;
}

/* All launches have run one by one; may they go together from now on? Nobody else is told of each launch of a batch, so not where launches
 * are recorded. */
static void try_to_settle(fh_graph *graph) {
  const fh_queue *queue = graph->queue;
  const fh_context *context = queue->context;
  if (graph->count == 0 || context->record >= 0 || !graph->calls[0].ran) return;
  const int device = graph->calls[0].ran->device;
  if (context->devices[device].info.host_memory || context->devices[device].state != FH_STATE_OPEN) return;
  for (int i = 0; i < graph->count; i++)
    if (!is_settled(queue, &graph->calls[i], device)) return;
  if (!make_batches(graph)) return;
  for (int i = 0; i < graph->count; i++) graph->candidates[i] = graph->calls[i].ran;
  graph->device = device;
  graph->pinned = queue->pinned;
}

static bool still_settled(const fh_graph *graph) {
  const fh_queue *queue = graph->queue;
  if (graph->device < 0 || graph->pinned != queue->pinned || queue->context->devices[graph->device].state != FH_STATE_OPEN) return false;
  for (int i = 0; i < graph->count; i++)
    if (graph->candidates[i]->quarantined) return false;
  return true;
}

static void say_one_by_one(fh_context *context, const fh_batch *batch) {
  static const char cause[] = "OUT-OF-MEMORY";
  const char *id = context->devices[batch->device].info.id;
  char fix[FH_PLAN_FIX];
  if (context->config.fallback == FH_FALLBACK_ALLOW || !fh_account_say(&context->account, "graphs", id, cause)) return;
  fh_fault_fix(context, cause, fix, sizeof fix);
  fh_log(FH_LOG_WARN,
         "ONE BY ONE %d launches of a graph: %s runs each by itself\n"
         "  cause   %s: the driver has no memory to make or to run a graph of them, and all was freed there that is not needed now\n"
         "  effect  the same results; the host has more to do for each launch. It is tried again, less and less often\n"
         "  fix     %s\n"
         "  more    devprobe cause %s",
         batch->count, id, cause, fix, cause);
}

static void count_batch(fh_context *context, const fh_batch *batch) {
  for (int i = 0; i < batch->count; i++) {
    fh_account_row *row = fh_candidate_row(context, batch->candidates[i]);
    if (row) row->intended++;
  }
  context->account.counters.launches += (uint64_t)batch->count;
  context->account.counters.executed_intended += (uint64_t)batch->count;
  if (!batch->again->short_of_memory) return;
  context->account.one_by_one++;
  say_one_by_one(context, batch);
}

/* A failure here is met again by the launches one by one (data that is lost may be one's result before it is another's input), unless it
 * is the device's: what was lost with it is made again first. */
static fh_status mend(fh_context *context, int device, fh_status failure) {
  const fh_code code = fh_status_code(failure);
  if (fh_blames_device(code) || code == FH_ABORTED) return fh_recover(context, NULL, device, failure);
  fh_status_free(failure);
  return FH_OK;
}

/* *out_done: how many launches have run; the others are for one by one. */
static fh_status run_batches(fh_graph *graph, int *out_done) {
  fh_queue *queue = graph->queue;
  fh_context *context = queue->context;
  *out_done = 0;
  for (int b = 0; b < batch_count(graph); b++) {
    const int first = b * FH_BATCH_CALLS, left = graph->count - first;
    const fh_batch batch = {.device = graph->device,
                            .count = left < FH_BATCH_CALLS ? left : FH_BATCH_CALLS,
                            .calls = &graph->calls[first],
                            .candidates = &graph->candidates[first],
                            .again = &graph->again[b]};
    bool ran = false;
    fh_status status = fh_execute_batch(queue, &batch, graph->batch_room, &ran);
    if (status) return mend(context, graph->device, status);
    if (!ran) return FH_OK;
    count_batch(context, &batch);
    *out_done = first + batch.count;
  }
  return FH_OK;
}

/* ---- launches ----------------------------------------------------------------------------------------------------------- */

static fh_status run_one(fh_graph *graph, int i) {
  fh_queue *queue = graph->queue;
  fh_call call;
  memcpy(&call, &graph->calls[i], sizeof call); /* a look at the data may cut it otherwise */
  call.ran = NULL;
  call.begun_ns = fh_record_begin(queue->context);
  fh_status status = fh_call_inspect(queue->context, &call, queue->context->config.trace[0] != 0);
  if (!status) status = fh_launch_call(queue, &call);
  graph->calls[i].ran = call.ran;
  return status ? fh_status_annotate(status, "launch %d of a graph of %d", i, graph->count) : FH_OK;
}

static fh_status run_all(fh_graph *graph) {
  int done = 0;
  const bool settled = still_settled(graph);
  if (!settled) end_replays(graph);
  if (settled) FH_TRY(run_batches(graph, &done));
  if (done == graph->count) return FH_OK;
  for (int i = done; i < graph->count; i++) FH_TRY(run_one(graph, i));
  if (!settled) try_to_settle(graph);
  return FH_OK;
}

static fh_status check(const fh_graph *graph) {
  const fh_queue *queue = graph->queue;
  if (queue->capture)
    return FH_STATUS(FH_FAILED_PRECONDITION, "fh_graph_launch: the queue captures\nnext step: fh_queue_capture_end first");
  if (queue->context->running)
    return FH_STATUS(FH_FAILED_PRECONDITION, "fh_graph_launch: this thread is in the middle of a launch of the same context");
  for (int i = 0; i < graph->count; i++)
    for (int v = 0; v < graph->calls[i].view_count; v++) FH_TRY(fh_view_check(&graph->calls[i].views[v]));
  return FH_OK;
}

fh_status fh_graph_launch(fh_graph *graph, fh_event *out_event) {
  if (out_event) *out_event = (fh_event){0};
  if (!graph) return FH_STATUS(FH_INVALID_ARGUMENT, "fh_graph_launch: graph is NULL");
  fh_queue *queue = graph->queue;
  fh_context_lock(queue->context);
  fh_status status = check(graph);
  if (!status) status = run_all(graph);
  const uint64_t point = ++queue->point;
  fh_context_unlock(queue->context);
  if (!status && out_event) *out_event = (fh_event){.queue = queue, .point = point};
  return status;
}

void fh_graph_release(fh_graph *graph) {
  if (!graph) return;
  fh_context *context = graph->queue->context;
  fh_context_lock(context);
  end_replays(graph);
  fh_context_unlock(context);
  for (int i = 0; i < graph->count; i++) release_views(&graph->calls[i], graph->calls[i].view_count);
  free(graph->calls);
  free(graph->candidates);
  free(graph->again);
  fh_batch_room_free(graph->batch_room);
  free(graph);
}
