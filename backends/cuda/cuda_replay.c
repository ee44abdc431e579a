/* CUDA batches that come again and again: one graph in place of their launches. SPDX-License-Identifier: Apache-2.0
 *
 * A graph holds the addresses and scalars of its launches, so it is worth making only where the same come twice in a row: what a batch
 * launches is compared with the last time, and a graph is made of the second that is alike. One that changes every time is queued launch
 * by launch, as if there were no graphs, and never pays for one; nor does one with a product of a vendor's library. Where the driver makes
 * none, or does not run it, that is said once and all goes on without; where it lacks memory for one, whoever submits may make some. */
#include <stdlib.h>
#include <string.h>

#include "backends/cuda/cuda_internal.h"
#include "runtime/base/log.h"

/* What was launched, in 64-bit words: for each launch its function, shape, arguments and tensor maps. */
typedef struct words {
  int64_t *at;
  size_t count, room;
} words;

struct fh_replay {
  fh_device *device;
  words last, now;
  fh_cu_graph_exec graph; /* of `last`; NULL: none */
  bool refused;           /* the driver made none, or does not run it: it is not asked again */
  bool starved;           /* this time it had no memory for it */
};

static bool add(words *list, const void *from, size_t bytes) {
  const size_t count = (bytes + sizeof *list->at - 1) / sizeof *list->at;
  if (count == 0) return true;
  if (list->count + count > list->room) {
    const size_t room = 2 * (list->count + count);
    int64_t *more = realloc(list->at, room * sizeof *more);
    if (!more) return false;
    list->at = more;
    list->room = room;
  }
  list->at[list->count + count - 1] = 0;
  memcpy(&list->at[list->count], from, bytes);
  list->count += count;
  return true;
}

static bool add_launch(words *list, const fh_cuda_launch *launch) {
  if (launch->shape.threads == 0) return true;
  return add(list, &launch->executable->function, sizeof launch->executable->function) && add(list, &launch->shape, sizeof launch->shape) &&
         add(list, launch->arguments.values, (size_t)launch->arguments.count * sizeof launch->arguments.values[0]) &&
         add(list, launch->maps.maps, (size_t)launch->maps.count * sizeof launch->maps.maps[0]);
}

static bool is_alike(const words *a, const words *b) {
  return a->count == b->count && (a->count == 0 || memcmp(a->at, b->at, a->count * sizeof *a->at) == 0);
}

static void drop_graph(fh_replay *replay) {
  if (replay->graph) (void)replay->device->fn->cuGraphExecDestroy(replay->graph);
  replay->graph = NULL;
}

/* What the batch launches this time; memory is ordered behind what it waits for, which a graph cannot do. *out_alike: as the last time. */
static fh_status look(fh_replay *replay, fh_stream *stream, const fh_command *commands, int count, bool *out_alike) {
  bool known = true;
  replay->now.count = 0;
  for (int i = 0; i < count; i++) {
    fh_cuda_launch launch;
    if (commands[i].kind != FH_COMMAND_LAUNCH)
      return FH_STATUS(FH_INVALID_ARGUMENT, "%s: replay of a batch that does not only launch", stream->device->found->info.id);
    FH_TRY(fh_cuda_describe_launch(stream, &commands[i], &launch));
    known = known && !launch.executable->product && add_launch(&replay->now, &launch);
  }
  *out_alike = known && is_alike(&replay->now, &replay->last);
  if (*out_alike) return FH_OK;
  const words before = replay->last;
  replay->last = replay->now;
  replay->now = before;
  if (!known) replay->last.count = 0; /* no memory: like nothing */
  return FH_OK;
}

static fh_status queue_each(fh_stream *stream, const fh_command *commands, int count, bool *out_any) {
  for (int i = 0; i < count; i++) {
    fh_cuda_launch launch;
    FH_TRY(fh_cuda_describe_launch(stream, &commands[i], &launch));
    FH_TRY(fh_cuda_queue_launch(stream, &launch));
    *out_any = true;
  }
  return FH_OK;
}

static bool has_graphs(const fh_cuda_functions *fn) {
  return fn->cuStreamBeginCapture_v2 && fn->cuStreamEndCapture && fn->cuGraphInstantiateWithFlags && fn->cuGraphLaunch &&
         fn->cuGraphExecDestroy && fn->cuGraphDestroy;
}

