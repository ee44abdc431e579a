/* oneDNN as a peer of softmax and layer normalisation, through its C interface of version 2. SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors are structs of the library's own; here they are bytes, more than it needs. */
#include <stddef.h>
#include <stdlib.h>

#include "bench/peers/peer.h"

static const char library[] = "libdnnl.so.2";

enum {
  CPU = 1,
  IN_ORDER = 1,
  F32 = 3,
  FORWARD_INFERENCE = 96,
  USE_SCALE = 8,
  USE_SHIFT = 16,
  ARG_SRC = 1,
  ARG_DST = 17,
  ARG_SCALE = 51,
  ARG_SHIFT = 52,
  MAX_ARGS = 4,
};

typedef union description {
  unsigned char bytes[16384];
  max_align_t align;
} description;

typedef struct argument {
  int arg;
  void *memory;
} argument;

typedef struct call {
  void *primitive;
  argument arguments[MAX_ARGS];
  int count;
} call;

static struct {
  int (*engine_create)(void **engine, int kind, size_t index);
  int (*stream_create)(void **stream, void *engine, unsigned flags);
  int (*memory_desc_init_by_strides)(void *desc, int rank, const int64_t *dims, int type, const int64_t *strides);
  int (*softmax_forward_desc_init)(void *desc, int kind, const void *data, int axis);
  int (*layer_normalization_forward_desc_init)(void *desc, int kind, const void *data, const void *stats, float eps, unsigned flags);
  int (*primitive_desc_create)(void **out, const void *desc, const void *attributes, void *engine, const void *hint);
  int (*primitive_desc_destroy)(void *desc);
  int (*primitive_create)(void **out, const void *desc);
  int (*primitive_destroy)(void *primitive);
  int (*memory_create)(void **out, const void *desc, void *engine, void *data);
  int (*memory_destroy)(void *memory);
  int (*execute)(const void *primitive, void *stream, int count, const argument *arguments);
  int (*stream_wait)(void *stream);
  void *engine, *stream;
} dnnl;

/* NULL when the library is ready for so many threads, else why not. */
static const char *load(int threads) {
  const struct {
    const char *name;
    void *at;
  } functions[] = {
      {"dnnl_engine_create", &dnnl.engine_create},
      {"dnnl_stream_create", &dnnl.stream_create},
      {"dnnl_memory_desc_init_by_strides", &dnnl.memory_desc_init_by_strides},
      {"dnnl_softmax_forward_desc_init", &dnnl.softmax_forward_desc_init},
      {"dnnl_layer_normalization_forward_desc_init", &dnnl.layer_normalization_forward_desc_init},
      {"dnnl_primitive_desc_create", &dnnl.primitive_desc_create},
      {"dnnl_primitive_desc_destroy", &dnnl.primitive_desc_destroy},
      {"dnnl_primitive_create", &dnnl.primitive_create},
      {"dnnl_primitive_destroy", &dnnl.primitive_destroy},
      {"dnnl_memory_create", &dnnl.memory_create},
      {"dnnl_memory_destroy", &dnnl.memory_destroy},
      {"dnnl_primitive_execute", &dnnl.execute},
      {"dnnl_stream_wait", &dnnl.stream_wait},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *symbol = fh_peer_symbol(library, functions[i].name);
    if (!symbol) return "libdnnl.so.2 (oneDNN, version 2) is not here";
    *(void **)functions[i].at = symbol;
  }
  void (*set_threads)(int);
  *(void **)&set_threads = fh_peer_symbol("libgomp.so.1", "omp_set_num_threads");
  if (set_threads) set_threads(threads);
  if (dnnl.engine) return NULL;
  return dnnl.engine_create(&dnnl.engine, CPU, 0) == 0 && dnnl.stream_create(&dnnl.stream, dnnl.engine, IN_ORDER) == 0
             ? NULL
             : "it gives no engine for the CPU";
}

static bool add(call *c, int arg, const void *desc, void *data) {
  argument *a = &c->arguments[c->count];
  a->arg = arg;
  if (dnnl.memory_create(&a->memory, desc, dnnl.engine, data) != 0) return false;
  c->count++;
  return true;
}

static bool build(call *c, const description *operation) {
  void *desc = NULL;
  if (dnnl.primitive_desc_create(&desc, operation, NULL, dnnl.engine, NULL) != 0) return false;
  const bool built = dnnl.primitive_create(&c->primitive, desc) == 0;
  dnnl.primitive_desc_destroy(desc);
  return built;
}

static void run(void *state) {
  const call *c = state;
  dnnl.execute(c->primitive, dnnl.stream, c->count, c->arguments);
  dnnl.stream_wait(dnnl.stream);
}

static void destroy(void *state) {
  call *c = state;
  for (int i = 0; i < c->count; i++) dnnl.memory_destroy(c->arguments[i].memory);
  if (c->primitive) dnnl.primitive_destroy(c->primitive);
  free(c);
}

static bool describe(const fh_view_desc *v, description *out) {
  return dnnl.memory_desc_init_by_strides(out, v->rank, v->shape, F32, v->strides) == 0;
}

static bool softmax_build(const fh_peer_call *p, call *c) {
  static description data, operation;
  const fh_view_desc *x = &p->c->views[0];
  return describe(x, &data) && dnnl.softmax_forward_desc_init(&operation, FORWARD_INFERENCE, &data, x->rank - 1) == 0 &&
         build(c, &operation) && add(c, ARG_SRC, &data, p->data[0]) && add(c, ARG_DST, &data, p->data[1]);
}

static bool layer_norm_build(const fh_peer_call *p, call *c) {
  static description data, scale, operation;
  return describe(&p->c->views[0], &data) && describe(&p->c->views[1], &scale) &&
         dnnl.layer_normalization_forward_desc_init(&operation, FORWARD_INFERENCE, &data, NULL, (float)p->c->scalars[0].f,
                                                    USE_SCALE | USE_SHIFT) == 0 &&
         build(c, &operation) && add(c, ARG_SRC, &data, p->data[0]) && add(c, ARG_SCALE, &scale, p->data[1]) &&
         add(c, ARG_SHIFT, &scale, p->data[2]) && add(c, ARG_DST, &data, p->data[3]);
}

static const char *open_with(const fh_peer_call *p, bool (*build_call)(const fh_peer_call *, call *), void **out_state) {
  const char *why = load(p->threads);
  if (why) return why;
  call *c = calloc(1, sizeof *c);
  if (!c) return "no memory";
  if (!build_call(p, c)) {
    destroy(c);
    return "it refuses this shape";
  }
  *out_state = c;
  return NULL;
}

static const char *softmax_open(const fh_peer_call *p, void **out_state) { return open_with(p, softmax_build, out_state); }
static const char *layer_norm_open(const fh_peer_call *p, void **out_state) { return open_with(p, layer_norm_build, out_state); }

const fh_peer fh_peers_onednn_rows[] = {
    {"oneDNN", "softmax", "libdnnl2", softmax_open, run, destroy, 0},
    {"oneDNN", "layer_norm", "libdnnl2", layer_norm_open, run, destroy, 0},
    FH_PEER_END,
};
