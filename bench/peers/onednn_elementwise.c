/* oneDNN as a peer of the functions of each element: its eltwise primitive of version 2. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"

static const char library[] = "libdnnl.so.2";

/* Values and shapes of its C interface; descriptors are larger in no version 2. */
enum { ENGINE_CPU = 1, STREAM_DEFAULT = 1, FORWARD_INFERENCE = 96, F32 = 3, ARG_SRC = 1, ARG_DST = 17 };
typedef struct descriptor {
  int64_t bytes[256];
} descriptor;
typedef struct operation {
  descriptor bytes[4];
} operation;
typedef struct argument {
  int what;
  void *memory;
} argument;

typedef struct onednn {
  int (*engine_create)(void **engine, int kind, size_t index);
  int (*stream_create)(void **stream, void *engine, unsigned flags);
  int (*strides)(descriptor *out, int rank, const int64_t dims[12], int type, const int64_t strides[12]);
  int (*eltwise)(operation *out, int propagation, int algorithm, const descriptor *data, float alpha, float beta);
  int (*describe)(void **out, const operation *op, const void *attributes, void *engine, const void *hint);
  int (*primitive_create)(void **out, const void *described);
  int (*describe_end)(void *described);
  int (*memory_create)(void **out, const descriptor *layout, void *engine, void *data);
  int (*memory_end)(void *memory);
  int (*execute)(const void *primitive, void *stream, int count, const argument *arguments);
  int (*wait)(void *stream);
  int (*primitive_end)(void *primitive);
  int (*stream_end)(void *stream);
  int (*engine_end)(void *engine);
  void (*set_threads)(int);
} onednn;

static bool load(onednn *x) {
  const struct {
    void **function;
    const char *symbol;
  } wanted[] = {
      {(void **)&x->engine_create, "dnnl_engine_create"},
      {(void **)&x->stream_create, "dnnl_stream_create"},
      {(void **)&x->strides, "dnnl_memory_desc_init_by_strides"},
      {(void **)&x->eltwise, "dnnl_eltwise_forward_desc_init"},
      {(void **)&x->describe, "dnnl_primitive_desc_create"},
      {(void **)&x->primitive_create, "dnnl_primitive_create"},
      {(void **)&x->describe_end, "dnnl_primitive_desc_destroy"},
      {(void **)&x->memory_create, "dnnl_memory_create"},
      {(void **)&x->memory_end, "dnnl_memory_destroy"},
      {(void **)&x->execute, "dnnl_primitive_execute"},
      {(void **)&x->wait, "dnnl_stream_wait"},
      {(void **)&x->primitive_end, "dnnl_primitive_destroy"},
      {(void **)&x->stream_end, "dnnl_stream_destroy"},
      {(void **)&x->engine_end, "dnnl_engine_destroy"},
  };
  for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
    if (!(*wanted[i].function = fh_peer_symbol(library, wanted[i].symbol))) return false;
  *(void **)&x->set_threads = fh_peer_symbol("libgomp.so.1", "omp_set_num_threads");
  return x->set_threads;
}

/* dnnl_eltwise_..., the one that is meant by a kernel's name. */
static int algorithm_of(const char *kernel) {
  static const struct {
    const char *kernel;
    int algorithm;
  } table[] = {{"tanh", 0x2f}, {"sigmoid", 0xaf}, {"exp", 0xbf}, {"gelu_tanh", 0xcf}, {"silu", 0xdf}, {"log", 0xef}, {"gelu", 0x30}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    if (strcmp(kernel, table[i].kernel) == 0) return table[i].algorithm;
  return 0;
}

typedef struct call {
  onednn api;
  void *engine, *stream, *primitive, *x, *y;
} call;

static void close_call(void *state) {
  call *c = state;
  if (c->x) c->api.memory_end(c->x);
  if (c->y) c->api.memory_end(c->y);
  if (c->primitive) c->api.primitive_end(c->primitive);
  if (c->stream) c->api.stream_end(c->stream);
  if (c->engine) c->api.engine_end(c->engine);
  free(c);
}

static void run(void *state) {
  const call *c = state;
  const argument arguments[] = {{ARG_SRC, c->x}, {ARG_DST, c->y}};
  c->api.execute(c->primitive, c->stream, 2, arguments);
  c->api.wait(c->stream);
}

static bool prepare(call *c, const fh_peer_call *from) {
  const fh_view_desc *v = &from->c->views[0];
  int64_t dims[12] = {0}, strides[12] = {0};
  for (int32_t i = 0; i < v->rank; i++) dims[i] = v->shape[i], strides[i] = v->strides[i];
  const onednn *api = &c->api;
  descriptor layout;
  operation op;
  void *described = NULL;
  const bool done = api->engine_create(&c->engine, ENGINE_CPU, 0) == 0 && api->stream_create(&c->stream, c->engine, STREAM_DEFAULT) == 0 &&
                    api->strides(&layout, v->rank, dims, F32, strides) == 0 &&
                    api->eltwise(&op, FORWARD_INFERENCE, algorithm_of(from->contract->name), &layout, 1.0f, 0.0f) == 0 &&
                    api->describe(&described, &op, NULL, c->engine, NULL) == 0 && api->primitive_create(&c->primitive, described) == 0 &&
                    api->memory_create(&c->x, &layout, c->engine, from->data[0]) == 0 &&
                    api->memory_create(&c->y, &layout, c->engine, from->data[1]) == 0;
  if (described) api->describe_end(described);
  return done;
}

static const char *open_call(const fh_peer_call *from, void **out_state) {
  const fh_view_desc *v = from->c->views;
  for (int32_t i = 0; i < v->rank; i++)
    if (v[0].strides[i] != v[1].strides[i]) return "it takes one layout for both";
  call *c = calloc(1, sizeof *c);
  if (!c) return "no memory";
  if (!load(&c->api)) {
    free(c);
    return "libdnnl.so.2 with libgomp.so.1 is not here";
  }
  c->api.set_threads(from->threads);
  if (!prepare(c, from)) {
    close_call(c);
    return "it refuses this case";
  }
  *out_state = c;
  return NULL;
}

#define ROW(kernel) {"oneDNN", kernel, "libdnnl2", open_call, run, close_call, 1e-3}
const fh_peer fh_peers_onednn_elementwise[] = {
    ROW("exp"), ROW("log"), ROW("tanh"), ROW("sigmoid"), ROW("silu"), ROW("gelu"), ROW("gelu_tanh"), FH_PEER_END,
};
