/* oneDNN as a peer of the products: its matmul primitive, with plain weights as they lie, and with weights that it packed
 * once in the format it likes best where ours are packed. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "bench/peers/onednn.h"
#include "kernels/product.h"

enum { A = FH_PRODUCT_A, B = FH_PRODUCT_B, C = FH_PRODUCT_C };

/* (k, n) again, from our packed weights. */
static char *unpack(const fh_product *p, const char *packed, int64_t size) {
  const int64_t group = 4 / size;
  char *plain = malloc((size_t)(p->k * p->n * size) + 1);
  for (int64_t l = 0; plain && l < p->k; l++)
    for (int64_t j = 0; j < p->n; j++)
      memcpy(plain + (l * p->n + j) * size, packed + fh_product_at_b(p, 0, l, j, group) * size, (size_t)size);
  return plain;
}

/* A copy of `from`, of layout `plain`, in the layout of the call's argument `to`. */
static bool reorder(const fh_dnnl_layout *plain, void *from, const fh_dnnl_layout *wanted, void *to) {
  void *described = NULL, *primitive = NULL, *memory = NULL;
  bool done = fh_dnnl.memory_create(&memory, plain, fh_dnnl.engine, from) == 0 &&
              fh_dnnl.reorder_primitive_desc_create(&described, plain, fh_dnnl.engine, wanted, fh_dnnl.engine, NULL) == 0 &&
              fh_dnnl.primitive_create(&primitive, described) == 0;
  const fh_dnnl_argument arguments[] = {{FH_DNNL_SRC, memory}, {FH_DNNL_DST, to}};
  done = done && fh_dnnl.primitive_execute(primitive, fh_dnnl.stream, 2, arguments) == 0 && fh_dnnl.stream_wait(fh_dnnl.stream) == 0;
  if (primitive) fh_dnnl.primitive_destroy(primitive);
  if (described) fh_dnnl.primitive_desc_destroy(described);
  if (memory) fh_dnnl.memory_destroy(memory);
  return done;
}

/* Adds our packed weights in the format that the primitive asked for. */
static bool add_packed(fh_dnnl_call *call, const fh_product *shape, const fh_view_desc *b, const void *ours) {
  const int64_t size = (int64_t)fh_dtype_size(b->dtype), extents[] = {shape->k, shape->n};
  const size_t room = (size_t)((shape->k + 256) * (shape->n + 256) * size) + 65536; /* its blocks round up; it may add sums */
  const fh_dnnl_layout *wanted = fh_dnnl.primitive_desc_query_md(call->described, FH_DNNL_QUERY_WEIGHTS, 0);
  const fh_view_desc unpacked = fh_compact(b->dtype, 2, extents);
  fh_dnnl_layout plain;
  call->buffers[0] = unpack(shape, ours, size);
  call->buffers[1] = aligned_alloc(64, room / 64 * 64);
  return call->buffers[0] && call->buffers[1] && wanted && fh_dnnl_layout_of(&unpacked, &plain) &&
         fh_dnnl_add(call, FH_DNNL_WEIGHTS, wanted, call->buffers[1]) &&
         reorder(&plain, call->buffers[0], wanted, call->arguments[call->count - 1].memory);
}

static bool build(const fh_peer_call *from, fh_dnnl_call *call) {
  const fh_view_desc *v = from->c->views;
  const fh_product shape = fh_product_of(v, 4 / (int64_t)fh_dtype_size(v[B].dtype));
  const bool packed = v[B].rank == 4;
  const int64_t weights[] = {shape.k, shape.n};
  fh_dnnl_layout a, b, c;
  fh_dnnl_operation operation;
  const bool known = packed ? fh_dnnl.memory_desc_init_by_tag(&b, 2, weights, fh_dnnl_type(v[B].dtype), FH_DNNL_FORMAT_ANY) == 0
                            : fh_dnnl_layout_of(&v[B], &b);
  return known && fh_dnnl_layout_of(&v[A], &a) && fh_dnnl_layout_of(&v[C], &c) &&
         fh_dnnl.matmul_desc_init(&operation, &a, &b, NULL, &c) == 0 && fh_dnnl_describe(call, &operation) &&
         fh_dnnl_add(call, FH_DNNL_SRC, &a, from->data[A]) &&
         (packed ? add_packed(call, &shape, &v[B], from->data[B]) : fh_dnnl_add(call, FH_DNNL_WEIGHTS, &b, from->data[B])) &&
         fh_dnnl_add(call, FH_DNNL_DST, &c, from->data[C]);
}

static const char *open_call(const fh_peer_call *from, void **out_state) {
  if (from->c->views[B].rank == 4 && from->c->views[A].rank == 3) return "packed weights for a batch are not compared";
  return fh_dnnl_open(from, build, out_state);
}

const fh_peer fh_peers_onednn_products[] = {
    {"oneDNN", "matmul", "libdnnl2", open_call, fh_dnnl_run, fh_dnnl_close, 0},
    {"oneDNN", "matmul_bf16", "libdnnl2", open_call, fh_dnnl_run, fh_dnnl_close, 1e-3},
    {"oneDNN", "matmul_f16", "libdnnl2", open_call, fh_dnnl_run, fh_dnnl_close, 1e-3},
    {"oneDNN", "matmul_i8", "libdnnl2", open_call, fh_dnnl_run, fh_dnnl_close, 0},
    FH_PEER_END,
};
