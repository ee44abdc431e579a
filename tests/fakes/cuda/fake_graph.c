/* The stand-in CUDA driver: launches captured from a stream, and graphs of them. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fake.h"

/* A launch with the values that its parameters had. */
typedef struct node {
  const fake_function *function;
  fh_block_shape shape;
  fake_argument values[FAKE_MAX_PARAMS];
  int count;
  struct node *next;
} node;

struct CUgraph_st {
  fake_object object;
  node *nodes, **end;
  bool capturing;
  fh_cu_capture_mode mode;
  pthread_t thread; /* that began it */
  bool spoiled;     /* something else was asked for meanwhile */
};

static _Thread_local fh_cu_capture_mode thread_mode = FH_CU_STREAM_CAPTURE_MODE_GLOBAL;

struct CUgraphExec_st {
  fake_object object;
  node *nodes;
};

static void free_nodes(node *nodes) {
  for (node *n = nodes, *next; n; n = next) {
    next = n->next;
    free(n);
  }
}

fh_cu_result fake_graph_create(fh_cu_context context, fh_cu_capture_mode mode, fake_graph **out_graph) {
  fake_graph *graph = calloc(1, sizeof *graph);
  if (!graph) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  graph->end = &graph->nodes;
  graph->capturing = true;
  graph->mode = mode;
  graph->thread = pthread_self();
  fake_object_add(&graph->object, FAKE_GRAPH, context);
  *out_graph = graph;
  return FH_CUDA_SUCCESS;
}

void fake_graph_destroy(fake_graph *graph) {
  fake_object_remove(&graph->object);
  free_nodes(graph->nodes);
  free(graph);
}

void fake_graph_spoil(fake_graph *graph) { graph->spoiled = true; }
bool fake_graph_is_spoiled(const fake_graph *graph) { return graph->spoiled; }

void fake_graph_end_capture(fake_graph *graph) { graph->capturing = false; }

fh_cu_capture_mode fake_capture_exchange(fh_cu_capture_mode mode) {
  const fh_cu_capture_mode before = thread_mode;
  thread_mode = mode;
  return before;
}

/* The vendor's rule: a thread's own captures count unless they are relaxed, those of others where both sides are global. */
static bool forbids(const fake_graph *graph) {
  if (!graph->capturing || graph->mode == FH_CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (thread_mode == FH_CU_STREAM_CAPTURE_MODE_RELAXED) return false;
  if (pthread_equal(graph->thread, pthread_self())) return true;
  return graph->mode == FH_CU_STREAM_CAPTURE_MODE_GLOBAL && thread_mode == FH_CU_STREAM_CAPTURE_MODE_GLOBAL;
}

bool fake_capture_forbids(fh_cu_context context) {
  bool any = false;
  for (fake_object *o = NULL; (o = fake_object_next(o, FAKE_GRAPH, context));) {
    if (!forbids((fake_graph *)o)) continue;
    fake_graph_spoil((fake_graph *)o);
    any = true;
  }
  return any;
}

fh_cu_result fake_graph_add(fake_graph *graph, const fake_function *function, const fh_block_shape *shape, void **params) {
  /* What is wrong with it shows now, as with a driver; it is bound again when it runs. */
  fake_command ignored = {.kind = FAKE_LAUNCH};
  fh_cu_result code = fake_function_bind(graph->object.context, function, shape, params, &ignored);
  if (code) return code;
  node *n = calloc(1, sizeof *n);
  if (!n) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  n->function = function;
  n->shape = *shape;
  n->count = fake_function_params(function, params, n->values);
  *graph->end = n;
  graph->end = &n->next;
  return FH_CUDA_SUCCESS;
}

fh_cu_result fake_graph_instantiate(const fake_graph *graph, fake_graph_exec **out_exec) {
  fake_graph_exec *exec = calloc(1, sizeof *exec);
  if (!exec) return FH_CUDA_ERROR_OUT_OF_MEMORY;
  node **end = &exec->nodes;
  for (const node *n = graph->nodes; n; n = n->next) {
    node *copy = malloc(sizeof *copy);
    if (!copy) {
      free_nodes(exec->nodes);
      free(exec);
      return FH_CUDA_ERROR_OUT_OF_MEMORY;
    }
    *copy = *n;
    copy->next = NULL;
    *end = copy;
    end = &copy->next;
  }
  fake_object_add(&exec->object, FAKE_GRAPH_EXEC, graph->object.context);
  *out_exec = exec;
  return FH_CUDA_SUCCESS;
}

void fake_graph_exec_destroy(fake_graph_exec *exec) {
  fake_object_remove(&exec->object);
  free_nodes(exec->nodes);
  free(exec);
}

fh_cu_result fake_graph_launch(const fake_graph_exec *exec, fake_stream *stream, fake_act late) {
  for (const node *n = exec->nodes; n; n = n->next) {
    fake_command command = {.act = late};
    void *params[FAKE_MAX_PARAMS];
    for (int i = 0; i < n->count; i++) params[i] = (void *)&n->values[i];
    late = (fake_act){.deed = FAKE_NOTHING};
    fh_cu_result code = fake_function_bind(exec->object.context, n->function, &n->shape, params, &command);
    if (code == FH_CUDA_SUCCESS) code = fake_stream_queue(stream, &command);
    if (code) return code;
  }
  return FH_CUDA_SUCCESS;
}
