/* oneDNN as a peer of the products of narrow types: its matmul primitive of version 2, with plain weights as they lie, and with weights
 * that it packed once in the format it likes best where ours are packed. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "bench/peers/peer.h"
#include "kernels/product.h"

static const char library[] = "libdnnl.so.2";

/* Values and shapes of its C interface; descriptors are larger in no version 2. */
enum { ENGINE_CPU = 1, STREAM_DEFAULT = 1, FORMAT_ANY = 1, QUERY_WEIGHTS = 131, ARG_SRC = 1, ARG_DST = 17, ARG_WEIGHTS = 33 };
enum { BF16 = 2, F32 = 3, S32 = 4, S8 = 5, U8 = 6 };
typedef struct descriptor {
  int64_t bytes[256];
} descriptor;
typedef struct operation {
  descriptor bytes[6];
} operation;
typedef struct argument {
  int what;
  void *memory;
} argument;

typedef struct onednn {
  int (*engine_create)(void **engine, int kind, size_t index);
  int (*stream_create)(void **stream, void *engine, unsigned flags);
  int (*strides)(descriptor *out, int rank, const int64_t dims[12], int type, const int64_t strides[12]);
  int (*tag)(descriptor *out, int rank, const int64_t dims[12], int type, int tag);
  int (*matmul)(operation *out, const descriptor *src, const descriptor *weights, const descriptor *bias, const descriptor *dst);
  int (*describe)(void **out, const operation *op, const void *attributes, void *engine, const void *hint);
  const descriptor *(*query)(const void *described, int what, int index);
  int (*reorder)(void **out, const descriptor *from, void *from_engine, const descriptor *to, void *to_engine, const void *attributes);
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
      {(void **)&x->tag, "dnnl_memory_desc_init_by_tag"},
      {(void **)&x->matmul, "dnnl_matmul_desc_init"},
      {(void **)&x->describe, "dnnl_primitive_desc_create"},
      {(void **)&x->query, "dnnl_primitive_desc_query_md"},
      {(void **)&x->reorder, "dnnl_reorder_primitive_desc_create"},
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

typedef struct product {
  onednn api;
  void *engine, *stream, *primitive, *memory[FH_PRODUCT_VIEWS];
  char *plain, *packed; /* own copies of packed weights */
} product;

static int type_of(fh_dtype dtype) {
  return dtype == FH_BF16 ? BF16 : dtype == FH_F32 ? F32 : dtype == FH_I32 ? S32 : dtype == FH_I8 ? S8 : U8;
}

static void product_close(void *state) {
  product *p = state;
  for (int i = 0; i < FH_PRODUCT_VIEWS; i++)
    if (p->memory[i]) p->api.memory_end(p->memory[i]);
  if (p->primitive) p->api.primitive_end(p->primitive);
  if (p->stream) p->api.stream_end(p->stream);
  if (p->engine) p->api.engine_end(p->engine);
  free(p->plain);
  free(p->packed);
  free(p);
}

static void product_run(void *state) {
  const product *p = state;
  const argument arguments[] = {{ARG_SRC, p->memory[0]}, {ARG_WEIGHTS, p->memory[1]}, {ARG_DST, p->memory[2]}};
  p->api.execute(p->primitive, p->stream, 3, arguments);
  p->api.wait(p->stream);
}

/* (k, n) again, from our packed weights. */
static char *unpack(const fh_product *p, const char *packed, int64_t size) {
  const int64_t group = 4 / size;
  char *plain = malloc((size_t)(p->k * p->n * size) + 1);
  for (int64_t l = 0; plain && l < p->k; l++)
    for (int64_t j = 0; j < p->n; j++)
      memcpy(plain + (l * p->n + j) * size, packed + fh_product_at_b(p, 0, l, j, group) * size, (size_t)size);
  return plain;
}

/* Weights in the format that the primitive asked for. False: it could not. */
static bool pack(product *p, const fh_product *shape, const fh_view_desc *b, const void *ours, const descriptor *wanted) {
  const int64_t size = (int64_t)fh_dtype_size(b->dtype);
  const int64_t dims[12] = {shape->k, shape->n}, row_major[12] = {shape->n, 1};
  const size_t room = (size_t)((shape->k + 256) * (shape->n + 256) * size) + 65536; /* its blocks round up; it may add sums */
  descriptor plain;
  void *described = NULL, *reorder = NULL, *from = NULL;
  p->plain = unpack(shape, ours, size);
  p->packed = aligned_alloc(64, room / 64 * 64);
  bool done = p->plain && p->packed && p->api.strides(&plain, 2, dims, type_of(b->dtype), row_major) == 0 &&
              p->api.memory_create(&from, &plain, p->engine, p->plain) == 0 &&
              p->api.memory_create(&p->memory[1], wanted, p->engine, p->packed) == 0 &&
              p->api.reorder(&described, &plain, p->engine, wanted, p->engine, NULL) == 0 &&
              p->api.primitive_create(&reorder, described) == 0;
  const argument arguments[] = {{ARG_SRC, from}, {ARG_DST, p->memory[1]}};
  done = done && p->api.execute(reorder, p->stream, 2, arguments) == 0 && p->api.wait(p->stream) == 0;
  if (reorder) p->api.primitive_end(reorder);
  if (described) p->api.describe_end(described);
  if (from) p->api.memory_end(from);
  return done;
}

static bool prepare(product *p, const fh_peer_call *call) {
  const fh_view_desc *v = call->c->views;
  const fh_product shape = fh_product_of(v, 4 / (int64_t)fh_dtype_size(v[1].dtype));
  const bool packed = v[1].rank == 4;
  const int rank = packed ? 2 : v[0].rank;
  descriptor views[FH_PRODUCT_VIEWS];
  for (int i = 0; i < FH_PRODUCT_VIEWS; i++) {
    int64_t dims[12] = {shape.k, shape.n}, strides[12] = {0};
    for (int d = 0; d < rank && !(i == 1 && packed); d++) dims[d] = v[i].shape[d], strides[d] = v[i].strides[d];
    const int type = type_of(v[i].dtype);
    if (i == 1 && packed ? p->api.tag(&views[i], rank, dims, type, FORMAT_ANY) : p->api.strides(&views[i], rank, dims, type, strides))
      return false;
  }
  operation op;
  void *described = NULL;
  if (p->api.matmul(&op, &views[0], &views[1], NULL, &views[2]) || p->api.describe(&described, &op, NULL, p->engine, NULL)) return false;
  bool done = p->api.primitive_create(&p->primitive, described) == 0;
  for (int i = 0; i < FH_PRODUCT_VIEWS && done; i++)
    done = i == 1 && packed ? pack(p, &shape, &v[1], call->data[1], p->api.query(described, QUERY_WEIGHTS, 0))
                            : p->api.memory_create(&p->memory[i], &views[i], p->engine, call->data[i]) == 0;
  p->api.describe_end(described);
  return done;
}

static const char *product_open(const fh_peer_call *call, void **out_state) {
  product *p = calloc(1, sizeof *p);
  if (!p) return "no memory";
  if (!load(&p->api)) {
    free(p);
    return "libdnnl.so.2 or libgomp.so.1 is not here";
  }
  p->api.set_threads(call->threads);
  if (call->c->views[1].rank == 4 && call->c->views[0].rank == 3) {
    free(p);
    return "packed weights for a batch are not compared";
  }
  if (p->api.engine_create(&p->engine, ENGINE_CPU, 0) || p->api.stream_create(&p->stream, p->engine, STREAM_DEFAULT) || !prepare(p, call)) {
    product_close(p);
    return "it has no matmul primitive for this case";
  }
  *out_state = p;
  return NULL;
}

const fh_peer fh_peers_onednn_low_precision[] = {
    {"oneDNN", "matmul_bf16", "libdnnl2", product_open, product_run, product_close, 1e-3},
    {"oneDNN", "matmul_i8", "libdnnl2", product_open, product_run, product_close, 0},
    FH_PEER_END,
};
