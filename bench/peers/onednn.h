/* oneDNN for its peers: the C interface of version 2, and a call that is one of its primitives. SPDX-License-Identifier: Apache-2.0
 *
 * Descriptors are structs of the library's own; here they are bytes, more than it needs in any version 2. */
#ifndef FOGHORN_BENCH_PEERS_ONEDNN_H_
#define FOGHORN_BENCH_PEERS_ONEDNN_H_

#include "bench/peers/peer.h"

/* Values of its C interface. */
enum { FH_DNNL_FORWARD_INFERENCE = 96, FH_DNNL_FORMAT_ANY = 1, FH_DNNL_QUERY_WEIGHTS = 131 };
enum { FH_DNNL_SRC = 1, FH_DNNL_DST = 17, FH_DNNL_WEIGHTS = 33, FH_DNNL_SCALE = 51, FH_DNNL_SHIFT = 52 }; /* arguments */

typedef struct fh_dnnl_layout {
  int64_t bytes[256];
} fh_dnnl_layout;

typedef struct fh_dnnl_operation {
  fh_dnnl_layout bytes[8];
} fh_dnnl_operation;

typedef struct fh_dnnl_argument {
  int what;
  void *memory;
} fh_dnnl_argument;

/* F(result, name without dnnl_, parameters) of every function that is used. */
#define FH_DNNL_FUNCTIONS(F)                                                                                                              \
  F(int, engine_create, (void **out, int kind, size_t index))                                                                             \
  F(int, stream_create, (void **out, void *engine, unsigned flags))                                                                       \
  F(int, stream_wait, (void *stream))                                                                                                     \
  F(int, memory_desc_init_by_strides, (fh_dnnl_layout * out, int rank, const int64_t *shape, int type, const int64_t *strides))           \
  F(int, memory_desc_init_by_tag, (fh_dnnl_layout * out, int rank, const int64_t *shape, int type, int tag))                              \
  F(int, memory_create, (void **out, const fh_dnnl_layout *layout, void *engine, void *data))                                             \
  F(int, memory_destroy, (void *memory))                                                                                                  \
  F(int, eltwise_forward_desc_init,                                                                                                       \
    (fh_dnnl_operation * out, int propagation, int algorithm, const fh_dnnl_layout *data, float alpha, float beta))                       \
  F(int, softmax_forward_desc_init, (fh_dnnl_operation * out, int propagation, const fh_dnnl_layout *data, int axis))                     \
  F(int, layer_normalization_forward_desc_init,                                                                                           \
    (fh_dnnl_operation * out, int propagation, const fh_dnnl_layout *data, const fh_dnnl_layout *stats, float eps, unsigned flags))       \
  F(int, matmul_desc_init,                                                                                                                \
    (fh_dnnl_operation * out, const fh_dnnl_layout *src, const fh_dnnl_layout *weights, const fh_dnnl_layout *bias,                       \
     const fh_dnnl_layout *dst))                                                                                                          \
  F(int, primitive_desc_create, (void **out, const fh_dnnl_operation *operation, const void *attributes, void *engine, const void *hint)) \
  F(int, reorder_primitive_desc_create,                                                                                                   \
    (void **out, const fh_dnnl_layout *from, void *from_engine, const fh_dnnl_layout *to, void *to_engine, const void *attributes))       \
  F(const fh_dnnl_layout *, primitive_desc_query_md, (const void *described, int what, int index))                                        \
  F(int, primitive_desc_destroy, (void *described))                                                                                       \
  F(int, primitive_create, (void **out, const void *described))                                                                           \
  F(int, primitive_destroy, (void *primitive))                                                                                            \
  F(int, primitive_execute, (const void *primitive, void *stream, int count, const fh_dnnl_argument *arguments))

/* The library, with one engine and one stream for all calls. There once fh_dnnl_open has succeeded, and for good. */
typedef struct fh_dnnl_library {
#define FH_DNNL_MEMBER(result, name, parameters) result(*name) parameters;
  FH_DNNL_FUNCTIONS(FH_DNNL_MEMBER)
#undef FH_DNNL_MEMBER
  void (*set_threads)(int);
  void *engine, *stream;
} fh_dnnl_library;
extern fh_dnnl_library fh_dnnl;

enum { FH_DNNL_MOST_ARGUMENTS = 4, FH_DNNL_MOST_BUFFERS = 2 };

typedef struct fh_dnnl_call {
  void *described, *primitive;
  fh_dnnl_argument arguments[FH_DNNL_MOST_ARGUMENTS];
  int count;
  void *buffers[FH_DNNL_MOST_BUFFERS]; /* of the call's own, freed with it */
} fh_dnnl_call;

/* The three functions of a peer. `build` describes the primitive of a call and its arguments; false: oneDNN refused. */
const char *fh_dnnl_open(const fh_peer_call *from, bool (*build)(const fh_peer_call *from, fh_dnnl_call *call), void **out_state);
void fh_dnnl_run(void *state);
void fh_dnnl_close(void *state);

/* For `build`: the type and the layout of a view, the primitive of an operation, and an argument. False: it refused. */
int fh_dnnl_type(fh_dtype dtype);
bool fh_dnnl_layout_of(const fh_view_desc *v, fh_dnnl_layout *out);
bool fh_dnnl_describe(fh_dnnl_call *call, const fh_dnnl_operation *operation);
bool fh_dnnl_add(fh_dnnl_call *call, int what, const fh_dnnl_layout *layout, void *data);

#endif /* FOGHORN_BENCH_PEERS_ONEDNN_H_ */