static void refuse(fh_replay *replay, int count, const char *why) {
  replay->refused = true;
  fh_log(FH_LOG_INFO, "%s: %d launches are queued one by one, and not as a graph: %s", replay->device->found->info.id, count, why);
}

/* The launches as a graph that nothing has run; the stream is as before, whatever comes of it. A launch for which the driver had no memory
 * is no fault of the capture, which the driver may call broken then: there may be memory later. */
static fh_cu_result capture(fh_stream *stream, const fh_command *commands, int count, fh_cu_graph *out_graph) {
  const fh_cuda_functions *fn = stream->device->fn;
  bool any = false;
  fh_cu_result code = fn->cuStreamBeginCapture_v2(stream->handle, FH_CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  if (code != FH_CUDA_SUCCESS) return code;
  fh_status status = queue_each(stream, commands, count, &any);
  code = fn->cuStreamEndCapture(stream->handle, out_graph);
  const bool failed = status != FH_OK, starved = fh_status_code(status) == FH_RESOURCE_EXHAUSTED;
  fh_status_free(status); /* it comes again when the launches are queued one by one */
  if (starved) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  return code == FH_CUDA_SUCCESS && failed ? FH_CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : code;
}

static void make_graph(fh_replay *replay, fh_stream *stream, const fh_command *commands, int count) {
  const fh_cuda_functions *fn = stream->device->fn;
  fh_cu_graph graph = NULL;
  if (!has_graphs(fn)) {
    refuse(replay, count, "the driver has no graphs");
    return;
  }
  fh_cu_result code = capture(stream, commands, count, &graph);
  if (code == FH_CUDA_SUCCESS) code = fn->cuGraphInstantiateWithFlags(&replay->graph, graph, 0);
  if (code != FH_CUDA_SUCCESS) replay->graph = NULL;
  if (graph) (void)fn->cuGraphDestroy(graph);
  replay->starved = code == FH_CUDA_ERROR_OUT_OF_MEMORY;
  if (!replay->graph && !replay->starved) refuse(replay, count, fh_cuda_result_name((int)code));
}

/* *out_any: it was queued. One that the driver does not run costs this batch and those after it no more than the graph: nothing of it was
 * queued. */
static fh_status launch_graph(fh_replay *replay, fh_stream *stream, int count, bool *out_any) {
  fh_device *device = stream->device;
  fh_cu_result code = device->fn->cuGraphLaunch(replay->graph, stream->handle);
  *out_any = code == FH_CUDA_SUCCESS;
  if (*out_any) return FH_OK;
  replay->starved = code == FH_CUDA_ERROR_OUT_OF_MEMORY;
  if (replay->starved) return FH_OK;
  fh_status status = FH_CUDA_FAIL(device, code, "cuGraphLaunch", "launching %s and those before it", stream->latest);
  if (atomic_load(&device->dead)) return status;
  drop_graph(replay);
  refuse(replay, count, fh_status_message(status));
  fh_status_free(status);
  return FH_OK;
}

static fh_status queue_replay(fh_stream *stream, const fh_command *commands, int count, void *arg, bool *out_any) {
  fh_replay *replay = arg;
  bool alike = false;
  FH_TRY(look(replay, stream, commands, count, &alike));
  if (!alike) drop_graph(replay);
  if (alike && !replay->graph && !replay->refused && replay->last.count > 0) make_graph(replay, stream, commands, count);
  if (replay->graph) FH_TRY(launch_graph(replay, stream, count, out_any));
  return *out_any || replay->starved ? FH_OK : queue_each(stream, commands, count, out_any);
}

fh_status fh_cuda_replay(fh_stream *stream, const fh_command *commands, int count, fh_replay **replay, fh_point *out_point,
                         bool *out_refused) {
  *out_refused = false;
  if (!*replay) *replay = calloc(1, sizeof **replay);
  if (!*replay) return fh_cuda_submit(stream, commands, count, out_point);
  (*replay)->device = stream->device;
  (*replay)->starved = false;
  FH_TRY(fh_cuda_submit_by(stream, commands, count, queue_replay, *replay, out_point));
  *out_refused = (*replay)->starved;
  return FH_OK;
}

/* What a graph that is under way needs, the driver keeps until it has run. */
void fh_cuda_replay_end(fh_replay *replay) {
  if (!replay) return;
  if (replay->graph && fh_cuda_enter_quietly(replay->device)) {
    drop_graph(replay);
    fh_cuda_leave(replay->device);
  }
  free(replay->last.at);
  free(replay->now.at);
  free(replay);
}
